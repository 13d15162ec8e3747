"""Whom `send` and `echo` talk to, and what their errors mean to a person."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from dicomanon_node.cli.common import load_config
from dicomanon_node.errors import NodeError
from dicomanon_node.network.failures import AssociationRejectedError, ConnectionFailedError

# As in `config.values`: printable ASCII without backslash, no space at the ends (PS3.5 6.2).
_AE_TITLE: Final = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")
_TARGET: Final = re.compile(
    r"(?P<ae_title>.+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s@:\[\]]+):(?P<port>\d{1,5})"
)
_EXAMPLE: Final = "expected AETITLE@HOST:PORT, such as DICOMANON@127.0.0.1:11112"
_MAX_PORT: Final = 65535
_ANY: Final = ("0.0.0.0", "::", "")  # noqa: S104  (compared, not bound)

_CONNECTION_WORDS: Final = {
    "connection-refused": "nobody listens there. Is the node running? (dicomanon-node serve)",
    "connect-timed-out": "no answer. Is the address right, does a firewall let us through?",
    "host-unknown": "there is no host of this name",
}
_REJECTION_WORDS: Final = {
    "calling-aet-not-recognised": (
        "it does not take associations from us: our AE title (--from) or our address is not in"
        " its list"
    ),
    "called-aet-not-recognised": "it does not answer to this AE title",
    "rejected-congested": "it is busy or shutting down, try again later",
    "rejected-limit-exceeded": "it has too many associations, try again later",
}


@dataclass(frozen=True, slots=True)
class Target:
    """An Application Entity and its address."""

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"


class AETitle(click.ParamType[str]):
    """An AE title on the command line."""

    name = "AETITLE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Check the text."""
        text = str(value)
        if not _AE_TITLE.fullmatch(text):
            self.fail(
                "an AE title has 1 to 16 printable ASCII characters without backslash", param, ctx
            )
        return text


class TargetType(click.ParamType[Target]):
    """AETITLE@HOST:PORT on the command line."""

    name = "AETITLE@HOST:PORT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Target:
        """Parse the text."""
        if isinstance(value, Target):
            return value
        match = _TARGET.fullmatch(str(value))
        if (
            match is None
            or not _AE_TITLE.fullmatch(match["ae_title"])
            or not 0 < int(match["port"]) <= _MAX_PORT
        ):
            self.fail(_EXAMPLE, param, ctx)
        return Target(match["ae_title"], match["host"].strip("[]"), int(match["port"]))


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --to and --from; the command gets `target` and `calling_aet`."""
    command = click.option(
        "--from",
        "calling_aet",
        type=AETitle(),
        default="DICOMANON-SCU",
        show_default=True,
        metavar="AETITLE",
        help="Our AE title towards the target.",
    )(command)
    return click.option(
        "--to",
        "target",
        type=TargetType(),
        help="The target.  [default: the node of --config, on this machine]",
    )(command)


def resolve(target: Target | None, config_dir: Path, overrides: tuple[str, ...]) -> Target:
    """The target named, or the node of the configuration."""
    if target is not None:
        return target
    listener = load_config(config_dir, overrides).node.listener
    if not listener.port:
        raise click.UsageError(
            "The configuration lets the node choose its port (listener.port = 0): name it with"
            " --to AETITLE@HOST:PORT; the node's log has it in node.ready."
        )
    host = "127.0.0.1" if listener.host in _ANY else listener.host
    return Target(listener.ae_title, host, listener.port)


def explain(error: NodeError) -> str:
    """What went wrong with a target, in words for a person."""
    if isinstance(error, ConnectionFailedError):
        return _CONNECTION_WORDS.get(error.code, "no connection can be made")
    if isinstance(error, AssociationRejectedError):
        words = _REJECTION_WORDS.get(error.code, "it rejected the association")
        return f"{words} (rejected: {error.result}, {error.source}, {error.diagnostic})"
    return str(error)
