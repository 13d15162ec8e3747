"""What identifies in any text, whoever it is about.

Dates, telephone numbers, electronic addresses, national numbers and persons with their
titles: where a text may stay, these go. How much of it is said by `Generic`: a text that
nobody listed loses only what is certain, a descriptor also bare numbers and UIDs.

This module knows no object: whose identifiers they are does not matter.
"""

import re
from collections.abc import Iterator
from enum import Enum

from dicomanon_node.deid.spelled_dates import spelled_days
from dicomanon_node.deid.spelling import folded
from dicomanon_node.deid.trade import SURNAMES, trade_words


class Generic(Enum):
    """What is removed besides the object's own identifiers."""

    NONE = "nothing"
    UNLISTED = "what is certain to identify; codes, versions and numbers stay"
    DESCRIPTOR = "also UIDs, and numbers of seven digits or more"


_CERTAIN = re.compile(
    r"""
      (?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++                          # mail
    | (?<!\w)[a-z]{3,10}://[^\s/@]++@\S++                                    # with a user
    | (?<![\w.+-])\+\d{1,3}(?:[ ./-]{0,2}+\(?+\d{1,5}+\)?+){2,6}+(?![\w])    # telephone
    | (?<![\w.-])00\d{1,3}[ /-]\d{1,5}[ /-]\d{3,8}(?![\w.-])
    | (?<![\w.-])0\d{1,5}+[ ]?[/-][ ]?\d{3,8}+(?:[ -]\d{1,5})?+(?![\w.-])
    | (?<![\w.-])0\d{1,4}+[ ]\d{3,4}[ ]\d{3,5}(?![\w.-])
    | (?<![\w.])\(\d{2,5}\)[ /-]?\d{3,4}[ -]?\d{3,5}(?![\w.])
    | (?<![\w.-])\d{3}([-.])\d{3}\1\d{4}(?![\w-]|\.\d)
    | (?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])                                  # national
    """,
    re.VERBOSE,
)
_MIN_PHONE_DIGITS = 8
_DIGITS = re.compile(r"\d")
_BARE = re.compile(
    r"(?<![\w.])\d++(?:\.\d++){4,}+(?![\w.]) | (?<!\w)\d{7,}+(?!\w)",
    re.VERBOSE,
)
_PARTICLES = r"(?:(?:van|von|vom|zu|der|den|de|del|della|di|da|du|la|le|el|al|ten|ter)[ ]){0,3}+"
# MR and DR are modalities and MS is an illness: in capitals they are titles only with a
# full stop, and DR where somebody did or asked for something.
_TITLED = re.compile(
    rf"""
    (?:
      \b(?:(?:DR|PROF|MR|MRS|MS)\.|(?:Dr|Prof|Mr|Mrs|Ms|Mme|Mlle|Miss|Herr|Frau|Schwester|Nurse)\b\.?
          |(?:dr|prof|mr|mrs|ms)\.)
      | \b(?:BY|FOR|FROM|PER|REF|REQ|TO|VIA|REFERRER|REFERRING)[:. ]{{1,2}}(?:DR|PROF|MRS)\b
    )
    (?:[ ]?(?:[Dd][Rr]|[Mm]ed|[Pp]rof)\b\.?){{0,2}}+
    [ ^]{{0,3}}+{_PARTICLES}
    (?P<first>[^\W\d_](?:[^\W\d_]|['-]|\.(?=[^\W\d_])){{0,60}}+)(?!\d)
    (?:[.]?[ ^](?P<second>[^\W\d_](?:[^\W\d_]|['-]){{1,60}}+)(?!\d))?+
    """,
    re.VERBOSE,
)
_DEGREE = re.compile(r"(?P<first>[^\W\d_][\w'-]{0,60}+)(?P<end>,?[ ](?:M\.D\.|MD|PhD)(?![\w]))")

# "5 Apr 2023"; less is no date, number or telephone.
_MIN_HINT_DIGITS = 5
_TITLE = re.compile(
    rb"(?i:\b(?:dr|prof|mr|mrs|ms|mme|mlle|miss|herr|frau|schwester|nurse|md|phd|m\.d)\b)"
)


def has_generic(raw: bytes, generic: Generic, *, keeps_dates: bool = False) -> bool:
    """Whether such may be in a text; quick, and never wrong where it says no.

    Args:
        raw: Encoded value (PHI); the default repertoire at least is what it looks like.
        generic: What to look for.
        keeps_dates: Dates do not count.
    """
    if generic is Generic.NONE:
        return False
    if not _may_be_in(raw):
        return False
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return next(generic_spans(text, generic, keeps_dates=keeps_dates), None) is not None


def _may_be_in(raw: bytes) -> bool:
    return (
        len(raw) - len(raw.translate(None, b"0123456789")) >= _MIN_HINT_DIGITS
        or b"@" in raw
        or _TITLE.search(raw) is not None
    )


def generic_spans(
    text: str, generic: Generic, *, keeps_dates: bool = False
) -> Iterator[tuple[int, int]]:
    """Where such is in a text; in no order, perhaps one over the other.

    Args:
        text: Decoded text (PHI).
        generic: What to look for.
        keeps_dates: Dates stay.
    """
    if generic is Generic.NONE or not _may_be_in(text.encode("utf-8", "replace")):
        return
    days = [(day.start, day.end) for day in spelled_days(folded(text)) if day.is_plain]
    if not keeps_dates:
        yield from days
    # A date that may stay is also a number of eight digits.
    kept = frozenset(days) if keeps_dates else frozenset()
    for match in _CERTAIN.finditer(text):
        is_certain = "@" in match[0] or len(_DIGITS.findall(match[0])) >= _MIN_PHONE_DIGITS
        if is_certain and match.span() not in kept:
            yield match.span()
    if generic is Generic.DESCRIPTOR:
        yield from (match.span() for match in _BARE.finditer(text) if match.span() not in kept)
    yield from _persons(text)


def _persons(text: str) -> Iterator[tuple[int, int]]:
    for match in _TITLED.finditer(text):
        if _is_trade(match["first"]):
            continue
        second = match["second"]
        is_name = second is not None and second[0].isupper() and not _is_trade(second)
        yield match.start(), match.end("second") if is_name else match.end("first")
    for match in _DEGREE.finditer(text):
        if match["first"][0].isupper() and not _is_trade(match["first"]):
            yield match.span()


def _is_trade(word: str) -> bool:
    plain = folded(word)
    return plain in trade_words() and plain not in SURNAMES
