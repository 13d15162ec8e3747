"""Shared by the tests of the core: drives it as receiving does, reads its output with pydicom.

Data sets are built and encoded by pydicom. Nothing here looks into the core's own
tables or plans.
"""

import io
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset, read_preamble
from pydicom.filewriter import write_dataset

from dicomanon_node.deid.boundaries import HeaderScanner, Limits, PixelTail
from dicomanon_node.deid.convert import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    ByteSwapper,
    Inflater,
    output_transfer_syntax,
)
from dicomanon_node.deid.elements import Elements
from dicomanon_node.deid.engine import Deidentified, Deidentifier
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.deid.rules import StudyRules
from dicomanon_node.deid.trace import Trace
from dicomanon_node.errors import Reason, Refused

IMPLICIT = IMPLICIT_VR_LITTLE_ENDIAN
EXPLICIT = EXPLICIT_VR_LITTLE_ENDIAN
DEFLATED = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
BIG_ENDIAN = EXPLICIT_VR_BIG_ENDIAN

KEY = Key(bytes(range(32)))
LIMITS = Limits()
CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.11"

# The original's identity: distinct, and found nowhere else in what the tests build.
NAME = "Quillfeather^Ottoline"
PATIENT_ID = "MRN7741902"
ROOT = "1.2.826.0.1.3680043.10.543."
STUDY_UID, SERIES_UID, INSTANCE_UID = ROOT + "11", ROOT + "12", ROOT + "13"


def plan_of(**rules: Any) -> Plan:  # noqa: ANN401  (what StudyRules takes)
    """A compiled plan: the basic profile, with what is given changed."""
    return Plan(replace(StudyRules("study"), **rules), KEY, "0123456789ab")


def basic_dataset(**attributes: object) -> Dataset:
    """The least an object needs, with an identity; `None` removes an attribute."""
    ds = Dataset()
    ds.SOPClassUID = CT
    ds.SOPInstanceUID = INSTANCE_UID
    ds.StudyInstanceUID = STUDY_UID
    ds.SeriesInstanceUID = SERIES_UID
    ds.PatientName = NAME
    ds.PatientID = PATIENT_ID
    ds.Modality = "CT"
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def encode(ds: Dataset, transfer_syntax_uid: str = EXPLICIT) -> bytes:
    """The data set as pydicom encodes it; never deflated."""
    fp = DicomBytesIO()
    fp.is_implicit_VR = transfer_syntax_uid == IMPLICIT
    fp.is_little_endian = transfer_syntax_uid != BIG_ENDIAN
    write_dataset(fp, ds)
    return bytes(fp.getvalue())


def encode_as_un(ds: Dataset, tags: Container[int]) -> bytes:
    """Explicit VR, but these elements as who does not know their VR passes them on.

    Standard: PS3.5 6.2.2: their values are as in Implicit VR Little Endian.
    """
    out = b""
    for element in ds:
        holder = Dataset()
        holder.add(element)
        if int(element.tag) in tags:
            implicit = encode(holder, IMPLICIT)
            out += implicit[:4] + b"UN\0\0" + implicit[4:]
        else:
            out += encode(holder)
    return out


def decode(body: bytes, transfer_syntax_uid: str = EXPLICIT) -> Dataset:
    """A data set as pydicom reads it."""
    return read_dataset(
        io.BytesIO(body),
        is_implicit_VR=transfer_syntax_uid == IMPLICIT,
        is_little_endian=transfer_syntax_uid != BIG_ENDIAN,
    )


@dataclass(frozen=True)
class Output:
    """What came out: a whole Part 10 file, and what the core said of it."""

    data: bytes
    header: Deidentified

    @cached_property
    def dataset(self) -> pydicom.FileDataset:
        return pydicom.dcmread(io.BytesIO(self.data))

    @cached_property
    def body(self) -> bytes:
        """The encoded data set, without preamble and File Meta Information."""
        fp = io.BytesIO(self.data)
        read_preamble(fp, force=False)
        length = int.from_bytes(self.data[140:144], "little")
        return self.data[144 + length :]


def deidentify(
    source: Dataset | bytes,
    plan: Plan | None = None,
    transfer_syntax_uid: str = EXPLICIT,
    *,
    limits: Limits = LIMITS,
    cuts: Iterable[int] = (),
    trace: Trace | None = None,
) -> Output:
    """De-identify one object, its bytes fed in the pieces that `cuts` makes of them."""
    body = encode(source, transfer_syntax_uid) if isinstance(source, Dataset) else source
    run = _Run(plan or plan_of(), transfer_syntax_uid, limits, trace)
    for fragment in pieces(body, cuts):
        run.write(fragment)
    return run.finish()


