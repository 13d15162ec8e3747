"""Audit messages are what PS3.15 A.5 says, and name nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_audit import SOURCE, Told, event, is_valid, parsed_xml

from dicomanon_node.audit.messages import KINDS, message
from dicomanon_node.ledger.outbox import AuditEvent

MR = "1.2.840.10008.5.1.4.1.1.4"
TRANSFER = {
    "party": "1-1",
    "study_uid": "2.25.1",
    "patient": "ANON1",
    "study": "ABCD",
    "calling_aet": "CT1",
    "peer": "192.0.2.7",
    "classes": [[MR, 3], ["1.2.3", 2]],
}


def told(made: AuditEvent) -> Told:
    return parsed_xml(message(made, SOURCE).encode())


def test_the_schema_refuses_what_is_no_audit_message() -> None:
    text = message(event("started"), SOURCE).encode()
    assert is_valid(text)
    for part, other in (
        (b'EventOutcomeIndicator="0"', b'EventOutcomeIndicator="1"'),
        (b"AuditSourceID=", b"Other="),
        (b' codeSystemName="DCM"', b""),
        (b"<ActiveParticipant", b"<Participant"),
        (b"Z", b"z"),
    ):
        assert part in text
        assert not is_valid(text.replace(part, other))


@pytest.mark.parametrize(("kind", "type_code"), [("started", "110120"), ("stopped", "110121")])
def test_start_and_stop_are_application_activity(kind: str, type_code: str) -> None:
    found = told(event(kind, clean=True))
    assert (found.event, found.codes("EventTypeCode")) == ("110100", [type_code])
    assert (found.action, found.outcome) == ("E", "0")
    assert found.roles == {"110150": "node-1"}
    assert found.values("ActiveParticipant", "AlternativeUserID") == ["AETITLES=DICOMANON"]
    assert found.values("AuditSourceIdentification", "AuditSourceID") == ["node-1"]
    assert found.values("EventIdentification", "EventDateTime") == ["2023-11-14T22:13:20.123456Z"]


def test_a_stop_for_which_somebody_had_to_be_killed_is_a_failure() -> None:
    assert told(event("stopped", clean=False)).outcome == "8"


@pytest.mark.parametrize(
    ("kind", "action", "outcome"),
    [("import", "C", "0"), ("resend", "R", "0"), ("refusal", "C", "4")],
)
def test_what_came_is_a_transfer_from_its_sender_to_the_node(
    kind: str, action: str, outcome: str
) -> None:
    found = told(event(kind, **TRANSFER))
    assert (found.event, found.action, found.outcome) == ("110104", action, outcome)
    assert found.roles == {"110153": "CT1", "110152": "node-1"}
    assert found.values("ActiveParticipant", "NetworkAccessPointID") == ["192.0.2.7", "host-1"]
    assert found.values("ActiveParticipant", "NetworkAccessPointTypeCode") == ["2", "1"]
    assert found.values("ActiveParticipant", "UserIsRequestor") == ["true", "false"]
    assert found.objects == {"110180": "2.25.1", "2": "ANON1"}
    assert found.values("SOPClass", "UID") == [MR, "1.2.3"]
    assert found.values("SOPClass", "NumberOfInstances") == ["3", "2"]
    assert b"<Anonymized>true</Anonymized>" in found.raw


@pytest.mark.parametrize(("kind", "outcome"), [("export", "0"), ("export-failed", "8")])
def test_what_went_is_a_transfer_from_the_node_to_the_destination(kind: str, outcome: str) -> None:
    found = told(event(kind, **TRANSFER | {"party": "pacs"}))
    assert (found.event, found.action, found.outcome) == ("110104", "R", outcome)
    assert found.roles == {"110153": "node-1", "110152": "pacs"}
    assert found.values("ActiveParticipant", "NetworkAccessPointID") == ["host-1", "192.0.2.9"]
    assert found.objects == {"110180": "2.25.1", "2": "ANON1"}


def test_the_first_of_a_study_is_the_beginning_of_a_transfer() -> None:
    begun = {key: value for key, value in TRANSFER.items() if key != "classes"}
    found = told(event("begin", **begun))
    assert (found.event, found.action) == ("110102", "E")
    assert found.objects == {"110180": "2.25.1", "2": "ANON1"}


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    found = told(event("refusal", party="1-1", study_uid="", patient="", classes=[["", 4]]))
    assert found.objects == {"110180": "unknown", "2": "unknown"}
    assert found.count == 4
    assert not found.document.getElementsByTagName("Anonymized")


def test_a_reidentification_is_a_patient_record_that_was_read() -> None:
    asked = {"user": "alice", "user_id": 1000, "subject": "ANON1", "reason": "ask Doe"}
    found = told(event("reidentified", **asked, entries=2))
    assert (found.event, found.action, found.outcome) == ("110110", "R", "0")
    assert found.values("ActiveParticipant", "UserID") == ["alice@host-1", "node-1"]
    assert found.objects == {"2": "ANON1"}
    assert b"Doe" not in found.raw


def test_what_was_asked_for_in_vain_is_not_repeated() -> None:
    found = told(event("reidentified", user="alice", subject="DOE^JANE", entries=0))
    assert (found.outcome, found.objects) == ("4", {"2": "unknown"})
    assert b"DOE" not in found.raw


def test_an_export_from_the_hold_names_the_entry_and_no_directory() -> None:
    found = told(event("hold-exported", user="alice", entry="0a1b"))
    assert (found.event, found.action) == ("110106", "R")
    assert found.codes("MediaType") == ["110037"]
    assert found.roles["110154"] == "file://host-1/"
    assert found.objects == {"2": "held:0a1b"}


@pytest.mark.parametrize(
    ("name", "type_code"),
    [
        ("association.rejected", "110126"),
        ("connection.dropped", "110126"),
        ("admin.denied", "110132"),
    ],
)
def test_who_was_not_let_in_is_a_security_alert(name: str, type_code: str) -> None:
    facts = {"reason": "peer-not-allowed", "peer": "192.0.2.66", "calling_aet": "X", "count": 7}
    found = told(event("alert", event=name, **facts))
    assert (found.event, found.codes("EventTypeCode")) == ("110113", [type_code])
    assert (found.action, found.outcome) == ("E", "4")
    assert found.objects == {"110182": "192.0.2.66"}
    assert found.description == f"{name}: peer-not-allowed, count 7"
    # PS3.15 A.5.3.11: of who performed it, UserIsRequestor shall be false.
    assert found.values("ActiveParticipant", "UserIsRequestor") == ["false", "false"]


@pytest.mark.parametrize(
    ("made", "type_code", "outcome"),
    [
        (event("reloaded", rules="0123"), "110129", "0"),
        (event("reloaded", rules="0123", is_refused=True), "110129", "8"),
        (event("rekeyed", user="alice", keys="89ab"), "110135", "0"),
    ],
)
def test_other_rules_and_other_keys_are_security_alerts(
    made: AuditEvent, type_code: str, outcome: str
) -> None:
    found = told(made)
    assert (found.event, found.codes("EventTypeCode")) == ("110113", [type_code])
    assert found.outcome == outcome
    assert ("0123" in found.description) != ("89ab" in found.description)


FACTS = ("party", "study_uid", "patient", "study", "calling_aet", "peer", "reason", "subject")


@given(
    kind=st.sampled_from(sorted(KINDS)),
    facts=st.dictionaries(st.sampled_from(FACTS), st.text(max_size=30)),
    entries=st.integers(0, 1),
)
def test_whatever_is_in_an_event_its_message_is_valid(
    kind: str, facts: dict[str, str], entries: int
) -> None:
    assert is_valid(message(event(kind, **facts, entries=entries), SOURCE).encode())
