"""`completion`: a script that the shell takes, and answers to what it then asks."""

import shutil
import subprocess
import sys

import pytest
from support_node import cli, environment, invoke


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_the_program(shell: str) -> None:
    done = cli("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_DICOMANON_NODE_COMPLETE" in done.stdout


def test_a_shell_that_is_not_known_is_refused() -> None:
    assert invoke("completion", "tcsh").returncode == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_takes_the_script() -> None:
    script = cli("completion", "bash").stdout
    done = subprocess.run(
        [str(shutil.which("bash")), "-n"],
        input=script,
        text=True,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_that_was_begun_is_completed() -> None:
    program = "from dicomanon_node.cli import main; main(prog_name='dicomanon-node')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(
            {
                "_DICOMANON_NODE_COMPLETE": "bash_complete",
                "COMP_WORDS": "dicomanon-node test",
                "COMP_CWORD": "1",
            }
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "plain,test-rules\n"
