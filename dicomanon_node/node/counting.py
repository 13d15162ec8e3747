"""What the supervisor hears of instances: counts by study, and totals.

What came of a study is told when it goes quiet.
Nothing depends on it but the log and `status`: a fact that is missing makes a count too low.
"""

from dicomanon_node.node.status import Totals
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.ops.facts import FactChannel
from dicomanon_node.ops.studies import QuietStudy, StudyTracker


class Counting:
    """Takes the facts that receivers send.

    Args:
        facts: Where they come from.
        study_quiet_s: Seconds without a new instance after which a study is told of.
        log: Where it is told.

    Attributes:
        totals: Counts since the start.
    """

    def __init__(self, facts: FactChannel, study_quiet_s: float, log: TellEvent) -> None:
        self._facts = facts
        self._log = log
        self._studies = StudyTracker(study_quiet_s)
        self.totals = Totals()

    def take(self, now: float) -> None:
        """Count what has come.

        Args:
            now: Monotonic seconds.
        """
        for fact in self._facts.drain():
            self._studies.add(fact, now)
            self.totals.add(fact)
        dropped = self._facts.take_dropped()
        if dropped:
            self._log.event("facts.dropped", count=dropped)

    def tell_quiet(self, now: float) -> None:
        """Tell of studies of which nothing more has come for a while."""
        for quiet in self._studies.due(now):
            self._tell(quiet)

    def close(self) -> None:
        """Tell of all studies: the node ends."""
        for quiet in self._studies.close():
            self._tell(quiet)

    def _tell(self, quiet: QuietStudy) -> None:
        self._log.event(
            "study.quiet",
            study=quiet.study,
            study_uid=quiet.study_uid,
            series=quiet.series_count,
            instances=quiet.instance_count,
            duplicates=quiet.duplicate_count,
            refused=quiet.refused_count,
            bytes=quiet.bytes_count,
            seconds=quiet.seconds,
            calling_aet=quiet.calling_aet,
        )
