"""Is a new value what was demanded of the old one: a check for each `Change`.

Each takes both elements and answers with what is wrong, in fixed words; "" if nothing
is. The expectations are worked out here, from the values that pydicom read: nothing is
asked of the engine but its keyed functions. No answer shows a value.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from struct import iter_unpack
from types import MappingProxyType
from typing import Final

from dicomanon_node.deid import dictionary, dummies
from dicomanon_node.deid.decisions import Change, Decision
from dicomanon_node.deid.pseudonyms import Pseudonyms, is_standard_uid
from dicomanon_node.review.reading import Element, text_of

_PADDING: Final = b" \0"
_WORD: Final = re.compile(r"[^\W_]+")
_HEX: Final = re.compile(r"[0-9a-fA-F]+\Z")
# Ages of 90 years or more (PS3.5 6.2), also without zeros or unit; years as a number.
# Nothing but a date, or a date and a time of day; nothing but a time of day.
_PLAIN_DATE: Final = re.compile(
    r"[12]\d{3}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d[0-5]\d[0-5]\d(?:\.\d{1,6})?)?"
)
_PLAIN_TIME: Final = re.compile(r"[01]\d[0-5]\d[0-5]\d(?:\.\d{1,6})?")
_OLD_AGE: Final = re.compile(r"0*(?:9[0-9]|[1-9][0-9]{2,})[Yy]?\Z")
_OLD_YEARS: Final = re.compile(r"\+?0*(?:89\.0*[1-9]|9[0-9]|[1-9][0-9]{2,})")
_UID: Final = re.compile(rb"[0-9]+(?:\.[0-9]+)*\Z")
_MAX_UID_BYTES: Final = 64
_DA: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})\Z")
_DT: Final = re.compile(r"(\d{4})(\d\d)?(\d\d)?([\d.]*)([+-]\d{4})?\Z")
_DA_FORMS: Final = (8, 10)  # YYYYMMDD, and ACR-NEMA's YYYY.MM.DD
_NUMBER_CODES: Final = {
    "FD": "<d", "FL": "<f", "SL": "<i", "SS": "<h", "SV": "<q", "UL": "<I", "US": "<H", "UV": "<Q",
}  # fmt: skip
# Of a float and its sum.
_TOLERANCE: Final = 1e-5


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose object it is, as the original says.

    Attributes:
        own_id: Encoded Patient ID; b"" where there is none (PHI).
        scope: What pseudonyms are made from: the Patient ID, or the study without one (PHI).
        pseudonyms: The study's keyed functions.
    """

    own_id: bytes
    scope: bytes
    pseudonyms: Pseudonyms

    def days(self, decision: Decision) -> int:
        """The day shift that a decision asks for."""
        rule = decision.rule
        if rule is not None and rule.amount is not None:
            return int(rule.amount)
        return self.pseudonyms.days(self.scope, rule.salt if rule is not None else None)


@dataclass(frozen=True, slots=True)
class Pair:
    """An element before and after, with the character sets that hold for both (PHI)."""

    old: Element
    new: Element
    old_character_set: bytes
    new_character_set: bytes

    @property
    def texts(self) -> tuple[str, str]:
        """Both values as text."""
        return (
            text_of(self.old, self.old_character_set),
            text_of(self.new, self.new_character_set),
        )


Check = Callable[[Pair, Decision, Subject], str]


def kept(pair: Pair) -> str:
    """Byte for byte what it was."""
    return "" if pair.old.has_value_of(pair.new) else "is to be kept and differs"


def _empty(pair: Pair, _decision: Decision, _subject: Subject) -> str:
    return "is to be empty and is not" if pair.new.length else ""


def _dummy(pair: Pair, _decision: Decision, _subject: Subject) -> str:
    if not pair.old.length:
        return _empty(pair, _decision, _subject)
    if not pair.new.length:
        return "is to have a dummy and is empty"
    if pair.new.value.rstrip(_PADDING) == dummies.dummy(pair.new.vr).rstrip(_PADDING):
        return ""
    if pair.old.has_value_of(pair.new):
        return "is to be replaced and is not"
    if pair.new.vr not in dictionary.TEXT_VRS:
        return "is no dummy"
    old, new = pair.texts
    return "words of the original are left" if words(old) & words(new) else ""


