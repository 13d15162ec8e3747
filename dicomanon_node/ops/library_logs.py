"""What other libraries log, reduced to who and how bad, never what.

pydicom puts values of the object into its warnings ("Invalid value for VR DA: ..."),
and exception texts of any library may hold one. So everything that goes to
`logging` or `warnings` ends here and becomes `library.message` with the logger's
name, the level and a count. There is no setting that lets the text through.
"""

import logging
import time
import warnings
from collections.abc import Callable

from dicomanon_node.ops import logs
from dicomanon_node.ops.silence import route_everything_to

_EVERY_S = 60.0
# Logger names come from code, so there are few; a library that makes them up must not
# fill the memory.
_MAX_SOURCES = 256
_OTHERS = "others"


class LibraryHandler(logging.Handler):
    """Counts records by logger and level; logs the first at once, then once a minute.

    `logging` serialises calls, so it may be used from many threads. `flush` logs what
    has been counted since; `logging` calls it when the process ends.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._log = logs.get()
        self._counts: dict[tuple[str, str], int] = {}
        self._next_at: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record. Its message and arguments are not looked at."""
        source = (record.name, record.levelname.lower())
        if source not in self._counts and len(self._counts) >= _MAX_SOURCES:
            source = (_OTHERS, source[1])
        self._counts[source] = self._counts.get(source, 0) + 1
        now = self._clock()
        if now >= self._next_at.get(source, now):
            self._next_at[source] = now + _EVERY_S
            self._report(source)

    def flush(self) -> None:
        """Log what was counted and not yet logged."""
        for source, count in list(self._counts.items()):
            if count:
                self._report(source)

    def _report(self, source: tuple[str, str]) -> None:
        count, self._counts[source] = self._counts[source], 0
        logger, level = source
        self._log.event("library.message", logger=logger, library_level=level, count=count)


def install() -> LibraryHandler:
    """Route every logger and every warning of this process to a `LibraryHandler`.

    To be called once, before other threads start; a forked process inherits it.
    """
    handler = LibraryHandler()
    route_everything_to(handler)
    logging.getLogger().setLevel(logging.WARNING)
    # With any other action but "ignore" Python remembers each different text for ever.
    warnings.simplefilter("always")
    for about_code in (DeprecationWarning, PendingDeprecationWarning, ImportWarning):
        warnings.simplefilter("ignore", about_code)
    warnings.simplefilter("ignore", ResourceWarning)
    return handler
