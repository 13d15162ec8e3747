"""Rewrite data sets, element by element, item by item, at every depth.

What stays the same is never copied element by element: runs of kept elements are
slices of the input. This module knows the encoding and asks the plan what to do;
how a value is changed is in `actions`, what private blocks do in `private`.
"""

from collections.abc import Mapping

from dicomanon_node.deid import actions, content, dictionary, encoding, private, structured
from dicomanon_node.deid.boundaries import Limits
from dicomanon_node.deid.decisions import Change, Decision, Verb
from dicomanon_node.deid.dictionary import (
    ITEM,
    ITEM_DELIMITATION,
    PIXEL_DATA_TAGS,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
)
from dicomanon_node.deid.elements import (
    SequenceEnd,
    header_reader,
    is_implicit_content,
    read_implicit_header,
)
from dicomanon_node.deid.identity import Identity, Role
from dicomanon_node.deid.leaks import Guard
from dicomanon_node.deid.learning import Learning
from dicomanon_node.deid.patient import Patient
from dicomanon_node.deid.plan import CHECKED, DROPPED_PRIVATE, KEPT, Plan
from dicomanon_node.deid.rules import RuleAction
from dicomanon_node.errors import Reason, Refused

_SPECIFIC_CHARACTER_SET = 0x00080005
_SEQUENCE_CHANGES: Mapping[Change | None, structured.SequenceChange] = {
    **structured.SEQUENCE_CHANGES,
    **content.SEQUENCE_CHANGES,
}


