"""JSON of any maker: strings cleaned, numbers and everything else byte for byte.

A value is named by its key; values in an object or an array by the key of these, if they
have none of their own. JSON that is not well-formed is read as far as it can be.
"""

import json
import re

from dicomanon_node.deid.vendor.names import Attribute, attribute
from dicomanon_node.deid.vendor.values import Cleaner, is_packed

_TOKEN = re.compile(
    rb"""
      (?P<string>"(?:[^"\\]++|\\.)*+"?)(?P<colon>\s*:)?
    | (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<comma>,)
    | (?P<other>[^"\[\]{},]++)
    """,
    re.VERBOSE | re.DOTALL,
)
_MAX_DEPTH = 1_000


def rewritten(text: bytes, cleaner: Cleaner) -> bytes:
    """The JSON text with its values changed."""
    out: list[bytes] = []
    outer: list[Attribute | None] = []
    found: Attribute | None = None
    for token in _TOKEN.finditer(text):
        raw = token[0]
        if token["string"] is not None and token["colon"] is not None:
            key = _decoded(token["string"])
            found = attribute(key) or (outer[-1] if outer else None)
            new = raw if cleaner.text(key) == key else b'"-"' + token["colon"]
        elif token["string"] is not None:
            new = _string(raw, found, cleaner)
        elif token["open"] is not None:
            if len(outer) < _MAX_DEPTH:
                outer.append(found)
            new = raw
        elif token["close"] is not None:
            found = outer.pop() if outer else None
            new = raw
        elif token["comma"] is not None:
            found = outer[-1] if outer else None
            new = raw
        else:
            new = _other(raw, found, cleaner)
        out.append(new)
    return b"".join(out)


def _string(raw: bytes, found: Attribute | None, cleaner: Cleaner) -> bytes:
    value = _decoded(raw)
    if found is not None:
        new = cleaner.attribute(found, value)
    else:
        new = b"" if is_packed(value) else cleaner.text(value)
    # Characters as numbers are written as such: whoever searches the written bytes sees them.
    if new == value and b"\\u" not in raw:
        return raw
    return json.dumps(new.decode("utf-8", "replace"), ensure_ascii=False).encode("utf-8")


def _other(raw: bytes, found: Attribute | None, cleaner: Cleaner) -> bytes:
    word = raw.strip()
    if not word or word in (b"true", b"false", b"null"):
        return raw
    if found is None:
        return cleaner.text(raw)
    return raw if cleaner.attribute(found, word) == word else raw.replace(word, b"null", 1)


def _decoded(raw: bytes) -> bytes:
    body = raw[1:-1] if raw.endswith(b'"') and len(raw) > 1 else raw[1:]
    if b"\\" not in body:
        return body
    try:
        text: str = json.loads(b'"' + body + b'"', strict=False)
        return text.encode("utf-8", "replace")
    except ValueError:
        return body
