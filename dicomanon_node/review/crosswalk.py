"""Which new UID and Patient ID stands for which old one: MIDI-B's two CSV files.

    uid_mapping.csv, patid_mapping.csv: id_old,id_new

Whoever has them can undo the de-identification, so the directory is the user's alone
(0700, files 0600). Each pair is there once, sorted; what an earlier run wrote stays. The
values are exact, for a machine to read: nothing is put before an ID that begins with `=`,
so a spreadsheet must be told to read the columns as text.

Files are replaced as a whole, at the start (so that a run that cannot write does
nothing) and at the end. After a kill between the two, the same run again completes them.
"""

import csv
import fcntl
import io
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from dicomanon_node.deid import charset
from dicomanon_node.deid.trace import Outcome, Step, Trace
from dicomanon_node.errors import ConfigError, NodeError, Problem

UID_FILE: Final = "uid_mapping.csv"
PATIENT_FILE: Final = "patid_mapping.csv"
HEADER: Final = ("id_old", "id_new")

_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_PATIENT_ID: Final = 0x00100020
_PADDING: Final = " \0"
_REPLACED: Final = (Outcome.REPLACED, Outcome.GUARDED)

Pair = tuple[str, str]


class UnwrittenError(NodeError):
    """The files cannot be written; those that were there stay. Its text says why."""


class Crosswalk:
    """The pairs of a run and of those before it (PHI). One run at a time has it open.

    Args:
        directory: Where the files are; made if it is missing.

    Raises:
        ConfigError: The directory is open to others or in use, or a file in it is not ours.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = self._open()
        try:
            self._uids = self._read(UID_FILE)
            self._patients = self._read(PATIENT_FILE)
            self.write()
        except UnwrittenError as error:
            self.close()
            raise self._problem(f"cannot be written: {error}") from None
        except BaseException:
            self.close()
            raise

    def add(self, trace: Trace, character_set: bytes) -> None:
        """Add what was replaced in an object.

        Args:
            trace: What happened to it.
            character_set: Specific Character Set of the object, encoded.
        """
        self._uids |= {(_ascii(old), _ascii(new)) for old, new in trace.uids.items()}
        patients = {_text(old, character_set): _ascii(new) for old, new in trace.patients.items()}
        self._patients |= patients.items()
        # A study's own rule may replace either by other means.
        for step in trace.steps:
            if step.outcome in _REPLACED:
                if step.vr == "UI":
                    self._uids |= set(_uid_pairs(step))
                elif step.path[-1][0] == _PATIENT_ID:
                    self._patients |= set(_patient_pairs(step))

    @property
    def ambiguous_count(self) -> int:
        """Old IDs that became several new ones: other keys, or studies of other RandomSeeds."""
        pairs = (self._uids, self._patients)
        return sum(len(found) - len({old for old, _ in found}) for found in pairs)

    @property
    def counts(self) -> tuple[int, int]:
        """Pairs of UIDs and of Patient IDs."""
        return len(self._uids), len(self._patients)

    def write(self) -> None:
        """Make both files what is known, durably.

        Raises:
            UnwrittenError: They cannot be written.
        """
        try:
            for name, pairs in ((UID_FILE, self._uids), (PATIENT_FILE, self._patients)):
                self._replace(name, pairs)
            os.fsync(self._descriptor)
        except OSError as error:
            raise UnwrittenError(error.strerror or "input/output error") from None

    def close(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)

    def _open(self) -> int:
        try:
            if not self._directory.exists():
                self._directory.mkdir(mode=_DIRECTORY_MODE, parents=True)
                self._directory.chmod(_DIRECTORY_MODE)  # whatever the umask
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._problem(f"cannot be used: {error.strerror}") from None
        try:
            self._refuse_open(os.fstat(descriptor).st_mode)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise self._problem("is in use by another run") from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _refuse_open(self, mode: int) -> None:
        if mode & _OTHERS:
            raise self._problem(
                f"is open to other users (mode {stat.S_IMODE(mode):04o}), and what is to be in it"
                " re-identifies: chmod 700 it, or name a directory that is not there yet"
            )

    def _read(self, name: str) -> set[Pair]:
        path = self._directory / name
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = [tuple(row) for row in csv.reader(file)]
        except FileNotFoundError:
            return set()
        except (OSError, ValueError, csv.Error):
            rows = []
        pairs = {(row[0], row[1]) for row in rows if len(row) == len(HEADER)}
        if not rows or rows[0] != HEADER or len(pairs) != len(rows):
            raise self._problem(f"{name} in it is not a crosswalk that was written here")
        return pairs - {HEADER}

    def _replace(self, name: str, pairs: set[Pair]) -> None:
        content = io.StringIO(newline="")
        writer = csv.writer(content, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(sorted(pairs))
        part = f".{name}.{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(part, flags, _FILE_MODE, dir_fd=self._descriptor)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.getvalue().encode("utf-8"))
                file.flush()
                os.fsync(descriptor)
            os.replace(part, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=self._descriptor)
            raise

    def _problem(self, why: str) -> ConfigError:
        return ConfigError(Problem("--crosswalk", "", f"{self._directory} {why}"))


def _uid_pairs(step: Step) -> Iterator[Pair]:
    olds, news = step.original.split(b"\\"), step.new.split(b"\\")
    if len(olds) == len(news):
        yield from _changed(map(_ascii, olds), map(_ascii, news))


def _patient_pairs(step: Step) -> Iterator[Pair]:
    old, new = (_text(raw, step.character_set) for raw in (step.original, step.new))
    yield from _changed([old], [new])


def _changed(olds: Iterable[str], news: Iterable[str]) -> Iterator[Pair]:
    return ((old, new) for old, new in zip(olds, news, strict=True) if old and new and old != new)


def _ascii(raw: bytes) -> str:
    return raw.decode("ascii", "backslashreplace").strip(_PADDING)


def _text(raw: bytes, character_set: bytes) -> str:
    return charset.decode(raw, character_set).strip(_PADDING)
