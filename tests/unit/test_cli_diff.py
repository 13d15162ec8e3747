"""`diff`, as it is called from a shell."""

import json
from pathlib import Path

from pydicom import dcmread
from support_node import SMALL, cli

MR = next(path for path in SMALL if path.name == "dicognito-mr-explicit.dcm")


def changed(tmp_path: Path) -> Path:
    """The file with a name that would write on the terminal, a comment, and other pixels."""
    ds = dcmread(MR)
    ds.PatientName = "Quill\x1b[2Jfeather"
    ds.PatientComments = "new"
    del ds.Manufacturer
    ds.PixelData = bytes(len(ds.PixelData))
    ds.save_as(tmp_path / "new.dcm")
    return tmp_path / "new.dcm"


def test_the_same_file_is_exit_code_0() -> None:
    done = cli("diff", MR, MR)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 removed, 0 added, 0 changed" in done.stdout


def test_differences_are_exit_code_1_and_named(tmp_path: Path) -> None:
    done = cli("diff", MR, changed(tmp_path))
    assert done.returncode == 1
    places = {line.split()[1]: line[0] for line in done.stdout.splitlines()[:-1]}
    assert places == {
        "(0008,0070)": "-",
        "(0010,0010)": "~",
        "(0010,4000)": "+",
        "(7fe0,0010)": "~",
    }
    assert "Manufacturer" in done.stdout


def test_values_are_hidden(tmp_path: Path) -> None:
    new = changed(tmp_path)
    original = str(dcmread(MR).PatientName)
    for shown in (cli("diff", MR, new).stdout, cli("diff", MR, new, "--json").stdout):
        assert original not in shown
        assert "feather" not in shown


def test_values_are_shown_if_asked_for_and_escaped(tmp_path: Path) -> None:
    done = cli("diff", MR, changed(tmp_path), "--show-values")
    assert 'Quill\\x1b[2Jfeather"' in done.stdout
    assert str(dcmread(MR).PatientName) in done.stdout
    assert "\x1b" not in done.stdout


def test_json_says_the_same(tmp_path: Path) -> None:
    found = json.loads(cli("diff", MR, changed(tmp_path), "--json").stdout)
    assert {(each["path"], each["change"]) for each in found["differences"]} == {
        ("(0008,0070)", "removed"),
        ("(0010,0010)", "changed"),
        ("(0010,4000)", "added"),
        ("(7fe0,0010)", "changed"),
    }
    assert found["counts"]["changed"] == 2
    pixels = found["differences"][-1]
    assert pixels["original"]["length"] == len(dcmread(MR).PixelData)
    assert len(pixels["original"]["sha256"]) == 64
    # The digest of a name could be found by trying.
    assert [each for each in found["differences"] if "sha256" in (each["original"] or {})] == [
        pixels
    ]


def test_trouble_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not DICOM", encoding="ascii")
    done = cli("diff", MR, tmp_path / "text")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not a DICOM file" in done.stderr
    assert cli("diff", MR, tmp_path / "missing").returncode == 2
