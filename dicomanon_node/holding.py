"""One object while it comes in, kept so that it can be held if it is refused.

Until its header has passed, the original lies in memory; of the rest, pixel data can
be read again where it was written, and what follows it is kept. So an object can be
refused at any moment and still be sealed as it came, byte by byte, and none of its
identified bytes is on a disk but encrypted. An object that is converted (Deflated, Big Endian)
is kept in memory as a whole. What there is no memory for is not held: it is refused
as it would be without a hold, and never for the hold's sake.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dicomanon_node.budget import Budget, Share
from dicomanon_node.dataset_stream import DatasetStream
from dicomanon_node.errors import Reason, Refused
from dicomanon_node.hold.area import Area, HoldError, Inflow
from dicomanon_node.hold.label import Contents, Label
from dicomanon_node.spool.incoming import IncomingFile

_UNMADE: Final = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """What is held, and how it is answered.

    Attributes:
        area: Where it is held.
        reasons: Objects refused for these are.
        accepts: 0000H is answered for what is durably held; else its refusal.
    """

    area: Area
    reasons: frozenset[Reason]
    accepts: bool


class Keeping:
    """Keeps one object. Not thread-safe. Nothing here raises.

    Args:
        hold: Where it would be held.
        contents: What is said of it.
        stream: The way it goes.
        budget: What all objects may hold in memory.

    Attributes:
        failure: Why it is not held although it should be; None if nothing went wrong.
        entry: Its entry in the hold, once it is durable there.
    """

    def __init__(
        self, hold: Hold, contents: Contents, stream: DatasetStream, budget: Budget
    ) -> None:
        self._hold = hold
        self._contents = contents
        self._stream = stream
        self._share = Share(budget)
        self._head = bytearray()  # the original, up to what can be read again (PHI)
        self._tail = bytearray()  # what comes after that (PHI)
        self._skipped = -1  # of the file: the de-identified header; -1: nothing can be read again
        self._passed = 0  # of the file: bytes of the original after that
        self._is_kept = True
        self._inflow: Inflow | None = None
        self.failure: Exception | None = None
        self.entry: str | None = None

    def take(self, fragments: Sequence[memoryview]) -> None:
        """The next fragments are to go their way."""
        if self._inflow is not None:
            self._seal(fragments)
        elif self._is_kept and self._skipped < 0:
            self._add(self._head, fragments)

    def went(self, fragments: Sequence[memoryview], file: IncomingFile | None) -> None:
        """They went it, and were not refused."""
        start = self._stream.passed_from
        if not self._is_kept or start is None or file is None:
            return
        if self._skipped < 0:
            result = self._stream.result
            if result is None:
                return
            self._skipped = sum(map(len, result.chunks))
            self._passed = file.size_bytes - self._skipped
            self._tail += self._head[start + self._passed :]
            del self._head[start:]
            return
        passed = file.size_bytes - self._skipped
        left = sum(map(len, fragments)) - (passed - self._passed)
        self._passed = passed
        if left:  # of the last fragments: what follows the pixel data
            self._add(self._tail, _last(fragments, left))

    def refused(
        self,
        refusal: Refused,
        fragments: Sequence[memoryview],
        file: IncomingFile | None,
        calling_aet: str,
    ) -> None:
        """The object is refused: what there is of it goes to the hold.

        Args:
            refusal: Why.
            fragments: Those at which it was found out; `take` has seen them, `went` has not.
            file: Where the rest of it was written; not discarded yet.
            calling_aet: Who has sent it.
        """
        if refusal.reason not in self._hold.reasons or refusal.reason.is_temporary:
            self.forget()
            return
        try:
            if not self._is_kept:
                raise HoldError("not-kept")  # noqa: TRY301  (told like all that goes wrong here)
            label = self._label(refusal, calling_aet)
            self._inflow = self._hold.area.begin(label, self._contents)
            for piece in self._so_far(file):
                self._inflow.feed(piece)
            if self._skipped >= 0:
                self._seal(fragments)
        except Exception as error:  # noqa: BLE001  (whatever it is: then it is not held)
            self._fail(error)
        self._forget_original()

    def commit(self) -> None:
        """The last fragment has come: whether it is held is in `entry`."""
        inflow, self._inflow = self._inflow, None
        if inflow is None:
            return
        try:
            inflow.commit()
            self.entry = inflow.label.entry
        except Exception as error:  # noqa: BLE001  (as above)
            inflow.discard()
            self._fail(error)

    def give_up(self) -> None:
        """It is refused already, and larger than an object may be: it is not held."""
        if self._inflow is not None:
            self._fail(HoldError("not-kept"))

    def forget(self) -> None:
        """Nothing of it is needed any more, or it never came to its end."""
        inflow, self._inflow = self._inflow, None
        if inflow is not None:
            inflow.discard()
        self._forget_original()

    def _so_far(self, file: IncomingFile | None) -> Iterator[bytes | bytearray]:
        yield self._head
        if self._skipped < 0:
            return
        if file is None:
            raise HoldError("not-kept")
        yield from file.read_again(self._skipped, self._skipped + self._passed)
        yield self._tail

    def _seal(self, fragments: Sequence[memoryview]) -> None:
        inflow = self._inflow
        if inflow is None:
            return
        try:
            for fragment in fragments:
                inflow.feed(fragment)
        except Exception as error:  # noqa: BLE001  (as above)
            inflow.discard()
            self._inflow = None
            self._fail(error)

    def _add(self, kept: bytearray, fragments: Sequence[memoryview]) -> None:
        size = len(self._head) + len(self._tail) + sum(map(len, fragments))
        try:
            self._share.cover(size)
        except Refused:
            self._forget_original()
            return
        for fragment in fragments:
            kept += fragment

    def _label(self, refusal: Refused, calling_aet: str) -> Label:
        route = self._stream.route
        return Label(
            entry=_UNMADE,
            held=datetime.now(UTC),
            reason=refusal.reason.code,
            status=int(refusal.reason.status),
            tag=refusal.tag,
            calling_aet=calling_aet,
            study=route.plan.rules.name if route else None,
            key_id=_UNMADE,
            salt=b"",
        )

    def _fail(self, error: Exception) -> None:
        inflow, self._inflow = self._inflow, None
        if inflow is not None:
            inflow.discard()
        self.failure = error

    def _forget_original(self) -> None:
        self._is_kept = False  # nor is what still comes
        self._head, self._tail = bytearray(), bytearray()
        self._share.release()


def _last(fragments: Sequence[memoryview], count: int) -> list[memoryview]:
    """The last bytes of the fragments."""
    found: list[memoryview] = []
    for fragment in reversed(fragments):
        if not count:
            break
        taken = fragment[max(len(fragment) - count, 0) :]
        count -= len(taken)
        found.append(taken)
    return found[::-1]
