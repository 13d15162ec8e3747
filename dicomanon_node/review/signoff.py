"""The report of a verification: for a person who reads it and one who signs it.

Three levels: fields (each attribute under each rule, over all objects), objects, and
the set. Every row ends in columns for the second person, left empty. No value of an
object is in it, but the names of files are.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from dicomanon_node.review.reading import Steps, field_of, name_of, where

SIGN_OFF: Final = ("checked_by", "checked_on", "verdict", "remarks")
_COLUMNS: Final = (
    "level", "result", "study", "tag", "name", "rule", "demand", "count", "failed", "reason",
    "original", "output",
)  # fmt: skip
# A spreadsheet takes what begins so for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
# Beyond that nobody reads on; they are counted all the same.
MAX_FAULTS: Final = 10_000
_MAX_FAULTS_AN_OBJECT: Final = 200


class Result(StrEnum):
    """What a row says."""

    PASS = "PASS"  # noqa: S105  (a verdict)
    FAIL = "FAIL"
    NOT_JUDGED = "NOT JUDGED"
    NOTE = "NOTE"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report; what does not apply is empty."""

    level: str
    result: Result
    study: str = ""
    tag: str = ""
    name: str = ""
    rule: str = ""
    demand: str = ""
    count: int | None = None
    failed: int | None = None
    reason: str = ""
    original: str = ""
    output: str = ""

    def cells(self) -> dict[str, Any]:
        """By column, without those to be signed."""
        return {column: getattr(self, column) for column in _COLUMNS}


@dataclass(slots=True)
class _Field:
    name: str
    checked: int = 0
    failed: int = 0
    unjudged: int = 0


@dataclass(slots=True)
class Report:
    """What a verification found. Grows with objects, fields and faults, not with elements.

    Attributes:
        header: Program, rules, key and date, by name.
        objects: One row an object.
        faults: One row an element at fault; at most `MAX_FAULTS`.
        whole: What holds for the set.
        counts: Objects by what became of them.
    """

    header: dict[str, str] = field(default_factory=dict)
    objects: list[Row] = field(default_factory=list)
    faults: list[Row] = field(default_factory=list)
    whole: list[Row] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _fields: dict[tuple[str, str, str, str], _Field] = field(default_factory=dict)

    @property
    def has_passed(self) -> bool:
        """Whether nothing failed, and there was something to judge."""
        rows = (*self.objects, *self.whole)
        return bool(self.objects) and all(row.result is not Result.FAIL for row in rows)

    def fields(self) -> Iterator[Row]:
        """One row for each attribute under each rule of each study."""
        for (study, tag, rule, demand), seen in sorted(self._fields.items()):
            result = Result.FAIL if seen.failed else Result.PASS
            if seen.unjudged and not seen.failed:
                result = Result.NOT_JUDGED
            yield Row(
                "field", result, study, tag, seen.name, rule, demand, seen.checked, seen.failed
            )

    def rows(self) -> Iterator[Row]:
        """All of it, the set first and the single fault last."""
        yield from self.whole
        yield from self.objects
        yield from self.fields()
        yield from self.faults

    def object_verdicts(self, study: str, original: str, output: str) -> "ObjectVerdicts":
        """A collector for the judgements of one pair."""
        return ObjectVerdicts(self, study, original, output)

    def add_field(self, study: str, path: Steps, source: str, demand: str, result: Result) -> None:
        """Count one judgement of a field."""
        key = (study, field_of(path), source, demand)
        seen = self._fields.get(key)
        if seen is None:
            seen = self._fields[key] = _Field(name_of(path[-1]) if path else "")
        seen.checked += 1
        seen.failed += result is Result.FAIL
        seen.unjudged += result is Result.NOT_JUDGED


