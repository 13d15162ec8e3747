"""Documents taken apart: fenced blocks, tables, links, headings."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

_FENCE = re.compile(r"^```(\w*)\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def documents() -> list[Path]:
    """Every page a reader may come to."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docker/*.md")]
    return sorted(found)


def blocks(text: str, language: str) -> list[str]:
    """The contents of all fenced blocks of a language, in order."""
    return [content for found, content in _FENCE.findall(text) if found == language]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """The targets of all links outside fenced blocks."""
    return _LINK.findall(prose(text))


def anchors(text: str) -> set[str]:
    """What links may name after a #: the headings, as web views of repositories spell them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(prose(text))
    }


def tables(text: str) -> list[list[list[str]]]:
    """All tables: rows of cells, without the header and the line below it."""
    found: list[list[list[str]]] = []
    rows: list[list[str]] = []
    for line in [*prose(text).splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            found.append(rows[2:])
            rows = []
    return found


def section(text: str, heading: str) -> str:
    """The text below a heading, up to the next one of the same or a higher level."""
    start = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    if start is None:
        raise AssertionError(f"no heading {heading}")
    end = re.compile(rf"^#{{1,{len(start[1])}}} ", re.MULTILINE).search(text, start.end())
    return text[start.end() : end.start() if end else len(text)]


def code(cell: str) -> str:
    """A cell without its backticks."""
    return cell.strip("`")
