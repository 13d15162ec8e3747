r"""Siemens' MR protocols: XProtocol text, and the ASCII protocol in it.

XProtocol is a tree of `<ParamString."PatientName"> { "..." }`. A protocol inside of another
one is a string in which each quotation mark is doubled. The ASCII protocol stands between
`### ASCCONV BEGIN ... ###` and `### ASCCONV END ###`: a `path = value` in each line.

Numbers are never touched, but those that repeat an attribute, such as the patient's weight,
and those that are a date. Neither are paths and parameters' names: they are Siemens' words,
and short names of persons are in many of them ("anPos", "sPat").
"""

import re
from collections.abc import Iterator

from dicomanon_node.deid.vendor.errors import UnreadableError
from dicomanon_node.deid.vendor.names import Attribute, attribute
from dicomanon_node.deid.vendor.values import Cleaner, is_number

_BEGIN, _END = b"### ASCCONV BEGIN", b"### ASCCONV END"
_ROOT = re.compile(rb"\s*<XProtocol>")
_MAX_DEPTH = 8
_MAX_BRACES = 1_000
_TOKEN = re.compile(
    rb"""
      (?P<ascii>\#\#\#\ ASCCONV\ BEGIN)
    | (?P<param><(?P<type>[A-Za-z]\w{0,60})\."(?P<name>(?:[^"<>\n]|""){0,256})">)
    | (?P<angle><[^<>"\n]{0,256}>)
    | (?P<string>"(?:[^"]++|"")*+(?P<closed>"?))
    | (?P<open>\{)
    | (?P<close>\})
    | (?P<other>[^"{}<\#]++|[<\#])
    """,
    re.VERBOSE,
)
_ASSIGNMENT = re.compile(rb"(\s*)([A-Za-z_][\w.\[\]@]{0,400})([ \t]*=[ \t]*)(.*)", re.DOTALL)
_VALUE_AND_NOTE = re.compile(rb"([^\s#]*)(.*)", re.DOTALL)
# Some sequences leave the date and the time of the examination here: sizes are smaller.
_MATRIX_SIZE = re.compile(rb"sSpecPara\.lFinalMatrixSize")
_TIME = re.compile(rb"[0-9]{5,6}\Z")
_DATE = re.compile(rb"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])\Z")
_LETTERS = re.compile(rb"[A-Za-z\x80-\xff]{2}")
_DEFAULT = b"<Default>"


def is_protocol(text: bytes) -> bool:
    """Whether it is a protocol, with XProtocol around it or without."""
    return _ROOT.match(text) is not None or _BEGIN in text


def rewritten(text: bytes, cleaner: Cleaner) -> bytes:
    """The protocol with its values changed.

    Raises:
        UnreadableError: A string or an ASCII protocol does not end, or there are too many
            inside each other.
    """
    return _XProtocol(cleaner, 0).rewritten(text)


