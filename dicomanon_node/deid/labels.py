"""What the standard says must be added to a de-identified object, and its file meta.

Standard: PS3.15 E.1.1 (labels), PS3.10 7.1 (File Meta Information).
"""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

import dicomanon_node
from dicomanon_node.deid import encoding
from dicomanon_node.deid.rules import BurnedIn, Option, Profile
from dicomanon_node.deid.table import METHOD_CODES

if TYPE_CHECKING:
    from dicomanon_node.deid.plan import Plan

PATIENT_IDENTITY_REMOVED = 0x00120062
DEIDENTIFICATION_METHOD = 0x00120063
DEIDENTIFICATION_METHOD_CODES = 0x00120064
LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED = 0x00280303

LABEL_TAGS = frozenset(
    (
        PATIENT_IDENTITY_REMOVED,
        DEIDENTIFICATION_METHOD,
        DEIDENTIFICATION_METHOD_CODES,
        LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED,
    )
)
# ISO 646 has no text below the space; the escape switches character sets (PS3.5 6.1.2.5).
_FIRST_PRINTABLE, _ESCAPE = 0x20, 0x1B
_PATIENT_IDENTITY = ((0x00100010, "PN"), (0x00100020, "LO"))

# A UUID-derived UID of our own (PS3.5 B.2), made once; names this implementation.
IMPLEMENTATION_CLASS_UID = "2.25.214748364780954287713316502711832560213"
IMPLEMENTATION_VERSION_NAME = f"DCMANON_{dicomanon_node.__version__}"[:16]

_COLUMN_BY_OPTION = {
    Option.RETAIN_SAFE_PRIVATE: "retain_safe_private",
    Option.RETAIN_UIDS: "retain_uids",
    Option.RETAIN_DEVICE_IDENTITY: "retain_device_identity",
    Option.RETAIN_INSTITUTION_IDENTITY: "retain_institution_identity",
    Option.RETAIN_PATIENT_CHARACTERISTICS: "retain_patient_characteristics",
    Option.RETAIN_LONGITUDINAL_FULL_DATES: "retain_longitudinal_full_dates",
    Option.RETAIN_LONGITUDINAL_MODIFIED_DATES: "retain_longitudinal_modified_dates",
    Option.CLEAN_DESCRIPTORS: "clean_descriptors",
    Option.CLEAN_STRUCTURED_CONTENT: "clean_structured_content",
    Option.CLEAN_GRAPHICS: "clean_graphics",
    Option.CLEAN_PIXEL_DATA: "Clean Pixel Data Option",
    Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES: "Clean Recognizable Visual Features Option",
}


def identity_removed_element(plan: "Plan", previous: str, *, implicit: bool) -> bytes:
    """(0012,0062): NO if a study without a profile keeps the patient's name or number.

    Args:
        plan: The study's rules.
        previous: The original's value.
        implicit: The encoding.
    """
    is_removed = all(plan.decide(tag, vr).removes for tag, vr in _PATIENT_IDENTITY)
    value = b"YES" if is_removed or previous == "YES" else b"NO"
    return encoding.element(PATIENT_IDENTITY_REMOVED, "CS", value, implicit=implicit)


def printable(previous: bytes) -> bytes:
    """Methods already there, if they are text; b"" where they are something else in disguise."""
    is_text = all(byte >= _FIRST_PRINTABLE or byte == _ESCAPE for byte in previous.rstrip(b"\0"))
    return previous if is_text else b""


def method_element(
    previous: bytes, plan: "Plan", *, passes_burned_in: bool, implicit: bool
) -> bytes:
    """(0012,0063): program, rules and remarks, after the methods already there.

    Args:
        previous: The original's value; b"" where it has none.
        plan: The study's rules.
        passes_burned_in: The object says that identity is burned in.
        implicit: The encoding.
    """
    texts = [f"dicomanon_node {dicomanon_node.__version__}"]
    if plan.rules_digest:
        texts.append(f"rules {plan.rules_digest}")
    if passes_burned_in and plan.rules.burned_in is BurnedIn.PASS:
        texts.append("burned in annotation not removed")
    values = [previous.strip(b" \0")] if previous.strip(b" \0") else []
    known = previous.split(b"\\")
    values += [text.encode() for text in texts if text.encode() not in map(bytes.strip, known)]
    return encoding.element(DEIDENTIFICATION_METHOD, "LO", b"\\".join(values), implicit=implicit)


def method_codes_element(previous_items: bytes, plan: "Plan", *, implicit: bool) -> bytes:
    """(0012,0064): the codes of what runs, after those already there (CID 7050).

    Args:
        previous_items: The items of the original's sequence; b"" where it has none.
        plan: The study's rules.
        implicit: The encoding.
    """
    names: tuple[str, ...] = ("basic_profile",) if plan.rules.profile is Profile.BASIC else ()
    names += tuple(_COLUMN_BY_OPTION[option] for option in plan.options_in_force)
    return _codes(previous_items, names, implicit=implicit)


@lru_cache(maxsize=64)
def _codes(previous_items: bytes, names: tuple[str, ...], *, implicit: bool) -> bytes:
    items = [previous_items]
    for name in names:
        code = METHOD_CODES[name]
        code_value = encoding.element(0x00080100, "SH", code.value.encode(), implicit=implicit)
        if code_value not in previous_items:
            items.append(
                encoding.code_item(code.value, code.scheme, code.meaning, implicit=implicit)
            )
    content = b"".join(items)
    if not content:
        return b""
    return encoding.element(DEIDENTIFICATION_METHOD_CODES, "SQ", content, implicit=implicit)


def temporal_element(
    previous: str, *, keeps_dates: bool, shifts_dates: bool, implicit: bool
) -> bytes:
    """(0028,0303), from what happened to the dates of this very object.

    Args:
        previous: The original's value: dates that came shifted are not true ones.
        keeps_dates: A date has been kept.
        shifts_dates: A date has been shifted.
        implicit: The encoding.
    """
    if shifts_dates or (keeps_dates and previous == "MODIFIED"):
        value = b"MODIFIED"
    else:
        value = b"UNMODIFIED" if keeps_dates else b"REMOVED"
    tag = LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED
    return encoding.element(tag, "CS", value, implicit=implicit)


@lru_cache(maxsize=256)
def _meta_parts(sop_class_uid: bytes, transfer_syntax_uid: str) -> tuple[bytes, bytes]:
    # What stands before and after the instance's own UID.
    before = encoding.element(0x00020001, "OB", b"\x00\x01", implicit=False)
    before += encoding.element(0x00020002, "UI", sop_class_uid, implicit=False)
    after = encoding.element(0x00020010, "UI", transfer_syntax_uid.encode(), implicit=False)
    after += encoding.element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode(), implicit=False)
    name = IMPLEMENTATION_VERSION_NAME.encode()
    return before, after + encoding.element(0x00020013, "SH", name, implicit=False)


def file_meta(sop_class_uid: bytes, sop_instance_uid: bytes, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and a new File Meta Information group (PS3.10 7.1).

    Nothing of the original's: no AE titles, no private information, a zero preamble.
    """
    before, after = _meta_parts(sop_class_uid, transfer_syntax_uid)
    group = before + encoding.element(0x00020003, "UI", sop_instance_uid, implicit=False) + after
    size = encoding.element(0x00020000, "UL", len(group).to_bytes(4, "little"), implicit=False)
    return bytes(128) + b"DICM" + size + group


def digest_of(*texts: str) -> str:
    """A short digest that names a set of rules: 12 hexadecimal digits."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