class Rewriter(Learning):
    """Rewrites one object. Not thread-safe; one is made for each object.

    Attributes:
        buffer: The encoded header.
        plan: What to do.
        patient: Whose object it is.
        character_set: Specific Character Set of the data set being rewritten.
        element_count: Elements visited, at all depths.
        keeps_dates: A true date is still there.
        shifts_dates: A date has been shifted.
        item_hash: The hash rule that holds inside the sequence being rewritten.
        product: Manufacturer's Model Name, lower case.
        document: The dummy that replaces an encapsulated document.
        identity: The identifiers that texts are cleaned of (PHI).
        learned: The identifiers found so far (PHI); the same, unless those of another object
            are taken for granted.
        has_cleaned: Whether a text has been cleaned of `identity`.
        guard: Looks at what is kept, once something has been found to survive.
        suspects: Top-level tags, and groups where private, that the guard is to look at; None: all.
        drops_private: Private elements are dropped without a look.
        blob_texts: Fields of makers' blobs as they were written (PHI, if the guard is needed).
        overrides: Decisions that come before the plan's, in the item being rewritten.
    """

    __slots__ = (
        "blob_texts",
        "document",
        "drops_private",
        "element_count",
        "has_cleaned",
        "identity",
        "item_hash",
        "keeps_dates",
        "limits",
        "overrides",
        "patient",
        "plan",
        "shifts_dates",
        "suspects",
    )

    def __init__(
        self,
        buffer: bytes,
        plan: Plan,
        patient: Patient,
        limits: Limits,
        guarded_by: Identity | None = None,
    ) -> None:
        self.buffer = buffer
        self.plan = plan
        self.patient = patient
        self.limits = limits
        self.character_set = b""
        self.element_count = 0
        self.keeps_dates = False
        self.shifts_dates = False
        self.item_hash: RuleAction | None = None
        self.document = b""
        self.product = b""
        self.identity = self.learned = guarded_by or Identity(plan.constants)
        self.has_cleaned = False
        self.guard = Guard(guarded_by) if guarded_by is not None else None
        self.suspects: frozenset[int] | None = None
        self.drops_private = plan.drops_all_private
        self.blob_texts: list[bytes] = []
        self.overrides: content.Overrides | None = None

    def take_for_granted(self, identity: Identity, suspects: frozenset[int]) -> None:
        """Guard by the identifiers of another object, while this one's are learned."""
        self.identity = identity
        self.guard = Guard(identity)
        self.suspects = suspects

    def shortcuts(self, *, nested: bool, implicit: bool) -> Mapping[tuple[int, str], bytes]:
        """`Plan.shortcuts`, where nothing but the plan has a say."""
        if self.guard is not None or self.item_hash is not None or self.overrides is not None:
            return {}
        return self.plan.shortcuts[nested][implicit]

    def count(self, elements: int) -> None:
        """Count elements that were visited.

        Raises:
            Refused: TOO_MANY_ELEMENTS.
        """
        self.element_count += elements
        if self.element_count > self.limits.elements:
            raise Refused(Reason.TOO_MANY_ELEMENTS)

    def dataset(  # noqa: C901, PLR0912, PLR0915  (one loop, kept flat for speed)
        self, pos: int, end: int, implicit: bool, depth: int, is_delimited: bool
    ) -> tuple[bytes | None, int]:
        """Rewrite a nested data set.

        Args:
            pos: Offset of its first element.
            end: Offset after it, or as far as it may reach where a delimiter ends it.
            implicit: Its encoding.
            depth: Its depth; 1 for the items of a top-level sequence.
            is_delimited: Whether an item delimitation item ends it.

        Returns:
            The new content, or None where nothing changed; and the offset after the old.
        """
        if depth > self.limits.nesting:
            raise Refused(Reason.NESTED_TOO_DEEP)
        buffer, read = self.buffer, header_reader(implicit=implicit)
        shortcuts = self.shortcuts(nested=True, implicit=implicit)
        drops_private = self.drops_private
        checked = self.plan.checked
        outer_character_set = self.character_set
        out: list[bytes] = []
        start = run = pos
        seen = 0
        while is_delimited or pos < end:
            tag, vr, value, length = read(buffer, pos, end)
            if not vr:
                if is_delimited and tag == ITEM_DELIMITATION and not length:
                    break
                raise Refused(Reason.UNPARSABLE, tag)
            seen += 1
            after = value + length
            new = shortcuts.get((tag, vr))
            if length == UNDEFINED_LENGTH:
                new, after = self.element(tag, vr, pos, value, None, end, implicit, depth)
            elif after > end:
                raise Refused(Reason.TRUNCATED, tag)
            elif new is None:
                if tag & 0x10000 and drops_private:
                    new = b""
                    if vr in ("PN", "SQ"):
                        self.forget_private(tag, vr, value, after)
                else:
                    self.count(seen)
                    seen = 0
                    new, after = self.element(tag, vr, pos, value, after, end, implicit, depth)
            elif new is KEPT or (new and not length):
                new = None
            elif new is CHECKED:
                new = None
                if buffer[value:after] not in checked:
                    self.count(seen)
                    seen = 0
                    new, after = self.element(tag, vr, pos, value, after, end, implicit, depth)
            if new is not None:
                if run != pos:
                    out.append(buffer[run:pos])
                if new:
                    out.append(new)
                run = after
            pos = after
        self.count(seen)
        self.character_set = outer_character_set
        if run == start:
            return None, pos
        out.append(buffer[run:pos])
        return b"".join(out), pos

    def element(
        self,
        tag: int,
        vr: str,
        start: int,
        value: int,
        stop: int | None,
        end: int,
        implicit: bool,
        depth: int,
    ) -> tuple[bytes | None, int]:
        """Rewrite one element.

        Args:
            tag: Its tag number.
            vr: Its VR as encoded, or as the dictionary knows it where it is not.
            start: Offset of its header.
            value: Offset of its value.
            stop: Offset after it; None where its length is undefined.
            end: Offset that it may not reach beyond.
            implicit: Its encoding.
            depth: Depth of the data set it is in; 0 at top level.

        Returns:
            The new element (b"" removes it), or None where it stays; and the offset after
            the old one.
        """
        if tag & 0x10000:
            if self.plan.drops_all_private:
                self.note_removed(tag, vr, DROPPED_PRIVATE.source)
                after = self.after(value, vr, stop, end, implicit=implicit)
                self.forget_private(tag, vr, value, after)
                return b"", after
            return private.rewrite_group(self, start, end, implicit=implicit, depth=depth)
        handled_vr = vr
        if vr == "UN":
            # PS3.5 6.2.2: UN of undefined length is a sequence, whatever the tag is known as.
            handled_vr = "SQ" if stop is None else dictionary.vr_of(tag) or "UN"
        elif stop is None and vr != "SQ" and tag not in PIXEL_DATA_TAGS:
            raise Refused(Reason.UNPARSABLE, tag)
        if tag == _SPECIFIC_CHARACTER_SET and stop is not None:
            self.character_set = self.buffer[value:stop]
        decision = self.plan.decide(tag, handled_vr, nested=depth > 0)
        if self.overrides is not None:
            decision = self.overrides.get(tag, decision)
        if self.item_hash is not None:
            decision = actions.inside_hashed(decision, self.item_hash, handled_vr)
        if decision.verb is Verb.WALK:
            return self.walked(decision, tag, vr, start, value, stop, end, implicit, depth)
        is_undefined = stop is None
        after = self.after(value, vr, stop, end, implicit=implicit)
        return self.decided(
            decision, tag, vr, handled_vr, start, value, after, is_undefined, implicit, depth
        ), after

    def walked(
        self,
        decision: Decision,
        tag: int,
        vr: str,
        start: int,
        value: int,
        stop: int | None,
        end: int,
        implicit: bool,
        depth: int,
        _creator: str = "",
    ) -> tuple[bytes | None, int]:
        """Rewrite a sequence that stays."""
        del decision
        return self.sequence(tag, vr, start, value, stop, end, implicit, depth)

    def decided(
        self,
        decision: Decision,
        tag: int,
        vr: str,
        handled_vr: str,
        start: int,
        value: int,
        after: int,
        is_undefined: bool,
        implicit: bool,
        depth: int,
        _creator: str = "",
    ) -> bytes | None:
        """Do what has been decided for an element that is not walked.

        Returns:
            The new element (b"" removes it), or None where it stays.
        """
        if handled_vr == "SQ":
            return self._decided_sequence(
                decision,
                structured.Span(tag, vr, start, value, after, is_undefined, implicit, depth),
            )
        raw = self.buffer[value:after]
        if decision.verb is Verb.DROP:
            self.forget(tag, handled_vr, raw)
            return b""
        if decision.verb is not Verb.CHANGE:
            if decision.verb is Verb.KEEP_DATE:
                self.keeps_dates = self.keeps_dates or bool(raw.strip(b" \0"))
            self.learn(tag, handled_vr, raw, Role.RETAINED)
            if self.guard is None:
                return None
            return self.guard.element(tag, handled_vr, raw, self.character_set, implicit=implicit)
        if is_undefined:
            raise Refused(Reason.UNPARSABLE, tag)
        if decision.change is not Change.CLEAN_TEXT:
            self.learn(tag, handled_vr, raw, Role.SOUGHT)
        new = actions.VALUE_CHANGES[decision.change](self, decision, tag, handled_vr, raw)
        if new is None:
            return b""
        # A dummy is always encoded anew, as the plan's shortcuts do: also where it was there
        # already, with an odd length or filled reserved bytes.
        is_dummy = decision.change is Change.DUMMY and bool(raw)
        if new == raw and handled_vr == vr and not is_dummy:
            return None
        return encoding.element(tag, handled_vr, new, implicit=implicit)

    def _decided_sequence(self, decision: Decision, span: structured.Span) -> bytes:
        if decision.verb is Verb.DROP:
            self.forget_items(span)
            return b""
        change = _SEQUENCE_CHANGES.get(decision.change)
        if change is None:
            raise Refused(Reason.ACTION_FAILED, span.tag)
        return change(self, span, decision)

    def enter(self, tag: int, number: int) -> None:
        """An item of a sequence begins. For who wants to know where."""

    def leave(self) -> None:
        """The item ends."""

    def note_removed(self, tag: int, vr: str, source: str, creator: str = "") -> None:
        """An element has been removed that `decided` has not heard of."""

    def note_blob(
        self, decision: Decision, tag: int, vr: str, raw: bytes, new: bytes, creator: str
    ) -> None:
        """A maker's blob has been written again."""

    def sequence(  # noqa: C901  (one loop, kept flat for speed)
        self,
        tag: int,
        vr: str,
        start: int,
        value: int,
        stop: int | None,
        end: int,
        implicit: bool,
        depth: int,
    ) -> tuple[bytes | None, int]:
        """Rewrite a sequence, item by item. Its kind of length stays as it was."""
        buffer = self.buffer
        inner_implicit = is_implicit_content(vr, implicit=implicit)
        is_undefined = stop is None
        limit = end if stop is None else stop
        out: list[bytes] = []
        run = pos = value
        overrides, self.overrides = self.overrides, None
        number = 0
        while pos < limit:
            item_tag, item_vr, start_of_item, length = read_implicit_header(buffer, pos, limit)
            if item_tag == SEQUENCE_DELIMITATION and not length:
                if is_undefined:
                    stop = pos + 8
                    break
                if pos + 8 == limit:  # left over from a length that was undefined once
                    pos = limit
                    break
            if item_tag != ITEM or item_vr:
                raise Refused(Reason.UNPARSABLE, tag)
            self.count(1)
            is_delimited = length == UNDEFINED_LENGTH
            if not is_delimited and start_of_item + length > limit:
                raise Refused(Reason.TRUNCATED, tag)
            item_end = limit if is_delimited else start_of_item + length
            self.enter(tag, number)
            new, after = self.dataset(
                start_of_item, item_end, inner_implicit, depth + 1, is_delimited
            )
            self.leave()
            number += 1
            if is_delimited:
                after += 8
            if new is not None:
                out.append(buffer[run:pos])
                out.append(encoding.item(new, is_delimited=is_delimited))
                run = after
            pos = after
        if stop is None:
            raise Refused(Reason.TRUNCATED, tag)
        self.overrides = overrides
        if not out:
            return None, stop
        out.append(buffer[run:pos])
        return self.with_content(start, value, b"".join(out), is_undefined=is_undefined), stop

    def with_content(self, start: int, value: int, items: bytes, *, is_undefined: bool) -> bytes:
        """The sequence's own header with other items; `items` have no delimiter."""
        header = self.buffer[start : value - 4]
        if is_undefined:
            return header + encoding.UNDEFINED + items + encoding.SEQUENCE_DELIMITATION_ITEM
        return header + encoding.length(len(items)) + items

    def after(self, value: int, vr: str, stop: int | None, end: int, *, implicit: bool) -> int:
        """The offset after a value that is not walked."""
        if stop is not None:
            return stop
        scan = SequenceEnd(
            value,
            implicit=is_implicit_content(vr, implicit=implicit),
            max_depth=self.limits.nesting,
        )
        if not scan.advance(self.buffer, end):
            raise Refused(Reason.TRUNCATED)
        return scan.pos
