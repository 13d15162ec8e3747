import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel
from support_console import Desk

from dicomanon_node.admin import documents, metrics, words
from dicomanon_node.admin.api import DECLARED, FILTER_NAMES, openapi
from dicomanon_node.delivery import dicom
from dicomanon_node.errors import Reason
from dicomanon_node.hold.area import Area
from dicomanon_node.hold.label import Contents, Label
from dicomanon_node.hold.sealing import HoldKey, KeyRing

DOCUMENT = openapi()
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.history.receivers.add(os.getpid())
    return made


def busy(desk: Desk) -> Desk:
    desk.tell()
    desk.tell(event="association.opened", called_aet="DICOMANON", peer="192.0.2.7", pid=1)
    desk.tell(event="instance.refused", reason="no-study", status="0110H", tag="(0008,1030)")
    desk.tell(event="delivery.sent", destination="pacs")
    desk.tell(event="destination.down", destination="share", reason="folder-missing")
    desk.fail()
    return desk


def schema_of(path: str, method: str) -> dict[str, Any]:
    content = DOCUMENT["paths"][path][method]["responses"]["200"]["content"]
    schema: dict[str, Any] = content["application/json"]["schema"]
    return schema | {"components": DOCUMENT["components"]}


@pytest.mark.parametrize("route", DECLARED, ids=lambda route: route.path)
def test_every_answer_is_what_the_openapi_document_says(desk: Desk, route: Any) -> None:  # noqa: ANN401  (a route)
    busy(desk)
    query = "?study=default&study_uid=2.25.136498&destination=pacs"
    if route.path.endswith("/log"):
        query = ""
    headers = {"X-Requested-With": "test"}
    answer = desk.client.request(route.method, route.path + query, headers=headers)
    assert answer.status_code == 200, answer.text
    Draft202012Validator(schema_of(route.path, route.method.lower())).validate(answer.json())
    assert answer.json()


def test_every_field_of_every_document_is_described() -> None:
    models = [
        model
        for model in vars(documents).values()
        if isinstance(model, type)
        and issubclass(model, BaseModel)
        and model not in {BaseModel, documents.Document}
    ]
    schemas = DOCUMENT["components"]["schemas"]
    assert {model.__name__ for model in models} == set(schemas)
    for model in models:
        properties = schemas[model.__name__]["properties"]
        assert set(properties) == set(model.model_fields)
        assert all(field.description for field in model.model_fields.values())
        assert all("description" in shown for shown in properties.values())


def test_every_route_is_in_the_document_with_its_parameters() -> None:
    for route in DECLARED:
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        assert [each["name"] for each in operation["parameters"]] == [
            each.name for each in route.parameters
        ]
    assert sum(len(methods) for methods in DOCUMENT["paths"].values()) == len(DECLARED)


def test_the_document_is_served(desk: Desk) -> None:
    assert desk.client.get("/api/v1/openapi.json").json() == DOCUMENT


@pytest.mark.parametrize("path", ["/study?study=x&study_uid=1", "/rules?study=nobody", "/nothing"])
def test_what_there_is_not_is_404_as_json(desk: Desk, path: str) -> None:
    answer = desk.client.get(f"/api/v1{path}")
    assert answer.status_code == 404
    assert set(answer.json()) == {"error"}


def test_the_node_is_ready_when_receivers_run_and_there_is_room(desk: Desk) -> None:
    assert desk.client.get("/readyz").json() == {"ready": True, "reasons": []}


def test_why_it_is_not_ready_is_said(desk: Desk) -> None:
    desk.history.receivers.clear()
    desk.tell(event="node.draining")
    answer = desk.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "reasons": ["draining", "no-receiver"]}


def test_a_receiver_that_is_no_more_does_not_count(desk: Desk) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    desk.history.receivers = {pid}
    assert desk.client.get("/readyz").json()["reasons"] == ["no-receiver"]


def test_a_spool_that_is_not_there_or_full_is_no_room(desk: Desk) -> None:
    desk.tell(event="spool.full")
    assert desk.client.get("/readyz").json()["reasons"] == ["spool-unavailable"]
    desk.tell(event="spool.available")
    assert desk.client.get("/readyz").status_code == 200
    desk.spool.rename(desk.spool.with_name("elsewhere"))
    desk.look()
    assert desk.client.get("/readyz").json()["reasons"] == ["spool-unavailable"]


