"""One way to a destination at work: take an instance, send it, report what came of it.

Each association of a destination has a carrier; they share a backlog. A carrier has
no memory of its own beyond what is on its way, does not wait for work and does not
decide when to try again. That an instance was delivered it reports when the next one is
sent, so that the destination need not wait for our housekeeping.
"""

from collections.abc import Callable
from typing import Final

from dicomanon_node.delivery.backlog import Backlog, Batch, Item
from dicomanon_node.delivery.transport import LostError, Transport
from dicomanon_node.errors import DeferredError, RejectedError

_INTERNAL: Final = "internal"


class Carrier:
    """Carries over one transport. Used by one thread, but for `interrupt`.

    Args:
        transport: The way.
        backlog: What is to be carried.
        is_stopping: Whether nothing more is to be sent.
        is_extra: It is not the destination's first; see `Backlog.take`.
        tell_progress: Called after each instance.
    """

    def __init__(
        self,
        transport: Transport,
        backlog: Backlog,
        is_stopping: Callable[[], bool],
        *,
        is_extra: bool = False,
        tell_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._transport = transport
        self._backlog = backlog
        self._is_stopping = is_stopping
        self._is_extra = is_extra
        self._tell_progress = tell_progress
        self._under_way: dict[int, Item] = {}  # by identity: hashing a path costs more
        self._has_suspect = False
        self._delivered: tuple[Item, int | None] | None = None  # and not reported yet

    def carry(self, batch: Batch) -> bool:
        """Deliver what nobody else takes of a batch; every answer is in when it returns.

        Returns:
            Whether the association still stands, as far as is known.

        Raises:
            DeferredError: There is no association.
            OSError: The spool does not work.
        """
        self._transport.prepare(batch.instances)
        try:
            while True:
                item = self._take(batch)
                if item is not None:
                    stands = self._send(item)
                    self._report()
                elif self._under_way:
                    stands = self._receive()
                else:
                    self._report()
                    return True
                if not stands:
                    return False
        except BaseException:  # the spool's fault or ours: nothing may stay taken
            try:
                self._report()
            finally:
                self._broken()
            raise

    def close(self) -> None:
        """Release the association, if there is one."""
        self._transport.close()

    def interrupt(self) -> None:
        """End now: what is under way fails and stays in the queue. From any thread."""
        self._transport.interrupt()

    def _take(self, batch: Batch) -> Item | None:
        if (
            self._has_suspect
            or len(self._under_way) >= self._transport.window
            or self._is_stopping()
        ):
            return None
        return self._backlog.take(batch, is_alone=not self._under_way, is_extra=self._is_extra)

    def _send(self, item: Item) -> bool:
        """Send an instance. Returns whether the association still stands."""
        self._under_way[id(item.instance)] = item
        try:
            self._transport.send(item.instance)
        except Exception as error:  # noqa: BLE001  one instance must not stop the others
            self._report()  # what came before it, first
            return self._not_sent(item, error)
        self._has_suspect = item.is_suspect
        return True

    def _not_sent(self, item: Item, error: Exception) -> bool:
        """Report why it was not sent. Returns whether the association still stands."""
        if isinstance(error, LostError):
            return self._lost(error.code)
        if not isinstance(error, RejectedError | DeferredError | OSError):
            self._lost(_INTERNAL, error)
            return self._broken()
        del self._under_way[id(item.instance)]
        match error:
            case RejectedError():
                self._backlog.refused(item, error)
            case FileNotFoundError():
                self._backlog.vanished(item)
            case DeferredError():
                self._backlog.deferred(item, error)
                return self._broken()
            case _:
                self._backlog.unreadable(item)
                return self._broken()
        return True

    def _receive(self) -> bool:
        """Wait for an answer. Returns whether the association still stands."""
        self._report()
        try:
            answer = self._transport.answer()
        except LostError as error:
            return self._lost(error.code)
        except Exception as error:  # noqa: BLE001  as above
            self._lost(_INTERNAL, error)
            return self._broken()
        item = self._under_way.pop(id(answer.instance))
        self._has_suspect = False
        if answer.error is None:
            self._delivered = (item, answer.status)
            return True
        if isinstance(answer.error, RejectedError):
            self._backlog.refused(item, answer.error)
        else:  # nothing more is handed out now; what is on its way may still be answered
            self._backlog.deferred(item, answer.error)
        self._tell_progress()
        return True

    def _report(self) -> None:
        """Report what was delivered last, if it was not yet."""
        if self._delivered is not None:
            (item, status), self._delivered = self._delivered, None
            self._backlog.delivered(item, status)
            self._tell_progress()

    def _lost(self, reason: str, error: Exception | None = None) -> bool:
        """The association is gone, and with it what was on its way."""
        items = list(self._under_way.values())
        self._forget()
        self._backlog.lost(items, reason, error)
        return False

    def _broken(self) -> bool:
        """We cannot go on with the association: what was on its way goes out again."""
        items = list(self._under_way.values())
        self._forget()
        if items:
            self._backlog.put_back(items)
        self._transport.close()
        return False

    def _forget(self) -> None:
        self._under_way.clear()
        self._has_suspect = False
