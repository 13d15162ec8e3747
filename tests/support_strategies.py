"""Random data sets: every VR, nested and private sequences, character sets, both kinds of length.

What identifies is made of words that nothing else here is made of, so that "kept as it
is" and "gone" can both be claimed without looking into the core.
"""

from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from support_deid import ROOT, basic_dataset

# Letters of no name below: x, y, z.
_PLAIN = st.text("xyz XYZ129.", min_size=0, max_size=14).map(str.strip)
_NAMES = ["Quillfeather^Ottoline", "MARROWBY^TIB^^Dr", "Jubb-Pell^Oona", ""]
_NAMES_BY_CHARACTER_SET = {
    None: _NAMES,
    "ISO_IR 100": [*_NAMES, "Zaunkönig^Ägidius"],
    "ISO_IR 144": [*_NAMES, "Иванов^Пётр"],
    "ISO_IR 192": [*_NAMES, "山田^太郎", "Zaunkönig^Ägidius", "Wáng^XiǎoDōng=王^小东"],
    "GB18030": [*_NAMES, "王^小东"],
}
CHARACTER_SETS = list(_NAMES_BY_CHARACTER_SET)
_NUMBERS = ["MRN7741902", "0099887766", ""]
# What the first of the names and numbers look like when somebody types them elsewhere.
_LEAKS = st.sampled_from(
    [
        "Quillfeather",
        "xyz QUILLFEATHER, Ottoline",
        "zz_quillfeather^ottoline_x",
        "OttolineQuillfeather yyy",
        "x MRN7741902 z",
        "mrn7741902",
        f"see {ROOT}11 x",
    ]
)

_REFUSED_GROUPS = (0x0000, 0x0002, 0x0004)
# Set by the tests themselves, or with a meaning that decides over the whole object.
_RESERVED = {
    0x00080005,  # Specific Character Set
    0x00080016,  # SOP Class UID
    0x00080018,  # SOP Instance UID
    0x0020000D,  # Study Instance UID
    0x0020000E,  # Series Instance UID
    0x00080070,  # Manufacturer: its words identify nobody
    0x00081090,  # Manufacturer's Model Name
    0x00280301,  # Burned In Annotation
}


def _known() -> dict[str, list[int]]:
    by_vr: dict[str, list[int]] = {}
    for tag, entry in DicomDictionary.items():
        vr = entry[0]
        # Those of several VRs are left out: pydicom cannot read them without others.
        if tag >> 16 in _REFUSED_GROUPS or tag in _RESERVED or tag >> 16 >= 0x7FE0 or len(vr) != 2:
            continue
        by_vr.setdefault(vr, []).append(tag)
    return by_vr


_TAGS_BY_VR = _known()


def _values(
    vr: str, character_set: str | None, text: st.SearchStrategy[str]
) -> st.SearchStrategy[object]:
    names = st.sampled_from(_NAMES_BY_CHARACTER_SET[character_set])
    numbers = {"DS": st.decimals(-999, 999, places=2).map(str), "IS": st.integers(0, 2**31 - 1)}
    by_vr: dict[str, st.SearchStrategy[object]] = {
        "AE": st.text("XYZ", max_size=16),
        "AS": st.sampled_from(["", "045Y", "003W"]),
        "AT": st.integers(0, 0xFFFFFFFF),
        "CS": st.text("XYZ_", max_size=16),
        "DA": st.dates().map("{:%Y%m%d}".format).filter(lambda day: len(day) == 8),
        "DT": st.datetimes().map("{:%Y%m%d%H%M%S}".format).filter(lambda day: len(day) == 14),
        "FD": st.floats(allow_nan=False),
        "FL": st.floats(allow_nan=False, width=32),
        "PN": names,
        "SL": st.integers(-(2**31), 2**31 - 1),
        "SS": st.integers(-(2**15), 2**15 - 1),
        "SV": st.integers(-(2**63), 2**63 - 1),
        "TM": st.times().map("{:%H%M%S}".format),
        "UI": st.sampled_from([ROOT + "31", ROOT + "32", "1.2.840.10008.5.1.4.1.1.2", ""]),
        "UL": st.integers(0, 2**32 - 1),
        "UR": st.sampled_from(["", "http://xyz.example/"]),
        "US": st.integers(0, 2**16 - 1),
        "UV": st.integers(0, 2**64 - 1),
    }
    by_vr |= numbers
    if vr in ("OB", "OW", "OD", "OF", "OL", "OV", "UN"):
        return st.integers(0, 4).map(lambda units: b"\x01\x02\x03\x04\x85\x86\x87\x88" * units)
    return by_vr.get(vr, text if vr != "SH" else text.map(lambda words: words[:16]))


