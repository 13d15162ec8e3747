"""Which places of a text are identifiers: words and numbers, compared token by token.

A text is cut into runs of letters and runs of digits. A run, or some of them together
whatever separates them, is looked up among the identifiers; so "Quill-feather",
"774 19 02" and "AB12345" are found as well as what they stand for, in time that does not
depend on how many identifiers there are. How a name that is a word of the trade counts
is said in `needles`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dicomanon_node.deid.spelling import folded
from dicomanon_node.deid.trade import EPONYMS, TITLES, eponym_heads, trade_words
from dicomanon_node.errors import Reason, Refused

# Runs of one kind of character. What is written without spaces is searched for elsewhere.
_TOKEN = re.compile("[^\\W\\d_\u2e80-\U0010ffff]+|\\d+")
# What may stand between the tokens of one identifier, be it the end of a value.
_GAP = re.compile(r"(?:\W|_){0,3}\Z")
_SURELY_NEAR = 2
_STEPS_AT_ONCE = 10_000
_DIGIT_GAP = re.compile(r"[ ._/-]?\Z")
_PHONE_GAP = re.compile(r"[ ._/()-]{0,2}\Z")
_MIN_PHONE = 8
_SHORT_GAP = re.compile(r"[ _/-]?\Z")
_PUNCTUATION = re.compile("[.,]")
_MIN_PLURAL = 5
_MAX_BEGINNINGS = 1 << 25
"""Squares of the lengths of what is joined from tokens, together: twice the characters of all
their beginnings. A thousand terms of 100 characters have a third of it; a single one of 64 KB
would take gigabytes."""
_MIN_SURE_LETTERS, _MIN_SURE_CHARACTERS = 5, 6


def _free(_steps: int) -> None:
    return None


class Shape(Enum):
    """What a term is, which says where it counts."""

    WORD = "a part of a name"
    PAIR = "parts of one name together"
    PLACE = "an institution or an address"
    DIGITS = "a number of digits only"
    CODE = "a number with letters"


@dataclass(frozen=True, slots=True)
class Term:
    """An identifier's spelling, without what separates it.

    Attributes:
        shape: What it is.
        fewest: Tokens that it must be made of, at least.
        most: Tokens that it may be made of.
        is_short: So few digits that fractions hold them.
    """

    shape: Shape
    fewest: int = 1
    most: int = 1
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """The parts of names that belong together.

    Attributes:
        parts: Which names a part belongs to, by number.
        initials: The first letters of each name's parts.
    """

    parts: Mapping[str, frozenset[int]]
    initials: Sequence[frozenset[str]]


Token = tuple[int, int, str]


class Terms:
    """The identifiers that are made of tokens (PHI).

    Args:
        terms: By spelling: folded, without separators.
        names: What belongs together.

    Raises:
        Refused: TOO_MANY_ELEMENTS if they are longer than those of any real object.
    """

    __slots__ = ("_beginnings", "_names", "terms")

    def __init__(self, terms: Mapping[str, Term], names: Names) -> None:
        self.terms = terms
        self._names = names
        joined = [spelling for spelling, term in terms.items() if term.most > 1]
        if sum(len(spelling) ** 2 for spelling in joined) > _MAX_BEGINNINGS:
            raise Refused(Reason.TOO_MANY_ELEMENTS)
        self._beginnings = frozenset(
            spelling[:length] for spelling in joined for length in range(1, len(spelling))
        )

    def spans(
        self, text: str, *, is_sure: bool = False, spend: Callable[[int], None] | None = None
    ) -> Iterator[tuple[int, int]]:
        """Where identifiers are in a text, in order and without overlaps.

        Args:
            text: Composed text (PHI).
            is_sure: Leave out what chance or a pseudonym could have written.
            spend: Is told how many tokens were tried together with others.
        """
        plain = folded(text)
        tokens = [(match.start(), match.end(), match[0]) for match in _TOKEN.finditer(plain)]
        search = _Search(
            self.terms, self._beginnings, self._names, text, plain, tokens, spend or _free
        )
        for first, last in search.found(is_sure=is_sure):
            end = tokens[last][1]
            if plain.startswith("'s", end) and not plain[end + 2 : end + 3].isalpha():
                end += 2
            elif first < last and len(tokens[last][2]) == 1 and plain.startswith(".", end):
                end += 1
            yield tokens[first][0], end


@dataclass(slots=True)
class _Search:
    terms: Mapping[str, Term]
    beginnings: frozenset[str]
    names: Names
    text: str
    plain: str
    tokens: list[Token]
    spend: Callable[[int], None]
    steps: int = 0

    def found(self, *, is_sure: bool) -> Iterator[tuple[int, int]]:
        position, taken = 0, -1
        while position < len(self.tokens):
            if self.steps > _STEPS_AT_ONCE:
                self.spend(self.steps)
                self.steps = 0
            hit = self._at(position, is_sure=is_sure)
            if hit is None:
                position += 1
                continue
            first, last = self._widened(position, hit, taken)
            if first == last and self._is_eponym(last):
                position += 1
                continue
            yield first, last
            taken, position = last, last + 1
        self.spend(self.steps)

    def _at(self, position: int, *, is_sure: bool) -> int | None:
        # The last token of the longest identifier that begins here.
        word = self.tokens[position][2]
        longest = None
        for begun in {word, word.lstrip("0")}:
            last, spelling = position, begun
            while spelling:
                term = self.terms.get(spelling)
                if (
                    term is not None
                    and self._counts(term, position, last)
                    and (not is_sure or self._is_sure(term, spelling, position, last))
                ):
                    longest = max(last, longest or 0)
                if spelling not in self.beginnings or not self._is_near(last, last + 1):
                    break
                last += 1
                spelling += self.tokens[last][2]
                self.steps += 1
        if longest is None and self._is_plural(word):
            longest = position
        if longest is None and word in self.names.parts and self._is_beside_a_sign(position):
            longest = position
        return longest

    def _counts(self, term: Term, first: int, last: int) -> bool:
        if not term.fewest <= last - first + 1 <= term.most:
            return False
        if term.shape is Shape.PAIR:
            return last > first or self.tokens[first][2] not in trade_words()
        if term.shape is Shape.DIGITS:
            allowed = _SHORT_GAP if term.is_short else _DIGIT_GAP
            if sum(len(token[2]) for token in self.tokens[first : last + 1]) >= _MIN_PHONE:
                allowed = _PHONE_GAP
            if not all(allowed.match(self._gap(n, n + 1)) for n in range(first, last)):
                return False
        return not (term.is_short and self._is_in_fraction(first, last))

    def _is_sure(self, term: Term, spelling: str, first: int, last: int) -> bool:
        is_name = term.shape in (Shape.WORD, Shape.PAIR)
        if is_name and len(spelling) >= _MIN_SURE_LETTERS:
            return True
        start, end = self.tokens[first][0], self.tokens[last][1]
        around = self.plain[max(start - 1, 0) : start] + self.plain[end : end + 1]
        is_apart = not any(character.isalnum() or character == "_" for character in around)
        return is_apart and (is_name or len(spelling) >= _MIN_SURE_CHARACTERS)

    def _is_in_fraction(self, first: int, last: int) -> bool:
        start, end = self.tokens[first][0], self.tokens[last][1]
        return self.plain[max(start - 1, 0) : start] == "." or (
            self.plain[end : end + 1] == "." and self.plain[end + 1 : end + 2].isdigit()
        )

    def _is_plural(self, word: str) -> bool:
        if len(word) <= _MIN_PLURAL or not word.endswith("s"):
            return False
        term = self.terms.get(word[:-1])
        return term is not None and term.shape is Shape.WORD and word not in trade_words()

    def _is_beside_a_sign(self, position: int) -> bool:
        # A word of the trade is a name behind a title, or beside an initial with its stop.
        if position and self._is_title(position - 1):
            return True
        groups = self.names.parts[self.tokens[position][2]]
        for other in (position - 1, position + 1):
            if 0 <= other < len(self.tokens) and self._is_initial(other, groups):
                first, last = sorted((position, other))
                end = self.tokens[last][1]
                between = self._gap(first, last) + self.plain[end : end + 1] * (last == other)
                if self._is_near(first, last) and _PUNCTUATION.search(between):
                    return True
        return False

    def _widened(self, first: int, last: int, taken: int) -> tuple[int, int]:
        # Whatever stands beside a part of a name and belongs to it goes with it.
        if self.tokens[first][2].isdigit():
            return first, last
        groups: frozenset[int] = frozenset()
        for token in self.tokens[first : last + 1]:
            groups |= self.names.parts.get(token[2], frozenset())
            groups |= self.names.parts.get(token[2].removesuffix("s"), frozenset())
        while first - 1 > taken and self._belongs(first - 1, groups, first - 1, first):
            first -= 1
        while last + 1 < len(self.tokens) and self._belongs(last + 1, groups, last, last + 1):
            last += 1
        if first - 1 > taken and groups and self._is_title(first - 1):
            first -= 1
        return first, last

    def _belongs(self, position: int, groups: frozenset[int], left: int, right: int) -> bool:
        if not self._is_near(left, right):
            return False
        word = self.tokens[position][2]
        return not groups.isdisjoint(self.names.parts.get(word, ())) or self._is_initial(
            position, groups
        )

    def _is_initial(self, position: int, groups: frozenset[int]) -> bool:
        start, end, word = self.tokens[position]
        if len(word) > 1 or not any(word in self.names.initials[group] for group in groups):
            return False
        around = self.plain[max(start - 1, 0) : start] + self.plain[end : end + 1]
        return not any(character.isalnum() or character == "'" for character in around)

    def _is_title(self, position: int) -> bool:
        start, end, word = self.tokens[position]
        if word not in TITLES or not self._is_near(position, position + 1):
            return False
        # MR and DR are modalities, MS is an illness: in capitals only with a full stop.
        return self.plain[end : end + 1] == "." or self.text[start:end].istitle()

    def _is_eponym(self, position: int) -> bool:
        if self.tokens[position][2].removesuffix("s") not in EPONYMS:
            return False
        position += 1
        if position < len(self.tokens) and self.tokens[position][2] == "s":
            position += 1
        return (
            position < len(self.tokens)
            and self._is_near(position - 1, position)
            and self.tokens[position][2] in eponym_heads()
        )

    def _is_near(self, left: int, right: int) -> bool:
        # Tokens side by side; asked for again and again where a text repeats itself.
        if right >= len(self.tokens):
            return False
        start, end = self.tokens[left][1], self.tokens[right][0]
        if end == start or (end - start < _SURELY_NEAR and self.plain[start] in " ^,._-/"):
            return True
        return _GAP.match(self._gap(left, right)) is not None

    def _gap(self, left: int, right: int) -> str:
        start, end = self.tokens[left][1], self.tokens[right][0]
        # A long gap is no gap, however long it is.
        return self.plain[start : min(end, start + 4)]
