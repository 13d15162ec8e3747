"""A member added to a JSON file without touching the rest of its text.

Works on text that `documents.read_json` has accepted. Everything that was there stays,
byte for byte; what is added is indented as the file is. Knows nothing of what it means.
"""

import json
import re
from typing import Final

_INDENT: Final = re.compile(r'\{[ \t]*\r?\n([ \t]+)"')
_DEFAULT_INDENT: Final = "  "
_SPACE: Final = " \t\r\n"


def with_member(text: str, name: str, value: object) -> str:
    """The text of an object with one more member, at its end.

    Args:
        text: JSON text of one object; it does not have the name.
        name: The new member's name.
        value: Its value.
    """
    body = text.rstrip(_SPACE)
    if not body.endswith("}"):
        raise ValueError("the text is not that of one JSON object")
    before = body[:-1].rstrip(_SPACE)
    found = _INDENT.match(text[text.index("{") :])
    indent = found[1] if found else _DEFAULT_INDENT
    end = "\r\n" if "\r\n" in text else "\n"
    member = json.dumps({name: value}, indent=indent, ensure_ascii=False)
    lines = member.split("\n")[1:-1]  # not splitlines: a name may hold other line ends
    separator = "" if before.endswith("{") else ","
    after = text[len(body) :] or end
    return f"{before}{separator}{end}{end.join(lines)}{end}}}{after}"
