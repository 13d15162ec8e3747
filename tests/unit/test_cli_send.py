"""`send`, `echo`, `check` and `schema`, as they are called from a shell."""

import json
from pathlib import Path

import pytest
from pydicom import dcmread
from support_delivery import free_port
from support_node import SMALL, Node, cli, invoke, on_a_terminal, write_config


def test_files_and_folders_are_sent_and_what_is_not_dicom_is_named(
    node: Node, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "folder" / "1.dcm").write_bytes(SMALL[0].read_bytes())
    done = node.send(SMALL[1], tmp_path / "folder")
    assert done.returncode == 0
    assert done.stdout.startswith("2 sent, 0 failed, 1 skipped; ")
    assert done.stderr == f"skipped  {tmp_path}/folder/notes.txt: not a DICOM file\n"


def test_a_refused_object_is_named_with_the_answer(node: Node, tmp_path: Path) -> None:
    dataset = dcmread(SMALL[0])
    dataset.BurnedInAnnotation = "YES"
    path = tmp_path / "1.dcm"
    dataset.save_as(path)
    done = node.send(path, SMALL[1])
    assert done.returncode == 1
    assert done.stdout.startswith("1 sent, 1 failed, 0 skipped; ")
    assert done.stderr == f"failed   {path}: Burned in annotation is refused (0110H)\n"


def test_more_files_than_an_association_has_room_for_are_sent(node: Node) -> None:
    done = node.send(*SMALL * 30)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{len(SMALL) * 30} sent, 0 failed")


def test_where_nobody_listens_it_is_said_once() -> None:
    target = f"NODE@127.0.0.1:{free_port()}"
    done = cli("send", "--to", target, *SMALL)
    assert done.returncode == 1
    assert done.stderr == (
        f"{target}: nobody listens there. Is the node running? (dicomanon-node serve)\n"
    )
    assert cli("echo", "--to", target).returncode == 1


def test_a_wrong_ae_title_is_explained(node: Node) -> None:
    target = f"WRONG@127.0.0.1:{node.port}"
    for command in (["send", "--to", target, str(SMALL[0])], ["echo", "--to", target]):
        done = cli(*command)
        assert done.returncode == 1
        assert done.stderr == (
            f"{target}: it does not answer to this AE title (rejected: 1, 1, 7)\n"
        )


def test_echo_tells_the_answer(node: Node) -> None:
    done = cli("echo", "--to", node.target)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{node.target}: 0000H in ")


def test_the_bar_is_on_terminals_only(node: Node, tmp_path: Path) -> None:
    arguments = ["send", "--to", node.target, *map(str, SMALL)]
    assert cli(*arguments).stderr == ""
    assert f"{len(SMALL)}/{len(SMALL)}" in on_a_terminal(*arguments, cwd=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["send"], "Missing argument 'FILE...'"),
        (["send", "/nowhere/1.dcm"], "does not exist"),
        (["send", "--to", "nobody", str(SMALL[0])], "such as DICOMANON@127.0.0.1:11112"),
        (["send", "--from", "X" * 17, str(SMALL[0])], "1 to 16"),
        (["echo", "--config", "/nowhere"], "there is no such directory"),
        (["echo", "--set", "listener.prot=1"], "listener.prot"),
        (["echo", "--set", "listener.port=0"], "--to AETITLE@HOST:PORT"),
        (["check", "--config", "/nowhere"], "there is no such directory"),
        (["shcema"], "No such command"),
    ],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    write_config(tmp_path)
    done = invoke(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_check_changes_nothing_and_says_what_will_happen(tmp_path: Path) -> None:
    write_config(tmp_path)
    done = invoke("check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Listens as DICOMANON on 0.0.0.0:11112" in done.stdout
    assert "EXAMPLE-STUDY" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


def test_check_names_every_mistake_at_once(tmp_path: Path) -> None:
    write_config(tmp_path, "[listener]\nprot = 1\n[log]\nlevel = 'loud'\n", stations={"x": {}})
    done = invoke("check", cwd=tmp_path)
    assert done.returncode == 2
    for place in ("listener.prot", "log.level", "stations.json"):
        assert place in done.stderr


def test_schemas_are_written_for_editors(tmp_path: Path) -> None:
    printed = json.loads(invoke("schema").stdout)
    done = invoke("schema", "--output", tmp_path / "schemas")
    assert done.returncode == 0
    for line in done.stdout.splitlines():
        path = Path(line)
        assert (
            json.loads(path.read_text(encoding="utf-8"))
            == printed[path.name.removesuffix(".schema.json")]
        )
    assert len(done.stdout.splitlines()) == len(printed) == 3


def test_every_command_has_help_and_the_first_page_lists_them_all() -> None:
    first = invoke("--help").stdout
    for command in ("serve", "check", "send", "echo", "deidentify", "queue", "schema"):
        assert f"\n  {command} " in first
        done = invoke(command, "-h")
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: dicomanon-node {command}")
        assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_version_is_told() -> None:
    assert invoke("--version").stdout.startswith("dicomanon-node, version 0.")
