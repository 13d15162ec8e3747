"""Transactions on the disk: sealed requests, their answers, and who is at work on one.

    <spool>/commitment/<id>-<content>.request    AES-256-GCM; names original UIDs
                       <id>-<content>.answer     JSON: which places failed, and why

A request is durable when `add` returns. Whoever reports on it holds a lock (flock) on its
file, which ends with the process however that ends; so two never report one at a time, and
what a killed process held is free at once. Names are keyed hashes. The key is derived from
the node's: with another key file, what waits here cannot be read and is given up.
"""

import errno
import fcntl
import itertools
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dicomanon_node.commitment.information import Action, Reference
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import NodeError
from dicomanon_node.spool import preparation
from dicomanon_node.spool.medium import Medium

DIRECTORY: Final = "commitment"
_REQUEST: Final = ".request"
_ANSWER: Final = ".answer"

_NONCE_BYTES: Final = 12  # NIST SP 800-38D 8.2: 96 bits
_ID_BYTES: Final = 16
_CONTENT_BYTES: Final = 8
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY_MODE: Final = 0o700
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_numbers = itertools.count()


class TooManyError(NodeError):
    """More transactions are open than may be."""


class UnreadableError(NodeError):
    """A request was sealed with another key, or is damaged."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One request for commitment.

    Attributes:
        name: Names its files: a keyed hash of requestor and Transaction UID, one of the rest.
        transaction_uid: The requestor's.
        references: What is to be committed (PHI: original UIDs).
        calling_aet: The requestor's AE title, as received: judge before logging.
        called_aet: The title it called, as received.
        peer_address: Where it called from.
        requested_at: When, seconds since the epoch.
        is_duplicate: Another one of the same Transaction UID was open: nothing is committed.
    """

    name: str
    transaction_uid: str
    references: tuple[Reference, ...]
    calling_aet: str
    called_aet: str
    peer_address: str
    requested_at: float
    is_duplicate: bool = False

    @property
    def number(self) -> str:
        """What the log calls it: says nothing of what the requestor calls it."""
        return self.name.partition("-")[0]


