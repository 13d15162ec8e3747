"""For commands that tell a person what happens: no events, and no library's messages.

pydicom and others put values of the object into their messages, and nobody is there who
would judge them; so nothing they say is kept.
"""

import logging
import warnings


class Silence:
    """Takes events like a log, and keeps none."""

    def event(self, name: str, /, **keys: object) -> None:
        """Forget an event."""


def keep_quiet() -> None:
    """Let no logger and no warning of this process say anything."""
    route_everything_to(logging.NullHandler())
    warnings.simplefilter("ignore")


def route_everything_to(handler: logging.Handler) -> None:
    """Let a handler, and no other, have what loggers and warnings of this process say."""
    # If a handler fails, `logging` would print the record with its arguments.
    logging.raiseExceptions = False
    logging.lastResort = None
    root = logging.getLogger()
    root.handlers = [handler]
    for name in list(root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    logging.captureWarnings(capture=True)
