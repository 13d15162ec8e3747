"""What must hold over a whole set: UIDs map one to one, dates move together.

Holds each UID once and each patient's shifts; nothing else of an object.
"""

from collections.abc import Iterator
from datetime import date

from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.pseudonyms import is_standard_uid
from dicomanon_node.review.checks import Pair


class SetWide:
    """What has been seen of all pairs so far (PHI).

    Args:
        originals: SOP Instance UIDs of the originals.
        outputs: Those of the outputs.
    """

    def __init__(self, originals: frozenset[bytes], outputs: frozenset[bytes]) -> None:
        self._originals, self._outputs = originals, outputs
        self._new: dict[tuple[str, bytes], bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._shifts: dict[tuple[str, bytes], set[int]] = {}
        self._torn_uids: set[bytes] = set()
        self._shared_uids: set[bytes] = set()
        self._dangling: set[bytes] = set()
        self.reference_count = 0

    def uid(self, scope: str, old: bytes, new: bytes) -> None:
        """A UID and its replacement."""
        if not old or is_standard_uid(old):
            return
        if self._new.setdefault((scope, old), new) != new:
            self._torn_uids.add(old)
        if self._old.setdefault(new, old) != old:
            self._shared_uids.add(new)
        if old in self._originals:
            self.reference_count += 1
            if new not in self._outputs:
                self._dangling.add(new)

    def shift(self, plan: Plan, scope: bytes, pair: Pair) -> None:
        """A date and what it became."""
        shifts = self._shifts.setdefault((plan.rules.name, scope), set())
        texts = (each.value.decode("latin-1").split("\\") for each in (pair.old, pair.new))
        for old, new in zip(*texts, strict=False):
            days = _days(old, new)
            if days is not None:
                shifts.add(days)

    def verdicts(self) -> Iterator[tuple[str, int, int, str]]:
        """(demand, counted, at fault, what is wrong) for each thing that must hold."""
        yield (
            "the same UID becomes the same UID",
            len(self._new),
            len(self._torn_uids),
            "one UID became several",
        )
        yield (
            "different UIDs become different UIDs",
            len(self._old),
            len(self._shared_uids),
            "several UIDs became one",
        )
        yield (
            "references lead to objects of the set",
            self.reference_count,
            len(self._dangling),
            "an object that is referred to has no output",
        )
        yield (
            "all dates of a patient move by the same days",
            len(self._shifts),
            sum(len(shifts) > 1 for shifts in self._shifts.values()),
            "a patient's dates moved apart",
        )


def _days(old: str, new: str) -> int | None:
    # Whole dates only: of a year alone nobody can tell the days.
    try:
        before, after = (
            date(int(text[:4]), int(text[4:6]), int(text[6:8]))
            for text in (old.strip(" \0").replace(".", "", 2), new.strip(" \0"))
        )
    except ValueError:
        return None
    return (after - before).days
