"""Pieces of Markdown: tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        cells = (str(cell).replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"


def fields(described: Mapping[str, str]) -> Iterator[str]:
    """A table of keys and their meanings."""
    yield from table(("key", "meaning"), [(f"`{key}`", said) for key, said in described.items()])