class ObjectVerdicts:
    """Takes the judgements of one pair, and makes the object's row of them."""

    def __init__(self, report: Report, study: str, original: str, output: str) -> None:
        self._report = report
        self._study, self._original, self._output = study, original, output
        self._checked = self._failed = self._unjudged = 0
        self._first = ""

    def tell(self, path: Steps, source: str, demand: str, reason: str) -> None:
        """One judgement."""
        self._checked += 1
        result = Result.FAIL if reason else Result.PASS
        self._report.add_field(self._study, path, source, demand, result)
        if not reason:
            return
        self._failed += 1
        self._first = self._first or f"{where(path) or source}: {reason}"
        faults = self._report.faults
        if self._failed > _MAX_FAULTS_AN_OBJECT or len(faults) >= MAX_FAULTS:
            return
        faults.append(
            Row(
                "element",
                Result.FAIL,
                self._study,
                where(path),
                name_of(path[-1]) if path else "",
                source,
                demand,
                reason=reason,
                original=self._original,
                output=self._output,
            )
        )

    def not_judged(self, path: Steps, source: str, demand: str) -> None:
        """A demand that no check is known for."""
        self._unjudged += 1
        self._report.add_field(self._study, path, source, demand, Result.NOT_JUDGED)

    def finish(self) -> None:
        """The object's row."""
        result = Result.FAIL if self._failed else Result.PASS
        reason = self._first
        if self._unjudged and not self._failed:
            reason = f"{self._unjudged} not judged"
        self._report.counts["failed" if self._failed else "passed"] += 1
        self._report.objects.append(
            Row(
                "object",
                result,
                self._study,
                count=self._checked,
                failed=self._failed,
                reason=reason,
                original=self._original,
                output=self._output,
            )
        )


class CountOnly:
    """Takes judgements and counts the faults."""

    def __init__(self) -> None:
        self.failed = 0

    def tell(self, path: Steps, source: str, demand: str, reason: str) -> None:  # noqa: ARG002  (the protocol's)
        """One judgement."""
        self.failed += bool(reason)

    def not_judged(self, path: Steps, source: str, demand: str) -> None:
        """Nothing to count."""


def as_csv(report: Report) -> str:
    """Comma-separated values (RFC 4180); no cell is a formula to a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow((*_COLUMNS, *SIGN_OFF))
    for name, value in (*report.header.items(), *report.counts.items()):
        row = Row("report", Result.NOTE, name=name, reason=str(value))
        writer.writerow(_safe(row))
    for row in report.rows():
        writer.writerow(_safe(row))
    return out.getvalue()


def _safe(row: Row) -> list[str]:
    cells = ["" if cell is None else str(cell) for cell in row.cells().values()]
    cells += [""] * len(SIGN_OFF)
    return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]


def as_json(report: Report) -> str:
    """One document."""
    signed = dict.fromkeys(SIGN_OFF, "")
    document = {
        "header": report.header,
        "result": str(Result.PASS if report.has_passed else Result.FAIL),
        "counts": dict(report.counts),
        **{
            level: [row.cells() | signed for row in rows]
            for level, rows in (
                ("set", report.whole),
                ("objects", report.objects),
                ("fields", report.fields()),
                ("faults", report.faults),
            )
        },
        "sign_off": signed,
    }
    return json.dumps(document, indent=2) + "\n"


def as_table(report: Report) -> str:
    """For a terminal: what failed, then the fields, then the sums."""
    lines = [f"{name}: {value}" for name, value in report.header.items()]
    lines += ["", *_aligned([_field_line(row) for row in report.fields()])]
    lines += ["", *_aligned([_set_line(row) for row in report.whole])]
    failed = [row for row in report.objects if row.result is Result.FAIL]
    if failed:
        lines += ["", "Objects that failed:"]
        lines += _aligned([(row.output or row.original, row.reason) for row in failed])
    if report.faults:
        lines += ["", "Elements that failed:"]
        lines += _aligned(
            [(row.output, row.tag, row.name, row.rule, row.reason) for row in report.faults]
        )
    lines += ["", ", ".join(f"{count} {what}" for what, count in report.counts.items())]
    lines += [str(Result.PASS if report.has_passed else Result.FAIL)]
    lines += ["", *(f"{column}: ______________________" for column in SIGN_OFF)]
    return "\n".join(lines) + "\n"


def _field_line(row: Row) -> tuple[str, ...]:
    fault = f"{row.failed} failed" if row.failed else ""
    return (row.result, row.study, row.tag, row.name, row.demand, f"{row.count}", row.rule, fault)


def _set_line(row: Row) -> tuple[str, ...]:
    return (row.result, row.demand, f"{row.count}", row.reason)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
