import ast
import re
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

import dicomanon_node
from dicomanon_node.ops import events, keys
from dicomanon_node.ops.declaring import Event
from dicomanon_node.ops.events import EVENTS, KEY_NAMES
from dicomanon_node.ops.keys import Key

PACKAGE = Path(dicomanon_node.__file__).parent
# Every line has these; no event may declare them as its own.
OF_EVERY_LINE = {"timestamp", "level", "event"}
# Words in which a value of an object would come.
IDENTITY = re.compile(
    r"patient|name$|birth|accession|physician|institution|description|original|value|comment"
)

NAMED_LIKE_AN_EVENT = re.compile(
    rf"(?:{'|'.join(sorted({name.partition('.')[0] for name in EVENTS}))})\.[a-z_]+"
)


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the package, with its place."""
    for source in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{source.relative_to(PACKAGE)}:{node.lineno}", node


def _event_named_by(call: ast.Call) -> str | None:
    """The event a call tells of: `x.event("noun.verb", ...)`, or a callback's first argument."""
    first = call.args[0] if call.args else None
    name = first.value if isinstance(first, ast.Constant) else None
    if not isinstance(name, str):
        return None
    is_log = isinstance(call.func, ast.Attribute) and call.func.attr == "event"
    return name if is_log or NAMED_LIKE_AN_EVENT.fullmatch(name) else None


def test_events_and_keys_are_declared_once() -> None:
    names = [event.name for event in events._DECLARED]
    assert sorted(names) == sorted(EVENTS)
    declared = [value for value in vars(keys).values() if isinstance(value, Key)]
    assert len({key.name for key in declared}) == len(declared)


def test_every_declared_key_belongs_to_an_event() -> None:
    declared = {value.name for value in vars(keys).values() if isinstance(value, Key)}
    assert declared == KEY_NAMES


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_event_is_named_by_noun_and_what_happened_and_says_one_sentence(event: Event) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", event.name)
    assert re.fullmatch(r"[A-Z][^|\n]+\.", event.meaning)
    assert not OF_EVERY_LINE & event.key_names
    assert len(event.key_names) == len(event.keys)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_the_longest_line_of_an_event_is_one_atomic_write(event: Event) -> None:
    """POSIX: a pipe takes up to PIPE_BUF bytes whole."""
    frame = len('{"timestamp":"2026-11-20T13:03:29.540Z","level":"warning","event":""}\n')
    longest = frame + len(event.name)
    longest += sum(len(f',"{key.name}":') + key.judge.longest for key in event.keys)
    assert longest <= select.PIPE_BUF


def test_no_key_asks_for_what_an_object_says() -> None:
    assert [name for name in sorted(KEY_NAMES) if IDENTITY.search(name)] == []


def test_every_event_and_key_the_package_tells_of_is_declared() -> None:
    undeclared = []
    for place, call in _calls():
        name = _event_named_by(call)
        if name is None or name.endswith((".py", ".toml", ".json")):
            continue
        event = EVENTS.get(name)
        if event is None:
            undeclared.append(f"{place}: {name}")
            continue
        given = {keyword.arg for keyword in call.keywords if keyword.arg}
        undeclared += [f"{place}: {name} {key}" for key in sorted(given - event.key_names)]
    assert undeclared == []


def test_every_key_bound_in_the_package_is_declared() -> None:
    undeclared = [
        f"{place}: {keyword.arg}"
        for place, call in _calls()
        if isinstance(call.func, ast.Attribute) and call.func.attr == "bind"
        for keyword in call.keywords
        if keyword.arg and keyword.arg not in KEY_NAMES
    ]
    assert undeclared == []
