"""Scores an output tree against an answer key: every check passes, or fails with a reason.

The rules are MIDI-B's, and stricter where its are blind: a shifted date has to be off by
the patient's own whole days, a UID has to be mapped value by value. What was not
delivered fails all its checks.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import pydicom

from benchmarks.deid import answer_key
from benchmarks.deid.answer_key import Action, Answers, Check
from benchmarks.deid.burned_in import is_hidden
from benchmarks.deid.byte_search import Content, holds
from benchmarks.deid.checks import pixel_digest
from benchmarks.deid.corpus import quiet
from benchmarks.deid.crosswalk import Crosswalk
from benchmarks.deid.paths import BINARY_VRS, Node, walk
from benchmarks.deid.standard import Standard

# Of an object that may be refused nothing else is asked.
_HIDING = frozenset({Action.PIXELS_HIDDEN, Action.BYTES_ABSENT})
_RETAINING = frozenset({Action.TAG_RETAINED, Action.TEXT_NOTNULL, Action.TEXT_RETAINED})
_CONSISTENT = frozenset({Action.UID_CONSISTENT, Action.PATID_CONSISTENT})
_WORD = re.compile(r"\w+", re.UNICODE)
_WORTH_PROCESSES = 32  # files
_MIN_WORD = 5  # letters of a word that counts on its own within a longer identifier
_FRACTION = re.compile(r"\.(\d*?)0*(?=[+-]|\Z)")
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?\Z")


@dataclass(frozen=True, slots=True)
class Result:
    """One check of one file, decided.

    Attributes:
        check: What was asked for.
        source: The vendor file.
        number: The planted file's Instance Number.
        failure: Why it failed, "" if it passed.
        found: The value in the output.
    """

    check: Check
    source: str
    number: int
    failure: str
    found: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One de-identifier's outputs.

    Attributes:
        output: Their directory.
        files: Outputs by Instance Number.
        crosswalk: Old to new identifiers.
    """

    output: Path
    files: Mapping[int, Path]
    crosswalk: Crosswalk


def score(key: Path, run: Run, standard: Standard) -> list[Result]:
    """Decide every check of an answer key.

    Args:
        key: The SQLite file.
        run: What was written.
        standard: The tables.
    """
    answers = list(answer_key.read(key))
    decide = partial(_score_file, run=run, standard=standard)
    if len(answers) < _WORTH_PROCESSES:
        scored = [decide(answer) for answer in answers]
    else:
        with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
            scored = list(pool.map(decide, answers, chunksize=8))
    shifts = _shifts(answers, scored)
    return [
        result
        for answer, results in zip(answers, scored, strict=True)
        for result in _with_shift(results, shifts.get(answer.patient_id))
    ]


def _score_file(answers: Answers, run: Run, standard: Standard) -> list[Result]:
    path = run.files.get(answers.number)
    if path is None:
        # What says that identity is in its pixels may be refused: nothing of it leaves.
        is_refusable = all(check.action in _HIDING for check in answers.checks)
        failure = "" if is_refusable else "not delivered"
        return [Result(check, answers.source, answers.number, failure) for check in answers.checks]
    with quiet():
        dataset = pydicom.dcmread(path, force=True)
        nodes: dict[str, Node] = {}
        try:
            for node in walk(dataset, standard):
                nodes.setdefault(node.path, node)
        except (OSError, NotImplementedError, ValueError, KeyError) as error:
            return [
                Result(check, answers.source, answers.number, f"unreadable: {type(error).__name__}")
                for check in answers.checks
            ]
        relative = path.relative_to(run.output).as_posix()
        judge = Judge(nodes, pixel_digest(dataset), run.crosswalk)
        content = Content(path.read_bytes(), dataset, relative)
        results = []
        for check in answers.checks:
            if check.action is Action.PIXELS_HIDDEN:
                failure = "" if is_hidden(dataset, check.action_text) else "to be read"
                found = ""
            elif check.action is Action.BYTES_ABSENT:
                failure = "in the bytes" if content.has(check.action_text) else ""
                found = ""
            else:
                failure = judge.failure(check)
                found_node = nodes.get(check.tag_ds)
                found = found_node.text if found_node is not None else ""
            results.append(Result(check, answers.source, answers.number, failure, found[:256]))
    return results


