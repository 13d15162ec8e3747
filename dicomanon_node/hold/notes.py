"""What commands did to the hold, left for the node's log: one small file a note.

A command has no log of its own that anybody keeps. It leaves a note in notes/, durable
before it does what the note says; the keeper of the node (`node.keeping`) writes the
event and removes the note. A note has declared events and keys only, and the log judges
their values.
"""

import json
import os
import secrets
import time
from typing import Any, Final

from dicomanon_node.hold.area import Area
from dicomanon_node.ops.events import EVENTS, TellEvent
from dicomanon_node.spool import preparation

_SUFFIX: Final = ".json"
_MAX_BYTES: Final = 16_384
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Notes:
    """Leaves and tells notes. Several processes may leave them.

    Args:
        area: The hold.
    """

    def __init__(self, area: Area) -> None:
        self._area = area

    def event(self, name: str, /, **keys: object) -> None:
        """Leave a note; durable when this returns.

        Args:
            name: A declared event.
            keys: Its keys; what is no number, text or truth value is left out.

        Raises:
            OSError: It cannot be written: what it speaks of must not be done.
        """
        declared = EVENTS[name]
        said = {
            key: value
            for key, value in keys.items()
            if key in declared.key_names and isinstance(value, str | int | float)
        }
        stem = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        part = self._area.notes / f"{stem}.part"
        file = os.open(part, _NEW_FILE, preparation.SPOOL_FILE_MODE)
        try:
            with os.fdopen(file, "w", encoding="ascii") as stream:
                json.dump({"event": name, "keys": said}, stream)
                stream.flush()
                self._area.medium.sync_data(stream.fileno())
            part.rename(self._area.notes / f"{stem}{_SUFFIX}")
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        self._area.sync_names(self._area.notes)

    def tell(self, log: TellEvent) -> None:
        """Write what was left to the log, oldest first, and remove it.

        Raises:
            OSError: The directory cannot be read or written.
        """
        found = [path for path in self._area.notes.iterdir() if path.name.endswith(_SUFFIX)]
        for path in sorted(found):
            with path.open("rb") as file:
                note = _read(file.read(_MAX_BYTES))
            if note is not None:
                log.event(note[0], **note[1])
            path.unlink(missing_ok=True)


def _read(data: bytes) -> tuple[str, dict[str, Any]] | None:
    try:
        note = json.loads(data)
        name, keys = note["event"], dict(note["keys"])
    except (ValueError, KeyError, TypeError):
        return None
    if name not in EVENTS or not keys.keys() <= EVENTS[name].key_names:
        return None
    return name, keys
