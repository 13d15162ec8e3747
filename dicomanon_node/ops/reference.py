"""The reference of all log events as Markdown, made from their declarations.

`docs/logs.md` holds it after a marker line; a test asserts that it is up to date.
To write it anew: `python -m dicomanon_node.ops.reference docs/logs.md`.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from dicomanon_node.ops.events import EVENTS
from dicomanon_node.ops.generated import made_anew
from dicomanon_node.ops.keys import Key

MARKER = "<!-- Below this line: made by `python -m dicomanon_node.ops.reference docs/logs.md` -->\n"


def render_markdown() -> str:
    """Two tables: the events with their keys, the keys with their forms."""
    events = [
        f"| `{event.name}` | {event.level.word} | {event.meaning} | "
        f"{', '.join(f'`{key.name}`' for key in event.keys)} |"
        for event in EVENTS.values()
    ]
    keys = [
        f"| `{key.name}` | {key.judge.kind} | {key.unit} | {key.meaning} | {key.judge.form} |"
        for key in _keys()
    ]
    return "\n".join(
        (
            "",
            "## Events",
            "",
            "| event | level | meaning | keys |",
            "|---|---|---|---|",
            *events,
            "",
            "## Keys",
            "",
            "A value that is not of its form is written as `invalid`.",
            "",
            "| key | type | unit | meaning | form |",
            "|---|---|---|---|---|",
            *keys,
            "",
        )
    )


def updated(document: str) -> str:
    """The document with everything after the marker made anew.

    Raises:
        ValueError: If the document has no marker line.
    """
    return made_anew(document, MARKER, render_markdown())


def _keys() -> Iterable[Key]:
    """Every key once, in the order of first use."""
    return {key.name: key for event in EVENTS.values() for key in event.keys}.values()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
