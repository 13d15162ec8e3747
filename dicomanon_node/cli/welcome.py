"""What a person is told when the node has started: where it listens, what it does, how to try it.

On standard error, so that the log stays what it is.
"""

import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from dicomanon_node.cli.target import Target
from dicomanon_node.config import Config
from dicomanon_node.node.supervisor import Started

_LOOPBACK: Final = "127.0.0.1"
_ANY: Final = ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)
_PROGRAM: Final = "dicomanon-node"


def tell_started(config: Config, config_dir: Path, started: Started) -> None:
    """Greet at the first start, and whenever a terminal shows standard error.

    Args:
        config: The configuration.
        config_dir: Where it was read from.
        started: What the supervisor knows.
    """
    if not (started.has_new_key or sys.stderr.isatty()):
        return
    with suppress(OSError):  # nobody reads it: no reason to end
        click.echo("\n".join(["", *_lines(config, config_dir, started), ""]), err=True)


def _lines(config: Config, config_dir: Path, started: Started) -> Iterator[str]:
    node = config.node
    is_everywhere = started.host in _ANY
    where = "every address of this machine" if is_everywhere else started.host
    title = node.listener.ae_title
    over_tls = f"port {started.tls_port} over TLS" if started.tls_port else ""
    plain = f"port {started.port}" if started.port else ""
    ports = ", ".join(filter(None, (plain, over_tls)))
    ready = f"dicomanon_node is ready: AE title {title}, {ports}, {where}."
    yield click.style(ready, bold=True)
    if started.console is not None:
        console_host, console_port = started.console
        if console_host in _ANY:
            console_host = _LOOPBACK
        shown = f"[{console_host}]" if ":" in console_host else console_host
        yield f"Console: http://{shown}:{console_port}/"
        if node.admin.token_file is not None:
            yield f"  the token it asks for is in {_short(node.admin.token_file)}"
    yield ""
    yield "What happens to an object:"
    yield "  routed by its StationName to a study (stations.json, studies.json),"
    yield "  de-identified while it is received,"
    if node.storage.outgoing is not None:
        yield f"  written to {_short(node.storage.outgoing)}/{node.storage.layout}"
    if node.destinations:
        names = ", ".join(destination.name for destination in node.destinations)
        yield f"  queued for {names} as its study says"
    yield "  and only then answered 0000H. The original is never written anywhere."
    yield ""
    if not node.peers:
        yield "Every sender is accepted: list [[peers]] in node.toml to narrow that."
    if started.has_new_key:
        yield (
            f"A secret key was made: {_short(node.secrets.key_file)} (mode 0600)."
            " Keep a copy: pseudonyms and UIDs depend on it."
        )
    if not node.peers or started.has_new_key:
        yield ""
    host = _LOOPBACK if is_everywhere else started.host
    target = str(Target(title, host, started.port or started.tls_port or 0))
    tls = "" if started.port else " --tls --ca FILE --cert FILE --key FILE"
    yield "Try it from another terminal:"
    yield f"  {_program()} send --to {shlex.quote(target)}{tls} FILE..."
    yield ""
    yield f"What each study does: {_program()} check{_option(config_dir)}. Ctrl-C ends the node."


def _option(config_dir: Path) -> str:
    return "" if config_dir == Path("config") else f" --config {shlex.quote(str(config_dir))}"


def _program() -> str:
    # As it can be typed in the same directory: the script that runs, unless it is on PATH.
    script = Path(sys.argv[0]).absolute()
    found = shutil.which(_PROGRAM)
    if script.name != _PROGRAM or (found is not None and Path(found).samefile(script)):
        return _PROGRAM
    return shlex.quote(_short(script))


def _short(path: Path) -> str:
    """Relative to where we are, if it is below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
