"""Which of several objects has the name that all of them ask for: the first of the input.

The spool gives a name to whoever comes first, and a variant of it to the next. With
several processes that would depend on who was quicker. Told in the order of the input
what became of each object, this exchanges names where the wrong one was quicker. It
does so when all work has ended, and by links and renames: a name never stands for less
than a whole object.
"""

import hashlib
import os
from collections import OrderedDict
from pathlib import Path, PurePosixPath
from typing import Final

from dicomanon_node.spool.incoming import Committed

_MARK: Final = "~"  # `placement`: <stem>~<digits>.dcm
_DIGITS: Final = 8


class Naming:
    """Gives names back to the first who asked for them.

    Args:
        output: The tree the paths are relative to.
        scratch: A directory in the same file system, made for this run.
        window: How many objects may be under way at a time, at most.
    """

    def __init__(self, output: Path, scratch: Path, window: int) -> None:
        self._output = output
        self._scratch = scratch
        self._window = window
        self._started_ns = scratch.stat().st_mtime_ns  # by the clock of the objects' files
        # By the name asked for: who came before the one that has it, as the input goes. None:
        # an object with the same bytes, so the name stands for the right ones.
        self._early: OrderedDict[PurePosixPath, Committed | None] = OrderedDict()
        self._exchanges: list[tuple[PurePosixPath, Committed]] = []

    def told(self, committed: Committed) -> None:
        """Take note of the next object of the input."""
        path = committed.outgoing_path
        if path is None:
            return
        if committed.is_variant:
            stem, _, _ = path.stem.rpartition(_MARK)
            self._note(path.with_name(stem + path.suffix), committed)
        elif committed.is_duplicate:
            self._note(path, None)
        else:
            early = self._early.pop(path, None)
            if early is not None:
                self._exchanges.append((path, early))

    def settle(self) -> None:
        """Exchange the names. Nobody may be writing any more.

        Raises:
            OSError: The output cannot be written; every object is still there.
        """
        while self._exchanges:
            self._exchange(*self._exchanges.pop())

    def _note(self, path: PurePosixPath, committed: Committed | None) -> None:
        self._early.setdefault(path, committed)
        # Whoever made the name was under way already, so is told of within the window.
        while len(self._early) > self._window:
            self._early.popitem(last=False)

    def _exchange(self, path: PurePosixPath, early: Committed) -> None:
        if early.outgoing_path is None:
            return
        name, variant = self._output / path, self._output / early.outgoing_path
        with name.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        beside = name.with_name(f"{name.stem}{_MARK}{digest[:_DIGITS]}{name.suffix}")
        if not beside.exists():  # else an earlier run's, of the same bytes
            os.link(name, beside)
        link = self._scratch / "exchange"
        link.unlink(missing_ok=True)
        os.link(variant, link)
        link.replace(name)
        if variant.stat().st_mtime_ns >= self._started_ns:  # else an earlier run's
            variant.unlink()
