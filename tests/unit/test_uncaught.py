import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
from dicomanon_node.ops import logs, uncaught
logs.configure(format="json", stream=sys.stdout, strict=True)
uncaught.install()

def fail():
    raise ValueError("Invalid value for VR DA: '12/03/1961 DOE'")

class Finalized:
    def __del__(self):
        fail()

def in_main(): fail()
def in_thread():
    thread = threading.Thread(target=fail); thread.start(); thread.join()
def in_finalizer():
    Finalized()
def quietly():
    thread = threading.Thread(target=sys.exit); thread.start(); thread.join()
"""


def _run(call: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + call],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("where", ["main", "thread", "finalizer"])
def test_an_uncaught_exception_is_logged_by_class_and_printed_nowhere(where: str) -> None:
    done = _run(f"in_{where}()")
    assert f'"event":"internal.error","where":"{where}","error":"ValueError"' in done.stdout
    assert done.stderr == ""
    assert "DOE" not in done.stdout
    assert (done.returncode != 0) is (where == "main")


def test_a_thread_that_exits_is_no_error() -> None:
    done = _run("quietly()")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_an_exception_while_the_interpreter_ends_prints_nothing() -> None:
    done = _run("kept = Finalized()")
    assert (done.stderr, done.returncode) == ("", 0)
    assert "DOE" not in done.stdout
