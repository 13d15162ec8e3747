"""A secondary capture with the patient's name and number in its pixels.

Drawn, so that the box is known to the pixel and no text recognition is needed to score
it: the box is hidden when all its pixels are of one value, or the object was refused.
"""

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from benchmarks.deid.identity import Persona

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

_NATIVE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian})
_ROWS, _COLUMNS = 64, 256
_LEFT, _TOP, _SCALE = 8, 8, 2
_GLYPH_COLUMNS, _GLYPH_ROWS = 3, 5
_WHITE, _BACKGROUND = 255, 16
# Fifteen bits a character, row by row from the upper left corner.
_GLYPHS = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        (
            0o25755, 0o65656, 0o34443, 0o65556, 0o74647, 0o74644, 0o34553, 0o55755, 0o72227,
            0o11152, 0o55655, 0o44447, 0o57755, 0o65555, 0o25552, 0o65644, 0o25563, 0o65655,
            0o34216, 0o72222, 0o55553, 0o55522, 0o55775, 0o55255, 0o55222, 0o71247, 0o25552,
            0o26227, 0o61247, 0o61216, 0o55711, 0o74616, 0o34652, 0o71222, 0o25252, 0o25316,
        ),
        strict=True,
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Box:
    """Where a text is drawn, in pixels; `right` and `bottom` are not part of it.

    Attributes:
        text: What is drawn (made up).
    """

    left: int
    top: int
    right: int
    bottom: int
    text: str

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.right},{self.bottom}"


def burn_in(dataset: Dataset, persona: Persona) -> Box:
    """Give an object pixels with the name and the number in them.

    Args:
        dataset: What is to become a secondary capture.
        persona: Whose identity (made up).
    """
    family = persona.folded(persona.family).upper()
    text = f"{family} {persona.mrn}"
    pixels = bytearray([_BACKGROUND]) * (_ROWS * _COLUMNS)
    left = _LEFT
    for character in text:
        _draw(pixels, left, _GLYPHS.get(character, 0))
        left += (_GLYPH_COLUMNS + 1) * _SCALE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = _ROWS, _COLUMNS
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "YES"
    dataset.PixelData = bytes(pixels)
    dataset["PixelData"].VR = "OB"
    return Box(_LEFT, _TOP, left, _TOP + _GLYPH_ROWS * _SCALE, text)


def is_hidden(dataset: Dataset, box: str) -> bool:
    """Whether every frame of an output has nothing in the box.

    Args:
        dataset: The output; native 8-bit pixels, or the text is taken to be there.
        box: `left,top,right,bottom`.
    """
    left, top, right, bottom = map(int, box.split(","))
    value = dataset.get_item(0x7FE00010).value if "PixelData" in dataset else b""
    if not value:
        return True
    is_native = dataset.file_meta.get("TransferSyntaxUID") in _NATIVE
    if not is_native or dataset.get("BitsAllocated") != 8 or dataset.get("SamplesPerPixel") != 1:  # noqa: PLR2004  (grey, 8 bits)
        return False
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if rows < bottom or columns < right or len(value) < rows * columns:
        return False
    frames = range(0, len(value) - rows * columns + 1, rows * columns)
    return all(
        len({*_lines(value, frame, columns, range(left, right), range(top, bottom))}) == 1
        for frame in frames
    )


def _lines(value: bytes, frame: int, columns: int, across: range, down: range) -> bytes:
    return b"".join(
        value[frame + row * columns + across.start : frame + row * columns + across.stop]
        for row in down
    )


def _draw(pixels: bytearray, left: int, glyph: int) -> None:
    for bit in range(_GLYPH_COLUMNS * _GLYPH_ROWS):
        if not glyph >> (_GLYPH_COLUMNS * _GLYPH_ROWS - 1 - bit) & 1:
            continue
        row, column = divmod(bit, _GLYPH_COLUMNS)
        for down in range(_SCALE):
            start = (_TOP + row * _SCALE + down) * _COLUMNS + left + column * _SCALE
            pixels[start : start + _SCALE] = bytes([_WHITE]) * _SCALE
