"""What the readers of makers' formats raise."""


class UnreadableError(ValueError):
    """A value that claims a maker's format and does not follow it: it cannot be judged."""
