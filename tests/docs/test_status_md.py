import re

import pytest
from support_docs import ROOT, code, section, tables

from dicomanon_node.commitment.answering import FailureReason
from dicomanon_node.commitment.information import Fault
from dicomanon_node.delivery.dicom import judge_status
from dicomanon_node.errors import DeferredError, Reason, RejectedError, Status
from dicomanon_node.network import pdus, peers, transfer
from dicomanon_node.network.peers import Rejection
from dicomanon_node.network.service import Ending

TEXT = (ROOT / "docs" / "status.md").read_text(encoding="utf-8")
GIVEN, RESERVED, REJECTIONS, ABORTS, REQUESTS, FAILURES, ANSWERS = tables(TEXT)
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "dicomanon_node").rglob("*.py"))
    # Where reasons are declared, and where each has its cure: nobody refuses there.
    if path.name not in ("errors.py", "cures.py")
)


def test_the_tables_are_the_reasons_of_the_program() -> None:
    documented = [(code(reason), status, comment) for _, status, reason, comment, _ in RESERVED]
    documented += [(code(reason), status, comment) for _, status, reason, comment, _ in GIVEN]
    declared = [(reason.code, f"{reason.status:04X}H", reason.comment) for reason in Reason]
    assert sorted(documented) == sorted(declared)


def test_temporary_reasons_and_no_others_are_to_be_sent_again() -> None:
    again = {code(reason) for _, _, reason, _, advice in GIVEN + RESERVED if advice == "yes"}
    assert again == {reason.code for reason in Reason if reason.is_temporary}


def test_what_is_called_not_given_is_used_nowhere() -> None:
    used = {reason.code for reason in Reason if re.search(rf"Reason\.{reason.name}\b", SOURCES)}
    assert {code(reason) for _, _, reason, _, _ in GIVEN} == used


def test_aborts_say_what_ps3_8_table_9_26_says_and_end_as_the_log_says() -> None:
    reasons = {
        pdus.NO_REASON,
        pdus.UNRECOGNIZED_PDU,
        pdus.UNEXPECTED_PDU,
        pdus.INVALID_PARAMETER_VALUE,
    }
    assert {int(reason) for _, _, reason, _ in ABORTS} == reasons
    # Only the service-provider has reasons.
    assert {reason for _, source, reason, _ in ABORTS if source == "0"} == {"0"}
    assert {code(how) for *_, how in ABORTS} <= set(Ending)


def test_every_condition_is_told_apart() -> None:
    conditions = [row[0] for row in GIVEN + RESERVED]
    assert len(set(conditions)) == len(conditions)


def test_every_status_word_the_node_may_give_is_in_the_tables() -> None:
    documented = {status for _, status, *_ in GIVEN + RESERVED} | {"0000H"}
    assert documented == {f"{status:04X}H" for status in Status}


def test_a_request_without_data_set_is_answered_as_documented() -> None:
    outcome = transfer.NO_DATASET
    sentence = f"is answered {outcome.status:04X}H, `{outcome.comment}`"
    assert sentence in TEXT


def test_the_rejections_are_those_of_the_program() -> None:
    declared = [value for value in vars(peers).values() if isinstance(value, Rejection)]
    documented = [
        Rejection(code(reason), int(result), int(source), int(diagnostic))
        for _, result, source, diagnostic, reason in REJECTIONS
    ]
    assert sorted(documented, key=str) == sorted(declared, key=str)


def documented_answer(status: int) -> tuple[str, str]:
    written = f"{status:04X}H"
    for pattern, effect, reason in ANSWERS:
        if pattern == "any other" or re.fullmatch(pattern.replace("x", ".").ljust(5, "H"), written):
            return effect, code(reason)
    raise AssertionError(written)


def actual_answer(status: int) -> tuple[str, str]:
    try:
        judge_status(status)
    except DeferredError as error:
        return "stays in the queue", error.code
    except RejectedError as error:
        return "goes to failed/", error.code
    return "is delivered", ""


@pytest.mark.parametrize("first_digit", range(16))
def test_what_a_destination_answers_means_what_the_table_says(first_digit: int) -> None:
    for status in range(first_digit << 12, (first_digit + 1) << 12):
        assert actual_answer(status) == documented_answer(status), f"{status:04X}H"


def test_the_readme_says_the_same_in_short() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (short,) = tables(section(readme, "What is refused"))
    permanent = {
        status: "again" not in advice.replace("not send it again", "")
        for status, _, advice in short
    }
    for reason in Reason:
        status = f"{reason.status:04X}H"
        if status in permanent:
            assert permanent[status] is not reason.is_temporary


def test_the_statuses_of_storage_commitment_are_those_of_the_program() -> None:
    documented = {
        (code(reason), int(status[:4], 16), comment) for _, status, reason, comment in REQUESTS[1:]
    }
    assert {(fault.code, fault.status, fault.comment) for fault in Fault} <= documented
    source = (ROOT / "dicomanon_node" / "commitment" / "intake.py").read_text(encoding="utf-8")
    for reason, _, comment in documented - {(f.code, f.status, f.comment) for f in Fault}:
        assert f'"{reason}"' in source
        assert f'"{comment}"' in source
    assert {int(reason[:4], 16) for _, reason in FAILURES} == set(FailureReason)
