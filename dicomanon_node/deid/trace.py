"""What happened to each element of one object, for those who want to see it.

A `Trace` is filled while a `Deidentifier` works; without one nothing is recorded and
nothing is slower. It holds original values (PHI): it is for `explain`, never for a log.
"""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of an element."""

    KEPT = "kept"
    WALKED = "items looked into"
    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    GUARDED = "identifier found and removed"
    ADDED = "added"


# (tag, private creator, item number)
Node = tuple[int, str, int | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One element and what happened to it.

    Attributes:
        path: From the top level: tag, private creator ("" for standard elements) and item
            number of each sequence on the way (None for the element itself).
        vr: Its VR, as it was handled.
        source: The rule that decided, in words, without values.
        outcome: What became of it.
        original: Encoded value (PHI); b"" for sequences and for what was added.
        new: Encoded value as written; b"" where there is none.
        character_set: Specific Character Set of its data set, encoded.
    """

    path: tuple[Node, ...]
    vr: str
    source: str
    outcome: Outcome
    original: bytes
    new: bytes
    character_set: bytes

    @property
    def where(self) -> str:
        """The path as text: `(0008,1140)[0].(0008,1155)`; private elements by creator."""
        return ".".join(_node(*node) for node in self.path)


class Trace:
    """The steps of one object, in the order of its elements (PHI).

    Attributes:
        steps: What happened to each element.
        uids: UIDs that were replaced, by the original, both without padding.
        patients: Patient IDs that were replaced, by the original, encoded, without padding.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.uids: dict[bytes, bytes] = {}
        self.patients: dict[bytes, bytes] = {}
        self._inside: list[Node] = []

    def restart(self) -> None:
        """Forget the steps: the object is rewritten once more."""
        self.steps.clear()
        self._inside.clear()

    def enter(self, tag: int, creator: str, item: int) -> None:
        """An item of a sequence begins."""
        self._inside.append((tag, creator, item))

    def leave(self) -> Node:
        """It ends; returns the sequence and the item that were left."""
        return self._inside.pop()

    def note(
        self,
        tag: int,
        vr: str,
        source: str,
        outcome: Outcome,
        original: bytes = b"",
        new: bytes = b"",
        *,
        character_set: bytes = b"",
        creator: str = "",
    ) -> None:
        """What happened to the element with this tag in the item entered last."""
        path = (*self._inside, (tag, creator, None))
        self.steps.append(Step(path, vr, source, outcome, original, new, character_set))


def _node(tag: int, creator: str, item: int | None) -> str:
    group, number = tag >> 16, tag & 0xFFFF
    name = f"({group:04x},{number:04x})"
    if creator:
        name = f'({group:04x},"{creator}",{number & 0xFF:02x})'
    return name if item is None else f"{name}[{item}]"