def _uid(pair: Pair, decision: Decision, subject: Subject) -> str:
    salt = decision.rule.salt if decision.rule is not None else None
    olds, news = uids(pair.old), uids(pair.new)
    if len(olds) != len(news):
        return "has another number of UIDs"
    for old, new in zip(olds, news, strict=True):
        if old and not is_standard_uid(old) and old == new:
            return "UID is to be replaced and is not"
        if new != subject.pseudonyms.uid(old, salt):
            return "UID is not the one that belongs to the original's"
    return ""


def _class_uid(pair: Pair, _decision: Decision, _subject: Subject) -> str:
    return kept(pair)


def _patient_id(pair: Pair, _decision: Decision, subject: Subject) -> str:
    own = pair.old.value.strip(_PADDING)
    scope = subject.scope if not own or own == subject.own_id else own
    return _is_pseudonym(pair.new, subject, scope)


def _patient_name(pair: Pair, _decision: Decision, subject: Subject) -> str:
    return _is_pseudonym(pair.new, subject, subject.scope)


def _is_pseudonym(new: Element, subject: Subject, scope: bytes) -> str:
    if new.value.strip(_PADDING) == subject.pseudonyms.patient(scope).encode():
        return ""
    return "is not the patient's pseudonym"


def _shift(pair: Pair, decision: Decision, subject: Subject) -> str:
    olds = pair.old.value.decode("latin-1").split("\\")
    news = pair.new.value.decode("latin-1").split("\\")
    if len(olds) != len(news):
        return "has another number of dates"
    days = subject.days(decision)
    for old, new in zip(olds, news, strict=True):
        expected = shifted(old.strip(" \0"), days, is_datetime=pair.old.vr == "DT")
        if new.strip(" \0") == expected:
            continue
        if not new.strip(" \0") and not _PLAIN_DATE.fullmatch(old.strip(" \0")):
            continue  # what may be something else than a date goes
        if old.strip(" \0") == new.strip(" \0"):
            return "date is to be shifted and is not"
        return "is not shifted by the patient's days" if expected else "is no date and was left"
    return ""


def shifted(text: str, days: int, *, is_datetime: bool) -> str:
    """A date (PHI) shifted by whole days, in its own precision; "" where it is none."""
    if is_datetime:
        match = _DT.match(text)
        if match is None:
            return ""
        year, month, day, rest, zone = match.groups()
    else:
        match = _DA.match(text)
        if match is None or len(text) not in _DA_FORMS:
            return ""
        (year, month, day), rest, zone = match.groups(), "", ""
    if rest and not day:
        return ""
    try:
        new = date(int(year), int(month or 1), int(day or 1)) + timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    parts = [f"{new.year:04}", f"{new.month:02}" if month else "", f"{new.day:02}" if day else ""]
    return "".join(parts) + rest + (zone or "")


def _value(pair: Pair, decision: Decision, _subject: Subject) -> str:
    wanted = (decision.rule.value if decision.rule is not None else None) or ""
    numbers = _numbers(pair.new)
    if pair.new.vr in _NUMBER_CODES:
        try:
            same = numbers == [float(part) for part in wanted.split("\\") if part]
        except ValueError:
            same = False
    else:
        same = pair.texts[1].strip(" \0") == wanted.strip()
    return "" if same else "is not the value of the rule"


def _hash(pair: Pair, _decision: Decision, _subject: Subject) -> str:
    old, new = (text.strip(" \0") for text in pair.texts)
    if not old:
        return "is not as empty as it was" if new else ""
    if old == new:
        return "is to be hashed and is not"
    is_one_text = pair.new.vr in ("LT", "ST", "UT")
    values = [new] if is_one_text else new.split("\\")
    if all(not value.strip() or _HEX.match(value.strip()) for value in values):
        return ""
    return "is no hash"


def _offset(pair: Pair, decision: Decision, _subject: Subject) -> str:
    amount = (decision.rule.amount if decision.rule is not None else None) or 0
    olds, news = _numbers(pair.old), _numbers(pair.new)
    is_right = len(olds) == len(news) and all(
        abs(new - (old + amount)) <= _TOLERANCE * max(1, abs(new))
        for old, new in zip(olds, news, strict=False)
    )
    return "" if is_right else "is not offset by the rule's amount"


def _numbers(element: Element) -> list[float]:
    code = _NUMBER_CODES.get(element.vr)
    if code is not None:
        try:
            return [float(number) for (number,) in iter_unpack(code, element.value)]
        except ValueError:
            return []
    found = []
    for part in element.value.decode("latin-1").split("\\"):
        try:
            found.append(float(Decimal(part.strip(" \0"))))
        except (InvalidOperation, ValueError):
            continue
    return found


