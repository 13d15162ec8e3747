"""The file `studylist`: one line for each study that is complete and in outgoing.

    data for subject <PatientName> with patient id <PatientID> is in directory <directory>

The form is that of the SPL's transfer procedure, whose users read it with their own
scripts. Name and id are those of the de-identified object, in its own words, with
control characters and backslashes escaped, so that a line is a line. A study of which more comes
goes from the list until it is complete again. The file is replaced as a whole or not at all.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import dcmread

from dicomanon_node.completion.folder import StudyFolder
from dicomanon_node.ledger.studies import OpenStudy, Studies
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.ops.judges import escape

REWRITE_S: Final = 600.0
"""How long a study that somebody took from outgoing stays on the list, seconds."""

_LOOK_S: Final = 1.0
_MODE: Final = 0o640
_HEAD_BYTES: Final = 1 << 20
_READING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITING: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def line(patient_name: str, patient_id: str, directory: Path) -> str:
    """A line of the file, without its end.

    Args:
        patient_name: New Patient's Name; without one the new Patient ID stands there.
        patient_id: New Patient ID.
        directory: Where the study is.
    """
    subject, number = escape(patient_name or patient_id), escape(patient_id)
    return (
        f"data for subject {subject} with patient id {number}"
        f" is in directory {escape(str(directory))}"
    )


class StudyList:
    """Keeps the file up to date. Not thread-safe.

    Args:
        path: The file.
        outgoing: The outgoing tree.
        folder: Finds directories of studies.
        studies: Which are complete.
        log: Told when the file cannot be written.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        path: Path,
        outgoing: Path,
        folder: StudyFolder,
        studies: Studies,
        log: TellEvent,
        clock: Callable[[], float],
    ) -> None:
        self._path = path
        self._outgoing = outgoing
        self._folder = folder
        self._studies = studies
        self._log = log
        self._clock = clock
        self._lines: dict[int, tuple[int, Path, str]] = {}
        self._mark: tuple[int, int] | None = None
        self._look_at = self._rewrite_at = float("-inf")
        self._is_broken = False

    def turn(self) -> None:
        """Rewrite the file, if other studies are complete, or some time has passed.

        Raises:
            SQLAlchemyError: The ledger does not work.
        """
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        mark = self._studies.mark()
        if mark == self._mark and now < self._rewrite_at:
            return
        try:
            self._write("".join(f"{text}\n" for text in self._collect()))
        except OSError as error:
            if not self._is_broken:  # once, not each second
                self._log.event("studylist.failed", error=error)
            self._is_broken = True
            return
        self._is_broken = False
        self._mark, self._rewrite_at = mark, now + REWRITE_S

    def _collect(self) -> list[str]:
        complete = self._studies.complete_now()
        known = {study.id for study in complete}
        self._lines = {id_: entry for id_, entry in self._lines.items() if id_ in known}
        found = []
        for study in complete:
            entry = self._lines.get(study.id)
            if entry is None or entry[0] != study.revision or not entry[1].is_dir():
                entry = self._entry(study)
            if entry is None:
                self._lines.pop(study.id, None)
                continue
            self._lines[study.id] = entry
            found.append(entry[2])
        return found

    def _entry(self, study: OpenStudy) -> tuple[int, Path, str] | None:
        for directory, name in self._studies.files_of(study):
            who = _read(self._outgoing / directory / name)
            if who is not None:
                where = self._outgoing / (self._folder.of(directory) or "")
                return study.revision, where, line(*who, where)
        return None  # nothing of it is there any more

    def _write(self, text: str) -> None:
        part = self._path.with_name(f".{self._path.name}.part")
        part.unlink(missing_ok=True)  # of a process that was killed
        file = os.open(part, _WRITING, _MODE)
        try:
            os.fchmod(file, _MODE)
            with os.fdopen(file, "wb") as stream:
                stream.write(text.encode("utf-8", "backslashreplace"))
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(self._path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _read(path: Path) -> tuple[str, str] | None:
    """Name and id of an object; None if it is not there, or is no object any more."""
    with suppress(OSError):
        file = os.open(path, _READING)
        try:
            if stat.S_ISREG(os.fstat(file).st_mode):
                with os.fdopen(os.dup(file), "rb") as stream:
                    return _two_elements(stream.read(_HEAD_BYTES))
        finally:
            os.close(file)
    return None


def _two_elements(head: bytes) -> tuple[str, str] | None:
    tags = ["SpecificCharacterSet", "PatientName", "PatientID"]
    try:
        # Until a tag behind those: pixel data would be cut.
        dataset = dcmread(BytesIO(head), stop_before_pixels=True, specific_tags=tags)
        return str(dataset.get("PatientName") or ""), str(dataset.get("PatientID") or "")
    except Exception:  # noqa: BLE001  (a file that somebody changed: the study is not listed)
        return None