class Hold:
    """A lock on a transaction: its holder alone reports. `release` it.

    Args:
        file: Descriptor of the request, locked or to be locked; closed here.
    """

    def __init__(self, file: int) -> None:
        self._file = file

    def lock(self) -> None:
        """Wait for the lock; nobody else has it yet."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def release(self) -> None:
        """Let others have it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Transactions:
    """The transactions of a node. Thread-safe, and shared by its processes.

    Args:
        spool: The spool.
        key: The node's key.
        max_open: How many may be open.
        medium: What makes them durable.
    """

    def __init__(self, spool: Path, key: Key, *, max_open: int, medium: Medium) -> None:
        self._directory = spool / DIRECTORY
        self._key = Key(key.digest("storage commitment key", "", b""))
        self._cipher = AESGCM(key.digest("storage commitment seal", "", b""))
        self._max_open = max_open
        self._medium = medium

    def prepare(self, *, is_first: bool = True) -> None:
        """Make the directory, and remove what a killed process left.

        Args:
            is_first: Nobody writes there yet; else nothing is removed.

        Raises:
            ConfigError: It cannot be made.
            OSError: It cannot be read or written.
        """
        preparation.make(self._directory, _DIRECTORY_MODE, self._medium)
        preparation.close_to_others(self._directory)
        if is_first:
            self._sweep()

    def make(
        self,
        action: Action,
        calling_aet: str,
        called_aet: str,
        peer_address: str,
    ) -> Transaction:
        """A transaction that is asked for now; nothing is written yet."""
        identity = self._key.digest("transaction", calling_aet, action.transaction_uid.encode())
        content = json.dumps([called_aet, sorted(action.references)]).encode()
        digest = self._key.digest("transaction content", "", content)
        return Transaction(
            f"{identity[:_ID_BYTES].hex()}-{digest[:_CONTENT_BYTES].hex()}",
            action.transaction_uid,
            action.references,
            calling_aet,
            called_aet,
            peer_address,
            time.time(),
        )

    def add(self, transaction: Transaction) -> Hold | None:
        """Make a transaction durable, unless it is open already.

        Returns:
            The lock on it; None if somebody else has that.

        Raises:
            TooManyError: There are too many already.
            OSError: It could not be written.
        """
        names = self.open()
        if transaction.name not in names:
            if len(names) >= self._max_open:
                raise TooManyError("too many transactions")
            prefix = f"{transaction.number}-"
            is_duplicate = any(name.startswith(prefix) for name in names)
            hold = self._write(transaction, is_duplicate=is_duplicate)
            if hold is not None:
                return hold
        return self.hold(transaction.name)

    def open(self) -> dict[str, bool]:
        """Names of the open ones, and whether each is answered.

        Raises:
            OSError: The directory cannot be read.
        """
        found = {entry.name for entry in os.scandir(self._directory)}
        requests = (name.removesuffix(_REQUEST) for name in found if name.endswith(_REQUEST))
        return {name: f"{name}{_ANSWER}" in found for name in requests}

    def hold(self, name: str) -> Hold | None:
        """Lock a transaction; None if somebody has it, or it is closed."""
        path = self._directory / f"{name}{_REQUEST}"
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_open = os.fstat(file).st_nlink > 0
        except BlockingIOError:
            is_open = False
        except BaseException:
            os.close(file)
            raise
        if is_open:
            return Hold(file)
        os.close(file)
        return None

    def read(self, name: str) -> Transaction | None:
        """A transaction; None if it is closed.

        Raises:
            UnreadableError: It cannot be unsealed.
            OSError: It cannot be read.
        """
        try:
            sealed = (self._directory / f"{name}{_REQUEST}").read_bytes()
        except FileNotFoundError:
            return None
        try:
            plain = self._cipher.decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode("ascii")
            )
            values: dict[str, Any] = json.loads(plain)
            values["references"] = tuple(Reference(*pair) for pair in values["references"])
            return Transaction(name=name, **values)
        except (InvalidTag, ValueError, TypeError, KeyError):
            raise UnreadableError("request cannot be read") from None

    def answer(self, transaction: Transaction, failures: dict[int, int]) -> None:
        """Note the answer to a transaction.

        Args:
            transaction: Which.
            failures: Failure Reason by place in its references.

        Raises:
            OSError: It could not be written.
        """
        content = {
            "requested_at": transaction.requested_at,
            "failures": {str(place): reason for place, reason in failures.items()},
        }
        path = self._directory / f"{transaction.name}{_ANSWER}"
        temporary = self._create(json.dumps(content).encode("ascii"))
        try:
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def answer_to(self, transaction: Transaction) -> dict[int, int] | None:
        """The answer to a transaction, or None if there is none yet.

        Raises:
            OSError: It cannot be read.
        """
        path = self._directory / f"{transaction.name}{_ANSWER}"
        try:
            content = json.loads(path.read_bytes())
            if content["requested_at"] != transaction.requested_at:
                raise ValueError  # noqa: TRY301  (to one that was closed: no answer either)
            return {int(place): int(reason) for place, reason in content["failures"].items()}
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError):
            path.unlink(missing_ok=True)  # it is answered anew
            return None

    def close(self, name: str) -> None:
        """A transaction is at its end: nothing of it is kept.

        Raises:
            OSError: It could not be removed.
        """
        # A request that is left without its answer is answered and reported once more.
        for suffix in (_ANSWER, _REQUEST):
            (self._directory / f"{name}{suffix}").unlink(missing_ok=True)
        self._sync_names()

    def _sweep(self) -> None:
        names = self.open()
        for entry in list(os.scandir(self._directory)):
            is_orphan = entry.name.endswith(_ANSWER) and entry.name[: -len(_ANSWER)] not in names
            if is_orphan or entry.name.startswith("."):
                with suppress(FileNotFoundError):
                    Path(entry.path).unlink()

    def _write(self, transaction: Transaction, *, is_duplicate: bool) -> Hold | None:
        plain = json.dumps(
            {
                "transaction_uid": transaction.transaction_uid,
                "references": transaction.references,
                "calling_aet": transaction.calling_aet,
                "called_aet": transaction.called_aet,
                "peer_address": transaction.peer_address,
                "requested_at": transaction.requested_at,
                "is_duplicate": is_duplicate,
            }
        )
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, plain.encode(), transaction.name.encode("ascii"))
        temporary = self._create(nonce + sealed)
        path = self._directory / f"{transaction.name}{_REQUEST}"
        hold = None
        try:
            hold = Hold(os.open(temporary, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
            # Locked before it is seen, so that nobody else is quicker.
            hold.lock()
            # Not over one that another association has written meanwhile: its lock would go.
            path.hardlink_to(temporary)
            self._sync_new(path)
        except BaseException as error:
            if hold is not None:
                hold.release()
            if isinstance(error, FileExistsError):
                return None
            raise
        finally:
            temporary.unlink()
        return hold

    def _create(self, content: bytes) -> Path:
        """A new file with this content, the content durable."""
        path = self._directory / f".{os.getpid()}-{next(_numbers)}"
        file = os.open(path, _NEW_FILE, 0o600)
        try:
            _write_all(file, content)
            self._medium.sync_data(file)
        except BaseException:
            path.unlink()
            raise
        finally:
            os.close(file)
        return path

    def _sync_new(self, path: Path) -> None:
        """Make a name durable, or take it back: what was refused must not be reported on."""
        try:
            self._sync_names()
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise

    def _sync_names(self) -> None:
        directory = os.open(self._directory, _DIRECTORY)
        try:
            self._medium.sync_names((directory,))
        finally:
            os.close(directory)


def _write_all(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        written = os.write(file, rest)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rest = rest[written:]
