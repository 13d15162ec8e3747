"""The rules of a study, as values.

What a study's entry in `studies.json` says, parsed and checked, before it is
compiled with Table E.1-1 into a `plan.Plan`. This module reads no file and
applies no rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dicomanon_node.deid.envelope import Recipient


class ActionKind(StrEnum):
    """The seven actions of `studies.json`."""

    DELETE = "delete"  # the element is removed
    CLEAR = "clear"  # the element stays, zero length
    KEEP = "keep"  # unchanged; overrides the VR rule and the profile
    VALUE = "value"  # set to a fixed value; added at top level when absent
    HASH = "hash"  # a keyed hash of the text
    REGEN = "regen"  # UI: a keyed UID. DA, DT: the patient's keyed day shift
    OFFSET = "offset"  # DA, DT: shifted by whole days; numbers: added to


@dataclass(frozen=True, slots=True)
class RuleAction:
    """One action with its parameters.

    Attributes:
        kind: What to do.
        value: VALUE: the text to set (as it would be written in the element, several
            values joined by a backslash); None clears.
        amount: OFFSET: days for DA and DT (whole), the summand for numbers; None means
            the patient's keyed day shift.
        salt: HASH, REGEN, OFFSET: the rule's own salt; None means the study's.
    """

    kind: ActionKind
    value: str | None = None
    amount: float | None = None
    salt: str | None = None


@dataclass(frozen=True, slots=True)
class PrivateTag:
    """A private element named by its creator, never by its block number (PS3.5 7.8.1).

    Attributes:
        group: Odd group number.
        creator: Private Creator string, without padding.
        element: The element number's low byte, 00 to FF.
    """

    group: int
    creator: str
    element: int

    def __str__(self) -> str:
        return f'({self.group:04X},"{self.creator}",{self.element:02X})'


class Profile(StrEnum):
    """The floor under a study's own rules."""

    BASIC = "basic"  # PS3.15 Table E.1-1, Basic Application Level Confidentiality Profile


class Option(StrEnum):
    """The options of PS3.15 Annex E (CID 7050), by their names in `studies.json`."""

    RETAIN_SAFE_PRIVATE = "RetainSafePrivate"
    RETAIN_UIDS = "RetainUIDs"
    RETAIN_DEVICE_IDENTITY = "RetainDeviceIdentity"
    RETAIN_INSTITUTION_IDENTITY = "RetainInstitutionIdentity"
    RETAIN_PATIENT_CHARACTERISTICS = "RetainPatientCharacteristics"
    RETAIN_LONGITUDINAL_FULL_DATES = "RetainLongitudinalFullDates"
    RETAIN_LONGITUDINAL_MODIFIED_DATES = "RetainLongitudinalModifiedDates"
    CLEAN_DESCRIPTORS = "CleanDescriptors"
    CLEAN_STRUCTURED_CONTENT = "CleanStructuredContent"
    CLEAN_GRAPHICS = "CleanGraphics"
    CLEAN_PIXEL_DATA = "CleanPixelData"
    CLEAN_RECOGNIZABLE_VISUAL_FEATURES = "CleanRecognizableVisualFeatures"


class BurnedIn(StrEnum):
    """What happens to an object whose Burned In Annotation (0028,0301) is YES."""

    REFUSE = "refuse"
    PASS = "pass"  # noqa: S105  (a policy, not a password)


@dataclass(frozen=True, slots=True)
class StudyRules:
    """One entry of `studies.json`, parsed and checked.

    Attributes:
        name: The study's name, as configured.
        profile: The floor, or None for the old meaning: what is not listed is kept.
        options: Options of PS3.15 Annex E on top of the profile.
        tags: Actions by tag number ((group << 16) | element).
        private_tags: Actions by private creator.
        vrs: Actions by VR; a tag's action comes first.
        removes_private: Remove all private elements but those named in `private_tags`
            and `saved_private`.
        saved_private: Private elements kept in spite of `removes_private`.
        saved_groups: Private tags named by number only; kept in spite of `removes_private`.
        random_seed: The study's salt: scopes hashes, UIDs and day shifts.
        destinations: Names to forward to; None means every configured destination.
        writes_outgoing: Whether objects are written to the outgoing directory.
        is_compatible: Hash and UID formulas byte-exact to DCMAnonymize's.
        burned_in: What happens to objects with burned in annotation.
        accepts_phoenix: Whether PHOENIXZIPREPORT objects are accepted.
        encrypts_for: Who can open the originals that go with each object; None: they do not.
    """

    name: str
    profile: Profile | None = Profile.BASIC
    options: frozenset[Option] = frozenset()
    tags: Mapping[int, RuleAction] = field(default_factory=dict)
    private_tags: Mapping[PrivateTag, RuleAction] = field(default_factory=dict)
    vrs: Mapping[str, RuleAction] = field(default_factory=dict)
    removes_private: bool = True
    saved_private: frozenset[PrivateTag] = frozenset()
    saved_groups: frozenset[int] = frozenset()
    random_seed: str | None = None
    destinations: tuple[str, ...] | None = None
    writes_outgoing: bool = True
    is_compatible: bool = False
    burned_in: BurnedIn = BurnedIn.REFUSE
    accepts_phoenix: bool = False
    encrypts_for: Recipient | None = None


@dataclass(frozen=True, slots=True)
class StationRule:
    """One entry of `stations.json`: which tag names the study, and how.

    Attributes:
        name: StationName as configured, or "default".
        tag_for_study: Tag number of the top-level element that names the study.
        split: Separator; the study name is one part of the value. None: the whole value.
        split_index: Which part, counted from 0.
    """

    name: str
    tag_for_study: int
    split: str | None = None
    split_index: int = 0
