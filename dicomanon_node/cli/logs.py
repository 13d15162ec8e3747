"""`logs`: the node's JSON lines for people, and the few of many that somebody looks for."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import IO, Final

import click

from dicomanon_node.cli.common import EXIT_INTERRUPTED, EXIT_USAGE, has_colour, printable
from dicomanon_node.ops.console import Console, width_of
from dicomanon_node.ops.declaring import Level
from dicomanon_node.ops.events import EVENTS
from dicomanon_node.ops.line_reader import LoggedEvent, read_line

_STDIN: Final = "-"
_POLL_S: Final = 0.2
_AGE: Final = re.compile(r"(\d{1,9})\s*(s|min|m|h|d)")
_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_LEVELS: Final = {level.word: level for level in Level}
# The node's own remarks, such as on its configuration, are no failures of what it received.
_OF_THE_NODE: Final = "node."


class _Since(click.ParamType[float]):
    """A moment on the command line: seconds since the epoch."""

    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Take an age such as 10m, or a date and time; without a zone it is local."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        if age := _AGE.fullmatch(text):
            return time.time() - int(age[1]) * _UNITS[age[2]]
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            self.fail(
                "expected an age such as 30s, 10m, 2h or 7d, or a time such as"
                " 2026-03-31T08:00 (local) or 2026-03-31T08:00Z",
                param,
                ctx,
            )


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which events are shown: those that every part of it admits."""

    study: str | None
    association: str | None
    events: tuple[str, ...]
    level: Level
    since: float | None
    only_failed: bool

    @property
    def is_open(self) -> bool:
        """Whether everything is shown."""
        return self == _Filter(None, None, (), Level.DEBUG, None, only_failed=False)

    def admits(self, event: LoggedEvent) -> bool:
        """Whether an event is shown."""
        values = event.values
        return (
            _LEVELS.get(event.level, Level.ERROR) >= self.level
            and (self.since is None or event.moment >= self.since)
            and (self.study is None or str(values.get("study", "")) == self.study)
            and (self.association is None or values.get("association") == self.association)
            and (not self.events or any(fnmatchcase(event.name, each) for each in self.events))
            and (not self.only_failed or _has_failed(event))
        )


def _has_failed(event: LoggedEvent) -> bool:
    if event.values.get("refused"):
        return True
    level = _LEVELS.get(event.level, Level.ERROR)
    return level is Level.ERROR or (
        level is Level.WARNING and not event.name.startswith(_OF_THE_NODE)
    )


@click.command()
@click.argument("file", metavar="[FILE|-]", required=False)
@click.option("--study", metavar="NAME", help="Only events of this study.")
@click.option("--association", metavar="ID", help="Only events of this association.")
@click.option(
    "--failed", "only_failed", is_flag=True, help="Only what was refused, lost or not delivered."
)
@click.option(
    "--level", type=click.Choice(list(_LEVELS)), default="debug", help="Only this level and above."
)
@click.option(
    "--event",
    "events",
    metavar="NAME",
    multiple=True,
    help="Only this event, such as instance.refused or 'delivery.*'. May be repeated.",
)
@click.option(
    "--since", type=_Since(), help="Only what is younger: 10m, 2h, 7d or 2026-03-31T08:00."
)
@click.option("--follow", "-f", "follows", is_flag=True, help="Wait for more lines in FILE.")
@click.option("--json", "is_json", is_flag=True, help="Print the JSON lines themselves.")
def logs(
    file: str | None,
    study: str | None,
    association: str | None,
    only_failed: bool,
    level: str,
    events: tuple[str, ...],
    since: float | None,
    follows: bool,
    is_json: bool,
) -> None:
    r"""Show the node's log to people, or look for something in it.

    Reads the JSON lines that `dicomanon-node serve` writes, from a file or from another
    command:

    \b
      journalctl -u dicomanon-node -o cat | dicomanon-node logs --failed
      docker logs -f NODE 2>&1 | dicomanon-node logs --study NAME

    Times are local. What is no line of the node is shown as it is, control characters
    escaped; it is left out with --json, and where anything is looked for.
    """
    wanted = _Filter(
        study, association, _known(events), _LEVELS[level], since, only_failed=only_failed
    )
    if file is None and sys.stdin.isatty():
        raise click.UsageError(
            "Name a FILE, or pass the log on: journalctl -u dicomanon-node -o cat |"
            " dicomanon-node logs"
        )
    show = _shower(wanted, is_json=is_json)
    try:
        for line in _lines(file or _STDIN, follows=follows):
            show(line)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        click.echo(f"{printable(str(file))} cannot be read: {error.strerror}", err=True)
        sys.exit(EXIT_USAGE)


def _known(events: tuple[str, ...]) -> tuple[str, ...]:
    for name in events:
        if not any(fnmatchcase(known, name) for known in EVENTS):
            found = get_close_matches(name, EVENTS, n=1)
            nearest = f'; did you mean "{found[0]}"?' if found else "."
            raise click.BadParameter(
                f"{printable(name)} is no event{nearest} docs/logs.md lists all.",
                param_hint="--event",
            )
    return events


def _shower(wanted: _Filter, *, is_json: bool) -> Callable[[str], None]:
    console = Console(has_colour=has_colour(), width=partial(width_of, sys.stdout))

    def show(line: str) -> None:
        event = read_line(line)
        if event is None:
            if wanted.is_open and not is_json:
                _write(printable(line) + "\n")
        elif wanted.admits(event):
            _write(
                printable(event.line) + "\n"
                if is_json
                else console.render(event.moment, event.level, event.name, event.values)
            )

    return show


def _write(text: str) -> None:
    stream = sys.stdout
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _lines(file: str, *, follows: bool) -> Iterator[str]:
    if file == _STDIN:
        yield from _texts(sys.stdin.buffer)
    elif follows:
        yield from _followed(Path(file))
    else:
        with Path(file).open("rb") as stream:
            yield from _texts(stream)


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        yield line.decode("utf-8", "backslashreplace").rstrip("\r\n")


def _followed(path: Path) -> Iterator[str]:
    # As `tail -F`: where the file was replaced or cut, it is read anew.
    while True:
        with path.open("rb") as stream:
            yield from _texts(_growing(stream, path))
        while not path.exists():
            time.sleep(_POLL_S)


def _growing(stream: IO[bytes], path: Path) -> Iterator[bytes]:
    begun = b""
    while True:
        piece = stream.readline()
        begun += piece
        if begun.endswith(b"\n"):
            yield begun
            begun = b""
        elif not piece:
            if _is_another(stream, path):
                if begun:
                    yield begun
                return
            time.sleep(_POLL_S)


def _is_another(stream: IO[bytes], path: Path) -> bool:
    mine = os.fstat(stream.fileno())
    try:
        there = path.stat()
    except FileNotFoundError:
        return True
    return (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino) or (
        there.st_size < stream.tell()
    )
