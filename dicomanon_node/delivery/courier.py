"""The courier: one process that delivers all queues, a lane and a thread for each destination.

A destination that is down, slow or hung delays nobody else. The courier may be
killed at any moment; what was not answered for is still queued. It installs no
signal handlers and reads no configuration: `node` does.
"""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomanon_node.config.model import Destination, DicomDestination
from dicomanon_node.delivery.dicom import DicomTransport
from dicomanon_node.delivery.folder import FolderTransport
from dicomanon_node.delivery.lane import Lane
from dicomanon_node.delivery.observing import Observe, TellEnded, tell_nobody
from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.delivery.transport import Transport

if TYPE_CHECKING:
    from dicomanon_node.network.tls import ClientTls

DRAIN_S: Final = 5.0
"""How long the instances under way may take to arrive, and associations to be released, once
the courier is to end."""

INTERRUPT_S: Final = 1.0
"""How long lanes that were interrupted may take to notice."""

_PATIENCE_S: Final = 0.2

WATCH_S: Final = 1.0
"""How often it is looked whether the lanes live."""


class LaneDiedError(RuntimeError):
    """A lane's thread ended by itself: a fault of ours. Whoever watches starts anew."""


class Courier:
    """Delivers every queue. `run` it once.

    Args:
        destinations: Where to, as configured, names resolved.
        spool: The spool; its directories exist.
        observe: Told what happens, from several threads.
        calling_aet: Our AE title towards destinations that do not set one.
        rng: Source of jitter; seeded in tests.
        tls: How to speak TLS, by name of the destination, to those that ask for it.
        tell_ended: Told how each instance leaves its queue.

    Attributes:
        is_patient: Whether nothing under way is cut short at the end.
    """

    def __init__(
        self,
        destinations: Sequence[Destination],
        spool: Path,
        observe: Observe,
        *,
        calling_aet: str,
        rng: random.Random | None = None,
        tls: "Mapping[str, ClientTls] | None" = None,
        tell_ended: TellEnded = tell_nobody,
    ) -> None:
        self.is_patient = False
        known = tls or {}
        self._lanes = {
            destination.name: _lane(
                destination,
                spool,
                observe,
                calling_aet,
                rng,
                known.get(destination.name),
                tell_ended,
            )
            for destination in destinations
        }

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop, then end within `DRAIN_S` + `INTERRUPT_S`.

        While `is_patient`, what is under way may take as long as it takes.

        Args:
            stop: Set from another thread or a signal handler.

        Raises:
            LaneDiedError: A lane ended without being told.
        """
        threads = [
            threading.Thread(target=lane.run, name=f"lane-{name}", daemon=True)
            for name, lane in self._lanes.items()
        ]
        for thread in threads:
            thread.start()
        while not stop.wait(WATCH_S):
            if not all(thread.is_alive() for thread in threads):
                raise LaneDiedError
        for lane in self._lanes.values():
            lane.stop()
        while self.is_patient and any(thread.is_alive() for thread in threads):
            _join(threads, _PATIENCE_S)
        _join(threads, DRAIN_S)
        for lane, thread in zip(self._lanes.values(), threads, strict=True):
            if thread.is_alive():
                lane.interrupt()
        _join(threads, INTERRUPT_S)

    def wake(self) -> None:
        """There is something new in the queues. Optional: they are looked at anyway."""
        for lane in self._lanes.values():
            lane.wake()


def transport_for(
    destination: Destination, calling_aet: str, tls: "ClientTls | None" = None
) -> Transport:
    """The way to a destination of this kind.

    Args:
        destination: Its settings.
        calling_aet: Our AE title, if the destination does not set one.
        tls: How to speak TLS to it, if it asks for that.
    """
    if isinstance(destination, DicomDestination):
        return DicomTransport(destination, destination.calling_ae_title or calling_aet, tls)
    return FolderTransport(destination)


def _lane(
    destination: Destination,
    spool: Path,
    observe: Observe,
    calling_aet: str,
    rng: random.Random | None,
    tls: "ClientTls | None",
    tell_ended: TellEnded,
) -> Lane:
    transport = transport_for(destination, calling_aet, tls)
    queue = QueueDirectory(spool, destination.name)
    if isinstance(transport, DicomTransport) and isinstance(destination, DicomDestination):
        associations = destination.associations
        another = transport.another
        return Lane(
            transport,
            queue,
            observe,
            another=another,
            associations=associations,
            rng=rng,
            tell_ended=tell_ended,
        )
    return Lane(transport, queue, observe, rng=rng, tell_ended=tell_ended)


def _join(threads: Sequence[threading.Thread], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