def pieces(body: bytes, cuts: Iterable[int]) -> Iterator[memoryview]:
    """The bytes cut at these offsets."""
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(body)), len(body)]
    view = memoryview(body)
    for start, end in pairwise(edges):
        yield view[start:end]


class _Run:
    # The order of `receive`, without a spool.

    def __init__(
        self, plan: Plan, transfer_syntax_uid: str, limits: Limits, trace: Trace | None
    ) -> None:
        self.plan, self.limits, self.trace = plan, limits, trace
        self.implicit = transfer_syntax_uid == IMPLICIT
        self.transfer_syntax_uid = output_transfer_syntax(transfer_syntax_uid)
        self.converter: Inflater | ByteSwapper | None = None
        if transfer_syntax_uid == DEFLATED:
            self.converter = Inflater(limits.object_bytes)
        elif transfer_syntax_uid == BIG_ENDIAN:
            self.converter = ByteSwapper(limits.object_bytes, limits.nesting)
        self.scanner = HeaderScanner(implicit=self.implicit, limits=limits)
        self.trailer = HeaderScanner(implicit=self.implicit, limits=limits)
        self.tail: PixelTail | None = None
        self.engine: Deidentifier | None = None
        self.header: Deidentified | None = None
        self.out: list[bytes] = []

    def write(self, fragment: memoryview) -> None:
        if self.converter is None:
            self.take(fragment)
            return
        for piece in self.converter.feed(fragment):
            self.take(memoryview(piece))

    def take(self, fragment: memoryview) -> None:
        if self.tail is None:
            if not self.scanner.feed(fragment):
                return
            element = self.scanner.pixel_element
            assert element is not None
            _, _, start, value, length = element
            collected = bytes(self.scanner.buffer)
            self.rewrite(collected[:start])
            self.out.append(collected[start:value])
            self.tail = PixelTail(length)
            fragment = memoryview(collected)[value:]
        taken = self.tail.take(fragment)
        self.out.append(bytes(fragment[:taken]))
        if taken < len(fragment):
            self.trailer.feed(fragment[taken:])

    def rewrite(self, header: bytes) -> None:
        elements = Elements(header, self.scanner.rows, implicit=self.implicit)
        self.engine = Deidentifier(
            elements, self.plan, self.transfer_syntax_uid, self.limits, self.trace
        )
        self.header = self.engine.header()
        self.out += [bytes(chunk) for chunk in self.header.chunks]

    def finish(self) -> Output:
        if self.converter is not None:
            for piece in self.converter.finish():
                self.take(memoryview(piece))
        if self.tail is None:
            self.scanner.finish()
            self.rewrite(bytes(self.scanner.buffer))
        elif not self.tail.is_complete:
            raise Refused(Reason.TRUNCATED)
        else:
            self.trailer.finish()
            assert self.engine is not None
            if self.trailer.rows:
                self.out += [bytes(chunk) for chunk in self.engine.trailer(self.trailer)]
        assert self.header is not None
        return Output(b"".join(self.out), self.header)


def read_file(path: Path) -> tuple[bytes, str]:
    """A file's encoded data set and its transfer syntax, as pydicom sees them."""
    raw = path.read_bytes()
    with path.open("rb") as fp:
        has_preamble = read_preamble(fp, force=True) is not None
        offset = fp.tell()
        if has_preamble or raw[:2] == b"\x02\x00":
            meta = pydicom.filereader._read_file_meta_info(fp)
            offset = fp.tell()
            if "TransferSyntaxUID" in meta:
                return raw[offset:], str(meta.TransferSyntaxUID)
    ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    implicit, little = ds.original_encoding
    if not little:
        return raw[offset:], BIG_ENDIAN
    return raw[offset:], IMPLICIT if implicit else EXPLICIT


def walk(ds: Dataset) -> Iterator[tuple[tuple[int, ...], DataElement]]:
    """Each element at every depth, with its path: (tag, item number, tag, ...)."""
    for element in ds:
        yield (int(element.tag),), element
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                for path, inner in walk(item):
                    yield (int(element.tag), number, *path), inner


def nested(inner: Dataset, sequences: Sequence[str]) -> Dataset:
    """The data set wrapped in one item after the other, outermost sequence first."""
    for keyword in reversed(sequences):
        outer = Dataset()
        setattr(outer, keyword, [inner])
        inner = outer
    return inner