class _XProtocol:
    def __init__(self, cleaner: Cleaner, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise UnreadableError
        self._cleaner = cleaner
        self._depth = depth
        # What the values in each open brace repeat; the innermost name counts.
        self._open: list[Attribute | None] = []
        self._named: Attribute | None = None
        # `<Label> "..."` says something about the parameter and is not its value.
        self._is_property = False

    def rewritten(self, text: bytes) -> bytes:
        out: list[bytes] = []
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:
                raise UnreadableError
            kind, raw, position = str(token.lastgroup), token[0], token.end()
            if token["string"] is not None:
                out.append(self._string(raw, is_closed=bool(token["closed"])))
            elif kind == "ascii":
                end = text.find(_END, position)
                if end < 0:
                    raise UnreadableError
                out.append(ascii_protocol(text[token.start() : end], self._cleaner))
                out.append(_END)
                position = end + len(_END)
            elif token["param"] is not None:
                self._param(token["name"])
                out.append(raw)
            else:
                out.append(self._plain(kind, raw))
        return b"".join(out)

    def _param(self, name: bytes) -> None:
        self._named = attribute(name)
        self._is_property = False
        # Those of an array have no name of their own.
        if self._named is None and self._open and not name.strip(b'"'):
            self._named = self._open[-1]

    def _plain(self, kind: str, raw: bytes) -> bytes:
        if kind == "open":
            if len(self._open) > _MAX_BRACES:
                raise UnreadableError
            self._open.append(self._named or (self._open[-1] if self._open else None))
            self._named, self._is_property = None, False
            return raw
        if kind == "close":
            if self._open:
                self._open.pop()
            self._is_property = False
            return raw
        if kind == "angle":
            self._is_property = raw != _DEFAULT
            return raw
        return self._other(raw)

    def _string(self, raw: bytes, *, is_closed: bool) -> bytes:
        if not is_closed:
            raise UnreadableError
        inner = raw[1:-1]
        text = inner.replace(b'""', b'"')
        found = self._open[-1] if self._open else None
        if is_protocol(text):
            new = _XProtocol(self._cleaner, self._depth + 1).rewritten(text)
        elif found is not None and not self._is_property:
            new = self._cleaner.attribute(found, text)
        else:
            new = self._cleaner.text(text)
        self._is_property = False
        return raw if new == text else b'"' + new.replace(b'"', b'""') + b'"'

    def _other(self, raw: bytes) -> bytes:
        found = self._open[-1] if self._open else None
        is_property = self._is_property and bool(raw.strip())
        self._is_property = self._is_property and not is_property
        if found is None:
            return self._cleaner.text(raw) if _LETTERS.search(raw) else raw
        # `<Precision> 6  90.0`: the first word belongs to what stands before it.
        words = raw.split()
        start = int(is_property)
        new = words[:start] + [self._cleaner.attribute(found, word) for word in words[start:]]
        return raw if new == words else b" " + b"".join(word + b" " for word in new if word)


def ascii_protocol(text: bytes, cleaner: Cleaner) -> bytes:
    """An ASCII protocol, without the mark of its end, with its values changed.

    Raises:
        UnreadableError: A string does not end.
    """
    out = []
    for line in quoted_lines(text):
        match = _ASSIGNMENT.fullmatch(line)
        new: bytes | None = line
        if match is not None:
            new = _assignment(match, cleaner)
        elif line.strip():
            new = cleaner.text(line)
        if new is not None:
            out.append(new)
    return b"\n".join(out)


def quoted_lines(text: bytes) -> Iterator[bytes]:
    """The lines of a text; one whose quotation marks are not closed goes on in the next.

    Raises:
        UnreadableError: A string does not end.
    """
    lines = iter(text.split(b"\n"))
    for line in lines:
        if not line.count(b'"') % 2:
            yield line
            continue
        parts = [line]
        for more in lines:
            parts.append(more)
            if more.count(b'"') % 2:
                break
        else:
            raise UnreadableError
        yield b"\n".join(parts)


def _assignment(match: re.Match[bytes], cleaner: Cleaner) -> bytes | None:
    start, path, equals, value = match.groups()
    found = attribute(path)
    if value.startswith(b'"'):
        opening, text, closing, note = split_quoted(value)
        new = cleaner.text(text) if found is None else cleaner.attribute(found, text)
        if new != text:
            text = _quotable(new)
        return b"".join((start, path, equals, opening, text, closing, _note(note, cleaner)))
    parts = _VALUE_AND_NOTE.fullmatch(value)
    if parts is None or not is_number(parts[1]):
        new = cleaner.text(value) if found is None else cleaner.attribute(found, value)
        return b"".join((start, path, equals, new))
    number, note = parts.groups()
    if _MATRIX_SIZE.match(path) and _TIME.match(number):
        time = number.rjust(6, b"0")
        if cleaner.unnamed("TM", time) != time:
            return None
    if found is not None:
        number = cleaner.attribute(found, number)
    elif _DATE.match(number):
        number = cleaner.unnamed("DA", number)
    if not is_number(number):
        return None  # readers expect a number, and there is none to tell
    return b"".join((start, path, equals, number, _note(note, cleaner)))


def split_quoted(value: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """A value in quotation marks, single or doubled: marks, text, marks, what follows."""
    text = value.lstrip(b'"')
    opening = value[: len(value) - len(text)]
    end = text.rfind(b'"') + 1
    if not end:
        return opening, b"", b"", text  # nothing but marks: an empty string
    inner = text[:end].rstrip(b'"')
    return opening, inner, text[len(inner) : end], text[end:]


def _note(note: bytes, cleaner: Cleaner) -> bytes:
    return cleaner.text(note) if note.strip() else note


def _quotable(text: bytes) -> bytes:
    return text.replace(b'"', b"'")
