"""Plants into the items that vendors made: functional groups, contours, segments, annotations.

Texts that are there are overwritten, so that every kind of item is a real one; frames get
a comment and a time of their own.
"""

import random
from collections.abc import Iterator
from datetime import timedelta

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from benchmarks.deid import scenarios as s
from benchmarks.deid.identity import Kind, Persona, Token
from benchmarks.deid.paths import step
from benchmarks.deid.phrases import Writer
from benchmarks.deid.plant_listed import MAX_CHARACTERS
from benchmarks.deid.plant_text import IDENTIFIERS, NOT_FREE
from benchmarks.deid.spots import Spot
from benchmarks.deid.standard import Standard

_MAX_OVERWRITTEN = 8
_MAX_FRAMES = 3
_PER_FRAME = 0x52009230  # Per-Frame Functional Groups Sequence
_FRAME_CONTENT = 0x00209111
_WAVEFORM, _WAVEFORM_ANNOTATION = 0x54000100, 0x0040B020
_CHARACTER_SET, _CONTENT = 0x00080005, 0x0040A730
_CODE_MEANING = 0x00080104


def plant(
    spot: Spot, persona: Persona, writer: Writer, standard: Standard, rng: random.Random
) -> None:
    """Plant into the items that are there.

    Args:
        spot: The data set, before anything was planted into it.
        persona: Whose identity (made up).
        writer: Writes the texts.
        standard: The tables: texts that may stay are overwritten.
        rng: Chooses.
    """
    inside = spot.at("vendor item")
    places = [
        (place, tag)
        for place in _items(inside)
        for tag in sorted(map(int, place.dataset.keys()))
        if _is_text(place.dataset, tag, standard)
    ]
    rng.shuffle(places)
    done: set[int] = set()
    for place, tag in places:
        if tag not in done and len(done) < _MAX_OVERWRITTEN:
            # Each attribute once: many items are alike.
            done.add(tag)
            vr = place.dataset[tag].VR
            place.put_phrase(tag, vr, writer.phrase(MAX_CHARACTERS[vr]))
    _plant_frames(spot, persona, writer)
    if _WAVEFORM in spot.dataset:
        annotation = spot.at("waveform annotation").item(_WAVEFORM_ANNOTATION)
        annotation.put_phrase(0x00700006, "ST", writer.phrase(200))
        token = Token(persona.family, Kind.NAME)
        annotation.put(0x00081070, "PN", f"{persona.family}^{persona.given}", (token,))


def _plant_frames(spot: Spot, persona: Persona, writer: Writer) -> None:
    frames = spot.dataset[_PER_FRAME].value if _PER_FRAME in spot.dataset else ()
    for index, frame in enumerate(frames[:_MAX_FRAMES]):
        path = step(spot.path(_PER_FRAME), index)
        place = Spot(frame, spot.ledger, "frame", path)
        if _FRAME_CONTENT not in frame or not frame[_FRAME_CONTENT].value:
            content = place.item(_FRAME_CONTENT)
        else:
            item = frame[_FRAME_CONTENT].value[0]
            content = Spot(item, spot.ledger, "frame", step(place.path(_FRAME_CONTENT), 0))
        day = persona.studied - timedelta(days=index)
        content.put(0x00189074, "DT", f"{day:%Y%m%d}2359{index:02d}.125")
        content.put_phrase(0x00209158, "LT", writer.phrase(200))
        content.put_phrase(0x00209453, "LO", writer.phrase(64))


def _items(spot: Spot) -> Iterator[Spot]:
    for key in sorted(map(int, spot.dataset.keys())):
        if key & 0x10000 or key == _CONTENT or spot.dataset.get_item(key).VR not in ("SQ", None):
            continue
        value = spot.dataset[key].value
        if not isinstance(value, Sequence):
            continue
        for index, item in enumerate(value):
            # Items with a character set of their own keep their texts.
            if _CHARACTER_SET not in item:
                inner = Spot(item, spot.ledger, spot.site, step(spot.path(key), index))
                yield inner
                yield from _items(inner)


def _is_text(dataset: Dataset, tag: int, standard: Standard) -> bool:
    if tag & 0x10000 or tag in NOT_FREE or tag in IDENTIFIERS or tag == _CODE_MEANING:
        return False
    row = standard.row(tag)
    if row is not None and s.CLEAN_DESCRIPTORS not in row.options:
        return False
    element = dataset[tag]
    return element.VR in MAX_CHARACTERS and bool(element.value) and element.VM == 1
