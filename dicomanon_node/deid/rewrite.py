"""Rewrite data sets, element by element, item by item, at every depth.

What stays the same is never copied element by element: runs of kept elements are
slices of the input. This module knows the encoding and asks the plan what to do;
how a value is changed is in `actions`, what private blocks do in `private`.
"""

from dataclasses import dataclass

from dicomanon_node.deid import actions, dictionary, encoding, private, structured
from dicomanon_node.deid.boundaries import Limits
from dicomanon_node.deid.dictionary import ITEM, SEQUENCE_DELIMITATION, UNDEFINED_LENGTH
from dicomanon_node.deid.elements import (
    Buffer,
    SequenceEnd,
    is_implicit_content,
    leaves,
    read_header,
)
from dicomanon_node.deid.identity import SOURCE_TAGS, Identity
from dicomanon_node.deid.leaks import Guard
from dicomanon_node.deid.plan import Decision, Plan, Verb
from dicomanon_node.deid.rules import RuleAction
from dicomanon_node.errors import Reason, Refused

_SPECIFIC_CHARACTER_SET = 0x00080005


@dataclass(slots=True)
class Patient:
    """Whose object it is, as far as pseudonyms need it.

    Attributes:
        patient_id: Encoded Patient ID, or what stands in for it (PHI).
        pseudonym: The patient's pseudonym.
        days: The patient's day shift.
    """

    patient_id: bytes
    pseudonym: str
    days: int


