"""The way of an instance for files: the node's own engine and spool, without a network.

What comes out is byte for byte what the node writes for the same object. It forwards
nothing and touches no original.
"""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dicomanon_node.config import Config
from dicomanon_node.errors import ConfigError, Problem, Reason
from dicomanon_node.network.contexts import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.service import AssociationFacts, Outcome, StoreRequest
from dicomanon_node.node import build
from dicomanon_node.ops import logs
from dicomanon_node.ops.studies import InstanceFact
from dicomanon_node.receive import Receiver
from dicomanon_node.review.crosswalk import Crosswalk
from dicomanon_node.review.passage import Way, taken
from dicomanon_node.spool.spool import Spool

_READ_BYTES: Final = 1 << 20
_OUTPUT_MODE: Final = 0o750


class Batch:
    """De-identifies files into a directory, while entered.

    Interrupted at any moment it leaves whole objects behind and nothing else.

    Args:
        config: The configuration; its destinations are not used.
        output: Where to; made if it is missing.
        crosswalk: Is told which identifiers were replaced by which; None: nobody is.

    Attributes:
        has_new_key: The secret key was made just now.
        duplicate_count: Objects that were in the output already.
    """

    def __init__(self, config: Config, output: Path, crosswalk: Crosswalk | None = None) -> None:
        self._config = config
        self._output = output
        self._crosswalk = crosswalk
        self._resources = ExitStack()
        self._buffer = bytearray(_READ_BYTES)
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
            spool = self._open_spool(stack)
            self._receiver = Receiver(router, spool, settings, logs.get(), self)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()
        if self._crosswalk is not None:
            self._crosswalk.write()  # also of a run that was interrupted
        os.sync()  # once for all: what is reported as done must outlive a power failure

    def send(self, fact: InstanceFact) -> None:
        """Take note of what became of an object."""
        self.duplicate_count += fact.is_duplicate

    def deidentify(self, file: DicomFile) -> Outcome:
        """Take one file the way of an instance.

        Raises:
            OSError: The file cannot be read to its end; nothing of it is kept.
        """
        if self._crosswalk is None:
            return self._receive(file)
        # Before the object is there: none without its entries. The engine gives the same twice.
        passage = taken(file, self._way)
        if passage.refusal is not None:
            return Outcome(passage.refusal.status, passage.refusal.comment)
        outcome = self._receive(file)
        if outcome.status == 0:
            self._crosswalk.add(passage.trace, passage.character_set)
        return outcome

    def _receive(self, file: DicomFile) -> Outcome:
        # What the node would not even negotiate has no vetted rules.
        if file.sop_class_uid not in self._sop_classes:
            return Outcome.refused(Reason.SOP_CLASS)
        if file.transfer_syntax_uid not in TRANSFER_SYNTAXES:
            return Outcome(Reason.SOP_CLASS.status, "Transfer syntax not supported")
        request = StoreRequest(
            message_id=1,
            sop_class_uid=file.sop_class_uid,
            sop_instance_uid=file.sop_instance_uid,
            presentation_context_id=1,
            transfer_syntax_uid=file.transfer_syntax_uid,
        )
        association = AssociationFacts("batch", "", self._config.node.listener.ae_title, "")
        instance = self._receiver.begin(request, association)
        try:
            with file.path.open("rb", buffering=0) as source:
                source.seek(file.dataset_offset)
                while size := source.readinto(self._buffer):
                    instance.write([memoryview(self._buffer)[:size]])
            return instance.finish()
        except BaseException:
            instance.abandon()
            raise

    def _open_spool(self, stack: ExitStack) -> Spool:
        """A spool beside the objects themselves: links need one file system."""
        try:
            self._output.mkdir(mode=_OUTPUT_MODE, parents=True, exist_ok=True)
            scratch = Path(
                stack.enter_context(
                    tempfile.TemporaryDirectory(prefix=".dicomanon-", dir=self._output)
                )
            )
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
        return spool
