"""The key file: made once, read strictly, never shown."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dicomanon_node.config.private_files import sweep_parts
from dicomanon_node.config.secrets import make_key, read_key
from dicomanon_node.errors import ConfigError

KEY = "8c1fa2c0ee0d4ff5a30c7b6f1c9c2f3dd27b0d7f5a1e4c3b9f6e8d7c6b5a4938"


def key_file(tmp_path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path = tmp_path / "secret.key"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_key(path)
    assert caught.value.__cause__ is None
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("content", [KEY, KEY + "\n", KEY + "\r\n", KEY.upper()])
def test_64_digits_are_32_bytes(tmp_path: Path, content: str | bytes) -> None:
    assert read_key(key_file(tmp_path, content)) == bytes.fromhex(KEY)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_that_only_its_owner_can_read_is_taken(tmp_path: Path, mode: int) -> None:
    assert read_key(key_file(tmp_path, KEY, mode))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620, 0o602, 0o610, 0o777])
def test_a_key_open_to_others_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    message = refusal(key_file(tmp_path, KEY, mode))
    assert "chmod 600" in message
    assert KEY not in message


@pytest.mark.parametrize(
    "content",
    [
        "",
        KEY[:-1],
        KEY + "0",
        KEY + "\n\n",
        " " + KEY,
        KEY + " ",
        KEY[:-1] + "g",
        KEY + "\n" + KEY,
        "0x" + KEY[2:],
        b"\xff" * 64,
        b"\x00" * 64,
        "x" * 1_000_000,
    ],
)
def test_what_is_not_exactly_64_digits_is_refused_unseen(
    tmp_path: Path, content: str | bytes
) -> None:
    message = refusal(key_file(tmp_path, content))
    assert "64 hexadecimal digits" in message
    assert KEY[:16] not in message


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        b"\xff" * 32,
        b"\x01\x23\x45\x67\x89\xab\xcd\xef" * 4,
        bytes(range(16)) * 2,
        bytes(range(32)),
        bytes(range(200, 168, -1)),
        bytes(range(15)) + bytes(17),
    ],
)
def test_a_key_that_nobody_made_at_random_is_refused(tmp_path: Path, key: bytes) -> None:
    message = refusal(key_file(tmp_path, key.hex()))
    assert "not random" in message
    assert key.hex() not in message


def test_a_missing_key_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.key")
    (tmp_path / "directory.key").mkdir(mode=0o700)
    refusal(tmp_path / "directory.key")


def test_a_fifo_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.key", 0o600)
    assert "regular file" in refusal(tmp_path / "fifo.key")


def test_a_made_key_can_be_read_and_is_never_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_key(tmp_path / name)
    assert read_key(tmp_path / "a") != read_key(tmp_path / "b")


def test_a_made_key_is_for_the_owner_only_and_nobody_else_can_replace_it(tmp_path: Path) -> None:
    path = tmp_path / "var" / "lib" / "secret.key"
    old = os.umask(0)
    try:
        make_key(path)
    finally:
        os.umask(old)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o755, 0o755]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = key_file(tmp_path, KEY)
    with pytest.raises(ConfigError, match="never overwritten"):
        make_key(path)
    assert path.read_text() == KEY


def test_a_key_is_not_made_where_a_link_points(tmp_path: Path) -> None:
    (tmp_path / "secret.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="never overwritten"):
        make_key(tmp_path / "secret.key")
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_is_flushed_with_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(stat.S_IFMT(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    make_key(tmp_path / "secret.key")
    assert synced == [stat.S_IFREG, stat.S_IFDIR]


def test_a_key_that_cannot_be_flushed_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigError, match="No space left"):
        make_key(tmp_path / "secret.key")
    assert not (tmp_path / "secret.key").exists()
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from dicomanon_node.config.secrets import make_key
step, calls = int(sys.argv[2]), 0
def counted(function):
    def call(*arguments, **options):
        global calls
        if calls == step:
            os._exit(9)
        calls += 1
        return function(*arguments, **options)
    return call
for name in ("open", "fdopen", "fsync", "link", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
make_key(Path(sys.argv[1]))
os._exit(0)
"""


def test_a_key_is_whole_or_not_there_wherever_its_making_is_killed(tmp_path: Path) -> None:
    code, step = 9, 0
    while code == 9:
        path = tmp_path / str(step) / "secret.key"
        path.parent.mkdir()
        command = [sys.executable, "-c", KILLED, str(path), str(step)]
        code = subprocess.run(command, check=False).returncode
        if not path.exists():
            make_key(path)  # as the next start does
        assert len(read_key(path)) == 32
        step += 1
    assert (code, step > 5) == (0, True)
    assert [each.name for each in path.parent.iterdir()] == ["secret.key"]


def test_what_a_kill_left_while_a_key_was_made_is_swept_and_nothing_else(tmp_path: Path) -> None:
    path = key_file(tmp_path, KEY)
    leftover = tmp_path / ".secret.key.0123456789abcdef.part"
    others = [tmp_path / name for name in (".other.key.01.part", "secret.key.part", "secret.key~")]
    for made in (leftover, *others):
        made.write_text("x")
    sweep_parts(path)
    assert not leftover.exists()
    assert all(other.exists() for other in others)
    assert read_key(path) == bytes.fromhex(KEY)