class Judge:
    """Decides the checks of one output but `bytes_absent`.

    Args:
        nodes: The output's elements by path.
        digest: MD5 of its pixel data.
        crosswalk: Old to new identifiers.
    """

    def __init__(self, nodes: Mapping[str, Node], digest: str, crosswalk: Crosswalk) -> None:
        self._nodes = nodes
        self._digest = digest
        self._crosswalk = crosswalk

    def failure(self, check: Check) -> str:
        """Why the check fails; "" if it passes."""
        node = self._nodes.get(check.tag_ds)
        if check.action is Action.PIXELS_RETAINED:
            return "" if self._digest == check.action_text else "pixel data differs"
        if check.action in _RETAINING:
            return _retained(node, check)
        if node is None or not node.text:
            # A reference that is gone resolves to nothing.
            return "removed" if check.action in _CONSISTENT else ""
        return self._removed(node, check)

    def _removed(self, node: Node, check: Check) -> str:
        text = node.text
        match check.action:
            case Action.TEXT_REMOVED if node.vr in BINARY_VRS:
                is_there = holds(text.encode("latin-1"), check.action_text)
                return "still there" if is_there else ""
            case Action.TEXT_REMOVED:
                return "still there" if is_found(check.action_text, text) else ""
            case Action.DATE_SHIFTED | Action.UID_CHANGED:
                is_kept = set(check.action_text.split("\\")) & set(text.split("\\"))
                return "unchanged" if is_kept else ""
            case Action.UID_CONSISTENT:
                return _consistent(check.action_text, text, self._crosswalk.uids)
            case Action.PATID_CONSISTENT:
                return _consistent(check.action_text, text, self._crosswalk.patients)
        return "not scored"


def is_found(identifier: str, text: str) -> bool:
    """Whether an identifier, or a long word of it, is in a text, whatever the case."""
    folded, wanted = text.casefold(), identifier.casefold()
    if wanted in folded:
        return True
    words = _WORD.findall(wanted)
    return len(words) > 1 and any(
        word.isalpha() and len(word) >= _MIN_WORD and word in folded for word in words
    )


def _retained(node: Node | None, check: Check) -> str:
    if node is None:
        return "removed"
    if check.action is Action.TAG_RETAINED:
        return ""
    if check.action is Action.TEXT_NOTNULL:
        return "" if node.text.strip(" \0") else "emptied"
    old, new = check.action_text.strip(" \0"), node.text.strip(" \0")
    if _NUMBER.match(old) and _NUMBER.match(new):
        return "" if float(old) == float(new) else "another number"
    if old.casefold() in new.casefold():
        return ""
    words = set(_WORD.findall(new.casefold()))
    lost = [word for word in _WORD.findall(old.casefold()) if word not in words]
    if lost:
        return f"lost {' '.join(lost)[:60]!r}"
    return ""


def _consistent(old: str, new: str, mapped: Mapping[str, str]) -> str:
    olds, news = old.split("\\"), new.split("\\")
    if len(olds) != len(news):
        return "another number of values"
    for one, other in zip(olds, news, strict=True):
        if other != mapped.get(one, one):
            return "not as in the crosswalk"
    return ""


def _shifts(answers: list[Answers], scored: list[list[Result]]) -> dict[str, int]:
    # Most dates of a patient decide by how many days they were moved.
    counters: dict[str, Counter[int]] = {}
    for answer, results in zip(answers, scored, strict=True):
        counter = counters.setdefault(answer.patient_id, Counter())
        for result in results:
            if result.check.action is Action.DATE_SHIFTED and not result.failure:
                counter.update(_days(result.check.action_text, result.found))
    return {
        patient: counter.most_common(1)[0][0] for patient, counter in counters.items() if counter
    }


def _with_shift(results: list[Result], shift: int | None) -> Iterator[Result]:
    for result in results:
        check = result.check
        is_date = check.action is Action.DATE_SHIFTED and not result.failure
        # Where dates are only removed, a dummy is as good as nothing.
        if is_date and shift is not None and _asks_for_shift(check, results):
            days = set(_days(check.action_text, result.found))
            tails = [_tail(text) for text in (check.action_text, result.found)]
            if days - {shift}:
                yield Result(check, result.source, result.number, "another shift", result.found)
                continue
            if days and tails[0] != tails[1]:
                yield Result(check, result.source, result.number, "another time", result.found)
                continue
        yield result


def _asks_for_shift(check: Check, results: list[Result]) -> bool:
    return any(
        other.check.action is Action.TEXT_NOTNULL and other.check.tag_ds == check.tag_ds
        for other in results
    )


def _days(old: str, new: str) -> Iterator[int]:
    for one, other in zip(old.split("\\"), new.split("\\"), strict=False):
        try:
            days = date.fromisoformat(other[:8]) - date.fromisoformat(one[:8])
        except ValueError:
            continue
        yield days.days


def _tail(text: str) -> str:
    # Time of day and zone of a DT, which stay; zeros that end a fraction do not count.
    return "\\".join(_FRACTION.sub(_without_zeros, part[8:].strip()) for part in text.split("\\"))


def _without_zeros(match: re.Match[str]) -> str:
    return f".{match[1]}" if match[1] else ""
