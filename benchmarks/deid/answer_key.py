"""The answer key: every check of every planted file, in MIDI-B's SQLite form.

Table `answer_data`, one row an instance; its `AnswerData` is a JSON object of checks with
MIDI-B's keys, strings wrapped in `<...>`, and `site`, which says what kind of place it is.
The checks themselves are made in `checks`.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

_CREATE = """
CREATE TABLE answer_data (
    "index" INTEGER PRIMARY KEY, "group" TEXT, Modality TEXT, SOPClassUID TEXT, PatientID TEXT,
    StudyInstanceUID TEXT, SeriesInstanceUID TEXT, SOPInstanceUID TEXT, Digest TEXT,
    AnswerData TEXT
)
"""
_INSERT = "INSERT INTO answer_data VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# What MIDI-B's key does not say: how to find an output again, and where it is from.
_CREATE_SOURCES = "CREATE TABLE planted (SOPInstanceUID TEXT, InstanceNumber TEXT, Source TEXT)"
_INSERT_SOURCE = "INSERT INTO planted VALUES (?, ?, ?)"
_SELECT = """
SELECT answer_data.*, planted.InstanceNumber, planted.Source
FROM answer_data JOIN planted USING (SOPInstanceUID) ORDER BY "index"
"""


class Action(StrEnum):
    """What a check asks for: MIDI-B's ten, and one of our own."""

    TAG_RETAINED = "tag_retained"
    TEXT_NOTNULL = "text_notnull"
    TEXT_RETAINED = "text_retained"
    TEXT_REMOVED = "text_removed"
    DATE_SHIFTED = "date_shifted"
    UID_CHANGED = "uid_changed"
    UID_CONSISTENT = "uid_consistent"
    PATID_CONSISTENT = "patid_consistent"
    PIXELS_RETAINED = "pixels_retained"
    PIXELS_HIDDEN = "pixels_hidden"
    BYTES_ABSENT = "bytes_absent"


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        action: What is asked for.
        tag_ds: Path of the element, "" for the whole file.
        tag: Tag of the element, "" for the whole file.
        tag_name: Its name.
        value: What was planted.
        action_text: What must be there, or must not.
        answer_category: HIPAA letter, DICOM or TCIA rule behind it.
        site: What kind of place it is.
        scope: MIDI-B's: which objects it applies to.
    """

    action: Action
    tag_ds: str
    tag: str
    tag_name: str
    value: str
    action_text: str
    answer_category: str
    site: str
    scope: str = "Instance"


_KEYS = tuple(field.name for field in fields(Check))


@dataclass(frozen=True, slots=True)
class Answers:
    """The checks of one instance.

    Attributes:
        group: Where the vendor file is from.
        number: Instance Number, unique in a run; not part of MIDI-B's key.
        source: The vendor file; not part of MIDI-B's key.
        digest: MD5 of the pixel data, "" without.
        checks: What is checked.
    """

    group: str
    modality: str
    sop_class_uid: str
    patient_id: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    digest: str
    number: int
    source: str
    checks: tuple[Check, ...]


def write(path: Path, answers: Iterable[Answers]) -> None:
    """Write an answer key."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(_CREATE)
        database.execute(_CREATE_SOURCES)
        for index, answer in enumerate(answers):
            data = {str(number): _wrapped(check) for number, check in enumerate(answer.checks)}
            uid = answer.sop_instance_uid
            database.execute(_INSERT_SOURCE, (uid, str(answer.number), answer.source))
            database.execute(
                _INSERT,
                (
                    index,
                    answer.group,
                    answer.modality,
                    answer.sop_class_uid,
                    answer.patient_id,
                    answer.study_uid,
                    answer.series_uid,
                    uid,
                    answer.digest,
                    json.dumps(data, ensure_ascii=False),
                ),
            )


def read(path: Path) -> Iterator[Answers]:
    """Read an answer key."""
    with closing(sqlite3.connect(path)) as database:
        for row in database.execute(_SELECT):
            group, modality, sop_class, patient, study, series, instance, digest = row[1:9]
            data, number, source = row[9:]
            checks = tuple(_unwrapped(check) for check in json.loads(data).values())
            yield Answers(
                group=group,
                modality=modality,
                sop_class_uid=sop_class,
                patient_id=patient,
                study_uid=study,
                series_uid=series,
                sop_instance_uid=instance,
                digest=digest,
                number=int(number),
                source=source,
                checks=checks,
            )


def _wrapped(check: Check) -> dict[str, str]:
    # A path is made of `<...>` already.
    return {
        name: check.tag_ds if name == "tag_ds" else f"<{getattr(check, name)}>" for name in _KEYS
    }


def _unwrapped(data: dict[str, str]) -> Check:
    values = {name: data[name][1:-1] for name in _KEYS}
    values["tag_ds"] = data["tag_ds"]
    return Check(**(values | {"action": Action(values["action"])}))  # type: ignore[arg-type]  # what JSON says, checked by Check