def test_a_queue_that_is_full_is_a_reason(desk: Desk) -> None:
    desk.tell(event="queue.full", destination="pacs")
    assert desk.client.get("/readyz").json()["reasons"] == ["queue-full"]
    desk.tell(event="queue.available", destination="pacs")
    assert desk.client.get("/readyz").status_code == 200


def test_retry_puts_one_entry_or_all_of_a_destination_back(desk: Desk) -> None:
    names = ["2.25.1.dcm", "2.25.2.dcm", "2.25.3.dcm"]
    for name in names:
        desk.fail(name)
    headers = {"X-Requested-With": "test"}
    url = "/api/v1/failures/retry?destination=pacs"
    assert desk.client.post(f"{url}&entry={names[1]}", headers=headers).json() == {"retried": 1}
    assert [path.name for path in (desk.spool / "queue" / "pacs").iterdir()] == [names[1]]
    assert desk.client.get("/api/v1/failures").json()["total"] == 2
    assert desk.client.post(url, headers=headers).json() == {"retried": 2}
    assert desk.client.post(url, headers=headers).json() == {"retried": 0}
    counts = [keys["count"] for name, keys in desk.log.events if name == "delivery.retried"]
    assert counts == [1, 2]


@pytest.mark.parametrize("entry", ["../../queue/pacs/x.dcm", "..", "", "2.25.9.dcm"])
def test_retry_touches_nothing_but_an_entry_of_that_name(desk: Desk, entry: str) -> None:
    path = desk.fail()
    url = f"/api/v1/failures/retry?destination=pacs&entry={entry}"
    answer = desk.client.post(url, headers={"X-Requested-With": "test"})
    assert answer.json() == {"retried": 0}
    assert path.exists()


@pytest.mark.parametrize("destination", ["nobody", "..", "pacs/../share", ""])
def test_retry_knows_configured_destinations_only(desk: Desk, destination: str) -> None:
    url = f"/api/v1/failures/retry?destination={destination}"
    assert desk.client.post(url, headers={"X-Requested-With": "test"}).status_code == 404


def test_log_lines_are_chosen_by_event_family_level_and_key(desk: Desk) -> None:
    busy(desk)

    def events(query: str) -> list[str]:
        lines = desk.client.get(f"/api/v1/log?{query}").json()
        return [line["line"]["event"] for line in lines]

    assert events("event=delivery") == ["delivery.sent"]
    assert events("event=instance.stored&study=default") == ["instance.stored"]
    assert events("study=other") == []
    assert len(events("limit=2")) == 2
    assert events("level=error") == []
    assert {"event", "level"} < set(FILTER_NAMES)


def test_the_configuration_has_no_secret(desk: Desk) -> None:
    (desk.spool.parent / "secret.key").write_text("ab" * 32)
    text = desk.client.get("/api/v1/configuration").text
    assert "ab" * 32 not in text
    salts = [
        action.salt
        for rules in desk.config.rules.studies.values()
        for action in rules.tags.values()
        if action.salt is not None
    ]
    assert not any(str(salt) in text for salt in salts)


def test_every_declared_metric_is_exposed_with_its_labels_and_no_other(desk: Desk) -> None:
    busy(desk)
    desk.tell(event="process.died", role="receiver", pid=1)
    desk.tell(event="association.closed", how="released")
    desk.tell(event="association.rejected", reason="peer-not-allowed")
    desk.tell(event="node.draining")
    text = desk.client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    declared = {metric.name.removesuffix("_total"): metric for metric in metrics.DECLARED}
    assert set(families) == set(declared)
    for name, metric in declared.items():
        family = families[name]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        assert family.samples, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


def test_the_numbers_are_those_of_the_lines(desk: Desk) -> None:
    busy(desk)
    desk.tell(duplicate=True)
    text = desk.client.get("/metrics").text
    stored = 'dicomanon_instances_stored_total{duplicate="%s",study="default"} 1.0'
    assert stored % "true" in text
    assert stored % "false" in text
    assert "dicomanon_stored_bytes_total 2000.0" in text
    assert 'dicomanon_destination_up{destination="share"} 0.0' in text
    assert 'dicomanon_failed_entries{destination="pacs"} 1.0' in text


