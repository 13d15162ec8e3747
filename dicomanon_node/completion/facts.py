"""What is told of a complete study: one JSON document, the same to every channel.

New identifiers, counts, names of the configuration and the directory, which is made of
de-identified values. No value of an original, no AE title, no file name.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from dicomanon_node.completion.folder import StudyFolder
from dicomanon_node.ledger.studies import Completed

EVENT: Final = "study.completed"
VERSION: Final = 1
"""Of the document. Keys may be added to a version; nothing else changes in it."""


def describer(folder: StudyFolder) -> Callable[[Completed], Mapping[str, object]]:
    """Make the function that describes completions.

    Args:
        folder: Finds the directory of a study.
    """

    def describe(completed: Completed) -> Mapping[str, object]:
        return {
            "event": EVENT,
            "version": VERSION,
            "id": f"{completed.study_uid}/{completed.revision}",
            "time": datetime.fromtimestamp(completed.at / 1_000_000, UTC).isoformat(),
            "revision": completed.revision,
            "is_changed": completed.revision > 1,
            "study": completed.study,
            "study_uid": completed.study_uid,
            "instances": completed.instances,
            "bytes": completed.bytes_count,
            "directory": folder.of(completed.directory),
            "series": [
                {
                    "series_uid": entry.series_uid,
                    "instances": entry.instances,
                    "bytes": entry.bytes_count,
                }
                for entry in completed.series
            ],
            "destinations": [
                {
                    "name": entry.name,
                    "queued": entry.queued,
                    "delivered": entry.delivered,
                    "failed": entry.failed,
                }
                for entry in completed.destinations
            ],
        }

    return describe
