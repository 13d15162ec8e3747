"""Text in every character set of the standard, decoded as pydicom decodes it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import charset as oracle
from pydicom.valuerep import PersonName

from dicomanon_node.deid import charset

_TEXT_DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C}

_EXAMPLES = [
    ("", "Adams^John"),
    ("ISO_IR 100", "Buc^Jérôme"),
    ("ISO_IR 101", "Łukasz Żółć"),
    ("ISO_IR 110", "Ģirts Ķēniņš"),
    ("ISO_IR 126", "Διονυσιος"),
    ("ISO_IR 127", "قباني^لنزار"),
    ("ISO_IR 138", "שרון^דבורה"),
    ("ISO_IR 144", "Люкceмбypг"),  # noqa: RUF001  (the standard's own example, PS3.5 H)
    ("ISO_IR 148", "Çavuşoğlu"),
    ("ISO_IR 166", "นามสกุล"),
    ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
    ("GBK", "Wang^XiaoDong=王^小东"),
    ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
    ("\\ISO 2022 IR 58", "Zhang^XiaoDong=张^小东"),
    ("ISO 2022 IR 100\\ISO 2022 IR 144", "Jérôme Люкceмбypг"),  # noqa: RUF001
]


@pytest.mark.parametrize(("character_set", "text"), _EXAMPLES)
def test_names_are_decoded_as_pydicom_decodes_them(character_set: str, text: str) -> None:
    encodings = oracle.convert_encodings(character_set.split("\\"))
    name = PersonName(text.replace("Jérôme Л", "Jérôme^Л"), encodings)
    encoded = name.encode(encodings)
    expected = str(PersonName(encoded, encodings).decode())
    assert charset.decode(encoded, character_set.encode(), is_name=True) == expected


# pydicom does not encode a space in the one, nor decode a text of the other.
_TEXTS = [example for example in _EXAMPLES if example[0] not in ("ISO_IR 13", "\\ISO 2022 IR 58")]


@pytest.mark.parametrize(("character_set", "text"), _TEXTS)
def test_texts_are_decoded_as_pydicom_decodes_them(character_set: str, text: str) -> None:
    encodings = oracle.convert_encodings(character_set.split("\\"))
    words = text.replace("^", " ").replace("=", "\r\n")
    encoded = b"\r\n".join(oracle.encode_string(line, encodings) for line in words.split("\r\n"))
    expected = oracle.decode_bytes(encoded, encodings, _TEXT_DELIMITERS)
    assert expected == words
    assert charset.decode(encoded, character_set.encode()) == expected


@pytest.mark.parametrize(
    ("term", "means"),
    [
        ("ISO IR 100", "ISO_IR 100"),
        ("ISO-IR 192", "ISO_IR 192"),
        ("iso_ir 144", "ISO_IR 144"),
        ("ISO 2022-IR 100", "ISO 2022 IR 100"),
        ("ISO_2022_IR_87", "ISO 2022 IR 87"),
        (" ISO_IR 100 \0", "ISO_IR 100"),
        ("SOMETHING ELSE", ""),
    ],
)
def test_misspelt_terms_are_understood(term: str, means: str) -> None:
    expected = tuple(oracle.convert_encodings(means))
    assert charset.encodings(term.encode()) == expected


@settings(max_examples=200, deadline=None)
@given(
    value=st.binary(max_size=40)
    | st.lists(
        st.sampled_from(
            [b"\x1b$B", b"\x1b(B", b"\x1b$)C", b"\x1b-L", b"\x1b", b";3ED", b"^", b"ab"]
        )
    ).map(b"".join),
    character_set=st.sampled_from([example[0] for example in _EXAMPLES] + ["\\", "x", "\xff"]),
)
def test_decoding_never_fails(value: bytes, character_set: str) -> None:
    encoded = character_set.encode("latin-1")
    assert isinstance(charset.decode(value, encoded), str)
    assert isinstance(charset.decode(value, encoded, is_name=True), str)


@pytest.mark.parametrize(
    ("text", "character_set", "encoded"),
    [
        ("Zürich", "ISO_IR 100", b"Z\xfcrich"),
        ("Zürich", "ISO_IR 192", b"Z\xc3\xbcrich"),
        ("Zürich", "", None),
        ("Zürich", "ISO 2022 IR 6\\ISO 2022 IR 87", None),
        ("Zürich", "ISO_IR 144", None),
        ("Zurich", "", b"Zurich"),
        ("大", "GB18030", "大".encode("gb18030")),
    ],
)
def test_what_a_character_set_cannot_say_is_not_said(
    text: str, character_set: str, encoded: bytes | None
) -> None:
    assert charset.encode(text, character_set.encode()) == encoded
