"""Is a text a valid value of an element: by VR and VM, before it is ever written.

pydicom's validation where it is strict enough, ours where it is not: query ranges,
calendar dates, control characters, numbers as text. Messages do not show the value.
"""

import datetime as dt
import math
import re

from dicomanon_node.deid.dictionary import ASCII_VRS, CHARSET_VRS

# PS3.5 Table 6.2-1
INTEGER_RANGES = {
    "IS": (-(2**31), 2**31 - 1),
    "SL": (-(2**31), 2**31 - 1),
    "SS": (-(2**15), 2**15 - 1),
    "SV": (-(2**63), 2**63 - 1),
    "UL": (0, 2**32 - 1),
    "US": (0, 2**16 - 1),
    "UV": (0, 2**64 - 1),
}
FRACTION_VRS = frozenset({"DS", "FD", "FL"})
NUMBER_VRS = FRACTION_VRS | INTEGER_RANGES.keys()
TEMPORAL_VRS = frozenset({"DA", "DT", "TM"})
SETTABLE_VRS = CHARSET_VRS | ASCII_VRS | NUMBER_VRS
"""VRs that a fixed value can be written for: not binary data, sequences and tags."""

# PS3.5 6.4: one value only; a backslash is text, in UR it is not allowed.
_SINGLE_VALUED = frozenset({"LT", "ST", "UR", "UT"})
# PS3.5 6.1.3: the control characters that these may contain.
_PARAGRAPH_VRS = frozenset({"LT", "ST", "UT"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PARAGRAPH_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
# Short and simple: what all VRs of text can hold.
_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,14}[A-Za-z0-9])?")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{8}")
_DATE_TIME = re.compile(
    r"([0-9]{4}(?:[0-9]{2}){0,5})(?:(?<=[0-9]{14})\.[0-9]{1,6})?([+-][0-9]{4})?"
)
_MAX_SINGLE = 3.4028234663852886e38
_VM = re.compile(r"([0-9]+)(?:-(?:([0-9]+)|([0-9]*)n))?")


def fault(vr: str, text: str, multiplicity: str | None = None) -> str | None:
    """Why a text cannot be the value of an element.

    Args:
        vr: One of `SETTABLE_VRS`.
        text: As it would be written, several values joined by a backslash.
        multiplicity: The element's VM as PS3.6 writes it; None if not known.

    Returns:
        The reason, or None if the value is valid.
    """
    values = [text] if vr in _SINGLE_VALUED else text.split("\\")
    if multiplicity is not None and not _allows(multiplicity, len(values)):
        return f"has {len(values)} values, the element takes {multiplicity}"
    for value in filter(None, values):  # PS3.5 6.4: a value among several may be empty
        found = _single_fault(vr, value)
        if found is not None:
            return found
    return None


def _single_fault(vr: str, value: str) -> str | None:
    control = _PARAGRAPH_CONTROL if vr in _PARAGRAPH_VRS else _CONTROL
    if control.search(value):
        return f"has a control character, which {vr} cannot hold"
    if vr not in CHARSET_VRS and not value.isascii():
        return f"has characters beyond ASCII, which {vr} cannot hold"
    if vr in INTEGER_RANGES:
        low, high = INTEGER_RANGES[vr]
        if not _INTEGER.fullmatch(value) or not low <= int(value) <= high:
            return f"must be a whole number from {low} to {high} for {vr}"
    elif vr in ("FD", "FL"):
        if not _DECIMAL.fullmatch(value) or not _is_storable(vr, float(value)):
            return f"must be a number that {vr} can hold"
    elif vr in TEMPORAL_VRS and not _is_point_in_time(vr, value):
        return f"must be a single {_TEMPORAL_FORMATS[vr]} for {vr}"
    if (vr in CHARSET_VRS or vr in ASCII_VRS) and not _is_valid(vr, value):
        return f"is not valid for {vr} (PS3.5 Table 6.2-1)"
    return None


def _is_valid(vr: str, value: str) -> bool:
    if vr in CHARSET_VRS and vr != "PN" and _PLAIN.fullmatch(value):
        return True
    # Hardly any configuration needs to wait for pydicom.
    from pydicom import config as pydicom_config  # noqa: PLC0415  (slow, rarely needed)
    from pydicom.valuerep import validate_value  # noqa: PLC0415  (slow, rarely needed)

    try:
        validate_value(vr, value, pydicom_config.RAISE)
    except ValueError:  # its text has the value
        return False
    return True


_TEMPORAL_FORMATS = {
    "DA": "date YYYYMMDD",
    "DT": "date and time YYYYMMDDHHMMSS.FFFFFF&ZZXX or its beginning",
    "TM": "time HHMMSS.FFFFFF or its beginning",
}


def _is_point_in_time(vr: str, value: str) -> bool:
    """Not a range, as queries have, and a day that there is in the calendar."""
    if vr == "TM":
        return "-" not in value
    match = (_DATE if vr == "DA" else _DATE_TIME).fullmatch(value)
    if match is None:
        return False
    date = value if vr == "DA" else f"{match[1]}0101"[:8]
    try:
        dt.date(int(date[:4]), int(date[4:6]), int(date[6:]))
    except ValueError:
        return False
    return True


def _is_storable(vr: str, number: float) -> bool:
    return math.isfinite(number) and (vr == "FD" or abs(number) <= _MAX_SINGLE)


def _allows(multiplicity: str, count: int) -> bool:
    for choice in multiplicity.split(" or "):
        match = _VM.fullmatch(choice)
        if match is None:
            return True
        least = int(match[1])
        if match[2]:
            fits = least <= count <= int(match[2])
        elif match[3] is not None:
            step = int(match[3] or 1)
            fits = count >= least and count % step == 0
        else:
            fits = count == least
        if fits:
            return True
    return False
