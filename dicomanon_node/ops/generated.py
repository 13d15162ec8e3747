"""Documents of which the part below a marker line is made by this program."""


def made_anew(document: str, marker: str, made: str) -> str:
    """The document with everything after the marker line replaced.

    Args:
        document: Its text.
        marker: The line, its line break at the end.
        made: What is to stand below it.

    Raises:
        ValueError: The document has no marker line.
    """
    introduction, found, _ = document.partition(marker)
    if not found:
        raise ValueError("the document has no marker line")
    return introduction + found + made
