"""A rewriter that tells a `Trace` what it does. The bytes are those of the plain one."""

from collections.abc import Mapping

from dicomanon_node.deid.boundaries import Limits
from dicomanon_node.deid.decisions import Decision, Verb
from dicomanon_node.deid.elements import header_reader
from dicomanon_node.deid.identity import Identity
from dicomanon_node.deid.patient import Patient
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rewrite import Rewriter
from dicomanon_node.deid.trace import Outcome, Trace


class TracedRewriter(Rewriter):
    """Rewrites one object and tells of each element. Slower: it takes no shortcuts."""

    __slots__ = ("_creator", "trace")

    def __init__(
        self,
        buffer: bytes,
        plan: Plan,
        patient: Patient,
        limits: Limits,
        guarded_by: Identity | None,
        trace: Trace,
    ) -> None:
        super().__init__(buffer, plan, patient, limits, guarded_by)
        self.trace = trace
        self.drops_private = False
        self._creator = ""

    def shortcuts(self, *, nested: bool, implicit: bool) -> Mapping[tuple[int, str], bytes]:
        """None: each element is decided about, and told of."""
        del nested, implicit
        return {}

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
        creator: str = "",
    ) -> tuple[bytes | None, int]:
        """Rewrite a sequence that stays, and say so."""
        self.trace.note(tag, "SQ", decision.source, Outcome.WALKED, creator=creator)
        self._creator = creator
        return super().walked(decision, tag, vr, start, value, stop, end, implicit, depth)

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
        creator: str = "",
    ) -> bytes | None:
        """Do what has been decided, and tell of it before what was done to its items."""
        at = len(self.trace.steps)
        self._creator = creator
        new = super().decided(
            decision, tag, vr, handled_vr, start, value, after, is_undefined, implicit, depth
        )
        inner = self.trace.steps[at:]
        del self.trace.steps[at:]
        original, written = self.buffer[value:after], _value_of(new, implicit=implicit)
        outcome = _outcome(decision, new, written)
        if outcome is Outcome.KEPT:
            written = original
        if handled_vr == "SQ":
            original = written = b""
        self.trace.note(
            tag,
            handled_vr,
            decision.source,
            outcome,
            original,
            written,
            character_set=self.character_set,
            creator=creator,
        )
        self.trace.steps += inner
        return new

    def enter(self, tag: int, number: int) -> None:
        """An item of a sequence begins."""
        self.trace.enter(tag, self._creator if tag & 0x10000 else "", number)

    def leave(self) -> None:
        """The item ends."""
        _, self._creator, _ = self.trace.leave()

    def note_removed(self, tag: int, vr: str, source: str, creator: str = "") -> None:
        """An element has been removed that `decided` has not heard of."""
        self.trace.note(tag, vr, source, Outcome.REMOVED, creator=creator)

    def note_blob(
        self, decision: Decision, tag: int, vr: str, raw: bytes, new: bytes, creator: str
    ) -> None:
        """A maker's blob has been written again."""
        outcome = Outcome.REPLACED if new else Outcome.REMOVED
        self.trace.note(
            tag,
            vr,
            f"{decision.source}, a maker's format: its fields by their meaning",
            Outcome.KEPT if new == raw else outcome,
            raw,
            new,
            character_set=self.character_set,
            creator=creator,
        )

    def note_uid(self, original: bytes, new: bytes) -> None:
        """A UID has been replaced, unless it stayed the same."""
        super().note_uid(original, new)
        if original.strip(b" \0") != new:
            self.trace.uids[original.strip(b" \0")] = new

    def note_patient(self, original: bytes, new: bytes) -> None:
        """A Patient ID has been replaced."""
        self.trace.patients[original] = new


def _value_of(new: bytes | None, *, implicit: bool) -> bytes:
    if not new:
        return b""
    _, _, value, _ = header_reader(implicit=implicit)(new, 0, len(new))
    return new[value:]


def _outcome(decision: Decision, new: bytes | None, written: bytes) -> Outcome:
    if new is None:
        return Outcome.KEPT
    if decision.verb in (Verb.KEEP, Verb.KEEP_DATE):
        return Outcome.GUARDED
    if not new:
        return Outcome.REMOVED
    return Outcome.REPLACED if written else Outcome.EMPTIED
