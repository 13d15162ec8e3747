"""What can be done to a value: one function for each `Change` of a value.

Each takes the encoded value and gives the new one, or None to remove the element.
Sequences are changed in `structured`. Nothing here decides whether to act.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from dicomanon_node.deid import charset, dates, dictionary, dummies, leaks, numeric
from dicomanon_node.deid.decisions import Change, Decision, Verb
from dicomanon_node.deid.generic import Generic
from dicomanon_node.deid.identity import Identity
from dicomanon_node.deid.pseudonyms import is_standard_uid, is_well_formed_uid
from dicomanon_node.deid.rules import RuleAction
from dicomanon_node.errors import Reason, Refused

if TYPE_CHECKING:
    from dicomanon_node.deid.rewrite import Rewriter

ValueChange = Callable[["Rewriter", Decision, int, str, bytes], bytes | None]

# Texts a hash may replace: those that may hold 64, or a cut of, hexadecimal digits.
HASHABLE_VRS = frozenset(["AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"])
_PADDING = b" \0"
# Values in which there is nothing to clean, remembered for the next object.
_MAX_CHECKED, _MAX_CHECKED_BYTES = 10_000, 256
_NOBODY = Identity()
_PUBLISHED_DAY = re.compile(rb"\d{4,8}(?:0{2,6}(?:\.0+)?)?(?:[+-]\d{4})?")
_OLDEST = 89
# An Age String of 90 years or more (PS3.5 6.2), also where its unit or zeros are missing.
_AGE = re.compile(rb"[0-9]{1,3}[DWMY]?|", re.IGNORECASE)
_OLD = re.compile(rb"0*(?:9\d|[1-9]\d{2,})Y?", re.IGNORECASE)


def inside_hashed(decision: Decision, rule: RuleAction, vr: str) -> Decision:
    """What is done inside a sequence whose rule is `hash`: its texts are hashed.

    What a rule or the profile already changes or removes stays changed or removed.
    """
    says_itself = decision.verb is Verb.KEEP or decision.change is Change.CLEAN_UNLISTED
    if says_itself and vr in HASHABLE_VRS:
        return Decision(Verb.CHANGE, decision.source, Change.HASH, rule)
    return decision


def _empty(_rewriter: "Rewriter", _decision: Decision, _tag: int, _vr: str, _raw: bytes) -> bytes:
    return b""


def _dummy(_rewriter: "Rewriter", _decision: Decision, _tag: int, vr: str, raw: bytes) -> bytes:
    # What is empty says nothing, and stays so: a dummy would make it look filled in.
    return dummies.dummy(vr) if raw else raw


def _uid(rewriter: "Rewriter", decision: Decision, tag: int, vr: str, raw: bytes) -> bytes:
    if vr != "UI":
        raise Refused(Reason.ACTION_FAILED, tag)
    salt = decision.rule.salt if decision.rule else None
    make = rewriter.plan.pseudonyms.uid
    if b"\\" not in raw:
        new = make(raw, salt)
        rewriter.note_uid(raw, new)
        return new if len(new) % 2 == 0 else new + b"\0"
    news = []
    for part in raw.split(b"\\"):
        new = make(part, salt)
        rewriter.note_uid(part, new)
        news.append(new)
    return b"\\".join(news)


def _class_uid(
    rw: "Rewriter", _decision: Decision, _tag: int, _vr: str, raw: bytes
) -> bytes | None:
    # Where a class should be, an instance of this very object is a leak.
    for part in raw.split(b"\\"):
        uid = part.strip(_PADDING)
        if not uid or is_standard_uid(uid):
            continue
        if not is_well_formed_uid(uid) or rw.learned.holds_uid(uid):
            return None
    return raw


def _patient_id(rw: "Rewriter", _decision: Decision, _tag: int, _vr: str, raw: bytes) -> bytes:
    own = raw.strip(_PADDING)
    new = rw.patient.pseudonym.encode()
    if own and own != rw.patient.own_id:
        new = rw.plan.pseudonyms.patient(own).encode()
    if own:
        rw.note_patient(own, new)
    return new


def _patient_name(rw: "Rewriter", _decision: Decision, _tag: int, _vr: str, _raw: bytes) -> bytes:
    return rw.patient.pseudonym.encode()


def _shift(rw: "Rewriter", decision: Decision, tag: int, vr: str, raw: bytes) -> bytes:
    if vr not in ("DA", "DT"):
        raise Refused(Reason.ACTION_FAILED, tag)
    rule = decision.rule
    days = rw.patient.days
    if rule is not None and rule.amount is not None:
        days = int(rule.amount)
    elif rule is not None and rule.salt is not None:
        days = rw.plan.pseudonyms.days(rw.patient.scope, rule.salt)
    if not raw.strip(_PADDING):
        return raw
    new = dates.shift_values(raw, vr, days)
    # What was no date has come back empty: nothing of it has been shifted.
    rw.shifts_dates = rw.shifts_dates or bool(new.strip(b"\\"))
    return new


def _shift_version(rw: "Rewriter", decision: Decision, tag: int, vr: str, raw: bytes) -> bytes:
    # Versions of vocabularies are days without a time of day, and everybody knows them.
    if _PUBLISHED_DAY.fullmatch(raw.strip(_PADDING)):
        return dummies.dummy(vr)
    return _shift(rw, decision, tag, vr, raw)


def _time_of_day(_rw: "Rewriter", _decision: Decision, _tag: int, vr: str, raw: bytes) -> bytes:
    return dates.times_of_day(raw, vr)


def _value(rw: "Rewriter", decision: Decision, tag: int, vr: str, _raw: bytes) -> bytes:
    text = decision.rule.value if decision.rule else None
    return encoded_text(text or "", vr, rw.character_set, tag)


def encoded_text(text: str, vr: str, character_set: bytes, tag: int) -> bytes:
    """A configured text as the encoded value of a VR.

    Raises:
        Refused: ACTION_FAILED if the VR cannot hold it or the character set cannot say it.
    """
    try:
        packed = numeric.pack_numbers(vr, text)
    except ValueError:
        raise Refused(Reason.ACTION_FAILED, tag) from None
    if packed is not None:
        return packed
    if vr not in dictionary.TEXT_VRS:
        raise Refused(Reason.ACTION_FAILED, tag)
    encoded = charset.encode(text, character_set if vr in dictionary.CHARSET_VRS else b"")
    if encoded is None:
        raise Refused(Reason.ACTION_FAILED, tag)
    return encoded


def _hash(rw: "Rewriter", decision: Decision, tag: int, vr: str, raw: bytes) -> bytes:
    if vr not in HASHABLE_VRS:
        raise Refused(Reason.ACTION_FAILED, tag)
    salt = decision.rule.salt if decision.rule else None
    text = charset.decode(raw, rw.character_set, is_name=vr == "PN").rstrip(" \0")
    if not text:
        return raw
    # LT, ST and UT have one value, whatever it contains (PS3.5 6.4).
    values = [text] if vr in ("LT", "ST", "UT") else text.split("\\")
    cut = min(dictionary.MAX_CHARACTERS.get(vr, 64), 64)
    hashed = "\\".join(
        rw.plan.pseudonyms.text(value, salt)[:cut] if value.strip() else "" for value in values
    )
    return (hashed.upper() if vr == "CS" else hashed).encode()


def _offset(_rw: "Rewriter", decision: Decision, tag: int, vr: str, raw: bytes) -> bytes:
    amount = decision.rule.amount if decision.rule else None
    if amount is None:
        raise Refused(Reason.ACTION_FAILED, tag)
    try:
        return numeric.add_to_numbers(vr, raw, amount)
    except (ValueError, OverflowError):
        raise Refused(Reason.ACTION_FAILED, tag) from None


def _clean_text(rw: "Rewriter", _decision: Decision, _tag: int, vr: str, raw: bytes) -> bytes:
    rw.has_cleaned = True
    return leaks.cleaned(
        raw,
        vr,
        rw.character_set,
        rw.identity,
        generic=Generic.DESCRIPTOR,
        keeps_dates=rw.plan.keeps_full_dates,
    )


def _clean_unlisted(rw: "Rewriter", _decision: Decision, _tag: int, vr: str, raw: bytes) -> bytes:
    # Identifiers of the object itself are looked for in all that is written.
    new = leaks.cleaned(
        raw,
        vr,
        rw.character_set,
        rw.identity if rw.guard is not None else _NOBODY,
        generic=Generic.UNLISTED,
        keeps_dates=rw.plan.keeps_full_dates,
    )
    if rw.guard is not None:
        return new
    checked = rw.plan.checked
    if new is raw and len(raw) <= _MAX_CHECKED_BYTES and raw.isascii() and b"\x1b" not in raw:
        if len(checked) >= _MAX_CHECKED:
            checked.clear()
        checked.add(raw)
    return new


def _document(rw: "Rewriter", _decision: Decision, _tag: int, _vr: str, _raw: bytes) -> bytes:
    return rw.document


def _document_length(rw: "Rewriter", _d: Decision, _tag: int, _vr: str, _raw: bytes) -> bytes:
    return len(rw.document).to_bytes(4, "little")


def _cap_age(_rw: "Rewriter", _decision: Decision, _tag: int, _vr: str, raw: bytes) -> bytes:
    # Ages over 89 are so rare that they identify (45 CFR 164.514(b)(2)(i)(C)).
    # What is no age may be anything.
    return b"\\".join(
        b"090Y" if _OLD.fullmatch(age) else age if _AGE.fullmatch(age) else b""
        for age in (part.strip(_PADDING) for part in raw.split(b"\\"))
    )


def _cap_years(_rw: "Rewriter", _decision: Decision, _tag: int, _vr: str, raw: bytes) -> bytes:
    return b"\\".join(_capped(part) for part in raw.split(b"\\"))


def _capped(years: bytes) -> bytes:
    try:
        return years if float(years.strip(_PADDING)) <= _OLDEST else b"%d" % (_OLDEST + 1)
    except ValueError:
        return b""  # what is no number may be anything


VALUE_CHANGES: Mapping[Change | None, ValueChange] = MappingProxyType(
    {
        Change.EMPTY: _empty,
        Change.DUMMY: _dummy,
        Change.UID: _uid,
        Change.CLASS_UID: _class_uid,
        Change.PATIENT: _patient_id,
        Change.PATIENT_NAME: _patient_name,
        Change.SHIFT_DATE: _shift,
        Change.SHIFT_VERSION: _shift_version,
        Change.TIME_OF_DAY: _time_of_day,
        Change.VALUE: _value,
        Change.HASH: _hash,
        Change.OFFSET: _offset,
        Change.CLEAN_TEXT: _clean_text,
        Change.DUMMY_DOCUMENT: _document,
        Change.DOCUMENT_LENGTH: _document_length,
        Change.CLEAN_UNLISTED: _clean_unlisted,
        Change.CAP_AGE: _cap_age,
        Change.CAP_YEARS: _cap_years,
    }
)
