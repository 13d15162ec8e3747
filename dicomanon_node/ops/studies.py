"""Counts by study: what has come of each study, told when no more comes.

Pure: it is given facts and the time, and knows no clock, socket or log. Not
thread-safe. Nothing depends on it but the log: a fact that is missing makes a count
too low.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

# Above this the study that has been quiet longest is closed early. A study's entry
# takes about 1 kB, a series' about 200 bytes.
MAX_OPEN_STUDIES = 4096
MAX_OPEN_SERIES = 65_536


class InstanceFact(NamedTuple):
    """What became of one instance. Holds no value of the original object.

    Attributes:
        study: The configured study, None if none was found.
        study_uid: New Study Instance UID, None if the instance was refused before there
            was one.
        series_uid: New Series Instance UID, likewise.
        calling_aet: The requestor's AE title (its text: judge before logging).
        bytes_count: Encoded data set, bytes.
        is_stored: Whether it was answered 0000H.
        is_duplicate: Whether the very same object had been stored before.
    """

    study: str | None
    study_uid: str | None
    series_uid: str | None
    calling_aet: str
    bytes_count: int
    is_stored: bool
    is_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class QuietStudy:
    """What came of a study until it went quiet.

    Attributes:
        study: As in `InstanceFact`.
        study_uid: As in `InstanceFact`; None for refusals that belong to no known study.
        calling_aet: AE title that sent the first of it.
        series_count: Different series with a stored instance.
        instance_count: Instances stored, duplicates not counted.
        duplicate_count: Instances that came once more.
        refused_count: Instances refused.
        bytes_count: Data sets received, stored or not, bytes.
        seconds: From the first fact to the last.
    """

    study: str | None
    study_uid: str | None
    calling_aet: str
    series_count: int
    instance_count: int
    duplicate_count: int
    refused_count: int
    bytes_count: int
    seconds: float


@dataclass(slots=True)
class _OpenStudy:
    study: str | None
    study_uid: str | None
    calling_aet: str
    first_s: float
    last_s: float
    instance_count: int = 0
    duplicate_count: int = 0
    refused_count: int = 0
    bytes_count: int = 0
    series: set[str] = field(default_factory=set)

    def summary(self) -> QuietStudy:
        return QuietStudy(
            study=self.study,
            study_uid=self.study_uid,
            calling_aet=self.calling_aet,
            series_count=len(self.series),
            instance_count=self.instance_count,
            duplicate_count=self.duplicate_count,
            refused_count=self.refused_count,
            bytes_count=self.bytes_count,
            seconds=self.last_s - self.first_s,
        )


class StudyTracker:
    """Counts what comes of each study until it is quiet.

    Refusals without a study UID are counted by study and calling AE title instead.
    Memory is bounded: above `max_studies` or `max_series` the study that has been quiet
    longest is told early, and counted anew if more of it comes.

    Args:
        quiet_s: Seconds without a fact after which a study is quiet.
        max_studies: Most studies open at a time.
        max_series: Most series of all open studies.
    """

    def __init__(
        self,
        quiet_s: float,
        max_studies: int = MAX_OPEN_STUDIES,
        max_series: int = MAX_OPEN_SERIES,
    ) -> None:
        self._quiet_s = quiet_s
        self._max_studies = max_studies
        self._max_series = max_series
        # In the order of the last fact, the quietest first.
        self._open: OrderedDict[tuple[str | None, str], _OpenStudy] = OrderedDict()
        self._series_count = 0
        self._closed_early: list[QuietStudy] = []

    def add(self, fact: InstanceFact, now: float) -> None:
        """Count a fact.

        Args:
            fact: What became of an instance.
            now: Seconds, monotonic.
        """
        key = (fact.study, fact.study_uid or f"from {fact.calling_aet}")
        study = self._open.get(key)
        if study is None:
            study = _OpenStudy(fact.study, fact.study_uid, fact.calling_aet, now, now)
            self._open[key] = study
        else:
            self._open.move_to_end(key)
        study.last_s = now
        study.bytes_count += fact.bytes_count
        if not fact.is_stored:
            study.refused_count += 1
        elif fact.is_duplicate:
            study.duplicate_count += 1
        else:
            study.instance_count += 1
        if fact.is_stored and fact.series_uid and fact.series_uid not in study.series:
            study.series.add(fact.series_uid)
            self._series_count += 1
        while len(self._open) > self._max_studies or self._series_count > self._max_series:
            self._closed_early.append(self._close_quietest())

    def due(self, now: float) -> list[QuietStudy]:
        """The studies that have gone quiet, the quietest first. Each is told once.

        Args:
            now: Seconds, monotonic.
        """
        quiet, self._closed_early = self._closed_early, []
        while self._open and now - next(iter(self._open.values())).last_s >= self._quiet_s:
            quiet.append(self._close_quietest())
        return quiet

    def close(self) -> list[QuietStudy]:
        """All open studies, quiet or not: the node stops."""
        quiet, self._closed_early = self._closed_early, []
        while self._open:
            quiet.append(self._close_quietest())
        return quiet

    def _close_quietest(self) -> QuietStudy:
        _, study = self._open.popitem(last=False)
        self._series_count -= len(study.series)
        return study.summary()
