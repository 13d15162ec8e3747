"""How a command and a web address are told, and the list of complete studies."""

import hashlib
import hmac
import json
import socket
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydicom import dcmread
from support_ledger import stored
from support_logs import Recorded
from support_node import SMALL, is_alive, wait_until
from support_web import serving

from dicomanon_node.completion.command import Command
from dicomanon_node.completion.folder import StudyFolder
from dicomanon_node.completion.outcome import MissedError, UntoldError
from dicomanon_node.completion.studylist import StudyList, line
from dicomanon_node.completion.teller import Patience, Teller
from dicomanon_node.completion.webhook import Webhook
from dicomanon_node.config.completion import Completion
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.store import Ledger
from dicomanon_node.ledger.studies import Studies

NEVER = threading.Event()


def script(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_command_gets_the_document_and_nothing_of_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOMANON_SECRETS__KEY_FILE", "elsewhere")
    target = tmp_path / "got"
    text = (
        "import json, os, sys;"
        f"json.dump([sys.stdin.read(), dict(os.environ), os.getcwd()], open({str(target)!r}, 'w'))"
    )
    Command(script(text), 30).tell(b"x" * 300_000, NEVER)
    document, environment, directory = json.loads(target.read_text())
    assert document == "x" * 300_000
    assert [name for name in environment if name.startswith("DICOMANON")] == []
    assert directory == "/"


def test_a_command_need_not_read(tmp_path: Path) -> None:
    Command(["true"], 30).tell(b"x" * 300_000, NEVER)
    with pytest.raises(MissedError, match="exit-code") as missed:
        Command(script("raise SystemExit(7)"), 30).tell(b"", NEVER)
    assert missed.value.exit_code == 7
    with pytest.raises(MissedError, match="not-started"):
        Command([str(tmp_path / "missing")], 30).tell(b"", NEVER)


def test_no_argument_goes_through_a_shell(tmp_path: Path) -> None:
    target = tmp_path / "made"
    Command(["true", f"; touch {target}", f"$(touch {target})"], 30).tell(b"", NEVER)
    assert not target.exists()


def test_a_command_that_floods_its_output_fills_nothing() -> None:
    flood = "import os\nfor _ in range(2000): os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)"
    Command(script(flood), 60).tell(b"", NEVER)


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    target = tmp_path / "pids"
    hangs = (
        "import os, subprocess, time;"
        "child = subprocess.Popen(['sleep', '600']);"
        f"open({str(target)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}');"
        "time.sleep(600)"
    )
    with pytest.raises(MissedError, match="timeout"):
        Command(script(hangs), 3).tell(b"", NEVER)
    pids = [int(pid) for pid in target.read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_a_node_that_stops_does_not_wait_for_a_command() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(UntoldError):
        Command(["sleep", "600"], 600).tell(b"", stop)


def test_a_web_address_gets_the_document_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # not used
    key = bytes(range(32))
    with serving() as web:
        Webhook(web.url, 30, key=key, now=lambda: 1000.7).tell(b'{"a": 1}', NEVER)
        [(path, headers, body)] = web.got
    assert (path, body) == ("/hook?site=1", b'{"a": 1}')
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Dicomanon-Timestamp"] == "1000"
    digest = hmac.digest(key, b'1000.{"a": 1}', hashlib.sha256).hex()
    assert headers["X-Dicomanon-Signature"] == f"sha256={digest}"


def test_without_a_key_nothing_is_signed() -> None:
    with serving() as web:
        Webhook(web.url, 30).tell(b"{}", NEVER)
        assert not [name for name in web.got[0][1] if name.startswith("X-")]


@pytest.mark.parametrize("status", [301, 307, 404, 500, 503])
def test_any_answer_but_2xx_is_a_miss_and_no_redirect_is_followed(status: int) -> None:
    with serving() as web:
        web.status = status
        with pytest.raises(MissedError, match="http-status") as missed:
            Webhook(web.url, 30).tell(b"{}", NEVER)
        assert len(web.got) == 1
    assert missed.value.http_status == status


def test_a_server_that_is_not_there_is_a_miss() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(MissedError, match="unreachable"):
        Webhook(f"http://127.0.0.1:{port}/", 30).tell(b"{}", NEVER)


def test_a_server_that_answers_drop_by_drop_is_cut_off() -> None:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(1)
                try:
                    while not done.wait(0.1):
                        connection.sendall(b"H")
                except OSError:
                    pass

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(MissedError, match="timeout"):
                Webhook(f"http://127.0.0.1:{server.getsockname()[1]}/", 1).tell(b"{}", NEVER)
        finally:
            done.set()
            thread.join()


class Scripted:
    """Tells as it is told to."""

    def __init__(self, *outcomes: MissedError | None) -> None:
        self.outcomes = list(outcomes)
        self.bodies: list[dict[str, Any]] = []

    def tell(self, body: bytes, _stop: threading.Event) -> None:
        self.bodies.append(json.loads(body))
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome


def told(tmp_path: Path, count: int = 1) -> Studies:
    """A ledger with complete studies, and word of them left for a command."""
    with Ledger(engine_of(tmp_path / "l.sqlite", is_writer=True), tracks_studies=True) as ledger:
        ledger.ingest(
            [
                stored(1, study_uid=f"2.25.{n}", sop_instance_uid=f"1.{n}")
                for n in range(1, count + 1)
            ],
            {},
        )
    studies = Studies(engine_of(tmp_path / "l.sqlite", is_writer=True))
    for study in studies.open():
        studies.complete(
            study,
            0,
            ("command",),
            lambda made: {
                "study": made.study,
                "study_uid": made.study_uid,
                "revision": made.revision,
            },
        )
    return studies


def test_a_miss_is_tried_again_later_and_others_go_on(tmp_path: Path) -> None:
    log, now = Recorded(), [0]
    tells = Scripted(MissedError("exit-code", exit_code=1), None)
    patience = Patience(retry_s=10, give_up_s=3600)
    teller = Teller("command", told(tmp_path, 2), tells, patience, log, now_us=lambda: now[0])
    assert [teller.turn(NEVER) for _ in range(3)] == [True, True, False]
    assert [body["study_uid"] for body in tells.bodies] == ["2.25.1", "2.25.2"]
    now[0] = 10_000_000
    assert [teller.turn(NEVER) for _ in range(2)] == [True, False]
    assert tells.bodies[-1]["study_uid"] == "2.25.1"
    now[0] = 10**15
    assert not teller.turn(NEVER)
    names = [name for name, _ in log.events]
    assert names == ["hook.failed", "hook.told", "hook.told"]
    assert log.events[0][1]["exit_code"] == 1
    assert log.events[2][1]["attempt"] == 2


def test_what_fails_for_long_is_given_up_and_that_is_an_error(tmp_path: Path) -> None:
    log, now = Recorded(), [0]
    tells = Scripted(*[MissedError("timeout")] * 3)
    teller = Teller("command", told(tmp_path), tells, Patience(10, 15), log, now_us=lambda: now[0])
    for now[0] in (0, 10_000_000, 30_000_000, 10**15):
        teller.turn(NEVER)
    assert [name for name, _ in log.events] == ["hook.failed", "hook.failed", "hook.given_up"]


def test_waits_double_up_to_an_hour() -> None:
    patience = Patience(10, 1e6)
    assert [patience.wait_s(failures) for failures in (1, 2, 3, 100)] == [10, 20, 40, 3600]


def test_a_line_is_that_of_the_transfer_procedure() -> None:
    # The example of the procedure that sites still parse.
    assert line("PHANTOM", "PHANTOM", Path("/spl/tmp/incoming/processed/1234")) == (
        "data for subject PHANTOM with patient id PHANTOM"
        " is in directory /spl/tmp/incoming/processed/1234"
    )
    assert "\n" not in line("A\nB", "C\r\x1b[2J", Path("/x"))
    assert line("", "P1", Path("/x")).startswith("data for subject P1 with patient id P1 ")


def put(outgoing: Path, directory: str, name: str, patient: str) -> None:
    dataset = dcmread(SMALL[0])
    dataset.PatientName = dataset.PatientID = patient
    (outgoing / directory).mkdir(parents=True, exist_ok=True)
    dataset.save_as(outgoing / directory / name)


def test_the_list_has_complete_studies_that_are_there_and_no_others(tmp_path: Path) -> None:
    outgoing, path = tmp_path / "out", tmp_path / "studylist"
    engine = engine_of(tmp_path / "l.sqlite", is_writer=True)
    ledger, studies, clock = Ledger(engine, tracks_studies=True), Studies(engine), [0.0]
    folder = StudyFolder("{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm")
    listed = StudyList(path, outgoing, folder, studies, Recorded(), lambda: clock[0])

    def look() -> list[str]:
        clock[0] += 700
        listed.turn()
        assert list(path.parent.glob(".*")) == []
        return path.read_text().splitlines()

    def complete() -> None:
        for study in studies.open():
            studies.complete(study, 0, (), lambda _made: {})

    assert look() == []
    for number, patient in ((1, "PHANTOM"), (2, "OTHER")):
        directory = f"2.25.{number}/7"
        put(outgoing, directory, f"1.{number}.dcm", patient)
        ledger.ingest(
            [
                stored(
                    number,
                    study_uid=f"2.25.{number}",
                    sop_instance_uid=f"1.{number}",
                    directory=directory,
                )
            ],
            {},
        )
    assert look() == []
    complete()
    both = [
        f"data for subject PHANTOM with patient id PHANTOM is in directory {outgoing}/2.25.1",
        f"data for subject OTHER with patient id OTHER is in directory {outgoing}/2.25.2",
    ]
    assert look() == both
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    ledger.ingest([stored(9, study_uid="2.25.1", directory="2.25.1/7")], {})
    assert look() == both[1:], "it is not complete any more"
    complete()
    assert look() == both
    (outgoing / "2.25.2" / "7" / "1.2.dcm").unlink()
    (outgoing / "2.25.2" / "7").rmdir()
    (outgoing / "2.25.2").rmdir()
    assert look() == both[:1], "somebody took it away"


def test_a_list_that_cannot_be_written_is_told_once_and_the_old_one_stays(tmp_path: Path) -> None:
    path, clock, log = tmp_path / "d" / "studylist", [0.0], Recorded()
    engine = engine_of(tmp_path / "l.sqlite", is_writer=True)
    listed = StudyList(
        path, tmp_path, StudyFolder("{SOPInstanceUID}.dcm"), Studies(engine), log, lambda: clock[0]
    )
    for clock[0] in (2.0, 4.0):
        listed.turn()
    assert [name for name, _ in log.events] == ["studylist.failed"]
    path.parent.mkdir()
    clock[0] = 6.0
    listed.turn()
    assert path.read_text() == ""


def test_a_program_is_named_by_an_absolute_path_or_found_in_path() -> None:
    for program in ("/opt/arrived", "arrived"):
        assert Completion(hook_command=(program, "a/b")).hook_command[0] == program
    with pytest.raises(ValidationError, match="absolute path"):
        Completion(hook_command=("hooks/arrived",))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/t0ken",
        "http:///t0ken",
        "t0ken",
        "http://a b/t0ken",
        "http://x/#t0ken",
        "http://x:99999/t0ken",
        "http://é/t0ken",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Completion(hook_url=url)
    [problem] = refused.value.errors()
    assert "t0ken" not in problem["msg"]
