"""Seed 002: what users of DCMAnonymize may rely on (A2, A11, A13, A16 are the configuration's)."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import PYDICOM_ROOT_UID, generate_uid
from pydicom.valuerep import validate_value
from support_deid import (
    IMPLICIT,
    KEY,
    NAME,
    PATIENT_ID,
    ROOT,
    STUDY_UID,
    basic_dataset,
    deidentify,
    encode,
    plan_of,
    walk,
)

from dicomanon_node.deid.boundaries import HeaderScanner, Limits
from dicomanon_node.deid.elements import Elements
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.pseudonyms import Pseudonyms, compatible_offset_s
from dicomanon_node.deid.rules import ActionKind, RuleAction, StationRule, StudyRules
from dicomanon_node.errors import Reason, Refused
from dicomanon_node.routing import Route, Router

SALT = "be76acfcfdb04e64ba7525dbf745fe5f"
STUDY_DESCRIPTION, SERIES_DESCRIPTION, PROTOCOL_NAME = 0x00081030, 0x0008103E, 0x00181030
PATIENT_NAME = 0x00100010

DELETE, CLEAR, KEEP = (
    RuleAction(kind) for kind in (ActionKind.DELETE, ActionKind.CLEAR, ActionKind.KEEP)
)
HASH, REGEN = RuleAction(ActionKind.HASH), RuleAction(ActionKind.REGEN)


def value(text: str) -> RuleAction:
    return RuleAction(ActionKind.VALUE, value=text)


def _router(*, refuses_missing: bool) -> Router:
    stations = {
        "default": StationRule("default", PROTOCOL_NAME),
        "MRC25641": StationRule("MRC25641", STUDY_DESCRIPTION, split="^", split_index=0),
        "MRC9": StationRule("MRC9", STUDY_DESCRIPTION, split="^", split_index=1),
    }
    studies = {
        "Supplement142": StudyRules("Supplement142"),
        "RESEARCH-LANDE": StudyRules(
            "RESEARCH-LANDE", tags={STUDY_DESCRIPTION: value("Lande^URMC")}
        ),
        "PHOENIX-OK": StudyRules("PHOENIX-OK", accepts_phoenix=True),
    }
    plans = {name: Plan(rules, KEY) for name, rules in studies.items()}
    return Router(stations, plans, "Supplement142", refuses_missing=refuses_missing)


def _elements(ds: Dataset) -> Elements:
    scanner = HeaderScanner(implicit=False, limits=Limits())
    scanner.feed(encode(ds))
    scanner.finish()
    return Elements(scanner.buffer, scanner.rows, implicit=False)


def _route(ds: Dataset, *, refuses_missing: bool = False) -> Route:
    return _router(refuses_missing=refuses_missing).route(_elements(ds), "DICOMANON")


def test_a1_the_four_published_vectors() -> None:
    pseudonyms = Pseudonyms(KEY, SALT, is_compatible=True)
    assert (
        pseudonyms.text("12345")
        == "d1de50e5454553044c05e8f25f59326b81c66670281ebd9eadf87645cada9ef1"
    )
    assert (
        pseudonyms.uid(b"1.2.3.4")
        == b"1.2.826.0.1.3680043.8.498.21535501731858201458503681646282601477"
    )
    assert compatible_offset_s("change me") == 465265356
    assert compatible_offset_s(SALT) == 17905735


def test_a1_the_formulas_hold_in_a_whole_object() -> None:
    ds = basic_dataset(PatientID="12345", StudyInstanceUID="1.2.3.4", StudyDate="20200101")
    plan = plan_of(
        is_compatible=True,
        random_seed=SALT,
        tags={
            0x00100020: HASH,
            0x0020000D: REGEN,
            0x00080020: RuleAction(ActionKind.OFFSET),
        },
    )
    new = deidentify(ds, plan).dataset
    assert new.PatientID == hashlib.sha256(SALT.encode() + b"12345").hexdigest()
    assert new.StudyInstanceUID == generate_uid(PYDICOM_ROOT_UID, entropy_srcs=["1.2.3.4", SALT])
    assert new.StudyDate == "20200726"  # 17905735 s later, at midnight: 207 days


def test_a3_a_station_names_the_study_by_a_part_of_its_description() -> None:
    ds = basic_dataset(StationName="MRC25641", StudyDescription="RESEARCH-LANDE^T1 MPRAGE")
    route = _route(ds)
    assert route.plan.rules.name == "RESEARCH-LANDE"
    assert not route.is_by_default
    assert deidentify(ds, route.plan).dataset.StudyDescription == "Lande^URMC"


def test_a4_an_unknown_station_is_the_default_one() -> None:
    ds = basic_dataset(StationName="NEWSCANNER", ProtocolName="RESEARCH-LANDE")
    assert _route(ds).plan.rules.name == "RESEARCH-LANDE"


def test_a4_an_unknown_study_is_supplement_142() -> None:
    ds = basic_dataset(StationName="NEWSCANNER", ProtocolName="T1 MPRAGE")
    assert _route(ds).plan.rules.name == "Supplement142"


@pytest.mark.parametrize("station", [None, "", "  "])
def test_a5_without_a_station_name_the_default_station_holds(station: str | None) -> None:
    ds = basic_dataset(ProtocolName="RESEARCH-LANDE")
    if station is not None:
        ds.StationName = station
    route = _route(ds)
    assert route.plan.rules.name == "RESEARCH-LANDE"
    assert route.is_by_default
    with pytest.raises(Refused) as refused:
        _route(ds, refuses_missing=True)
    assert refused.value.reason is Reason.NO_STATION
    assert refused.value.reason.status == 0x0110


@pytest.mark.parametrize("protocol", [None, "", " "])
def test_a5_without_its_tag_the_study_is_supplement_142(protocol: str | None) -> None:
    ds = basic_dataset(StationName="NEWSCANNER")
    if protocol is not None:
        ds.ProtocolName = protocol
    route = _route(ds)
    assert route.plan.rules.name == "Supplement142"
    assert route.is_by_default
    with pytest.raises(Refused) as refused:
        _route(ds, refuses_missing=True)
    assert refused.value.reason is Reason.NO_STUDY
    assert refused.value.reason.status == 0x0110


def test_a6_a_kept_tag_beats_a_deleted_vr() -> None:
    plan = plan_of(tags={SERIES_DESCRIPTION: KEEP}, vrs={"LO": DELETE})
    ds = basic_dataset(SeriesDescription="T1 MPRAGE", ManufacturerModelName="Modelname")
    new = deidentify(ds, plan).dataset
    assert new.SeriesDescription == "T1 MPRAGE"
    assert "ManufacturerModelName" not in new


def test_a6_a_hashed_vr_reaches_names_in_request_attributes() -> None:
    item = Dataset()
    item.ReferringPhysicianName = "Inner^Physician"
    item.ScheduledProcedureStepDescription = "T1"
    ds = basic_dataset(RequestAttributesSequence=[item])
    plan = plan_of(profile=None, vrs={"PN": HASH})
    inner = deidentify(ds, plan).dataset.RequestAttributesSequence[0]
    assert str(inner.ReferringPhysicianName) == KEY.digest("text", "", b"Inner^Physician").hex()
    assert inner.ScheduledProcedureStepDescription == "T1"


@pytest.mark.parametrize("syntax", [None, IMPLICIT])
def test_a7_a_nested_name_is_hashed_from_its_own_value(syntax: str | None) -> None:
    item = Dataset()
    item.PatientName = "Somebody^Else"
    ds = basic_dataset(ReferencedPatientSequence=[item])
    plan = plan_of(profile=None, tags={PATIENT_NAME: HASH})
    new = deidentify(ds, plan, *([syntax] if syntax else [])).dataset
    assert str(new.PatientName) == KEY.digest("text", "", NAME.encode()).hex()
    nested = new.ReferencedPatientSequence[0]
    assert str(nested.PatientName) == KEY.digest("text", "", b"Somebody^Else").hex()


def test_a7_a_deleted_name_goes_at_every_depth() -> None:
    item = Dataset()
    item.PatientName = "Somebody^Else"
    ds = basic_dataset(ReferencedPatientSequence=[item])
    new = deidentify(ds, plan_of(profile=None, tags={PATIENT_NAME: DELETE})).dataset
    assert not [path for path, _ in walk(new) if path[-1] == PATIENT_NAME]


def _referring() -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    reference.ReferencedSOPInstanceUID = ROOT + "13"
    series = Dataset()
    series.SeriesInstanceUID = ROOT + "12"
    series.ReferencedSOPSequence = [reference]
    study = Dataset()
    study.StudyInstanceUID = STUDY_UID
    study.ReferencedSeriesSequence = [series]
    return basic_dataset(CurrentRequestedProcedureEvidenceSequence=[study])


_IN_ANOTHER_PROCESS = """
import sys
sys.path[:0] = sys.argv[2:]
from support_deid import deidentify, plan_of
output = deidentify(bytes.fromhex(sys.argv[1]), plan_of(random_seed="one seed"))
sys.stdout.write(output.data.hex())
"""


def test_a8_another_process_gives_the_same_bytes() -> None:
    body = encode(_referring())
    here = deidentify(body, plan_of(random_seed="one seed"))
    tests = Path(__file__).parents[1]
    there = subprocess.run(
        [sys.executable, "-c", _IN_ANOTHER_PROCESS, body.hex(), str(tests), str(tests.parent)],
        capture_output=True,
        check=True,
        text=True,
    )
    assert bytes.fromhex(there.stdout) == here.data


def test_a8_references_still_resolve_and_the_file_meta_agrees() -> None:
    new = deidentify(_referring(), plan_of(random_seed="one seed")).dataset
    study = new.CurrentRequestedProcedureEvidenceSequence[0]
    series = study.ReferencedSeriesSequence[0]
    reference = series.ReferencedSOPSequence[0]
    assert study.StudyInstanceUID == new.StudyInstanceUID != STUDY_UID
    assert series.SeriesInstanceUID == new.SeriesInstanceUID
    assert reference.ReferencedSOPInstanceUID == new.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID


def test_a8_other_salts_give_other_uids() -> None:
    one, other = (
        deidentify(_referring(), plan_of(random_seed=seed)).dataset for seed in ("one", "other")
    )
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert one[keyword].value != other[keyword].value


def test_a9_each_value_of_a_multi_valued_uid_is_mapped() -> None:
    uids = [ROOT + "13", ROOT + "21", "1.2.840.10008.5.1.4.1.1.2", ROOT + "13"]
    new = deidentify(basic_dataset(FailedSOPInstanceUIDList=uids)).dataset
    mapped = list(new.FailedSOPInstanceUIDList)
    assert mapped[0] == mapped[3] == new.SOPInstanceUID
    assert mapped[1] not in (*uids, mapped[0])
    assert mapped[2] == uids[2]


@pytest.mark.parametrize(
    ("keyword", "text", "longest"),
    [("AccessionNumber", "ACC12345", 16), ("BodyPartExamined", "HEAD", 16), ("StudyID", "1", 16)],
)
def test_a10_a_hash_fits_its_vr(keyword: str, text: str, longest: int) -> None:
    ds = basic_dataset(**{keyword: text})
    tag = int(ds[keyword].tag)
    found = deidentify(ds, plan_of(tags={tag: HASH})).dataset[keyword]
    validate_value(found.VR, str(found.value), config.RAISE)
    assert len(found.value) == longest
    assert KEY.digest("text", "", text.encode()).hex().startswith(str(found.value).lower())


@pytest.mark.parametrize(
    "description", ["PHOENIXZIPREPORT", "PhoenixZIPReport", "phoenixzipreport "]
)
def test_a12_a_phoenix_report_is_refused(description: str) -> None:
    ds = basic_dataset(SeriesDescription=description, ProtocolName="Brain")
    with pytest.raises(Refused) as refused:
        _route(ds)
    assert refused.value.reason is Reason.PHOENIX_REPORT
    ds.ProtocolName = "PHOENIX-OK"
    assert _route(ds).plan.rules.name == "PHOENIX-OK"


def test_a14_a_split_index_out_of_range_is_a_missing_tag() -> None:
    ds = basic_dataset(StationName="MRC9", StudyDescription="RESEARCH-LANDE")
    route = _route(ds)
    assert route.plan.rules.name == "Supplement142"
    assert route.is_by_default
    with pytest.raises(Refused) as refused:
        _route(ds, refuses_missing=True)
    assert refused.value.reason is Reason.NO_STUDY


@pytest.mark.parametrize("syntax", [None, IMPLICIT])
def test_a15_value_adds_an_element_that_is_absent(syntax: str | None) -> None:
    plan = plan_of(tags={STUDY_DESCRIPTION: value("Lande^URMC"), 0x00181030: value("T1")})
    new = deidentify(basic_dataset(), plan, *([syntax] if syntax else [])).dataset
    assert new.StudyDescription == "Lande^URMC"
    assert new.ProtocolName == "T1"
    assert [e.tag for e in new] == sorted(e.tag for e in new)
    assert PATIENT_ID not in new.StudyDescription
