"""Prints scores: by action and by category, de-identifiers side by side, and failures."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.deid.answer_key import Action
from benchmarks.deid.scoring import Result

_TOTAL = "all"
_NOTHING = "n/a"
_CELL = 16  # characters of a column
_MAX_EXAMPLES = 3


def table(
    title: str, rows: Iterable[str], scores: Mapping[str, Mapping[str, Sequence[int]]]
) -> str:
    """One table: a row a key, a column a de-identifier.

    Args:
        title: Of the first column.
        rows: The keys, in order; a key without checks is not applicable, never passed.
        scores: By de-identifier, (passed, total) by key.
    """
    rows = list(rows)
    names = list(scores)
    width = max(len(title), *(len(row) for row in rows))
    counts = {row: max(scores[name].get(row, (0, 0))[1] for name in names) for row in rows}
    widths = [max(len(name), _CELL) for name in names]
    columns = (f"{name:>{cell}}" for name, cell in zip(names, widths, strict=True))
    lines = [f"{title:<{width}}  {'checks':>8}  " + "  ".join(columns)]
    for row in rows:
        cells = [percentage(*scores[name].get(row, (0, 0))) for name in names]
        count = f"{counts[row]:>8}" if counts[row] else f"{_NOTHING:>8}"
        texts = (f"{cell:>{size}}" for cell, size in zip(cells, widths, strict=True))
        lines.append(f"{row:<{width}}  {count}  " + "  ".join(texts))
    return "\n".join(lines)


def percentage(passed: int, total: int) -> str:
    """Passed of total, never rounded up to 100.00 %."""
    if not total:
        return _NOTHING
    # Cut, not rounded: one failure in a hundred thousand is not 100.00 %.
    return f"{10_000 * passed // total / 100:.2f} %"


def by_action(results: Iterable[Result]) -> dict[str, tuple[int, int]]:
    """(Passed, total) by action, with the total of all."""
    return _counted((result.check.action.value, result) for result in results)


def by_category(results: Iterable[Result]) -> dict[str, tuple[int, int]]:
    """(Passed, total) by answer category, with the total of all."""
    return _counted((result.check.answer_category, result) for result in results)


def summary(scored: Mapping[str, Sequence[Result]]) -> str:
    """Both tables, de-identifiers side by side."""
    actions = {name: by_action(results) for name, results in scored.items()}
    categories = {name: by_category(results) for name, results in scored.items()}
    used = sorted({key for counts in categories.values() for key in counts} - {_TOTAL})
    return "\n\n".join(
        (
            table("action", [*(action.value for action in Action), _TOTAL], actions),
            table("category", [*used, _TOTAL], categories),
        )
    )


def failures(results: Iterable[Result]) -> str:
    """Failed checks by kind, most frequent first, each with examples (identities made up)."""
    groups: dict[tuple[str, str, str, str], list[Result]] = {}
    for result in results:
        if result.failure:
            check = result.check
            reason = result.failure.split("'", 1)[0].strip()
            key = (check.action.value, reason, check.site, check.tag or check.answer_category)
            groups.setdefault(key, []).append(result)
    lines = []
    for (action, reason, site, tag), found in sorted(groups.items(), key=lambda g: -len(g[1])):
        lines.append(
            f"{len(found):>6}  {action}: {reason}; {site}; {tag} {found[0].check.tag_name}"
        )
        for result in found[:_MAX_EXAMPLES]:
            check = result.check
            lines.append(
                f"        {result.number} {result.source} {check.tag_ds}\n"
                f"            planted {check.value[:100]!r}, asked {check.action_text[:80]!r}, "
                f"found {result.found[:100]!r}"
            )
    return "\n".join(lines)


def failed_count(results: Iterable[Result]) -> int:
    """How many checks failed."""
    return sum(bool(result.failure) for result in results)


def _counted(pairs: Iterable[tuple[str, Result]]) -> dict[str, tuple[int, int]]:
    passed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for key, result in pairs:
        for name in (key, _TOTAL):
            total[name] += 1
            passed[name] += not result.failure
    return {name: (passed[name], count) for name, count in total.items()}
