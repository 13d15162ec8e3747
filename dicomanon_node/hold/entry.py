"""A held object: what may be read of it, and who may do something with it now.

An entry is locked for as long as somebody reads or ends it, by whichever process. What
this module does not do: put anything into the hold (`area`), or log.
"""

import errno
import fcntl
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dicomanon_node.errors import Reason
from dicomanon_node.hold.label import CONTENTS_BYTES, Contents, Label
from dicomanon_node.hold.sealing import SealError, head_of, plain_bytes, read_label, unseal
from dicomanon_node.spool import preparation

if TYPE_CHECKING:
    from dicomanon_node.hold.area import Area

SUFFIX: Final = ".hold"

_VERDICT: Final = ".verdict"
_NEW_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Entry:
    """A held object.

    Attributes:
        area: Where it lies.
        label: What may be read of it.
        size_bytes: Bytes of its data set.
        verdict: Why it stays, where a release has tried it again; else that of the label.
    """

    area: "Area"
    label: Label
    size_bytes: int
    verdict: str

    @classmethod
    def examine(cls, area: "Area", path: Path) -> "Entry":
        """Read a label.

        Raises:
            SealError: It is no hold file.
            FileNotFoundError: Somebody has ended it just now.
        """
        try:
            with path.open("rb") as file:
                encoded = read_label(file.read)
                size = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            raise
        except OSError:
            raise SealError("not-a-hold-file") from None
        label = Label.decode(encoded)
        if path.name != f"{label.entry}{SUFFIX}":
            raise SealError("not-a-hold-file")
        size = plain_bytes(size - len(head_of(encoded))) - CONTENTS_BYTES
        return cls(area, label, max(size, 0), _verdict(area, label))

    @property
    def path(self) -> Path:
        """Its file."""
        return self.area.held / f"{self.label.entry}{SUFFIX}"

    @contextmanager
    def locked(self) -> Iterator["Held"]:
        """Have it to oneself, to read it or to end it.

        Raises:
            FileNotFoundError: It is not there any more.
            BlockingIOError: Somebody else is at it.
            SealError: It cannot be opened.
        """
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(file.fileno()).st_nlink:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            yield Held(self, file)


class Held:
    """An entry that is locked. Not thread-safe."""

    def __init__(self, entry: Entry, file: IO[bytes]) -> None:
        self.entry = entry
        self._file = file

    def open(self) -> tuple[Contents, Iterator[bytes]]:
        """What came with the data set, and the data set (PHI).

        The data set is complete only if the iterator ends without an exception.

        Raises:
            SealError: The key is not there, or the file was changed. The iterator likewise.
        """
        self._file.seek(0)
        encoded = read_label(self._file.read)
        label = Label.decode(encoded)
        key = self.entry.area.keys.find(label.key_id)
        plain = unseal(key, label.salt, encoded, self._file.read)
        first = next(plain)
        contents = Contents.decode(first[:CONTENTS_BYTES])
        return contents, itertools.chain((first[CONTENTS_BYTES:],), plain)

    def still_refused(self, reason: Reason) -> None:
        """Note why it stays.

        Raises:
            OSError: It cannot be written.
        """
        area = self.entry.area
        path = _verdict_path(area, self.entry.label)
        part = path.with_suffix(".part")
        words = {"reason": reason.code, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        with suppress(FileNotFoundError):
            part.unlink()
        file = os.open(part, _NEW_FILE, preparation.SPOOL_FILE_MODE)
        with os.fdopen(file, "w", encoding="ascii") as stream:
            json.dump(words, stream)
        part.rename(path)

    def remove(self) -> None:
        """End it.

        Raises:
            OSError: It is still there.
        """
        self.entry.path.unlink()
        _verdict_path(self.entry.area, self.entry.label).unlink(missing_ok=True)
        self.entry.area.sync_names(self.entry.area.held)


def _verdict_path(area: "Area", label: Label) -> Path:
    return area.held / f"{label.entry}{_VERDICT}"


_CODES: Final = frozenset(reason.code for reason in Reason)


def _verdict(area: "Area", label: Label) -> str:
    try:
        words = json.loads(_verdict_path(area, label).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return label.reason
    found = words.get("reason") if isinstance(words, dict) else None
    return found if found in _CODES else label.reason
