"""References over a whole study: each object on its own, and they still find each other."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID
from support_classes import dataset
from support_classes_all import KINDS
from support_deid import EXPLICIT, KEY, ROOT, deidentify, read_file

from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rules import Option, StudyRules

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
_CLEAN = frozenset(
    {Option.CLEAN_DESCRIPTORS, Option.CLEAN_STRUCTURED_CONTENT, Option.CLEAN_GRAPHICS}
)
OPTIONS: dict[str, frozenset[Option]] = {
    "none": frozenset(),
    "clean": _CLEAN,
    "research": _CLEAN
    | {
        Option.RETAIN_DEVICE_IDENTITY,
        Option.RETAIN_PATIENT_CHARACTERISTICS,
        Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,
        Option.RETAIN_SAFE_PRIVATE,
    },
    "uids": frozenset({Option.RETAIN_UIDS, Option.CLEAN_STRUCTURED_CONTENT}),
}
every_option = pytest.mark.parametrize("options", OPTIONS)

Study = Mapping[str, Dataset]
# What an object is known by, and what its items define.
_OWN = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
_DEFINED = (
    ("DimensionOrganizationSequence", "DimensionOrganizationUID"),
    ("SegmentSequence", "TrackingUID"),
)
Link = tuple[str, str, frozenset[tuple[str, str]]]


def _definitions(study: Study) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for name, ds in study.items():
        pairs = [(ds, keyword) for keyword in _OWN]
        pairs += [(item, word) for sequence, word in _DEFINED for item in ds.get(sequence, ())]
        for holder, keyword in pairs:
            if keyword in holder:
                found.setdefault(str(holder[keyword].value), set()).add((name, keyword))
    return found


def _references(ds: Dataset, depth: int = 0) -> Iterator[tuple[str, str]]:
    for element in ds:
        if element.tag.is_private:
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _references(item, depth + 1)
        elif element.VR == "UI" and element.value and (depth or element.keyword not in _OWN):
            values = element.value if element.VM > 1 else [element.value]
            yield from ((element.keyword, str(value)) for value in values)


def links(study: Study) -> Counter[Link]:
    """What refers to what; references that nothing in the study answers are left out."""
    targets = _definitions(study)
    return Counter(
        (name, keyword, frozenset(targets[uid]))
        for name, ds in study.items()
        for keyword, uid in _references(ds)
        if uid in targets
    )


def dangling(study: Study) -> Counter[tuple[str, str]]:
    """References to objects that nothing in the study answers."""
    targets = _definitions(study)
    return Counter(
        (name, keyword)
        for name, ds in study.items()
        for keyword, uid in _references(ds)
        if uid not in targets and not UID(uid).type
    )


# A study made for it

_MEMBERS = {
    "CT 1": ("CT image", 1, "12"),
    "CT 2": ("CT image", 2, "12"),
    "structures": ("RT structure set", 3, "12.3"),
    "plan": ("RT plan", 4, "12.4"),
    "dose": ("RT dose", 5, "12.5"),
    "segments": ("segmentation", 6, "12.6"),
    "measurements": ("comprehensive 3D SR", 7, "12.7"),
    "key objects": ("key object selection", 8, "12.8"),
    "presentation": ("grayscale presentation", 9, "12.9"),
    "registration": ("spatial registration", 10, "12.10"),
    "mapping": ("real world value mapping", 11, "12.11"),
    "fiducials": ("spatial fiducials", 12, "12.12"),
}


@cache
def _study() -> Study:
    study = {}
    for name, (kind, number, series) in _MEMBERS.items():
        ds = KINDS[kind].dataset()
        ds.SOPInstanceUID, ds.SeriesInstanceUID = f"{ROOT}13.{number}", f"{ROOT}{series}"
        if kind == "CT image":
            ds.FrameOfReferenceUID = f"{ROOT}14"
        study[name] = ds
    study["CT 2"].SourceImageSequence = [
        dataset({"ReferencedSOPClassUID": UID("1.2"), "ReferencedSOPInstanceUID": f"{ROOT}13.1"})
    ]
    return study


def _each_on_its_own(study: Study, options: str) -> Study:
    output = {}
    for name, ds in study.items():
        plan = Plan(StudyRules("study", options=OPTIONS[options]), KEY)
        output[name] = deidentify(ds, plan, EXPLICIT).dataset
    return output


def test_the_study_is_one() -> None:
    found = links(_study())
    assert len(found) > 25
    pairs = {(name, target) for name, _, targets in found for target, _ in targets}
    for source, target in [
        ("segments", "CT 2"),
        ("structures", "CT 2"),
        ("plan", "structures"),
        ("dose", "plan"),
        ("measurements", "CT 1"),
        ("measurements", "segments"),  # the same tracking UID
        ("key objects", "CT 1"),
        ("presentation", "CT 1"),
        ("registration", "CT 2"),
    ]:
        assert (source, target) in pairs


@every_option
def test_no_reference_resolves_that_did_not_before(options: str) -> None:
    before, after = _study(), _each_on_its_own(_study(), options)
    assert links(after) - links(before) == Counter()
    assert dangling(after) - dangling(before) == Counter()


# Without Clean Structured Content a report keeps what it refers to, at the top level of
# its items; measurements and coordinates go, and what hangs on them.
_LOST = {
    "none": {
        ("measurements", "UID"),
        ("measurements", "ReferencedFrameOfReferenceUID"),
        ("measurements", "ReferencedSOPInstanceUID"),
    }
}
# The map of values is X in Table E.3.4-1, "Real World Value Map used for measurement",
# unless UIDs are retained.
_MAP = {("dcmqi/sr.dcm", "ReferencedSOPInstanceUID")}
_LOST_OF_REAL = {
    ("measured", "none"): {("dcmqi/sr.dcm", "UID")},
    ("measured", "clean"): _MAP,
    ("measured", "research"): _MAP,
}


@every_option
def test_every_reference_that_resolved_resolves(options: str) -> None:
    before, after = _study(), _each_on_its_own(_study(), options)
    lost = {(name, keyword) for name, keyword, _ in links(before) - links(after)}
    assert lost == _LOST.get(options, set())
    # No object has lost all that said to whom it belongs.
    assert {name for name, _, _ in links(after)} == set(before)


@cache
def _corpus(group: str) -> Study:
    names = _REAL[group]
    return {
        name: pydicom.dcmread(CORPUS / name, force=True, stop_before_pixels=True) for name in names
    }


_CTS = [
    "CTImage.dcm",
    "CTImage.dcm_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm",
    "CTImage.dcm_JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55.dcm",
    "CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm",
]
_REAL = {
    "recompressed": [f"cornerstoneWADOImageLoader/{name}" for name in _CTS],
    "enhanced": [
        f"dcm_qa_xa30/000{number}_1.3.12.2.1107.5.2.43.67093.{end}.dcm"
        for number, end in [
            (1, "2022071112050461360434354"),
            (1, "2022071112123439621008676"),
            (3, "2022071112142722673312764"),
            (5, "2022071112143682742313021"),
        ]
    ],
    "segmented": ["dcmqi/01.dcm", "dcmqi/partial_overlaps.dcm"],
    "measured": ["dcmqi/rwvm.dcm", "dcmqi/sr.dcm", "dcmqi/seg.dcm"],
}


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus of real files at {CORPUS}")
@pytest.mark.filterwarnings("ignore")
@every_option
@pytest.mark.parametrize("name", _REAL)
def test_real_objects_find_each_other_afterwards(name: str, options: str) -> None:
    before = _corpus(name)
    assert links(before)
    after = {}
    for file in _REAL[name]:
        body, syntax = read_file(CORPUS / file)
        plan = Plan(StudyRules("study", options=OPTIONS[options]), KEY)
        after[file] = deidentify(body, plan, syntax).dataset
    assert links(after) - links(before) == Counter()
    assert dangling(after) - dangling(before) == Counter()
    lost = {(file, keyword) for file, keyword, _ in links(before) - links(after)}
    assert lost == _LOST_OF_REAL.get((name, options), set())
