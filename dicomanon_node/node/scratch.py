"""A hidden directory in the output of a batch, for what is not complete yet.

It lies beside the objects themselves, because links need one file system. Whoever has
it holds a lock that ends with the last of its processes, so the next run can tell what
a killed one left behind and removes it. Only directories with names of ours are looked at.
"""

import fcntl
import os
import re
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_PREFIX: Final = ".dicomanon-"
_NAME: Final = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}")  # as tempfile makes them
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scratch:
    """Made and locked when entered, removed at the end.

    Args:
        output: The directory to make it in.

    Raises:
        OSError: By entering: `output` cannot be written.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._resources = ExitStack()
        self.path = output

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # One at a time, so that no other run finds ours before it is locked.
            output = os.open(self._output, _DIRECTORY & ~os.O_NOFOLLOW)
            try:
                fcntl.flock(output, fcntl.LOCK_EX)
                self._remove_leftovers()
                self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._output))
                stack.callback(shutil.rmtree, self.path, ignore_errors=True)
                stack.callback(os.close, _locked(self.path))
            finally:
                os.close(output)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()

    def _remove_leftovers(self) -> None:
        for path in self._output.iterdir():
            if _NAME.fullmatch(path.name):
                try:
                    lock = _locked(path)
                except OSError:  # in use; or a file, a link, somebody else's
                    continue
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _locked(directory: Path) -> int:
    """A descriptor that holds the directory's lock.

    Raises:
        OSError: Another process holds it, or this is no directory of ours.
    """
    descriptor = os.open(directory, _DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
