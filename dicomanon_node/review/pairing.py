"""Which output came of which original: by SOP Instance UID, through key and rules.

Nothing is opened here; who asks has read the UIDs. Several originals may hold the same
instance, alike or in variants; then the pairing that has the fewest faults is the one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dicomanon_node.deid.decisions import Change, Verb
from dicomanon_node.deid.plan import Plan

_SOP_INSTANCE_UID = 0x00080018


@dataclass(slots=True)
class Index:
    """The files of a set by the SOP Instance UID that their outputs have.

    Attributes:
        originals: Originals by the UID that their output is to have.
        outputs: Outputs by their UID.
        uids: SOP Instance UIDs of the originals (PHI).
    """

    originals: dict[bytes, list[Path]] = field(default_factory=dict)
    outputs: dict[bytes, list[Path]] = field(default_factory=dict)
    uids: set[bytes] = field(default_factory=set)

    def add_original(self, path: Path, uid: bytes, plan: Plan) -> None:
        """An original, with its SOP Instance UID and the rules of its study."""
        self.uids.add(uid)
        self.originals.setdefault(expected_uid(uid, plan), []).append(path)

    def add_output(self, path: Path, uid: bytes) -> None:
        """An output, with its SOP Instance UID."""
        self.outputs.setdefault(uid, []).append(path)

    def without_original(self) -> Iterator[Path]:
        """Outputs that came of none of the originals."""
        for uid, paths in self.outputs.items():
            if uid not in self.originals:
                yield from paths

    def groups(self) -> Iterator[tuple[list[Path], list[Path]]]:
        """Originals that are the same instance, and their outputs."""
        for uid, paths in self.originals.items():
            yield paths, self.outputs.get(uid, [])


def expected_uid(uid: bytes, plan: Plan) -> bytes:
    """The SOP Instance UID that an original's output has under the rules of its study."""
    decision = plan.decide(_SOP_INSTANCE_UID, "UI")
    if decision.verb is Verb.CHANGE and decision.change is Change.UID:
        salt = decision.rule.salt if decision.rule is not None else None
        return plan.pseudonyms.uid(uid, salt)
    return uid


@dataclass(frozen=True, slots=True)
class Matched:
    """A group of the same instance, taken apart.

    Attributes:
        pairs: (original, output).
        again: Originals that came to the same output as another one.
        missing: Originals without an output.
        foreign: Outputs without an original.
    """

    pairs: list[tuple[Path, Path]]
    again: list[Path]
    missing: list[Path]
    foreign: list[Path]


def match(
    originals: list[Path], outputs: list[Path], count_faults: Callable[[Path, Path], int]
) -> Matched:
    """Take a group apart.

    Args:
        originals: Originals that are the same instance.
        outputs: Outputs with its new UID.
        count_faults: How many faults a pair has; only asked where there is a choice.
    """
    if len(originals) == 1 and len(outputs) == 1:
        return Matched([(originals[0], outputs[0])], [], [], [])
    faults: Mapping[tuple[Path, Path], int] = {
        (original, output): count_faults(original, output)
        for original in originals
        for output in outputs
    }
    pairs: list[tuple[Path, Path]] = []
    free, unpaired = list(outputs), list(originals)
    for pair in sorted(faults, key=lambda each: (faults[each], each)):
        if pair[0] in unpaired and pair[1] in free:
            pairs.append(pair)
            unpaired.remove(pair[0])
            free.remove(pair[1])
    again = [path for path in unpaired if any(not faults[path, each] for each in outputs)]
    missing = [path for path in unpaired if path not in again]
    return Matched(pairs, again, missing, free)
