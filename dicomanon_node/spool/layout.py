"""Where an object goes in the outgoing tree: the `[storage] layout` template.

The values come out of de-identified objects and may still be anybody's text, so
each component is made harmless for every file system a site may copy it to.
This module touches no file, and its errors show the template, never a value.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath

# A name that had to be altered ends in "~" and this many hexadecimal digits of the SHA-256
# of what it was, so that two patients never share a directory because their IDs differ in a
# character that cannot stay. "~" is in no unaltered name.
_DIGEST_DIGITS = 12

# File systems allow 255 bytes; `placement` may add 65 for a variant, ".dcm" takes 4.
_MAX_LENGTH = 180

_ABSENT = "unknown"
_SUFFIX = ".dcm"
_PADDING = " \0"  # PS3.5 6.2: insignificant at the end of a value, and for most VRs in front
_FIELD = re.compile(r"\{([A-Za-z][A-Za-z0-9]*)\}")
_LITERAL = re.compile(r"[A-Za-z0-9._-]*")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
# Devices to Windows, with any extension, in any case.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


class Layout:
    """A parsed layout template, such as `{study}/{PatientID}/{SOPInstanceUID}.dcm`.

    Immutable and thread-safe.

    Args:
        template: Components joined by "/"; letters, digits, ".", "_", "-" and fields in braces.

    Raises:
        ValueError: The template cannot be used; says why.
    """

    def __init__(self, template: str) -> None:
        self._components = tuple(_parse(text) for text in template.split("/"))

    @property
    def fields(self) -> frozenset[str]:
        """Names of the values a path is made of."""
        return frozenset(field for parts, _ in self._components for field in parts[1::2])

    def render(self, values: Mapping[str, str]) -> PurePosixPath:
        """Make the path of one object.

        A relative path of non-empty components, none of which starts with a dot or has a
        character outside `A-Za-z0-9._~-`. Equal values give equal paths; values that
        differ (in more than padding) give different ones. An absent or empty value
        becomes `unknown`.

        Args:
            values: The fields' values (may be PHI where rules keep an attribute).
        """
        return PurePosixPath(*(_render(*component, values) for component in self._components))


@lru_cache(maxsize=16)
def _layout(template: str) -> Layout:
    return Layout(template)


def render_layout(template: str, values: Mapping[str, str]) -> PurePosixPath:
    """Make the path of one object; see `Layout.render`."""
    return _layout(template).render(values)


def _parse(component: str) -> tuple[tuple[str, ...], str]:
    """Split a component into (literal, field, literal, ..., literal) and its suffix."""
    suffix = _SUFFIX if component.endswith(_SUFFIX) else ""
    parts = tuple(_FIELD.split(component.removesuffix(_SUFFIX)))
    if not all(_LITERAL.fullmatch(literal) for literal in parts[::2]):
        raise ValueError(
            f"layout component {component!r}: only letters, digits, '.', '_', '-' and "
            "{fields} are allowed"
        )
    if parts == ("",):
        raise ValueError("layout: no component may be empty")
    if component.startswith("."):
        raise ValueError(f"layout component {component!r}: must not start with a dot")
    return parts, suffix


def _render(parts: tuple[str, ...], suffix: str, values: Mapping[str, str]) -> str:
    texts = list(parts)
    for index in range(1, len(texts), 2):
        texts[index] = values.get(texts[index], "").strip(_PADDING) or _ABSENT
    return _safe("".join(texts), suffix)


@lru_cache(maxsize=1024)
def _safe(text: str, suffix: str) -> str:
    # The objects of a series differ in the last component only.
    safe = _UNSAFE.sub("_", text)
    if safe[0] == ".":
        safe = f"_{safe[1:]}"
    if safe[-1] == ".":  # Windows drops it
        safe = f"{safe[:-1]}_"
    if _RESERVED.fullmatch(safe):
        safe = f"_{safe}"
    if safe == text and len(safe) <= _MAX_LENGTH:
        return safe + suffix
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_DIGITS]
    return f"{safe[: _MAX_LENGTH - _DIGEST_DIGITS - 1]}~{digest}{suffix}"
