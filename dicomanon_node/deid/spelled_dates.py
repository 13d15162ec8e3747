"""Days as people write them: found in text, and told which days they may mean.

"03/04/62" is read as both the 3rd of April and the 4th of March. Years of two digits
count only between separators or beside the name of a month. Which of the days matter is
not decided here.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

# Year, month and day.
Day = tuple[int, int, int]

# English, German and French, without marks, and their transliterations.
_NAMES = (
    "january jan januar jaenner janner janvier janv",
    "february feb februar fevrier fevr fev",
    "march mar maerz marz mrz mars",
    "april apr avril avr",
    "may mai",
    "june jun juni juin",
    "july jul juli juillet juil",
    "august aug aout",
    "september sept sep septembre",
    "october oct oktober okt octobre",
    "november nov novembre",
    "december dec dezember dez decembre",
)
_MONTH_OF = {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
_MONTH = f"(?>{'|'.join(sorted(_MONTH_OF, key=len, reverse=True))})(?![a-z])"
_GAP = "[-./ ,_]{0,2}+"
_ORDINAL = r"(?:st|nd|rd|th)?+"
_OF = r"(?:\ ?of\ )?+"

_SPELLED = re.compile(
    rf"""
      (?<!\d)(?P<y1>\d\d\d\d)(?P<s1>[-./ _])(?P<m1>\d\d?+)(?P=s1)(?P<d1>\d\d?+)(?!\d)
    | (?<![\d.])(?P<a2>\d\d?+)(?P<s2>[-./ _])(?P<b2>\d\d?+)(?P=s2)(?P<y2>\d\d\d\d)(?!\d)
    | (?<![\d.])(?P<a3>\d\d?+)(?P<s3>[-./_])(?P<b3>\d\d?+)(?P=s3)(?P<c3>\d\d?+)(?!\d|\.\d)
    | (?<!\d)(?P<n4>\d{{8}})(?:[t_ ]?\d{{4,6}}+)?+(?!\d)
    | (?<!\d)(?P<d5>\d\d?+){_ORDINAL}{_GAP}{_OF}(?P<m5>{_MONTH}){_GAP}'?(?P<y5>\d\d\d\d|\d\d)(?!\d)
    | (?<![a-z])(?P<m6>{_MONTH}){_GAP}(?P<d6>\d\d?+){_ORDINAL}[-./ ,_']{{1,3}}+
      (?P<y6>\d\d\d\d|\d\d)(?!\d)
    | (?<!\d)(?P<y7>\d\d\d\d){_GAP}(?P<m7>{_MONTH}){_GAP}(?P<d7>\d\d?+)(?!\d)
    """,
    re.VERBOSE,
)
_DIGIT = re.compile(r"\d")
_LAST_MONTH, _LAST_DAY = 12, 31
_CENTURIES = (1900, 2000)
# Digits of a day, a month or a short year.
_PADDED = 2
# A century that documents are of; "1024 1 2" is no day.
_YEARS = range(1880, 2100)


class Spelled(NamedTuple):
    """A day as it stands in a text.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        days: What it may mean.
        is_plain: It is a day whoever it is about: numbers of the trade do not look like it.
    """

    start: int
    end: int
    days: frozenset[Day]
    is_plain: bool


def spelled_days(text: str) -> Iterator[Spelled]:
    """All days in a text.

    Args:
        text: Folded text (PHI).
    """
    if _DIGIT.search(text) is None:
        return
    for match in _SPELLED.finditer(text):
        days = frozenset(day for day in _meant(match) if _is_day(day))
        if days:
            yield Spelled(match.start(), match.end(), days, _is_plain(match))


def month_names(month: int) -> list[str]:
    """The names of a month, folded."""
    return _NAMES[month - 1].split()


def day_of(value: str) -> Day | None:
    """The day of a DA or DT value (PHI), also of one with separators; None if it has none."""
    match = re.match(r"(\d{4})[-./]?(\d\d)[-./]?(\d\d)", value)
    if match is None:
        return None
    day = (int(match[1]), int(match[2]), int(match[3]))
    return day if _is_day(day) else None


def _is_day(day: Day) -> bool:
    return day[0] in _YEARS and 1 <= day[1] <= _LAST_MONTH and 1 <= day[2] <= _LAST_DAY


def _meant(match: re.Match[str]) -> Iterator[Day]:
    found = match.groupdict()
    if found["y1"]:
        yield int(found["y1"]), int(found["m1"]), int(found["d1"])
    elif found["y2"]:
        yield from _either(int(found["y2"]), int(found["a2"]), int(found["b2"]))
    elif found["a3"]:
        first, second, third = (int(found[name]) for name in ("a3", "b3", "c3"))
        if len(found["c3"]) > 1:
            for century in _CENTURIES:
                yield from _either(century + third, first, second)
        # With the year first, the others are padded too: nobody writes "62-4-3".
        if len(found["a3"]) == len(found["b3"]) == len(found["c3"]) == _PADDED:
            for century in _CENTURIES:
                yield century + first, second, third
    elif found["n4"]:
        run = found["n4"]
        yield int(run[:4]), int(run[4:6]), int(run[6:])
        yield from _either(int(run[4:]), int(run[:2]), int(run[2:4]))
    else:
        number = next(name[1] for name in ("m5", "m6", "m7") if found[name])
        month = _MONTH_OF[found["m" + number]]
        year, day = int(found["y" + number]), int(found["d" + number])
        years = [year] if len(found["y" + number]) > _PADDED else [c + year for c in _CENTURIES]
        for full in years:
            yield full, month, day


def _either(year: int, first: int, second: int) -> Iterator[Day]:
    yield year, second, first
    yield year, first, second


def _is_plain(match: re.Match[str]) -> bool:
    found = match.groupdict()
    if found["a3"]:
        parts = (found["a3"], found["b3"], found["c3"])
        return found["s3"] != "_" and all(len(part) == _PADDED for part in parts)
    if found["n4"]:
        return found["n4"][:2] in ("19", "20") and _is_day(
            (int(found["n4"][:4]), int(found["n4"][4:6]), int(found["n4"][6:]))
        )
    if found["y1"]:
        return found["s1"] in "-./" or len(found["m1"]) == len(found["d1"]) == _PADDED
    if found["y2"]:
        return found["s2"] in "-./"
    return "-" in match[0] or found["y5"] is None or len(found["y5"]) > _PADDED
