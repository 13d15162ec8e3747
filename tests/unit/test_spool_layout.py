import re
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicomanon_node.spool import Layout, render_layout

DEFAULT = "{study}/{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"

# Microsoft's list, "Naming Files, Paths, and Namespaces".
WINDOWS_DEVICES = {"CON", "PRN", "AUX", "NUL"} | {
    f"{port}{digit}" for port in ("COM", "LPT") for digit in range(10)
}

hostile = st.one_of(
    st.text(),
    st.text(alphabet="./\\~_- \0\nA1"),
    st.sampled_from(["..", ".", "", "/", "../../etc/passwd", "con", "NUL.txt", "a/b", "\ud800"]),
)


def values_of(*texts: str) -> dict[str, str]:
    names = ("study", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return dict(zip(names, texts, strict=True))


def test_uids_and_plain_text_stand_in_the_path_as_they_are() -> None:
    values = values_of("brain", "ANON-0001", "2.25.1", "2.25.2", "2.25.3")
    assert render_layout(DEFAULT, values) == PurePosixPath(
        "brain/ANON-0001/2.25.1/2.25.2/2.25.3.dcm"
    )


@given(st.tuples(hostile, hostile, hostile, hostile, hostile))
@example(("..", ".", "", "/", "\0"))
def test_no_value_leads_out_of_its_component(texts: tuple[str, ...]) -> None:
    path = render_layout(DEFAULT, values_of(*texts))
    assert len(path.parts) == 5
    assert not path.is_absolute()
    for part in path.parts:
        assert re.fullmatch(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*", part)
        assert not part.endswith(".")
        assert len(part) <= 184
        assert part.split(".")[0].upper() not in WINDOWS_DEVICES
    assert path.suffix == ".dcm"
    assert path == Layout(DEFAULT).render(values_of(*texts))


@given(hostile, hostile)
@example("A B", "A_B")
@example("a/b", "a\\b")
@example("x" * 500, "x" * 501)
@example("CON", "_CON")
@example(".a", "_a")
def test_different_values_give_different_paths(one: str, other: str) -> None:
    def significant(text: str) -> str:
        return text.strip(" \0") or "unknown"

    paths = {render_layout("{PatientID}/x.dcm", {"PatientID": text}) for text in (one, other)}
    assert len(paths) == len({significant(one), significant(other)})


def test_padding_makes_no_difference() -> None:
    plain, *padded = (
        render_layout("{PatientID}.dcm", {"PatientID": text}) for text in ("A1", "A1 ", " A1\0")
    )
    assert set(padded) == {plain}


@pytest.mark.parametrize("values", [{}, {"PatientID": ""}, {"PatientID": "  "}])
def test_what_is_absent_or_empty_is_unknown(values: dict[str, str]) -> None:
    assert render_layout("x/{PatientID}.dcm", values) == PurePosixPath("x/unknown.dcm")


def test_a_component_may_be_text_and_fields() -> None:
    layout = Layout("site-1/{PatientID}_{Modality}/{SOPInstanceUID}.dcm")
    assert layout.fields == {"PatientID", "Modality", "SOPInstanceUID"}
    values = {"PatientID": "P", "Modality": "MR", "SOPInstanceUID": "2.25.1"}
    assert layout.render(values) == PurePosixPath("site-1/P_MR/2.25.1.dcm")


@pytest.mark.parametrize(
    "template",
    [
        "",
        "/{study}.dcm",
        "{study}//x.dcm",
        "{study}/",
        "../{study}.dcm",
        "./{study}.dcm",
        ".hidden/{study}.dcm",
        "{study/x.dcm",
        "{}.dcm",
        "{study.__class__}.dcm",
        "{study!r}.dcm",
        "{study:>10}.dcm",
        "a b/{study}.dcm",
        "~{study}.dcm",
        "{study}/.dcm",
        "C:\\{study}.dcm",
    ],
)
def test_a_template_that_is_no_safe_path_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="layout"):
        Layout(template)
