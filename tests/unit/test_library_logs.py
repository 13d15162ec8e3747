import logging
import warnings
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from support_logs import Captured

from dicomanon_node.ops import library_logs, logs
from dicomanon_node.ops.library_logs import LibraryHandler

CANARY = "12/03/1961 DOE"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Puts the process-wide state back that `install` changes."""
    root = logging.getLogger()
    names = list(root.manager.loggerDict)
    loggers = [root, *map(logging.getLogger, names)]
    before = [(each, list(each.handlers), each.level, each.propagate) for each in loggers]
    raises, last_resort = logging.raiseExceptions, logging.lastResort
    with warnings.catch_warnings():
        yield
        logging.captureWarnings(capture=False)
    logging.raiseExceptions, logging.lastResort = raises, last_resort
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
    logs.configure(strict=True)


@pytest.fixture
def captured() -> Captured:
    stream = Captured()
    logs.configure(format="json", stream=stream, strict=True)
    return stream


def test_a_warning_of_pydicom_is_counted_and_its_value_withheld(
    captured: Captured, capfd: pytest.CaptureFixture[str]
) -> None:
    library_logs.install()
    dataset = Dataset()
    dataset.StudyDate = CANARY
    [event, *_] = captured.events
    assert event["event"] == "library.message"
    assert event["logger"] in {"pydicom", "py.warnings"}
    assert event["library_level"] == "warning"
    printed = "".join(capfd.readouterr())
    assert "DOE" not in captured.getvalue() + printed
    assert "1961" not in captured.getvalue() + printed


def test_loggers_with_handlers_of_their_own_lose_them(
    captured: Captured, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("some.library")
    logger.addHandler(logging.StreamHandler())
    logger.propagate = False
    library_logs.install()
    logger.error("patient %s", CANARY)
    assert capfd.readouterr() == ("", "")
    assert captured.events[0]["logger"] == "some.library"


def test_an_exception_given_to_a_logger_is_not_written(
    captured: Captured, capfd: pytest.CaptureFixture[str]
) -> None:
    library_logs.install()
    logging.getLogger("pynetdicom").error("failed", exc_info=ValueError(CANARY))
    assert "DOE" not in captured.getvalue() + "".join(capfd.readouterr())


def test_a_record_that_cannot_be_formatted_prints_nothing(
    captured: Captured, capfd: pytest.CaptureFixture[str]
) -> None:
    library_logs.install()
    logging.getLogger("pydicom").warning("%d of it", CANARY)
    assert capfd.readouterr() == ("", "")
    assert len(captured.lines) == 1


def test_debug_and_info_messages_are_not_counted(captured: Captured) -> None:
    library_logs.install()
    chatty = logging.getLogger("chatty.library")
    chatty.setLevel(logging.DEBUG)
    chatty.info("x")
    chatty.debug("x")
    assert captured.lines == []


def _handler(now: list[float]) -> tuple[LibraryHandler, logging.Logger]:
    handler = LibraryHandler(clock=lambda: now[0])
    logger = logging.Logger("pydicom")  # noqa: LOG001  (one that no other test knows)
    logger.addHandler(handler)
    return handler, logger


def test_a_noisy_library_takes_a_line_a_minute_and_every_message_is_counted(
    captured: Captured,
) -> None:
    now = [0.0]
    handler, logger = _handler(now)
    for second in range(150):
        now[0] = float(second)
        logger.warning("x")
        logger.error("x")
    handler.flush()
    told = [(event["library_level"], event["count"]) for event in captured.events]
    assert [count for level, count in told if level == "warning"] == [1, 60, 60, 29]
    assert sum(count for _, count in told) == 300


def test_made_up_logger_names_do_not_fill_the_memory(captured: Captured) -> None:
    now = [0.0]
    handler, _ = _handler(now)
    for number in range(5000):
        handler.handle(logging.LogRecord(f"peer{number}", 30, "", 0, "x", None, None))
    assert len(captured.lines) <= 300
    handler.flush()
    assert sum(event["count"] for event in captured.events) == 5000
    assert captured.events[-1]["logger"] == "others"


def test_a_hostile_logger_name_is_not_written(captured: Captured) -> None:
    handler, _ = _handler([0.0])
    handler.handle(logging.LogRecord("DOE^JANE\n", 30, "", 0, "x", None, None))
    assert captured.events[0]["logger"] == "invalid"
