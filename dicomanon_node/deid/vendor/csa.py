"""Siemens CSA headers: tags with a name, a VR and items; in two layouts, CSA1 and CSA2.

Everything is little-endian. CSA2 begins with "SV10" and four more bytes; then, in both:
the count of tags and 77; each tag has a name (64 bytes, NUL-terminated), VM, VR (4 bytes),
a type number, the count of its items, and 77 or 205; each item four 32-bit words, and its
value to the next multiple of four bytes. The second word is the value's length in CSA2; in
CSA1 it is the first, less the first tag's count of items.

Bytes that no reader sees, behind a name's or a value's NUL and at the end, are zeroed:
scanners leave memory there, such as the scanner's own name.
"""

import re
import struct
from typing import NamedTuple

from dicomanon_node.deid.vendor import content
from dicomanon_node.deid.vendor.errors import UnreadableError
from dicomanon_node.deid.vendor.names import attribute
from dicomanon_node.deid.vendor.values import Cleaner, is_number

SIGNATURE = b"SV10"
_START = struct.Struct("<II")
_TAG = struct.Struct("<64si4siii")
_ITEM = struct.Struct("<4i")
_CHECKS = (77, 205)
_MAX_CSA1_TAGS = 128
_MAX_SMALL = 0xFFFF
_NUMBER_VRS = frozenset("DS FD FL IS SL SS UL US".split())
_NUMBERS = re.compile(rb"[-+0-9.eE \\/]*\Z|(?i:[-+]?(?:nan|inf) *\Z)")
_NAME = re.compile(rb"[A-Za-z][\x20-\x7e]{0,62}\0")
_VR = re.compile(rb"[A-Z]{2}\0")
_POSITION_PATTERN = b"PatReinPattern"


class _Tag(NamedTuple):
    name: bytes
    vm: int
    vr: bytes
    type_number: int
    check: int
    items: tuple[tuple[tuple[int, ...], bytes], ...]


def looks_like_csa1(raw: bytes) -> bool:
    """Whether a CSA header without signature may begin here."""
    if len(raw) < _START.size + _TAG.size:
        return False
    count, check = _START.unpack_from(raw)
    return 1 <= count <= _MAX_CSA1_TAGS and check in _CHECKS and bool(_NAME.match(raw, _START.size))


def rewritten(raw: bytes, cleaner: Cleaner) -> bytes:
    """The header with its fields changed.

    Raises:
        UnreadableError: It does not follow the format.
    """
    is_csa2 = raw.startswith(SIGNATURE)
    start = 2 * len(SIGNATURE) if is_csa2 else 0
    tags, end = _read(raw, start, is_csa2=is_csa2)
    # The four bytes behind the signature are the same in all headers.
    out = [SIGNATURE + b"\4\3\2\1" if is_csa2 else b"", _START.pack(len(tags), _CHECKS[0])]
    first_count = len(tags[0].items)
    for tag in tags:
        name = tag.name.ljust(64, b"\0")
        vr = tag.vr.ljust(4, b"\0")
        out.append(
            _TAG.pack(name, tag.vm, vr, tag.type_number, len(tag.items), _checked(tag.check))
        )
        for words, value in tag.items:
            new = _value(tag, value, cleaner)
            old_length, length = len(value), len(new)
            if is_csa2:
                controls = [_word(word, old_length, length) for word in words]
                controls[1] = length
            else:
                controls = [_word(word, old_length, length) for word in words]
                controls[0] = length + first_count
            controls[2] = _checked(words[2])
            out += (_ITEM.pack(*controls), new, bytes(-length % 4))
    out.append(bytes(len(raw) - end))
    return b"".join(out)


def _read(raw: bytes, start: int, *, is_csa2: bool) -> tuple[list[_Tag], int]:
    try:
        count, _ = _START.unpack_from(raw, start)
        position = start + _START.size
        if not 1 <= count <= len(raw) // _TAG.size:
            raise UnreadableError
        tags: list[_Tag] = []
        first_count = 0
        for number in range(count):
            name, vm, vr, type_number, item_count, check = _TAG.unpack_from(raw, position)
            position += _TAG.size
            if number == 0:
                first_count = item_count
            if not 0 <= item_count <= len(raw) // _ITEM.size or not _is_small(vm, type_number):
                raise UnreadableError
            items = []
            for _ in range(item_count):
                words = _ITEM.unpack_from(raw, position)
                position += _ITEM.size
                length = words[1] if is_csa2 else words[0] - first_count
                if not 0 <= length <= len(raw) - position:
                    raise UnreadableError
                items.append((words, raw[position : position + length]))
                # The padding of the last value may be cut off.
                position = min(position + length + -length % 4, len(raw))
            tags.append(_Tag(*_named(name, vm, vr), type_number, check, tuple(items)))
    except struct.error:
        raise UnreadableError from None
    return tags, position


def _named(name: bytes, vm: int, vr: bytes) -> tuple[bytes, int, bytes]:
    if not _NAME.match(name) or not _VR.match(vr):
        raise UnreadableError
    return name.split(b"\0", 1)[0], vm, vr[:2]


def _is_small(*words: int) -> bool:
    # No word may have room for what somebody would like to say.
    return all(0 <= word <= _MAX_SMALL for word in words)


def _checked(word: int) -> int:
    return word if word in _CHECKS else _CHECKS[0]


def _word(word: int, old: int, new: int) -> int:
    if word == old:
        return new
    return word if _is_small(word) else new


def _value(tag: _Tag, raw: bytes, cleaner: Cleaner) -> bytes:
    # A value ends at its first NUL; what follows is memory.
    text = raw.split(b"\0", 1)[0]
    if tag.vr == b"UN":
        text = raw.rstrip(b"\0")
        if len(text) >= content.MIN_TEXT_BYTES and not content.is_text(text):
            return b""  # nobody reads it, and nobody can say what is in it
    new = _changed(tag, text, cleaner)
    if new == text:
        return text.ljust(len(raw), b"\0")
    return new + b"\0" if new else b""


def _changed(tag: _Tag, text: bytes, cleaner: Cleaner) -> bytes:
    if not text:
        return text
    vr = tag.vr.decode("ascii")
    found = attribute(tag.name)
    if found is not None:
        new = cleaner.attribute(found, text)
        return new if vr not in _NUMBER_VRS or is_number(new.strip()) else b""
    if vr in _NUMBER_VRS:
        return text if _NUMBERS.match(text) else cleaner.text(text)
    if tag.name == _POSITION_PATTERN:
        return _position_pattern(text, cleaner)
    if vr in ("LT", "ST", "UN", "UT"):
        return content.cleaned(text, cleaner)
    return cleaner.unnamed(vr, text)


def _position_pattern(text: bytes, cleaner: Cleaner) -> bytes:
    # "1;HFS;90.00;48.00;3;0;2;...": weight and age that the patient was registered with.
    parts = text.split(b";")
    for number, name in ((2, b"PatientWeight"), (3, b"PatientAge")):
        if number < len(parts):
            parts[number] = cleaner.field(name, parts[number]) or b""
    if all(not part or is_number(part) for part in parts[2:]):
        return b";".join(parts)
    return b";".join(map(cleaner.text, parts))
