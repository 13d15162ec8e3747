"""Where an object goes: by its station, by a tag's value, or by the AE title it was sent to."""

import pytest
from pydicom.dataset import Dataset
from support_deid import KEY, basic_dataset, encode

from dicomanon_node.deid.boundaries import HeaderScanner, Limits
from dicomanon_node.deid.elements import Elements
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rules import StationRule, StudyRules
from dicomanon_node.errors import Reason, Refused
from dicomanon_node.routing import FixedRoute, Route, Router

PROTOCOL_NAME, STUDY_ID, PATIENT_ID = 0x00181030, 0x00200010, 0x00100020

STATIONS = {
    "default": StationRule("default", PROTOCOL_NAME),
    "Scanner1": StationRule("Scanner1", STUDY_ID),
    "SCANNER1": StationRule("SCANNER1", PATIENT_ID, split="_", split_index=1),
}
STUDIES = ("fallback", "Study-A", "STUDY-A", "Étude")


def route(
    ds: Dataset,
    *,
    stations: dict[str, StationRule] | None = None,
    studies: tuple[str, ...] = STUDIES,
    fixed: dict[str, FixedRoute] | None = None,
    called_aet: str = "DICOMANON",
    refuses_missing: bool = False,
) -> Route:
    scanner = HeaderScanner(implicit=False, limits=Limits())
    scanner.feed(encode(ds))
    scanner.finish()
    router = Router(
        STATIONS if stations is None else stations,
        {name: Plan(StudyRules(name), KEY) for name in studies},
        "fallback",
        refuses_missing=refuses_missing,
        fixed=fixed,
    )
    return router.route(Elements(scanner.buffer, scanner.rows, implicit=False), called_aet)


def study(ds: Dataset, **settings: object) -> str:
    return route(ds, **settings).plan.rules.name  # type: ignore[arg-type]  # (as above)


def test_a_name_is_matched_exactly_before_letter_case_is_ignored() -> None:
    ds = basic_dataset(PatientID="X_Study-A", StudyID="Study-A", ProtocolName="fallback")
    ds.StationName = "SCANNER1"
    assert study(ds) == "Study-A"
    ds.PatientID = "X_STUDY-A"
    assert study(ds) == "STUDY-A"
    ds.StationName = "Scanner1"
    assert study(ds) == "Study-A"


def test_letter_case_is_ignored_where_nothing_matches_exactly() -> None:
    ds = basic_dataset(StationName="scanner1", StudyID="study-a", PatientID="X_study-a")
    assert study(ds) in ("Study-A", "STUDY-A")


def test_padding_and_spaces_around_a_name_do_not_count() -> None:
    ds = basic_dataset(StationName=" Scanner1 ", StudyID="  Study-A ")
    assert study(ds) == "Study-A"


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_a_study_may_be_named_in_any_character_set(character_set: str) -> None:
    ds = basic_dataset(SpecificCharacterSet=character_set, ProtocolName="Étude")
    assert study(ds) == "Étude"


def test_the_tag_counts_at_top_level_only() -> None:
    item = Dataset()
    item.ProtocolName = "Study-A"
    found = route(basic_dataset(PerformedProtocolCodeSequence=[item]))
    assert found.plan.rules.name == "fallback"
    assert found.is_by_default


def test_a_called_ae_title_may_fix_the_study() -> None:
    fixed = {"STUDYA": FixedRoute(study="STUDY-A")}
    found = route(basic_dataset(ProtocolName="Study-A"), fixed=fixed, called_aet="STUDYA")
    assert found.plan.rules.name == "STUDY-A"
    assert not found.is_by_default


def test_a_called_ae_title_may_fix_the_station_rule() -> None:
    fixed = {"BYSTUDYID": FixedRoute(station="Scanner1")}
    ds = basic_dataset(StudyID="Study-A", ProtocolName="fallback")
    assert study(ds, fixed=fixed, called_aet="BYSTUDYID") == "Study-A"
    assert study(ds, fixed=fixed) == "fallback"


def test_a_fixed_study_does_not_let_a_phoenix_report_pass() -> None:
    fixed = {"STUDYA": FixedRoute(study="STUDY-A")}
    ds = basic_dataset(SeriesDescription="PhoenixZIPReport")
    with pytest.raises(Refused) as refused:
        route(ds, fixed=fixed, called_aet="STUDYA")
    assert refused.value.reason is Reason.PHOENIX_REPORT


def test_without_a_default_station_an_unknown_one_is_refused() -> None:
    stations = {"Scanner1": STATIONS["Scanner1"]}
    with pytest.raises(Refused) as refused:
        route(basic_dataset(StationName="OTHER"), stations=stations)
    assert refused.value.reason is Reason.NO_STATION


def test_without_a_default_study_an_unknown_one_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        route(basic_dataset(ProtocolName="unknown"), studies=("Study-A",))
    assert refused.value.reason is Reason.NO_STUDY


def test_where_missing_is_refused_a_value_that_is_there_still_routes() -> None:
    ds = basic_dataset(StationName="Scanner1", StudyID="Study-A")
    assert study(ds, refuses_missing=True) == "Study-A"
    ds.StudyID = "unknown"
    assert study(ds, refuses_missing=True) == "fallback"


def test_a_refusal_says_nothing_of_the_object() -> None:
    with pytest.raises(Refused) as refused:
        route(basic_dataset(StationName="SECRET", ProtocolName="SECRET"), studies=())
    assert "SECRET" not in str(refused.value)
    assert refused.value.reason.status == 0x0110
