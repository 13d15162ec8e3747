"""The options of PS3.15 Annex E, by the names and CID 7050 codes that studies.json uses.

Which options the de-identification core carries out, it says itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dicomanon_node.config.problems import alternatives, show
from dicomanon_node.deid.plan import AVAILABLE_OPTIONS
from dicomanon_node.deid.rules import Option

CODES = {
    "113101": Option.CLEAN_PIXEL_DATA,
    "113102": Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES,
    "113103": Option.CLEAN_GRAPHICS,
    "113104": Option.CLEAN_STRUCTURED_CONTENT,
    "113105": Option.CLEAN_DESCRIPTORS,
    "113106": Option.RETAIN_LONGITUDINAL_FULL_DATES,
    "113107": Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,
    "113108": Option.RETAIN_PATIENT_CHARACTERISTICS,
    "113109": Option.RETAIN_DEVICE_IDENTITY,
    "113110": Option.RETAIN_UIDS,
    "113111": Option.RETAIN_SAFE_PRIVATE,
    "113112": Option.RETAIN_INSTITUTION_IDENTITY,
}
"""PS3.16 CID 7050 De-identification Method, scheme DCM."""

_PROFILE_CODE = "113100"
_DATES = frozenset(
    {Option.RETAIN_LONGITUDINAL_FULL_DATES, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES}
)


@dataclass(frozen=True, slots=True)
class ChosenOptions:
    """The options a study chooses, and what is wrong with the choice, by index."""

    chosen: frozenset[Option]
    faults: tuple[tuple[int | None, str], ...]


def compile_options(words: Sequence[str], *, has_profile: bool) -> ChosenOptions:
    """Make options of what a study lists."""
    chosen: set[Option] = set()
    faults: list[tuple[int | None, str]] = []
    for index, word in enumerate(words):
        option = _option(word)
        if word == _PROFILE_CODE:
            faults.append((index, f'{_PROFILE_CODE} is the profile: write "Profile": "basic"'))
        elif option is None:
            faults.append((index, f"{show(word)} is no option{alternatives(word, Option)}"))
        elif option not in AVAILABLE_OPTIONS:
            available = ", ".join(sorted(AVAILABLE_OPTIONS))
            faults.append(
                (index, f"{option} is not available in this release (available: {available})")
            )
        else:
            chosen.add(option)
    if words and not has_profile:
        faults.append((None, "have no meaning without a profile: they say what it may retain"))
    if chosen >= _DATES:
        faults.append((None, f"{' and '.join(sorted(_DATES))} contradict each other: keep one"))
    return ChosenOptions(frozenset(chosen), tuple(faults))


def _option(word: str) -> Option | None:
    if word in CODES:
        return CODES[word]
    try:
        return Option(word)
    except ValueError:
        return None
