"""What is done with one element: the words for it, and how rules and codes become it.

A `Decision` is a value. Which rule or row of the table holds for an element is decided in
`plan`; how a value is changed is in `actions` and `structured`.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum, auto

from dicomanon_node.deid.iod import Type
from dicomanon_node.deid.rules import ActionKind, RuleAction
from dicomanon_node.deid.table import Code, Row

_PATIENT_NAME = 0x00100010
_PATIENT_ID = 0x00100020
_CONTENT_SEQUENCE = 0x0040A730
_GRAPHIC_ANNOTATION_SEQUENCE = 0x00700001
_WAVEFORM_ANNOTATION_SEQUENCE = 0x0040B020
_ENCAPSULATED_DOCUMENT = 0x00420011


class Verb(IntEnum):
    """What the engine does with an element; the order is that of the hot path's tests."""

    KEEP = 0  # byte for byte
    DROP = auto()
    WALK = auto()  # a sequence: into its items
    KEEP_DATE = auto()  # byte for byte, and (0028,0303) must know of it
    CHANGE = auto()  # the value is replaced; `Change` says by what


class Change(Enum):
    """How a value is replaced; `actions` has a function for each."""

    EMPTY = "zero length"
    DUMMY = "dummy"
    UID = "keyed UID"
    PATIENT = "pseudonym"
    PATIENT_NAME = "pseudonym of the patient"
    SHIFT_DATE = "day shift"
    SHIFT_VERSION = "day shift, dummy for the day of a published version"
    TIME_OF_DAY = "kept if a time of day"
    VALUE = "value"
    HASH = "hash"
    OFFSET = "offset"
    CLEAN_TEXT = "cleaned text"
    CLEAN_UNLISTED = "cleaned text, numbers stay"
    HASH_ITEMS = "hash of the items' texts"
    REDUCE_CONTENT = "content reduced to its references"
    REDUCE_GRAPHICS = "dummy graphics"
    DUMMY_CODE = "dummy code"
    DUMMY_DOCUMENT = "dummy document"
    DOCUMENT_LENGTH = "length of the dummy document"
    CLASS_UID = "kept if well formed"
    CLEAN_CONTENT = "cleaned content items"
    CAP_AGE = "age of at most 90 years"
    CAP_YEARS = "years, at most 90"
    CAP_MEASURED_AGE = "measured age of at most 90 years"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with an element, and which rule says so.

    Attributes:
        verb: What the engine does.
        source: The rule that decided, in words, without values.
        change: For Verb.CHANGE.
        rule: The study's own rule with its parameters, where one decided.
    """

    verb: Verb
    source: str
    change: Change | None = None
    rule: RuleAction | None = None

    @property
    def removes(self) -> bool:
        """Whether the original value goes."""
        return self.verb in (Verb.DROP, Verb.CHANGE)


def kept(vr: str, source: str) -> Decision:
    """An element stays; a sequence stays and its items are looked into."""
    if vr == "SQ":
        return Decision(Verb.WALK, source)
    if vr in ("DA", "DT"):
        return Decision(Verb.KEEP_DATE, source)
    return Decision(Verb.KEEP, source)


def from_code(row: Row, code: Code, vr: str, source: str, required: Type | None = None) -> Decision:
    """What a code of Table E.1-1 means for an attribute.

    Args:
        row: The attribute's row.
        code: The code that holds; not K and not C.
        vr: The element's VR.
        source: Which rule decided, in words.
        required: The attribute's Type in the object's IOD, which chooses among compound
            codes; None where it is not known: the choice that keeps every IOD valid.

    Standard: PS3.15 Table E.1-1a.
    """
    if row.tag in (_PATIENT_NAME, _PATIENT_ID):
        # Never empty, whatever its Type: importers file objects by them.
        change = Change.PATIENT_NAME if row.tag == _PATIENT_NAME else Change.PATIENT
        return Decision(Verb.CHANGE, source, change)
    if required is not None:
        chosen = _CHOICES[code][required]
        source += f", {chosen} for Type {_TYPES[required]}"
        code = chosen
    if row.tag == _WAVEFORM_ANNOTATION_SEQUENCE or code is Code.X:
        # Waveform Annotation is a whole module that no IOD requires (PS3.3 A.34).
        return Decision(Verb.DROP, source)
    if code is Code.U or vr == "UI":
        return Decision(Verb.CHANGE, source, Change.UID)
    if code is Code.X_OR_Z_OR_U:
        return Decision(Verb.WALK, source)
    if code in (Code.Z, Code.X_OR_Z):
        return Decision(Verb.CHANGE, source, Change.EMPTY)
    special = _DUMMY_SEQUENCES.get(row.tag)
    if special is not None:
        return Decision(Verb.CHANGE, source, special)
    if vr == "SQ":
        return Decision(Verb.WALK, source)
    return Decision(Verb.CHANGE, source, Change.DUMMY)


# The choice that a Type leaves of a compound code. References to images that stay
# references are worth more than their absence: X/Z/U* is always U*.
_CHOICES = {
    Code.X_OR_Z: {Type.OPTIONAL: Code.X, Type.PRESENT: Code.Z, Type.VALUE: Code.D},
    Code.X_OR_D: {Type.OPTIONAL: Code.X, Type.PRESENT: Code.D, Type.VALUE: Code.D},
    Code.Z_OR_D: {Type.OPTIONAL: Code.Z, Type.PRESENT: Code.Z, Type.VALUE: Code.D},
    Code.X_OR_Z_OR_D: {Type.OPTIONAL: Code.X, Type.PRESENT: Code.Z, Type.VALUE: Code.D},
    Code.X_OR_Z_OR_U: dict.fromkeys(Type, Code.X_OR_Z_OR_U),
}
_TYPES = {Type.OPTIONAL: "3", Type.PRESENT: "2", Type.VALUE: "1"}

# How the D of an attribute that is more than a string is met.
_DUMMY_SEQUENCES = {
    _CONTENT_SEQUENCE: Change.REDUCE_CONTENT,
    _GRAPHIC_ANNOTATION_SEQUENCE: Change.REDUCE_GRAPHICS,
    0x00080082: Change.DUMMY_CODE,  # Institution Code Sequence
    0x00401101: Change.DUMMY_CODE,  # Person Identification Code Sequence
    _ENCAPSULATED_DOCUMENT: Change.DUMMY_DOCUMENT,
}


def from_rule(rule: RuleAction, vr: str, source: str) -> Decision:  # noqa: C901  (a table)
    """What an action of `studies.json` means for a VR."""
    source = f"{source}: {rule.kind}"
    match rule.kind:
        case ActionKind.DELETE:
            return Decision(Verb.DROP, source)
        case ActionKind.CLEAR:
            return Decision(Verb.CHANGE, source, Change.EMPTY)
        case ActionKind.KEEP:
            return kept(vr, source)
        case ActionKind.VALUE:
            return Decision(Verb.CHANGE, source, Change.VALUE, rule)
        case ActionKind.HASH:
            change = Change.HASH_ITEMS if vr == "SQ" else Change.HASH
            return Decision(Verb.CHANGE, source, change, rule)
        case ActionKind.REGEN:
            if vr in ("DA", "DT"):
                return Decision(Verb.CHANGE, source, Change.SHIFT_DATE, rule)
            if vr == "TM":
                return Decision(Verb.KEEP, source)
            return Decision(Verb.CHANGE, source, Change.UID, rule)
        case ActionKind.OFFSET:
            if vr in ("DA", "DT"):
                return Decision(Verb.CHANGE, source, Change.SHIFT_DATE, rule)
            if vr == "TM":
                return Decision(Verb.KEEP, source)
            return Decision(Verb.CHANGE, source, Change.OFFSET, rule)