@st.composite
def _element(
    draw: st.DrawFn, character_set: str | None, text: st.SearchStrategy[str]
) -> DataElement:
    vr = draw(st.sampled_from([vr for vr in sorted(_TAGS_BY_VR) if vr != "SQ"]))
    tag = draw(st.sampled_from(_TAGS_BY_VR[vr]))
    value = draw(_values(vr, character_set, text))
    if vr == "LO" and draw(st.booleans()):
        value = MultiValue(str, [value, draw(text)])
    return DataElement(tag, vr, value)


@st.composite
def _sequence(
    draw: st.DrawFn, tag: int, character_set: str | None, text: st.SearchStrategy[str], depth: int
) -> DataElement:
    items = draw(st.lists(_items(character_set, text, depth - 1), max_size=2))
    element = DataElement(tag, "SQ", items)
    element.is_undefined_length = draw(st.booleans())
    return element


@st.composite
def _items(
    draw: st.DrawFn, character_set: str | None, text: st.SearchStrategy[str], depth: int
) -> Dataset:
    ds = Dataset()
    for element in draw(st.lists(_element(character_set, text), max_size=12)):
        ds.add(element)
    if depth and draw(st.booleans()):
        tag = draw(st.sampled_from(_TAGS_BY_VR["SQ"]))
        ds.add(draw(_sequence(tag, character_set, text, depth)))
    if draw(st.booleans()):
        group, block = draw(st.sampled_from([0x0009, 0x0029, 0x2001])), draw(st.integers(16, 18))
        ds.add_new(group << 16 | block, "LO", draw(st.sampled_from(["ACME 1.0", "OTHER"])))
        start = group << 16 | block << 8
        ds.add_new(start | 1, "LO", draw(text))
        ds.add_new(start | 2, "PN", draw(st.sampled_from(_NAMES)))
        ds.add_new(start | 3, "UI", ROOT + "33")
        if depth:
            ds.add(draw(_sequence(start | 4, character_set, text, depth)))
    ds.is_undefined_length_sequence_item = draw(st.booleans())
    return ds


@st.composite
def datasets(draw: st.DrawFn, *, leaky: bool = False) -> Dataset:
    """A whole object's data set, with an identity at the top and below.

    Args:
        draw: Hypothesis's.
        leaky: Names and numbers also stand in texts that are about something else.
    """
    character_set = draw(st.sampled_from(CHARACTER_SETS))
    ds = draw(_items(character_set, _PLAIN | _LEAKS if leaky else _PLAIN, 3))
    ds.update(basic_dataset())
    if not leaky:
        ds.PatientName = draw(st.sampled_from(_NAMES_BY_CHARACTER_SET[character_set]))
        ds.PatientID = draw(st.sampled_from(_NUMBERS))
    if character_set is not None:
        ds.SpecificCharacterSet = character_set
    if draw(st.booleans()):
        ds.add_new(0x7FE00010, "OW", bytes(range(64)))
    if draw(st.booleans()):
        ds.add_new(0xFFFCFFFC, "OB", bytes(8))
    return ds
