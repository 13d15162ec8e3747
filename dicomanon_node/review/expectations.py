"""One expectation held against what really happens to its file.

What differs is told in words, without any value of the object.
"""

import io
from collections.abc import Iterator

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicomanon_node.config.expectations import ElementExpectation, Expectation, Expected
from dicomanon_node.deid.dictionary import format_tag
from dicomanon_node.deid.rules import PrivateTag
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.review.passage import Passage, Way, taken


def differences(expectation: Expectation, file: DicomFile, way: Way) -> list[str]:
    """How what happens differs from what is expected; empty if it does not.

    Raises:
        OSError: The file cannot be read.
    """
    written = bytearray()
    passage = taken(file, way, lambda chunks: written.extend(b"".join(chunks)))
    found = list(_outcome(expectation, passage))
    if expectation.is_stored and passage.refusal is None:
        found += _route(expectation, passage, way)
        original = pydicom.dcmread(file.path)
        new = pydicom.dcmread(io.BytesIO(bytes(written)))
        found += _elements(expectation, original, new)
    elif expectation.study is not None and passage.route is not None:
        found += _study(expectation.study, passage)
    return found


def _outcome(expectation: Expectation, passage: Passage) -> Iterator[str]:
    refusal = passage.refusal
    if refusal is None:
        if not expectation.is_stored:
            yield "outcome: expected refused, is stored"
        return
    where = f" at {format_tag(refusal.tag)}" if refusal.tag is not None else ""
    if expectation.is_stored:
        yield f"outcome: expected stored, is refused ({refusal.code}{where})"
    elif expectation.reason is not None and refusal.code != expectation.reason:
        yield f"reason: expected {expectation.reason}, is {refusal.code}{where}"


def _route(expectation: Expectation, passage: Passage, way: Way) -> Iterator[str]:
    if expectation.study is not None:
        yield from _study(expectation.study, passage)
    if expectation.destinations is not None and passage.route is not None:
        goes = way.settings.forwarded_to(passage.route.plan.rules)
        if set(goes) != set(expectation.destinations):
            expected = ", ".join(expectation.destinations) or "none"
            yield f"destinations: expected {expected}, is {', '.join(goes) or 'none'}"


def _study(expected: str, passage: Passage) -> Iterator[str]:
    found = passage.route.plan.rules.name if passage.route else "none"
    if found != expected:
        yield f"study: expected {expected}, is {found}"


def _elements(expectation: Expectation, original: Dataset, new: Dataset) -> Iterator[str]:
    for each in expectation.elements:
        before, after = _found(original, each.tag), _found(new, each.tag)
        if each.word is not None:
            found = _what_became(before, after)
            if not _is_as(each.word, found):
                yield f"{each.written}: expected {each.word}, is {found}"
        elif after is None:
            yield f"{each.written}: expected a value, is {_what_became(before, after)}"
        elif not _has_value(each, _text(after)):
            wanted = (
                f'"{each.value}"' if each.pattern is None else f"a match of {each.pattern.pattern}"
            )
            yield f"{each.written}: expected {wanted}, has another value"


def _has_value(expected: ElementExpectation, text: str) -> bool:
    if expected.pattern is not None:
        return expected.pattern.fullmatch(text) is not None
    return text == expected.value


def _is_as(expected: Expected, found: str) -> bool:
    if expected is Expected.ABSENT:
        return found in (Expected.REMOVED, Expected.ABSENT)
    return found == expected


def _what_became(before: DataElement | None, after: DataElement | None) -> str:
    if after is None:
        return Expected.ABSENT if before is None else Expected.REMOVED
    if before is None:
        return "added"
    if after == before:
        return Expected.KEPT
    return Expected.EMPTIED if after.is_empty else Expected.CHANGED


def _found(dataset: Dataset, tag: int | PrivateTag) -> DataElement | None:
    if not isinstance(tag, PrivateTag):
        return dataset.get(tag)
    try:
        block = dataset.private_block(tag.group, tag.creator)
    except KeyError:
        return None
    return block[tag.element] if tag.element in block else None  # noqa: SIM401  (a PrivateBlock has no get)


def _text(element: DataElement) -> str:
    value = element.value
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(str(each) for each in value)
    return "" if value is None else str(value)