class Rewriter:
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
        document: The dummy that replaces an encapsulated document.
        identity: The identifiers found so far (PHI).
        guard: Looks at what is kept, once something has been found to survive.
    """

    __slots__ = (
        "buffer",
        "character_set",
        "document",
        "element_count",
        "guard",
        "identity",
        "item_hash",
        "keeps_dates",
        "limits",
        "patient",
        "plan",
        "shifts_dates",
    )

    def __init__(self, buffer: Buffer, plan: Plan, patient: Patient, limits: Limits) -> None:
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
        self.identity = Identity()
        self.guard: Guard | None = None

    def dataset(  # noqa: C901  (one loop, kept flat for speed)
        self, pos: int, end: int, *, implicit: bool, depth: int, is_delimited: bool
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
        buffer = self.buffer
        outer_character_set = self.character_set
        out: list[bytes] = []
        run = pos
        is_changed = False
        while True:
            if is_delimited:
                if bytes(buffer[pos : pos + 8]) == encoding.ITEM_DELIMITATION_ITEM:
                    break
            elif pos >= end:
                break
            tag, vr, value, length = read_header(buffer, pos, end, implicit=implicit)
            if not vr:
                raise Refused(Reason.UNPARSABLE, tag)
            stop = None if length == UNDEFINED_LENGTH else value + length
            if stop is not None and stop > end:
                raise Refused(Reason.TRUNCATED, tag)
            replacement, after = self.element(tag, vr, pos, value, stop, end, implicit, depth)
            if replacement is not None:
                if run != pos:
                    out.append(bytes(buffer[run:pos]))
                out.append(replacement)
                run = after
                is_changed = True
            pos = after
        self.character_set = outer_character_set
        if not is_changed:
            return None, pos
        out.append(bytes(buffer[run:pos]))
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

        Returns:
            The new element (b"" removes it), or None where it stays; and the offset after
            the old one.
        """
        self.element_count += 1
        if self.element_count > self.limits.elements:
            raise Refused(Reason.TOO_MANY_ELEMENTS)
        if tag & 0x10000:
            if self.plan.drops_all_private:
                return b"", self.after(value, vr, stop, end, implicit=implicit)
            return private.rewrite_group(self, start, end, implicit=implicit, depth=depth)
        handled_vr = vr
        if vr == "UN":
            handled_vr = dictionary.vr_of(tag) or ("SQ" if stop is None else "UN")
        if tag == _SPECIFIC_CHARACTER_SET and stop is not None:
            self.character_set = bytes(self.buffer[value:stop])
        decision = self.plan.decide(tag, handled_vr)
        if self.item_hash is not None:
            decision = actions.inside_hashed(decision, self.item_hash, handled_vr)
        if decision.verb is Verb.WALK:
            return self.sequence(tag, vr, start, value, stop, end, implicit, depth)
        is_undefined = stop is None
        after = self.after(value, vr, stop, end, implicit=implicit)
        return self.decided(
            decision, tag, vr, handled_vr, start, value, after, is_undefined, implicit, depth
        ), after

    def decided(  # noqa: C901  (the verbs, one after the other)
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
    ) -> bytes | None:
        """Do what has been decided for an element that is not walked.

        Returns:
            The new element (b"" removes it), or None where it stays.
        """
        verb = decision.verb
        if verb is Verb.DROP:
            if handled_vr == "SQ":
                self.identity_of_items(value, after, vr, implicit=implicit)
            elif handled_vr == "PN" or tag in SOURCE_TAGS:
                self.identity.add(
                    tag, handled_vr, bytes(self.buffer[value:after]), self.character_set
                )
            return b""
        if verb is not Verb.CHANGE:
            if verb is Verb.KEEP_DATE:
                self.keeps_dates = self.keeps_dates or after != value
            if self.guard is None:
                return None
            return self.guard.kept(self, tag, handled_vr, value, after, implicit)
        if handled_vr == "SQ":
            self.identity_of_items(value, after, vr, implicit=implicit)
            change = structured.SEQUENCE_CHANGES.get(decision.change)
            if change is None:
                raise Refused(Reason.ACTION_FAILED, tag)
            span = structured.Span(tag, vr, start, value, after, is_undefined, implicit, depth)
            return change(self, span, decision)
        if is_undefined:
            raise Refused(Reason.UNPARSABLE, tag)
        raw = bytes(self.buffer[value:after])
        if handled_vr == "PN" or tag in SOURCE_TAGS:
            self.identity.add(tag, handled_vr, raw, self.character_set)
        new = actions.VALUE_CHANGES[decision.change](self, decision, tag, handled_vr, raw)
        if new is None:
            return b""
        if new == raw and handled_vr == vr:
            return None
        return encoding.element(tag, handled_vr, new, implicit=implicit)

    def identity_of_items(self, value: int, after: int, vr: str, *, implicit: bool) -> None:
        """Remember the identifiers in a sequence that goes."""
        inner = is_implicit_content(vr, implicit=implicit)
        for tag, inner_vr, start, end in leaves(self.buffer, value, after, implicit=inner):
            if inner_vr == "PN" or tag in SOURCE_TAGS:
                raw = bytes(self.buffer[start:end])
                self.identity.add(tag, inner_vr, raw, self.character_set)

    def sequence(
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
        while pos < limit:
            item_tag, item_vr, content, length = read_header(buffer, pos, limit, implicit=True)
            if item_tag == SEQUENCE_DELIMITATION and is_undefined and length == 0:
                stop = pos + 8
                break
            if item_tag != ITEM or item_vr:
                raise Refused(Reason.UNPARSABLE, tag)
            self.element_count += 1
            is_delimited = length == UNDEFINED_LENGTH
            if not is_delimited and content + length > limit:
                raise Refused(Reason.TRUNCATED, tag)
            item_end = limit if is_delimited else content + length
            new, after = self.dataset(
                content,
                item_end,
                implicit=inner_implicit,
                depth=depth + 1,
                is_delimited=is_delimited,
            )
            if is_delimited:
                after += 8
            if new is not None:
                out.append(bytes(buffer[run:pos]))
                out.append(
                    encoding.ITEM_TAG
                    + (encoding.UNDEFINED if is_delimited else encoding.length(len(new)))
                    + new
                )
                if is_delimited:
                    out.append(encoding.ITEM_DELIMITATION_ITEM)
                run = after
            pos = after
        if stop is None:
            raise Refused(Reason.TRUNCATED, tag)
        if not out:
            return None, stop
        out.append(bytes(buffer[run:pos]))
        return self.with_content(start, value, b"".join(out), is_undefined=is_undefined), stop

    def with_content(self, start: int, value: int, content: bytes, *, is_undefined: bool) -> bytes:
        """The sequence's own header with other items; `content` has no delimiter."""
        header = bytes(self.buffer[start : value - 4])
        if is_undefined:
            return header + encoding.UNDEFINED + content + encoding.SEQUENCE_DELIMITATION_ITEM
        return header + encoding.length(len(content)) + content

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
