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
from typing import Final, Self

from dicomanon_node.config import Config
from dicomanon_node.deid.trace import Trace
from dicomanon_node.errors import ConfigError, Problem, Reason
from dicomanon_node.network.contexts import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.service import AssociationFacts, Outcome, StoreRequest
from dicomanon_node.node import build
from dicomanon_node.node.naming import Naming
from dicomanon_node.node.scratch import Scratch
from dicomanon_node.ops import logs
from dicomanon_node.ops.studies import InstanceFact
from dicomanon_node.receive import ReceivedInstance, Receiver
from dicomanon_node.review.crosswalk import Crosswalk
from dicomanon_node.review.passage import Way, taken
from dicomanon_node.spool.incoming import Committed
from dicomanon_node.spool.spool import Spool

_FIRST_READ_BYTES: Final = 64 * 1024
"""Holds nearly every header. What else of a piece that ends a header is in it is copied twice."""

_READ_BYTES: Final = 1 << 20
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
        listener = self._config.node.listener
        self._way = Way(router, settings, listener.ae_title, listener.extra_sop_classes)
        with ExitStack() as stack:
            spool, scratch = self._open_spool(stack)
            self._receiver = Receiver(router, spool, settings, logs.get(), self)
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
        self.told(taken_file)
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
        passage = taken(file, self._way)  # the engine gives the same twice
        if passage.refusal is not None:
            return Taken(Outcome(passage.refusal.status, passage.refusal.comment))
        note(Entries(_identifiers(passage.trace), passage.character_set))
        return self._receive(file)

    def note(self, entries: Entries) -> None:
        """Add to the crosswalk."""
        if self._crosswalk is not None:
            self._crosswalk.add(entries.trace, entries.character_set)

    def told(self, taken_file: Taken) -> None:
        """Take note of what became of the next file of the input."""
        if taken_file.committed is not None:
            self.duplicate_count += taken_file.committed.is_duplicate
            self._naming.told(taken_file.committed)

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
            with file.path.open("rb", buffering=0) as source:
                source.seek(file.dataset_offset)
                room = self._buffer[:_FIRST_READ_BYTES]
                while size := source.readinto(room):
                    instance.write([room[:size]])
                    room = self._buffer
            return Taken(instance.finish(), instance.committed)
        except BaseException:
            instance.abandon()
            raise

    def _open_spool(self, stack: ExitStack) -> tuple[Spool, Path]:
        """A spool beside the objects themselves: links need one file system."""
        try:
            self._output.mkdir(mode=_OUTPUT_MODE, parents=True, exist_ok=True)
            scratch = stack.enter_context(Scratch(self._output)).path
            spool = Spool(scratch, self._output, (), low_water_bytes=0, sync=False)
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
    # An instance that remembers where it went.

    committed: Committed | None = None

    def _commit(self) -> Committed:
        self.committed = super()._commit()
        return self.committed


def _identifiers(trace: Trace) -> Trace:
    # All a crosswalk looks at; the rest of an object need not go to another process.
    trace.steps = [
        step for step in trace.steps if step.vr == "UI" or step.path[-1][0] == _PATIENT_ID
    ]
    return trace