def test_nothing_a_peer_sends_is_a_label(desk: Desk) -> None:
    desk.tell(calling_aet="EVIL", called_aet="EVIL", peer="203.0.113.9")
    desk.tell(event="association.opened", calling_aet="EVIL", called_aet="EVIL", pid=1)
    desk.tell(event="association.rejected", calling_aet="EVIL", reason="called-ae-title")
    text = desk.client.get("/metrics").text
    assert "EVIL" not in text
    assert "203.0.113.9" not in text


def test_a_metric_has_a_bounded_number_of_series(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_SERIES", 10)
    for number in range(50):
        desk.tell(study=f"s{number}")
    text = desk.client.get("/metrics").text
    assert len(re.findall(r"^dicomanon_instances_stored_total\{", text, re.MULTILINE)) == 10


@pytest.mark.parametrize(
    "page", ["/", "/studies", "/failures", "/log", "/study?study=default&study_uid=2.25.136498"]
)
def test_hostile_values_are_text_on_every_page(desk: Desk, page: str) -> None:
    for event in ("instance.stored", "association.opened", "instance.refused", "delivery.failed"):
        desk.tell(event=event, calling_aet=HOSTILE, reason=HOSTILE, pid=1, destination="pacs")
    text = desk.client.get(page).text
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    "page", ["/log?study=", "/rules?study=", "/study?study=", "/failures?retried=", "/"]
)
def test_what_is_asked_for_is_text_as_well(desk: Desk, page: str) -> None:
    assert HOSTILE not in desk.client.get(page + HOSTILE).text


def test_a_reason_file_that_somebody_changed_is_judged(desk: Desk) -> None:
    path = desk.fail()
    reason = path.with_name(path.name + ".json")
    written = {"reason": "<b>x</b>", "status": "FFFFFH", "attempts": 1}
    reason.write_text(json.dumps(written | {"time": "9999-12-31T23:59:59-12:00"}))
    strange = path.with_name("<b>x<b>.dcm")
    strange.write_bytes(b"")
    desk.look()
    entries = desk.client.get("/api/v1/failures").json()["entries"]
    assert {entry["entry"] for entry in entries} == {path.name, "invalid"}
    assert {entry["reason"] for entry in entries} == {"invalid", "unknown"}
    assert "<b>" not in desk.client.get("/failures").text


def test_a_fault_of_the_console_is_told_without_its_text(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("Doe^John")

    monkeypatch.setattr(desk.picture, "overview", broken)
    answer = desk.client.get("/api/v1/overview")
    assert answer.status_code == 500
    assert "Doe" not in answer.text
    assert ("internal.error", "admin") in [
        (name, keys.get("where")) for name, keys in desk.log.events
    ]


def test_every_reason_for_a_refusal_has_words_and_a_cure() -> None:
    assert set(words.REFUSED) == {reason.code for reason in Reason}


def test_every_reason_a_destination_gives_has_words_and_a_cure() -> None:
    given = {*dicom._REASONS.values(), *dicom._FAMILIES.values()}
    given |= {"cannot-understand", "unexpected-status", "breaks-association", "unknown"}
    assert given <= set(words.FAILED)


def test_what_is_held_is_listed_by_its_label_and_nothing_else(desk: Desk) -> None:
    area = Area(desk.spool / "hold", KeyRing(HoldKey(bytes(range(32)))))
    area.prepare()
    label = Label(
        entry="0123456789abcdef",
        held=datetime(2026, 11, 20, 13, 3, tzinfo=UTC),
        reason="burned-in",
        status=0x0110,
        tag=0x00280301,
        calling_aet="SCANNER1",
        study="default",
        key_id=area.keys.current.key_id,
        salt=bytes(32),
    )
    inflow = area.begin(label, Contents("1.2", "2.25.1", "1.2.840.10008.1.2", "SCANNER1", "NODE"))
    inflow.feed(b"Doe^John")
    inflow.commit()
    desk.look()
    answer = desk.client.get("/api/v1/holds").json()
    [held] = answer["entries"]
    assert answer["total"] == 1
    [entry] = area.entries()
    assert held["entry"] == entry.label.entry
    assert (held["reason"], held["tag"], held["bytes"]) == ("burned-in", "(0028,0301)", 8)
    assert entry.label.entry in desk.client.get("/holds").text
    assert "dicomanon_held_entries 1.0" in desk.client.get("/metrics").text
