"""The way of an instance for files: the node's own engine and spool, without a network.

What comes out is byte for byte what the node writes for the same object. It forwards
nothing and touches no original.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from dicomanon_node.config import Config
from dicomanon_node.deid.trace import Trace
from dicomanon_node.errors import ConfigError, Problem, Reason
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.service import AssociationFacts, Outcome, StoreRequest
from dicomanon_node.network.supported import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from dicomanon_node.node import build
from dicomanon_node.node.naming import Naming
from dicomanon_node.node.scratch import Scratch
from dicomanon_node.ops.silence import Silence
from dicomanon_node.ops.studies import InstanceFact
from dicomanon_node.receive import ReceivedInstance, Receiver
from dicomanon_node.review.crosswalk import Crosswalk
from dicomanon_node.spool.incoming import Committed
from dicomanon_node.spool.spool import Spool

if TYPE_CHECKING:
    from dicomanon_node.review.passage import Passage

_READ_BYTES: Final = 1 << 20

_HEAD_BYTES: Final = 64 * 1024
"""Holds nearly every header. What else is in the fragment that ends a header is copied once more,
so what was read first is handed on as two."""

_OUTPUT_MODE: Final = 0o750
_PATIENT_ID: Final = 0x00100020


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file.

    Attributes:
        outcome: As a sender would get it.
        committed: Where it is; None if it was refused.
    """

    outcome: Outcome
    committed: Committed | None = None


@dataclass(frozen=True, slots=True)
class Entries:
    """What a crosswalk is to know of one object (PHI); goes from a worker to its parent."""

    trace: Trace
    character_set: bytes


