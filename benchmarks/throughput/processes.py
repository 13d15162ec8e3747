"""What a server and all its children use: processor time and memory, out of /proc.

Linux only. Says nothing of processes that left the tree; a child that ended and was
waited for is in its parent's figures.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_MIB: Final = 1024  # KiB


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a whole tree, MiB.

    Attributes:
        rss: Resident, shared pages counted in each process.
        pss: Resident, each shared page divided among those that share it.
    """

    rss: float
    pss: float


def tree(root: int) -> list[int]:
    """The process and all its descendants that live."""
    found = [root]
    for pid in found:
        found.extend(_children(pid))
    return found


def cpu_s(root: int) -> float:
    """Processor time of the tree since it began, seconds, ended children included."""
    ticks = 0
    for pid in tree(root):
        ticks += sum(map(int, _stat(pid)[11:15]))  # utime, stime, cutime, cstime (proc(5))
    return ticks / _TICKS_PER_S


def memory(root: int) -> Memory:
    """What the tree holds just now."""
    rss = pss = 0
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        sizes = {words[0]: int(words[1]) for words in map(str.split, lines[1:])}
        rss += sizes.get("Rss:", 0)
        pss += sizes.get("Pss:", 0)
    return Memory(rss / _MIB, pss / _MIB)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        pass
    return found


def _stat(pid: int) -> Sequence[str]:
    # The fields after the name, which may hold spaces and brackets itself.
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 50
