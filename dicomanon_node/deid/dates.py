"""Shift encoded dates by whole days, so that DA, TM and DT stay coherent.

Times of day are never changed: a shift by whole days cannot tear a date from its
time at midnight, and intervals (injection to scan, frame to frame) stay exact. What
is not certainly a date comes back empty, since anything may be written in its place;
nothing here guesses what an invalid value was meant to be.
"""

import re
from datetime import date, timedelta

# PS3.5 Table 6.2-1; ACR-NEMA's YYYY.MM.DD is still met.
_DA = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_ACR_DA = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})", re.ASCII)
# A second of 60 is a leap second; only seconds have a fraction.
_TIME = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?"
# PS3.5 6.2 allows -1200 to +1400; no zone is off by other than quarters of an hour.
_ZONE = r"-(?:0\d|1[01])(?:00|15|30|45)|-1200|\+(?:0\d|1[0-3])(?:00|15|30|45)|\+1400"
_OFFSET = re.compile(_ZONE, re.ASCII)
_DT = re.compile(rf"(\d{{4}})(?:(\d{{2}})(?:(\d{{2}})({_TIME})?)?)?({_ZONE})?", re.ASCII)
# ACR-NEMA's HH:MM:SS is still met.
_TM = re.compile(
    rf"{_TIME}|(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d{{1,6}})?)?", re.ASCII
)
_LEAP_YEAR = 2000


def shift_date(text: str, days: int) -> str | None:
    """A DA value shifted; None where it is no date. Comes back as YYYYMMDD."""
    match = _DA.fullmatch(text) or _ACR_DA.fullmatch(text)
    if match is None:
        return None
    return _moved(int(match[1]), int(match[2]), int(match[3]), days)


def shift_datetime(text: str, days: int) -> str | None:
    """A DT value shifted; None where it is none. Its precision stays: YYYYMM stays YYYYMM.

    A missing month or day counts as the first.
    """
    match = _DT.fullmatch(text)
    if match is None:
        return None
    year, month, day, time, zone = match.groups()
    if zone and not time and _is_day_of_year(zone):
        return None
    moved = _moved(int(year), int(month or 1), int(day or 1), days)
    if moved is None:
        return None
    precision = 4 if month is None else 6 if day is None else 8
    return moved[:precision] + (time or "") + (zone or "")


def shift_values(value: bytes, vr: str, days: int) -> bytes:
    """Shift each value of a DA or DT element (PHI). What is no date comes back empty."""
    shift = shift_date if vr == "DA" else shift_datetime
    parts = value.decode("ascii", "replace").split("\\")
    return "\\".join(shift(part.strip(" \0"), days) or "" for part in parts).encode("ascii")


def times_of_day(value: bytes, vr: str) -> bytes:
    """What is a time of day in a TM, or a zone in a SH, as it is; what is neither, empty (PHI)."""
    shape = _TM if vr == "TM" else _OFFSET
    parts = value.decode("ascii", "replace").split("\\")
    if all(shape.fullmatch(part.strip(" \0")) or not part.strip(" \0") for part in parts):
        return value
    kept = (part if shape.fullmatch(part.strip(" \0")) else "" for part in parts)
    return "\\".join(kept).encode("ascii")


def _moved(year: int, month: int, day: int, days: int) -> str | None:
    try:
        moved = date(year, month, day) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04}{moved:%m%d}"


def _is_day_of_year(zone: str) -> bool:
    # 1970-0330 may be a year and a zone, or somebody's thirtieth of March.
    if not zone.startswith("-"):
        return False
    return _moved(_LEAP_YEAR, int(zone[1:3]), int(zone[3:]), 0) is not None
