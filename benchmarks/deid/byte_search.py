"""Is an identifier in the bytes of a file, in any encoding it may have been written in?

Sees through what hides bytes: a deflated data set is inflated, gzip streams in private
elements are unpacked. In pixel data short forms are not looked for: two ideographs are
four bytes, which occur there by chance.
"""

import zlib
from collections.abc import Iterator
from functools import lru_cache

from pydicom.dataset import Dataset

from benchmarks.deid.corpus import is_deflated
from benchmarks.deid.paths import BINARY_VRS
from benchmarks.deid.vendor_blobs import unpacked

# Encodings a text may be found in, besides UTF-8 (PS3.5 6.1.2, PS3.3 C.12.1.1.2).
_CODECS = (
    "latin-1", "utf-16-le", "utf-16-be", "gb18030", "iso2022_jp", "euc_jp", "shift_jis",
    "iso2022_kr", "euc_kr", "iso8859-2", "iso8859-5", "big5",
)  # fmt: skip
_ESCAPES = (b"\x1b$B", b"\x1b(B", b"\x1b(J", b"\x1b$)C", b"\x0e", b"\x0f")
_MIN_BYTES_IN_PIXELS = 8
_PIXEL_DATA = 0x7FE00010


class Content:
    """The bytes of an output file, prepared for searching.

    Args:
        raw: The file.
        dataset: The same, read.
        path: Its path under the output directory: names of files are searched too.
    """

    def __init__(self, raw: bytes, dataset: Dataset, path: str) -> None:
        if is_deflated(dataset):
            raw = _inflated(raw, dataset)
        pixels = _pixels(dataset)
        header = raw
        if pixels:
            start = raw.find(pixels)
            if start >= 0:
                header = raw[:start] + b"\0" + raw[start + len(pixels) :]
        packed = b"\0".join(_packed(dataset))
        # Only ASCII letters have another case in all encodings.
        self._header = (header + b"\0" + path.encode() + b"\0" + packed).lower()
        self._pixels = pixels.lower()

    def has(self, text: str) -> bool:
        """Whether the text is found in any spelling and encoding."""
        return any(
            form in self._header or (len(form) >= _MIN_BYTES_IN_PIXELS and form in self._pixels)
            for form in forms(text)
        )


def holds(blob: bytes, text: str) -> bool:
    """Whether a text is in a blob, in any spelling and encoding, packed or not."""
    return any(
        form in content.lower() for content in (blob, *unpacked(blob)) for form in forms(text)
    )


@lru_cache(maxsize=100_000)
def forms(text: str) -> frozenset[bytes]:
    """The encoded forms of a text; ASCII letters in lower case."""
    found = set()
    for spelled in (text, text.lower(), text.upper(), text.title()):
        found.add(spelled.encode().lower())
        for codec in _CODECS:
            try:
                encoded = spelled.encode(codec)
            except UnicodeEncodeError:
                continue
            for escape in _ESCAPES:
                encoded = encoded.replace(escape, b"")
            # Two bytes of a multi-byte code are no evidence.
            if len(encoded) > 3:  # noqa: PLR2004  (shorter runs are chance)
                found.add(encoded.lower())
    return frozenset(found)


def _pixels(dataset: Dataset) -> bytes:
    if _PIXEL_DATA not in dataset:
        return b""
    value = dataset.get_item(_PIXEL_DATA).value
    return value if isinstance(value, bytes) else b""


def _inflated(raw: bytes, dataset: Dataset) -> bytes:
    # The data set starts behind File Meta Information, which is not compressed.
    start = 132 + 12 + int(dataset.file_meta.get("FileMetaInformationGroupLength", 0))
    try:
        return raw[:start] + zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw[start:])
    except zlib.error:
        return raw


def _packed(dataset: Dataset) -> Iterator[bytes]:
    for key in tuple(dataset.keys()):
        element = dataset.get_item(key)
        is_blob = isinstance(element.value, bytes) and element.VR in BINARY_VRS
        if key.is_private and is_blob:
            yield from unpacked(element.value)
