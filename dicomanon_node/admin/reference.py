"""The reference of all metrics and API routes as Markdown, made from their declarations.

`docs/monitoring.md` holds it after a marker line; a test asserts that it is up to date.
To write it anew: `python -m dicomanon_node.admin.reference docs/monitoring.md`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dicomanon_node.admin import api, metrics
from dicomanon_node.ops.generated import made_anew

MARKER: Final = (
    "<!-- Below this line: made by `python -m dicomanon_node.admin.reference"
    " docs/monitoring.md` -->\n"
)


def render_markdown() -> str:
    """Two tables: the metrics, and the routes of the API."""
    return "\n".join(_lines())


def updated(document: str) -> str:
    """The document with everything after the marker made anew.

    Raises:
        ValueError: If the document has no marker line.
    """
    return made_anew(document, MARKER, render_markdown())


def _lines() -> Iterator[str]:
    yield from ("", "## Metrics", "", "| metric | kind | labels | meaning |", "|---|---|---|---|")
    for metric in metrics.DECLARED:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |"
    yield from ("", "## Routes", "", "| route | asked with | answers |", "|---|---|---|")
    for route in api.DECLARED:
        asked = ", ".join(f"`{each.name}`" for each in route.parameters)
        yield f"| `{route.method} {route.path}` | {asked} | {route.summary} |"
    yield f"| `GET {api.PREFIX}/openapi.json` |  | All of this as an OpenAPI 3.1 document |"
    yield "| `GET /metrics` |  | The metrics, as Prometheus reads them |"
    yield "| `GET /events` |  | Server-Sent Events: one when something has happened |"
    yield ""


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
