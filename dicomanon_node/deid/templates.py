"""The templates of the objects that came last, and what is learned from each that came since.

    wanted = templates.wanted(key, head)     # before anything else is looked at
    for entry in templates.candidates(key): ...
    templates.learn(key, ...)                # of what the engine had to do itself

The first object of a series is remembered; the second shows what varies, and so does
each later one that differs in something else. Bounded in number and size; what it holds
is PHI, in memory only. Thread-safe: entries are replaced, never changed.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from dicomanon_node.deid.engine import Deidentified, Deidentifier
from dicomanon_node.deid.rules import Option
from dicomanon_node.deid.template import RENAMED_TAGS, SOP_INSTANCE_UID, Template, Unit, units

# Series under way at a time, by what they share; and of one kind.
_MAX_KEYS, _MAX_EACH = 8, 4
_MAX_HEADER_BYTES = 256 << 10
_MAX_VARYING = 96
# What a template costs to make, in objects; what is saved up for the next ones at most.
_PRICE, _MAX_CREDIT = 8, 64

Payload = TypeVar("Payload")


@dataclass(frozen=True, slots=True)
class Entry(Generic[Payload]):
    """One object that was rewritten, and what became known of those like it.

    Attributes:
        done: What has rewritten it (PHI).
        result: What it gave.
        varying: Numbers of the units that vary.
        template: None while it is not known what varies.
        payload: What the caller wants to be reminded of.
    """

    done: Deidentifier
    result: Deidentified
    varying: frozenset[int]
    template: Template | None
    payload: Payload


class Templates(Generic[Payload]):
    """Templates by key. Thread-safe."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, tuple[Entry[Payload], ...]] = {}
        self._credit = _MAX_CREDIT

    def wanted(self, key: Hashable, head: bytes | memoryview) -> int:
        """How many bytes of an object are needed to find its template; 0 if there is none.

        Args:
            key: What decides about an object besides its bytes.
            head: Its first bytes.
        """
        return max(
            (
                entry.template.room
                for entry in self._entries.get(key, ())
                if entry.template is not None and entry.template.starts(head)
            ),
            default=0,
        )

    def candidates(self, key: Hashable) -> tuple[Entry[Payload], ...]:
        """Entries whose templates may fit; those without one are among them."""
        return self._entries.get(key, ())

    def learn(
        self,
        key: Hashable,
        done: Deidentifier,
        result: Deidentified,
        pixel_header: bytes,
        pinned: frozenset[int],
        payload: Payload,
    ) -> None:
        """Learn from an object that no template fitted.

        Args:
            key: As for `candidates`.
            done: What has rewritten its header.
            result: What it gave.
            pixel_header: The pixel data element up to its value.
            pinned: Tags on which the payload depends.
            payload: What was found out about it otherwise.
        """
        if not _is_learnable(done) or len(done.elements.buffer) > _MAX_HEADER_BYTES:
            return
        self._credit = min(self._credit + 1, _MAX_CREDIT)
        entries = self._entries.get(key, ())
        for entry in entries:
            if not _has_same_tags(entry.done, done):
                continue
            of = _units(done)
            varying = _varying(entry, done, of, pinned)
            if varying is None:
                continue
            if self._credit < _PRICE:
                return
            self._credit -= _PRICE
            template = Template.made(done, result, of, varying, pixel_header)
            learned = Entry(done, result, varying, template, payload)
            self._put(key, (learned, *(other for other in entries if other is not entry)))
            return
        fresh = Entry(done, result, frozenset[int](), None, payload)
        self._put(key, (fresh, *entries[: _MAX_EACH - 1]))

    def _put(self, key: Hashable, entries: tuple[Entry[Payload], ...]) -> None:
        kept = self._entries
        if key not in kept and len(kept) >= _MAX_KEYS:
            # The others are learned again soon enough.
            kept = {}
        self._entries = {**kept, key: entries}


def _is_learnable(done: Deidentifier) -> bool:
    rewriter, rules = done.rewriter, done.plan.rules
    return (
        rules.encrypts_for is None
        # A report's items depend on each other.
        and Option.CLEAN_STRUCTURED_CONTENT not in rules.options
        and not rewriter.blob_texts
        and (rewriter.guard is None or rewriter.suspects is not None)
    )


def _has_same_tags(before: Deidentifier, now: Deidentifier) -> bool:
    old, new = before.elements.rows, now.elements.rows
    return (
        len(old) == len(new)
        and before.plan is now.plan
        and all(one[0] == other[0] for one, other in zip(old, new, strict=True))
    )


def _units(done: Deidentifier) -> list[Unit]:
    return units(done.elements, drops_private=done.plan.drops_all_private)


def _varying(
    before: Entry[Payload], now: Deidentifier, new: list[Unit], pinned: frozenset[int]
) -> frozenset[int] | None:
    """Numbers of the units that vary, or None if these are objects of different kinds."""
    old = _units(before.done)
    first, second = before.done.elements.buffer, now.elements.buffer
    varying = set(before.varying)
    for number, (one, other) in enumerate(zip(old, new, strict=True)):
        if one.vr != other.vr:
            return None
        is_same = first[one.start : one.stop] == second[other.start : other.stop]
        if not is_same or other.tag == SOP_INSTANCE_UID:
            varying.add(number)
    fixed = pinned | (now.elements.asked - RENAMED_TAGS) | now.insertions.keys()
    suspects = now.rewriter.suspects or frozenset()
    for number in varying:
        tag = new[number].tag
        if tag in fixed or tag in suspects or tag >> 16 in suspects:
            return None
    return frozenset(varying) if len(varying) <= _MAX_VARYING else None