def cleaned(pair: Pair) -> str:
    """Nothing but words of the original, in their order; or a dummy, where none is left."""
    if not pair.new.length and pair.old.length and pair.old.vr in dictionary.CHARSET_VRS:
        return "is to have words or a dummy and is empty"
    if pair.new.value.strip(_PADDING) in (b"", dummies.dummy(pair.new.vr)):
        return ""
    old, new = (text.casefold() for text in pair.texts)
    position = 0
    for word in _WORD.findall(new):
        found = old.find(word, position)
        if found < 0:
            return "has words that the original has not"
        position = found + len(word)
    return ""


def _clean_text(pair: Pair, _decision: Decision, _subject: Subject) -> str:
    return cleaned(pair)


def _cap_age(pair: Pair, _decision: Decision, _subject: Subject) -> str:
    return _capped(pair, _OLD_AGE, "090Y")


def _cap_years(pair: Pair, _decision: Decision, _subject: Subject) -> str:
    return _capped(pair, _OLD_YEARS, "90")


def _shift_version(pair: Pair, decision: Decision, subject: Subject) -> str:
    if pair.new.value.strip(_PADDING) == dummies.dummy("DT"):
        return ""
    return _shift(pair, decision, subject)


def _time_of_day(pair: Pair, _decision: Decision, _subject: Subject) -> str:
    olds, news = (text.split("\\") for text in pair.texts)
    if len(olds) != len(news):
        return "has another number of values"
    for old, new in zip(olds, news, strict=True):
        if old.strip(" \0") == new.strip(" \0"):
            continue
        if new.strip(" \0"):
            return "is to be kept and differs"
        if _PLAIN_TIME.fullmatch(old.strip(" \0")):
            return "is a time of day and was removed"
    return ""


def _capped(pair: Pair, old_age: re.Pattern[str], highest: str) -> str:
    olds, news = (text.split("\\") for text in pair.texts)
    if len(olds) != len(news):
        return "has another number of values"
    for old, new in zip(olds, news, strict=True):
        is_old = old_age.match(old.strip(" \0")) is not None
        if is_old and new.strip(" \0") != highest:
            return "is an age over 89 and is not capped"
        if not is_old and old.strip(" \0") != new.strip(" \0"):
            return "is to be kept and differs"
    return ""


def _document(pair: Pair, _decision: Decision, _subject: Subject) -> str:
    if not pair.new.length:
        return "is to have a dummy and is empty"
    return "is to be replaced and is not" if pair.old.has_value_of(pair.new) else ""


def _anything(_pair: Pair, _decision: Decision, _subject: Subject) -> str:
    # Judged with the element it belongs to.
    return ""


CHECKS: Final[Mapping[Change | None, Check]] = MappingProxyType(
    {
        Change.EMPTY: _empty,
        Change.DUMMY: _dummy,
        Change.UID: _uid,
        Change.CLASS_UID: _class_uid,
        Change.PATIENT: _patient_id,
        Change.PATIENT_NAME: _patient_name,
        Change.SHIFT_DATE: _shift,
        Change.SHIFT_VERSION: _shift_version,
        Change.VALUE: _value,
        Change.HASH: _hash,
        Change.OFFSET: _offset,
        Change.CLEAN_TEXT: _clean_text,
        Change.CLEAN_UNLISTED: _clean_text,
        Change.CAP_AGE: _cap_age,
        Change.TIME_OF_DAY: _time_of_day,
        Change.CAP_YEARS: _cap_years,
        Change.DUMMY_DOCUMENT: _document,
        Change.DOCUMENT_LENGTH: _anything,
    }
)


def words(text: str) -> set[str]:
    """Words of two characters or more, without letter case (PHI)."""
    return {word for word in _WORD.findall(text.casefold()) if len(word) > 1}


def uids(element: Element) -> list[bytes]:
    """The UIDs of an element, without padding (PHI)."""
    return [part.strip(_PADDING) for part in element.value.split(b"\\")]


def are_well_formed(values: Iterable[bytes]) -> bool:
    """Whether all of them are UIDs (PS3.5 9.1)."""
    return all(not uid or (len(uid) <= _MAX_UID_BYTES and _UID.match(uid)) for uid in values)
