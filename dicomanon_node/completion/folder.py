"""The directory of a study: as much of an object's as does not depend on series or object.

Which part that is follows from the layout alone; nothing is looked at.
"""

import re
from typing import Final

_FIELD: Final = re.compile(r"\{([A-Za-z]+)\}")
_OF_A_STUDY: Final = frozenset({"study", "PatientID", "StudyInstanceUID"})


class StudyFolder:
    """Finds directories of studies. Immutable.

    Args:
        layout: The template of `storage.layout`, checked.
    """

    def __init__(self, layout: str) -> None:
        *directories, _ = layout.split("/")
        self._depth = len(directories)
        for depth, component in enumerate(directories):
            if not set(_FIELD.findall(component)) <= _OF_A_STUDY:
                self._depth = depth
                break

    def of(self, directory: str | None) -> str | None:
        """The study's directory for that of an object, relative to outgoing; "." is outgoing.

        Args:
            directory: The object's, relative to outgoing; None: not there.
        """
        if directory is None:
            return None
        parts = [part for part in directory.split("/") if part]
        return "/".join(parts[: self._depth]) or "."
