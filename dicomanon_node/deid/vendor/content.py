"""Text of any maker: which format it is, and its values cleaned.

Siemens protocols, XML, JSON and Siemens' report messages keep their structure. Any other
text is cleaned line by line: `name: value` and `name = value` by their name, the rest as
free text.
"""

import codecs
import re

from dicomanon_node.deid.vendor import markup, objects, protocol, report_message
from dicomanon_node.deid.vendor.values import Cleaner

_CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r")) + b"\x7f"
_ASCII = bytes(range(128))
MIN_TEXT_BYTES = 4
_KEYED = re.compile(
    rb"([ \t]*+(?:set +)?\"?)([A-Za-z][\w .]{1,40})(\"?[ \t]*[:=][ \t]*)([^\r]*)(\r?)"
)
_XML = re.compile(rb"\s*<[?!A-Za-z]")
_JSON = re.compile(rb"\s*[\[{]\s*[\[{\"\]}]")
# UTF-16 is recognised by its mark or by its first character.
_UTF_16 = (
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


def is_text(raw: bytes) -> bool:
    """Whether the bytes are a text and nothing else; padding does not count."""
    body = raw.rstrip(b"\0 ")
    if len(body) < MIN_TEXT_BYTES or len(body.translate(None, _CONTROLS)) != len(body):
        return False
    high = len(body.translate(None, _ASCII))
    if not high:
        return True
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        # Latin letters are seldom; numbers are half of them above 127.
        return len(body) > 3 * MIN_TEXT_BYTES and high * 4 < len(body)
    return True


def wide_encoding(raw: bytes) -> str | None:
    """The encoding of a text in UTF-16; None if it is none."""
    return next((encoding for mark, encoding in _UTF_16 if raw.startswith(mark)), None)


def cleaned_wide(raw: bytes, encoding: str, cleaner: Cleaner) -> bytes | None:
    """A text in UTF-16 with its values cleaned; None if it is no text."""
    try:
        text = raw.decode(encoding).rstrip("\0")
    except UnicodeDecodeError:
        try:
            text = raw[: len(raw) & ~1].decode(encoding).rstrip("\0")
        except UnicodeDecodeError:
            return None
    plain = text.encode("utf-8")
    if not is_text(plain):
        return None
    new = cleaned(plain, cleaner)
    return raw if new == plain else new.decode("utf-8", "replace").encode(encoding)


def cleaned(text: bytes, cleaner: Cleaner) -> bytes:
    """The text with its values cleaned.

    Raises:
        UnreadableError: It is a Siemens protocol that does not follow its format.
    """
    if text.startswith(codecs.BOM_UTF8):
        return codecs.BOM_UTF8 + cleaned(text[len(codecs.BOM_UTF8) :], cleaner)
    if protocol.is_protocol(text):
        return protocol.rewritten(text, cleaner)
    if _XML.match(text):
        return markup.rewritten(text, cleaner)
    if _JSON.match(text):
        return objects.rewritten(text, cleaner)
    return report_message.rewritten(text, cleaner) or lines(text, cleaner)


def lines(text: bytes, cleaner: Cleaner) -> bytes:
    """Text without structure: named values by their names, the rest as free text."""
    out: list[bytes] = []
    free: list[bytes] = []
    for line in text.split(b"\n"):
        keyed = _KEYED.fullmatch(line)
        new = cleaner.field(keyed[2].rstrip(), keyed[4]) if keyed else None
        if keyed is None or new is None:
            free.append(line)
            continue
        if free:
            out.append(cleaner.text(b"\n".join(free)))
            free.clear()
        out.append(b"".join((keyed[1], keyed[2], keyed[3], new, keyed[5])))
    if free:
        out.append(cleaner.text(b"\n".join(free)))
    return b"\n".join(out)
