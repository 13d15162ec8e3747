"""What a C-STORE status means for the queue (PS3.4 B.2.3, PS3.7 C)."""

import pytest
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from dicomanon_node.delivery.dicom import judge_status
from dicomanon_node.errors import DeferredError, RejectedError


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0xBFFF])
def test_success_and_warnings_are_delivered(status: int) -> None:
    assert judge_status(status) == status


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0xA7FF])
def test_out_of_resources_is_temporary(status: int) -> None:
    with pytest.raises(DeferredError) as raised:
        judge_status(status)
    assert (raised.value.code, raised.value.status) == ("out-of-resources", status)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (0xA900, "dataset-mismatch"),
        (0xA9FF, "dataset-mismatch"),
        (0xC000, "cannot-understand"),
        (0xCFFF, "cannot-understand"),
        (0x0110, "processing-failure"),
        (0x0122, "sop-class-not-supported"),
        (0x0124, "not-authorised"),
        (0x0106, "refused"),
        (0x0211, "refused"),
        (0xFF00, "unexpected-status"),
        (0xFE00, "unexpected-status"),
        (0xA800, "unexpected-status"),
        (0x0001, "unexpected-status"),
    ],
)
def test_everything_else_is_permanent(status: int, code: str) -> None:
    with pytest.raises(RejectedError) as raised:
        judge_status(status)
    assert (raised.value.code, raised.value.status) == (code, status)


def test_every_status_that_pynetdicom_knows_is_judged_by_its_category() -> None:
    for status, (category, _) in STORAGE_SERVICE_CLASS_STATUS.items():
        if category in {"Success", "Warning"} and status not in {0x0107, 0x0116}:
            assert judge_status(status) == status
        else:
            with pytest.raises((DeferredError, RejectedError)):
                judge_status(status)


def test_no_status_leaves_an_instance_without_a_verdict() -> None:
    verdicts: set[object] = set()
    for status in range(0x10000):
        try:
            verdicts.add(judge_status(status) >> 12)
        except (DeferredError, RejectedError) as error:
            verdicts.add(type(error))
    assert verdicts == {0x0, 0xB, DeferredError, RejectedError}
