"""Reading back what was logged."""

import io
import json
from typing import Any


class Captured(io.StringIO):
    """A stream that remembers the lines written to it."""

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines, read by an independent JSON parser."""
        return [json.loads(line) for line in self.lines]
