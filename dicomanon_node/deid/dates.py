"""Shift encoded dates by whole days, so that DA, TM and DT stay coherent.

Times of day are never changed: a shift by whole days cannot tear a date from its
time at midnight, and intervals (injection to scan, frame to frame) stay exact.
"""

import re
from datetime import date, timedelta

# PS3.5 Table 6.2-1; ACR-NEMA's YYYY.MM.DD is still met.
_DA = re.compile(r"(\d{4})(\d{2})(\d{2})\Z")
_ACR_DA = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})\Z")
_DT = re.compile(r"(\d{4})(\d{2})?(\d{2})?((?:\d{2}){0,3}(?:\.\d{1,6})?)([+-]\d{4})?\Z")


def shift_date(text: str, days: int) -> str | None:
    """A DA value shifted; None where it is no date. Comes back as YYYYMMDD."""
    match = _DA.match(text) or _ACR_DA.match(text)
    if match is None:
        return None
    moved = _move(int(match[1]), int(match[2]), int(match[3]), days)
    return None if moved is None else f"{moved:%Y%m%d}".rjust(8, "0")


def shift_datetime(text: str, days: int) -> str | None:
    """A DT value shifted; None where it is none. Its precision stays: YYYYMM stays YYYYMM.

    A missing month or day counts as the first.
    """
    match = _DT.match(text)
    if match is None:
        return None
    year, month, day, rest, zone = match.groups()
    if rest and (month is None or day is None):
        return None
    moved = _move(int(year), int(month or 1), int(day or 1), days)
    if moved is None:
        return None
    shifted = f"{moved:%Y%m%d}".rjust(8, "0")
    precision = 4 if month is None else 6 if day is None else 8
    return shifted[:precision] + rest + (zone or "")


def shift_values(value: bytes, vr: str, days: int) -> bytes:
    """Shift each value of a DA or DT element (PHI). What is no date comes back empty."""
    shift = shift_date if vr == "DA" else shift_datetime
    parts = value.decode("ascii", "replace").split("\\")
    return "\\".join(shift(part.strip(" \0"), days) or "" for part in parts).encode("ascii")


def _move(year: int, month: int, day: int, days: int) -> date | None:
    try:
        return date(year, month, day) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
