"""What a run asks of a de-identifier: the Basic Profile, options, and private elements.

The same scenario makes the answer key and configures each de-identifier.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

MODIFIED_DATES = "RetainLongitudinalModifiedDates"
FULL_DATES = "RetainLongitudinalFullDates"
RETAIN_UIDS = "RetainUIDs"
RETAIN_DEVICE = "RetainDeviceIdentity"
RETAIN_INSTITUTION = "RetainInstitutionIdentity"
RETAIN_CHARACTERISTICS = "RetainPatientCharacteristics"
SAFE_PRIVATE = "RetainSafePrivate"
CLEAN_DESCRIPTORS = "CleanDescriptors"
CLEAN_STRUCTURED_CONTENT = "CleanStructuredContent"
CLEAN_GRAPHICS = "CleanGraphics"
CLEAN_PIXEL_DATA = "CleanPixelData"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to de-identify.

    Attributes:
        name: For `--scenario` and the report.
        meaning: What it stands for, in a line.
        options: Options of PS3.15 Annex E on top of the Basic Profile.
        keeps_private: Whether the study keeps the vendors' private elements.
        refuses_burned_in: Whether what says that identity is in its pixels is refused, as
            shipped; otherwise it passes with that label.
        unavailable: Options that belong here but that the node does not carry out yet.
    """

    name: str
    meaning: str
    options: frozenset[str]
    keeps_private: bool = False
    refuses_burned_in: bool = False
    unavailable: frozenset[str] = frozenset()

    def limited_to(self, available: Collection[str]) -> "Scenario":
        """The scenario without the options that are not available, which it names."""
        return replace(
            self,
            options=self.options & frozenset(available),
            unavailable=self.options - frozenset(available),
        )


SCENARIOS = (
    Scenario(
        "midi-b",
        "the options of TCIA's curation, which MIDI-B's answer key was made with",
        frozenset(
            {
                MODIFIED_DATES,
                CLEAN_DESCRIPTORS,
                RETAIN_CHARACTERISTICS,
                RETAIN_DEVICE,
                SAFE_PRIVATE,
                CLEAN_PIXEL_DATA,
            }
        ),
        refuses_burned_in=True,
    ),
    Scenario("basic", "the Basic Profile alone", frozenset()),
    Scenario(
        "clean",
        "as much content as may stay, no device and no institution",
        frozenset(
            {
                MODIFIED_DATES,
                CLEAN_DESCRIPTORS,
                RETAIN_CHARACTERISTICS,
                SAFE_PRIVATE,
                CLEAN_STRUCTURED_CONTENT,
                CLEAN_GRAPHICS,
            }
        ),
    ),
    Scenario(
        "vendor",
        "private elements and vendors' blobs kept by the study",
        frozenset({MODIFIED_DATES, CLEAN_DESCRIPTORS, RETAIN_CHARACTERISTICS}),
        keeps_private=True,
    ),
    Scenario(
        "retain",
        "UIDs, dates, devices and institutions stay: a copy for the site's own use",
        frozenset(
            {
                FULL_DATES,
                RETAIN_UIDS,
                RETAIN_DEVICE,
                RETAIN_INSTITUTION,
                RETAIN_CHARACTERISTICS,
                SAFE_PRIVATE,
                CLEAN_DESCRIPTORS,
            }
        ),
    ),
)