class Batch:
    """De-identifies files into a directory, while entered.

    Interrupted at any moment it leaves whole objects behind and nothing else. After it was
    entered, `take` may be called in forked processes, and `told` of it in the one process
    that entered.

    Args:
        config: The configuration; its destinations are not used.
        output: Where to; made if it is missing.
        crosswalk: Is told which identifiers were replaced by which; None: nobody is.
        window: How many files may be under way at a time, at most.

    Attributes:
        has_new_key: The secret key was made just now.
        duplicate_count: Objects that were in the output already.
    """

    def __init__(
        self, config: Config, output: Path, crosswalk: Crosswalk | None = None, window: int = 1
    ) -> None:
        self._config = config
        self._output = output
        self._crosswalk = crosswalk
        self._window = window
        self._resources = ExitStack()
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._sop_classes = STORAGE_SOP_CLASSES | set(config.node.listener.extra_sop_classes)
        self.has_new_key = False
        self.duplicate_count = 0

    def __enter__(self) -> Self:
        key, self.has_new_key = build.key(self._config)
        plans = build.plans(self._config, key)
        router = build.router(self._config, plans)
        settings = build.receive_settings(self._config, is_batch=True)
        with ExitStack() as stack:
            spool, scratch = self._open_spool(stack)
            self._receiver = Receiver(router, spool, settings, Silence(), self)
            self._naming = Naming(self._output, scratch, self._window)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._resources:
            self._naming.settle()
        if self._crosswalk is not None:
            self._crosswalk.write()  # also of a run that was interrupted
        os.sync()  # once for all: what is reported as done must outlive a power failure

    def send(self, fact: InstanceFact) -> None:
        """Nobody asks for counts by study."""

    def deidentify(self, file: DicomFile) -> Outcome:
        """Take one file the way of an instance, with all that belongs to it.

        Raises:
            OSError: The file cannot be read to its end; nothing of it is kept.
        """
        taken_file = self.take(file, self.note)
        if taken_file.committed is not None:
            self.told(taken_file.committed)
        return taken_file.outcome

    def take(self, file: DicomFile, note: Callable[[Entries], None]) -> Taken:
        """Take one file the way of an instance.

        Args:
            file: The file.
            note: Given what the crosswalk is to know, before the object is there: none
                without its entries.

        Raises:
            OSError: The file cannot be read to its end; nothing of it is kept.
        """
        if self._crosswalk is None:
            return self._receive(file)
        passage = self._traced(file)  # the engine gives the same twice
        if passage.refusal is not None:
            return Taken(Outcome(passage.refusal.status, passage.refusal.comment))
        note(Entries(_identifiers(passage.trace), passage.character_set))
        return self._receive(file)

    def note(self, entries: Entries) -> None:
        """Add to the crosswalk."""
        if self._crosswalk is not None:
            self._crosswalk.add(entries.trace, entries.character_set)

    def told(self, committed: Committed) -> None:
        """Take note of where the next file of the input is, of those that were taken."""
        self.duplicate_count += committed.is_duplicate
        self._naming.told(committed)

    def _traced(self, file: DicomFile) -> "Passage":
        # Few runs write a crosswalk; the others need not wait for what it takes.
        from dicomanon_node.review.passage import Way, taken  # noqa: PLC0415  (slow, rarely needed)

        listener, receiver = self._config.node.listener, self._receiver
        extra = listener.extra_sop_classes
        return taken(file, Way(receiver.router, receiver.settings, listener.ae_title, extra))

    def _receive(self, file: DicomFile) -> Taken:
        # What the node would not even negotiate has no vetted rules.
        if file.sop_class_uid not in self._sop_classes:
            return Taken(Outcome.refused(Reason.SOP_CLASS))
        if file.transfer_syntax_uid not in TRANSFER_SYNTAXES:
            return Taken(Outcome(Reason.SOP_CLASS.status, "Transfer syntax not supported"))
        request = StoreRequest(
            message_id=1,
            sop_class_uid=file.sop_class_uid,
            sop_instance_uid=file.sop_instance_uid,
            presentation_context_id=1,
            transfer_syntax_uid=file.transfer_syntax_uid,
        )
        association = AssociationFacts("batch", "", self._config.node.listener.ae_title, "")
        instance = _Instance(self._receiver, request, association)
        try:
            self._read(file, instance)
            outcome = instance.finish()
        except BaseException:
            instance.abandon()
            raise
        instance.answered()
        return Taken(outcome, instance.committed)

    def _read(self, file: DicomFile, instance: ReceivedInstance) -> None:
        source = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            offset, head_bytes = file.dataset_offset, _HEAD_BYTES
            while size := os.preadv(source, [self._buffer], offset):
                read = self._buffer[:size]
                parts = (read[:head_bytes], read[head_bytes:])
                instance.write([part for part in parts if part])
                offset, head_bytes = offset + size, 0
        finally:
            os.close(source)

    def _open_spool(self, stack: ExitStack) -> tuple[Spool, Path]:
        """A spool beside the objects themselves: links need one file system."""
        try:
            self._output.mkdir(mode=_OUTPUT_MODE, parents=True, exist_ok=True)
            scratch = stack.enter_context(Scratch(self._output)).path
            spool = Spool(scratch, self._output, (), low_water_bytes=0, sync=False, is_eager=True)
            stack.callback(spool.close)
            spool.incoming.mkdir(mode=0o700)
            probe = scratch / "probe"
            probe.touch()
            (scratch / "link").hardlink_to(probe)
        except OSError as error:
            why = (
                f"{self._output} cannot be written, or its file system has no hard links:"
                f" {error.strerror}"
            )
            raise ConfigError(Problem("--output", "", why)) from None
        return spool, scratch


class _Instance(ReceivedInstance):
    # An instance that remembers where it went, and of which no line is logged.

    committed: Committed | None = None

    def _commit(self) -> Committed:
        self.committed = super()._commit()
        return self.committed

    def _tell_stored(self, committed: Committed) -> None:
        pass


def _identifiers(trace: Trace) -> Trace:
    # All a crosswalk looks at; the rest of an object need not go to another process.
    trace.steps = [
        step for step in trace.steps if step.vr == "UI" or step.path[-1][0] == _PATIENT_ID
    ]
    return trace
