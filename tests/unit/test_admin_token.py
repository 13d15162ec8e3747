import stat
from pathlib import Path

import pytest

from dicomanon_node.admin.token import read_or_make
from dicomanon_node.errors import ConfigError


def test_a_token_is_made_once_for_the_nodes_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "token"
    token = read_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make(path) == token
    assert len(token) > 40
    assert read_or_make(tmp_path / "other") != token


def test_a_token_that_somebody_wrote_is_taken_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("a-token-of-a-person-1234\r\n")
    path.chmod(0o600)
    assert read_or_make(path) == "a-token-of-a-person-1234"


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        ("a-token-of-a-person-1234", 0o640, "chmod 600"),
        ("short", 0o600, "20 to 200"),
        ("", 0o600, "20 to 200"),
        ("two words and a few more", 0o600, "20 to 200"),
        ("x" * 500, 0o600, "20 to 200"),
    ],
)
def test_a_file_that_is_no_token_is_refused_with_the_cure_and_without_its_content(
    tmp_path: Path, content: str, mode: int, why: str
) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=why) as caught:
        read_or_make(path)
    assert not content or content not in str(caught.value)


def test_a_directory_is_no_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_or_make(tmp_path)


def test_where_it_cannot_be_made_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be"):
        read_or_make(tmp_path / "file" / "token")
