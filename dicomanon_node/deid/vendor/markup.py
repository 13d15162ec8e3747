"""XML of any maker: texts and attributes' values cleaned, everything else as it was.

A value is named by the element it is in, by its attribute, or by a neighbour as in
`<param name="PatientName" value="..."/>`. No entity is resolved but the five of XML and
characters' numbers. Markup that is not well-formed is read as far as it can be.
"""

import re
from html import escape, unescape

from dicomanon_node.deid.vendor.names import Attribute, attribute
from dicomanon_node.deid.vendor.values import Cleaner, is_packed

_TOKEN = re.compile(
    rb"""
      (?P<cdata><!\[CDATA\[)
    | (?P<comment><!--)
    | (?P<instruction><[?!])
    | (?P<end></(?P<ended>[^\s<>]{1,256})\s*>)
    | (?P<start><(?P<name>[A-Za-z_\x80-\xff][^\s<>/="']{0,255})
        (?P<attributes>(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+)>)
    | (?P<text>[^<]++|<)
    """,
    re.VERBOSE,
)
# What is no pair is a match as well, and so is read once.
_ATTRIBUTE = re.compile(rb"""([^\s="'/]++)(?:(\s*+=\s*+)(?:"([^"]*+)"|'([^']*+)'))?""")
_CLOSINGS = {"cdata": b"]]>", "comment": b"-->", "instruction": b">"}
# Attributes whose value is the name of the element's value.
_NAMING = frozenset((b"name", b"key", b"keyword", b"id", b"field", b"attribute"))
_VALUES = frozenset((b"value", b"val", b"content", b"text"))
_MAX_DEPTH = 1_000
_LATIN = re.compile(rb"""\s*<\?xml[^>]{0,200}encoding=["'](?i:iso-8859-1|windows-1252)""")
_CONTROLS = re.compile(rb"[\0-\x1f]")
_TAG_NUMBER = re.compile(rb"\(?([0-9a-fA-F]{4}),?([0-9a-fA-F]{4})\)?\Z")


def rewritten(text: bytes, cleaner: Cleaner) -> bytes:
    """The markup with its values changed; well-formed if it was."""
    return _Markup(cleaner, "latin-1" if _LATIN.match(text) else "utf-8").rewritten(text)


class _Markup:
    def __init__(self, cleaner: Cleaner, encoding: str) -> None:
        self._cleaner = cleaner
        self._encoding = encoding
        # What the values in each open element repeat.
        self._open: list[tuple[bytes, Attribute | None]] = []

    def rewritten(self, text: bytes) -> bytes:
        out: list[bytes] = []
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:  # a "<" that begins nothing
                end = position + 1
                out.append(text[position:end])
            elif token["start"] is not None:
                end = token.end()
                out.append(self._start(token["name"], token["attributes"]))
            elif token["end"] is not None:
                end = token.end()
                self._close(token["ended"])
                out.append(token[0])
            elif token["text"] is not None:
                end = token.end()
                out.append(self._text(token[0]))
            else:
                closing = _CLOSINGS[str(token.lastgroup)]
                found = text.find(closing, token.end())
                end = len(text) if found < 0 else found + len(closing)
                out.append(self._opaque(str(token.lastgroup), text[position:end], closing))
            position = end
        return b"".join(out)

    def _start(self, name: bytes, attributes: bytes) -> bytes:
        found = attribute(name)
        pairs = [pair for pair in _ATTRIBUTE.finditer(attributes) if pair[2]]
        named = None
        for pair in pairs:
            if pair[1].lower() in _NAMING:
                named = named or attribute(self._value(pair))
            elif pair[1].lower() == b"tag":
                named = named or _of_number(self._value(pair), attributes)
        inherited = self._open[-1][1] if self._open else None
        found = found or named or inherited
        out: list[bytes] = []
        position = 0
        for pair in pairs:
            new = self._attribute(pair, found)
            if new is not None:
                out += (attributes[position : pair.start()], new)
                position = pair.end()
        out.append(attributes[position:])
        if not attributes.rstrip().endswith(b"/") and len(self._open) < _MAX_DEPTH:
            self._open.append((name, found))
        return b"".join((b"<", name, *out, b">"))

    def _attribute(self, pair: re.Match[bytes], found: Attribute | None) -> bytes | None:
        name, value = pair[1], self._value(pair)
        own = attribute(name)
        if own is None and name.lower() in _VALUES:
            own = found
        new = self._cleaner.text(value) if own is None else self._cleaner.attribute(own, value)
        if new == value and not _is_disguised(pair[0], value):
            return None
        return name + pair[2] + b'"' + _escaped(new).replace(b'"', b"&quot;") + b'"'

    def _close(self, name: bytes) -> None:
        # An end that nothing began is not well-formed, and ends nothing.
        if self._open and self._open[-1][0] == name:
            self._open.pop()

    def _text(self, raw: bytes) -> bytes:
        if not raw.strip():
            return raw
        value = self._unescaped(raw)
        new = self._changed(value)
        return raw if new == value and not _is_disguised(raw, value) else _escaped(new)

    def _changed(self, value: bytes) -> bytes:
        found = self._open[-1][1] if self._open else None
        if found is not None:
            return self._cleaner.attribute(found, value)
        if is_packed(value):
            return b""
        return self._cleaner.text(value)

    def _value(self, pair: re.Match[bytes]) -> bytes:
        return self._unescaped(pair[3] if pair[3] is not None else pair[4])

    def _unescaped(self, raw: bytes) -> bytes:
        if b"&" not in raw:
            return raw
        try:
            return unescape(raw.decode(self._encoding)).encode(self._encoding)
        except UnicodeError:
            return unescape(raw.decode("latin-1")).encode("latin-1", "replace")

    def _opaque(self, kind: str, raw: bytes, closing: bytes) -> bytes:
        if kind == "cdata":
            inner = raw.removeprefix(b"<![CDATA[").removesuffix(closing)
            new = self._changed(inner)
            if new == inner:
                return raw
            return b"<![CDATA[" + new.replace(closing, b"") + closing
        return raw if self._cleaner.text(raw) == raw else b""


def _of_number(value: bytes, attributes: bytes) -> Attribute | None:
    # PS3.19 A.1: <DicomAttribute tag="00100010" vr="PN" keyword="PatientName">
    number = _TAG_NUMBER.match(value)
    vr = re.search(rb"""\bvr\s*=\s*["']([A-Z]{2})["']""", attributes)
    if number is None or vr is None or vr[1] == b"SQ":
        return None
    return Attribute(int(number[1] + number[2], 16), vr[1].decode("ascii"))


def _is_disguised(raw: bytes, value: bytes) -> bool:
    # Characters as numbers are written as such: whoever searches the written bytes sees them.
    return b"&#" in raw and not _CONTROLS.search(value)


def _escaped(new: bytes) -> bytes:
    return escape(new.decode("latin-1"), quote=False).encode("latin-1")
