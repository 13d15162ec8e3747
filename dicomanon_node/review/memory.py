"""What has to be remembered of a pair while it is judged.

Which identities must not be found in the output's bytes, whether dates stayed or moved,
and what the whole set has to know. Judges nothing.
"""

from typing import Final

from dicomanon_node.deid.decisions import Change, Decision
from dicomanon_node.deid.identity import SOURCE_TAGS
from dicomanon_node.deid.plan import Plan
from dicomanon_node.review import checks
from dicomanon_node.review.checks import Pair, Subject
from dicomanon_node.review.reading import Element, Item
from dicomanon_node.review.residue import Residue, identifies
from dicomanon_node.review.setwide import SetWide

# Changes that leave of a text what identifies nobody.
CLEANING: Final = frozenset((Change.CLEAN_TEXT, Change.CLEAN_UNLISTED))
_EQUIPMENT: Final = frozenset((0x00080070, 0x00081090))  # Manufacturer, its Model Name


class Memory:
    """Of one pair (PHI).

    Attributes:
        residue: What must not be found in the output's bytes.
        keeps_dates: A date of the original is in the output.
        shifts_dates: A shifted one is.

    Args:
        plan: The rules.
        whole: What is remembered of the whole set; None if the pair is only tried.
    """

    def __init__(self, plan: Plan, whole: SetWide | None) -> None:
        self._plan, self._whole = plan, whole
        self.residue = Residue()
        self.keeps_dates = self.shifts_dates = False
        for rule in (*plan.rules.tags.values(), *plan.rules.private_tags.values()):
            self.residue.excuse_text(rule.value or "")

    def remember(self, old: Element, item: Item, decision: Decision) -> None:
        """An element of the original, and what is done with it."""
        if old.items is not None:
            return
        goes = decision.removes and decision.change not in CLEANING
        if identifies(old) and goes:
            self.residue.add(old, item.character_set)
        elif identifies(old) or (not decision.removes and _may_repeat_one(old)):
            self.residue.excuse(old, item.character_set)
        if old.vr == "UI":
            goes = decision.removes and decision.change is not Change.CLASS_UID
            for uid in checks.uids(old):
                (self.residue.add_uid if goes else self.residue.keep_uid)(uid)

    def forget(self, items: tuple[Item, ...]) -> None:
        """Items that go: nothing of them may be found any more."""
        for item in items:
            for _, leaf, holder in item.leaves():
                if identifies(leaf):
                    self.residue.add(leaf, holder.character_set)

    def note_date(self, pair: Pair) -> None:
        """An element that stays: it may be a date."""
        if pair.old.vr in ("DA", "DT") and pair.new.length:
            self.keeps_dates = True

    def note_change(self, pair: Pair, decision: Decision, subject: Subject) -> None:
        """An element that was changed."""
        if decision.change is Change.SHIFT_DATE:
            if pair.old.value.strip(b" \0"):
                self.shifts_dates = True
            if self._whole is not None and decision.rule is None:
                self._whole.shift(self._plan, subject.scope, pair)
        if self._whole is not None and decision.change is Change.UID:
            salt = decision.rule.salt if decision.rule is not None else None
            scope = self._plan.pseudonyms.scope if salt is None else salt
            for old, new in zip(checks.uids(pair.old), checks.uids(pair.new), strict=False):
                self._whole.uid(scope, old, new)


def _may_repeat_one(old: Element) -> bool:
    # Kept on purpose: a date may be the birth date, a model may have somebody's name.
    return old.vr in ("DA", "DT") or old.tag in _EQUIPMENT or old.tag in SOURCE_TAGS
