"""May a text that is to be kept have lost words? Only if they identified somebody.

The engine's guard takes an object's own identifiers out of texts that are otherwise
kept. What it took away is compared with what the original says of people, numbers and
places; anything else that is missing is a fault.
"""

import re
from typing import Final

from dicomanon_node.deid import dictionary, dummies
from dicomanon_node.deid.floor import CLASS_UID_TAGS
from dicomanon_node.deid.identity import SOURCE_TAGS
from dicomanon_node.deid.plan import Plan
from dicomanon_node.review.checks import Pair
from dicomanon_node.review.reading import Element, Item, text_of

_WORD: Final = re.compile(r"[^\W_]+")
_DIGITS: Final = re.compile(r"\d{4,}")
_MIN_WORD, _MIN_DIGITS, _MIN_PART = 2, 4, 3
_ADDRESS: Final = re.compile(r"[\w.+-]+@[\w.-]+")
_MONTH: Final = re.compile(r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b")
_TITLED: Final = re.compile(r"\b(dr|prof|mr|mrs|ms|mme|herr|frau)\b[\W_]*([\w'-]*)")


class Excuses:
    """What an original says of people, numbers and places (PHI).

    Args:
        dataset: The original's data set.
        plan: The rules.
    """

    def __init__(self, dataset: Item, plan: Plan) -> None:
        self._words: set[str] = set()
        self._uids: set[bytes] = set()
        for path, leaf, item in dataset.leaves():
            if leaf.is_private or not plan.decide(leaf.tag, leaf.vr, nested=len(path) > 1).removes:
                continue  # what stays on purpose excuses nothing
            if leaf.vr == "UI":
                if leaf.tag not in CLASS_UID_TAGS:
                    self._uids |= {part.strip(b" \0") for part in leaf.value.split(b"\\")} - {b""}
            elif leaf.vr == "PN" or leaf.tag in SOURCE_TAGS or dictionary.vr_of(leaf.tag) == "PN":
                text = text_of(leaf, item.character_set).casefold()
                self._words |= {each for each in _WORD.findall(text) if _counts(each)}
                self._words |= set(_DIGITS.findall(text))

    def holds_uid(self, uid: bytes) -> bool:
        """Whether a UID of the original that goes is this one."""
        return uid in self._uids

    def judge(self, pair: Pair, *, generic: bool = False) -> str:
        """What is wrong with a text that has changed; "" if nothing is.

        Args:
            pair: The text before and after.
            generic: Dates, numbers, addresses and titled persons may go as well.
        """
        if pair.old.vr not in dictionary.CHARSET_VRS:
            return self._judge_values(pair)
        old, new = (text.casefold() for text in pair.texts)
        if new.strip(" \0") == dummies.dummy(pair.new.vr).decode() and self._is_in(old):
            return ""  # what cannot be taken out of it goes with all of it
        gone = _WORD.findall(old)
        for word in _WORD.findall(new):
            if word in gone:
                gone.remove(word)
        allowed = _generic(old) if generic else frozenset()
        known = {word for word in gone if word in allowed or self._is_known(word)}
        # Initials and suffixes go with the name they belong to.
        unknown = {word for word in gone if word not in known}
        if not known or any(len(word) >= _MIN_PART for word in unknown):
            return "has lost words that identify nobody"
        return ""

    def _judge_values(self, pair: Pair) -> str:
        # A code or a number says something else without a part of it: whole values go.
        olds, news = (text.split("\\") for text in pair.texts)
        is_dummy = pair.new.value.strip(b" \0") == dummies.dummy(pair.new.vr)
        if is_dummy and len(news) == 1:
            news = [""] * len(olds)
        for old, new in zip(olds, news, strict=False):
            if new != old and (new.strip(" \0") or not self._is_in(old)):
                return "is to be kept and differs"
        return "" if len(olds) == len(news) else "is to be kept and differs"

    def _is_in(self, text: str) -> bool:
        folded = text.casefold()
        is_known = any(word in folded for word in self._words if len(word) >= _MIN_PART)
        return is_known or any(uid.decode("latin-1") in folded for uid in self._uids)

    def hold(self, element: Element, character_set: bytes) -> bool:
        """Whether a value that is gone had one of them in it, or was a number and no more."""
        text = text_of(element, character_set).replace("\0", "").casefold()
        found = _WORD.findall(text)
        return self._is_in(text) or (bool(found) and _generic(text).issuperset(found))

    def _is_known(self, word: str) -> bool:
        is_part = len(word) >= _MIN_PART
        if any(known in word or (is_part and word in known) for known in self._words):
            return True
        return word.isdigit() and any(word.encode() in uid.split(b".") for uid in self._uids)


def _counts(word: str) -> bool:
    # As in a search: initials and short numbers are found everywhere.
    return len(word) >= (_MIN_DIGITS if word.isdigit() else _MIN_WORD)


def _generic(text: str) -> frozenset[str]:
    # Words of a folded text that may identify whoever it is about.
    found = {word for word in _WORD.findall(text) if any(map(str.isdigit, word))}
    for match in _MONTH.finditer(text):
        found |= set(_WORD.findall(match[0]))
    for match in (*_ADDRESS.finditer(text), *_TITLED.finditer(text)):
        found |= set(_WORD.findall(match[0]))
    return frozenset(found)
