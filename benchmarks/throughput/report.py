"""The report: Markdown for people and for docs/performance.md, JSON for programs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from benchmarks.throughput import batch, sections, sending
from benchmarks.throughput.bench import DISK, Bench
from benchmarks.throughput.figures import Row, rows
from benchmarks.throughput.samples import Input
from benchmarks.throughput.targets import Target, targets

_TITLES: Final = {
    sections.RATES: "Receiving: until the last output file is there",
    sections.CEILING: "The load generator's own ceiling: servers that keep nothing",
    sections.ASSOCIATIONS: "Associations with one object each",
    sections.MEMORY: "Multi-frame objects at once",
    sending.DCMSEND: "dcmsend as shipped (Nagle's algorithm on), from the first file to the last",
    sending.FORWARD: "Forwarding into storescp, from the first file to the last",
    sending.BOTH: "Receiving while forwarding",
    batch.BATCH: "Files: deidentify and dicognito",
}
# In each section, what the others are compared with, the first that is there.
_BASES: Final = (sections.NODE, sending.FROM_NODE, sending.TO_NODE, sending.WHILE, batch.NODE)
_NONE: Final = "-"
_HEADINGS: Final = (
    "case", "at a time", "who", "objects/s", "min - max", "MB/s", "of the node's",
    "CPU ms/object", "peak PSS MiB", "peak RSS MiB", "p50 ms", "p99 ms",
)  # fmt: skip


def as_json(
    bench: Bench, machine: Mapping[str, str], given: Sequence[Input], seconds: float
) -> dict[str, Any]:
    """All that was measured.

    Args:
        bench: The run.
        machine: What it ran on.
        given: The inputs.
        seconds: How long it took.
    """
    put_together = rows(bench.figures)
    return {
        "machine": dict(machine),
        "seconds": round(seconds, 1),
        "inputs": [
            {
                "name": one.name,
                "title": one.title,
                "files": len(one.samples),
                "mean_bytes": round(one.mean_bytes),
                "objects": one.count,
            }
            for one in given
        ],
        "rows": [asdict(row) for row in put_together.values()],
        "rounds": [asdict(figure) | {"rate": figure.rate} for figure in bench.figures],
        "targets": [asdict(target) | {"is_met": target.is_met} for target in targets(put_together)],
        "skipped": bench.skipped,
        "failures": bench.failures,
    }


def markdown(
    bench: Bench, machine: Mapping[str, str], given: Sequence[Input], seconds: float
) -> str:
    """The same for people.

    Args:
        bench: The run.
        machine: What it ran on.
        given: The inputs.
        seconds: How long it took.
    """
    put_together = rows(bench.figures)
    parts = ["# Throughput", "", f"Measured in {seconds / 60:.1f} minutes on", ""]
    parts += [f"- {name}: {value}" for name, value in machine.items()]
    parts += ["", "## Inputs", ""]
    parts += _table(
        ("name", "what", "files", "mean KB", "objects"),
        [
            (
                one.name,
                one.title,
                str(len(one.samples)),
                f"{one.mean_bytes / 1e3:.1f}",
                str(one.count),
            )
            for one in given
        ],
    )
    found = targets(put_together)
    if found:
        parts += ["", "## Targets", "", *_targets(found)]
    for section, title in _TITLES.items():
        of_section = [row for row in put_together.values() if row.section == section]
        if of_section:
            parts += ["", f"## {title}", "", *_section(of_section)]
        if section == sections.CEILING:
            parts += _headroom(put_together.values())
    for title, texts in (("Left out", bench.skipped), ("Failed", bench.failures)):
        if texts:
            parts += ["", f"## {title}", "", *(f"- {_one_line(text)}" for text in texts)]
    return "\n".join(parts) + "\n"


def _targets(found: Sequence[Target]) -> list[str]:
    return _table(
        ("what", "asked", "reached", "met"),
        [
            (
                target.text,
                f"{'<=' if target.is_upper else '>='} {target.asked:g}{target.unit}",
                f"{target.reached:.4g}{target.unit}",
                "yes" if target.is_met else "**no**",
            )
            for target in found
        ],
    )


def _headroom(all_rows: Iterable[Row]) -> list[str]:
    # Whoever reads a rate has to know whether it is the server's or the generator's.
    best: dict[str, dict[tuple[str, int], float]] = {sections.CEILING: {}, sections.RATES: {}}
    for row in all_rows:
        if row.section in best and row.arm != DISK:
            found = best[row.section]
            where = (row.case, row.associations)
            found[where] = max(found.get(where, 0.0), row.rate)
    lines = [
        f"- {case}, {count} at a time: {best[sections.CEILING][case, count] / rate:.1f} x the"
        " fastest server measured"
        for (case, count), rate in best[sections.RATES].items()
        if (case, count) in best[sections.CEILING]
    ]
    return ["", *lines] if lines else []


def _section(of_section: Sequence[Row]) -> list[str]:
    lines = []
    ordered = sorted(of_section, key=lambda row: _place(of_section, row))
    for row in ordered:
        base = next(
            (
                other.rate
                for other in of_section
                if (other.case, other.associations) == (row.case, row.associations)
                and other.arm in _BASES
            ),
            None,
        )
        lines.append(
            (
                row.case,
                str(row.associations),
                row.arm,
                _number(row.rate),
                f"{_number(row.rate_min)} - {_number(row.rate_max)}",
                _number(row.mb_s),
                f"{row.rate / base:.2f}" if base else _NONE,
                _number(row.cpu_ms),
                _number(row.pss),
                _number(row.rss),
                _number(row.p50),
                _number(row.p99) + (f" (sync {_number(row.sync_p99)})" if row.sync_p99 else ""),
            )
        )
    # Columns that say nothing in this section are left out.
    used = [index for index in range(len(_HEADINGS)) if any(line[index] != _NONE for line in lines)]
    return _table(
        [_HEADINGS[index] for index in used], [[line[index] for index in used] for line in lines]
    )


def _place(of_section: Sequence[Row], row: Row) -> tuple[int, int, int]:
    cases = list(dict.fromkeys(one.case for one in of_section))
    arms = list(dict.fromkeys(one.arm for one in of_section if one.arm != DISK))
    arm = len(arms) if row.arm == DISK else arms.index(row.arm)
    return cases.index(row.case), row.associations, arm


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    cells = [headings, *lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(headings))]
    rendered = [
        "| "
        + " | ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [rendered[0], rule, *rendered[1:]]


def _number(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004  (three digits say enough)


def _one_line(text: str) -> str:
    return " ".join(text.split())
