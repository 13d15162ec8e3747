"""Whom `send` and `echo` talk to, and what their errors mean to a person."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from dicomanon_node.cli.common import load_config
from dicomanon_node.errors import NodeError
from dicomanon_node.network.failures import AssociationRejectedError, ConnectionFailedError

if TYPE_CHECKING:
    from dicomanon_node.network.tls import ClientTls

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
    "tls-not-spoken": "it does not speak TLS on this port",
    "tls-version": "it has no version or cipher suite of TLS in common with us",
    "tls-certificate-expired": "its certificate has expired",
    "tls-certificate-not-yet": "its certificate is not valid yet: are the clocks right?",
    "tls-certificate-unknown": "its certificate is from none of the CAs of --ca",
    "tls-certificate-name": "its certificate has another name than this host",
    "tls-certificate": "its certificate cannot be verified",
    "tls-refused": "it refused our certificate (--cert) or our TLS",
    "tls-timed-out": "no answer to TLS. Is this the TLS port?",
    "tls-failed": "TLS failed, or this is no TLS port",
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
    """An Application Entity and its address.

    Attributes:
        tls: How to speak TLS to it; None: associations are plain.
    """

    ae_title: str
    host: str
    port: int
    tls: "ClientTls | None" = field(default=None, compare=False, repr=False)

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


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """What the command line says of TLS.

    Attributes:
        is_on: Speak TLS.
        ca: File with the CAs the target is known by; None: those of the system.
        cert: File with our certificate; None: none is shown.
        key: File with its private key.
        is_insecure: Take any certificate.
    """

    is_on: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    is_insecure: bool = False


_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
_TLS_OPTIONS: Final = (
    click.option("--tls", "is_on", is_flag=True, help="Speak TLS."),
    click.option(
        "--ca",
        metavar="FILE",
        type=_FILE,
        help="With --tls: CAs, or the certificate itself, the target is known by (PEM)."
        "  [default: those of the system]",
    ),
    click.option("--cert", metavar="FILE", type=_FILE, help="With --tls: our certificate (PEM)."),
    click.option("--key", metavar="FILE", type=_FILE, help="With --tls: its private key (PEM)."),
    click.option(
        "--insecure",
        "is_insecure",
        is_flag=True,
        help="With --tls: take any certificate. For trying out only: anybody could answer.",
    ),
)


def tls_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --tls, --ca, --cert, --key and --insecure; the command gets `tls`, `TlsOptions`."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401  (click's are untyped)
        is_on: bool,
        ca: Path | None,
        cert: Path | None,
        key: Path | None,
        is_insecure: bool,
        **kwargs: Any,  # noqa: ANN401  (click's are untyped)
    ) -> Any:  # noqa: ANN401  (click's are untyped)
        if not is_on and (ca or cert or key or is_insecure):
            raise click.UsageError("--ca, --cert, --key and --insecure are for --tls")
        if (cert is None) != (key is None):
            raise click.UsageError("--cert and --key go together")
        if is_insecure and ca is not None:
            raise click.UsageError("--insecure looks at no CA: leave out --ca or --insecure")
        return command(*args, tls=TlsOptions(is_on, ca, cert, key, is_insecure), **kwargs)

    for option in reversed(_TLS_OPTIONS):
        option(wrapped)
    return wrapped


def resolve(
    target: Target | None,
    config_dir: Path,
    overrides: tuple[str, ...],
    tls: TlsOptions = TlsOptions(),
) -> Target:
    """The target named, or the node of the configuration; with TLS if that is asked for."""
    if target is None:
        target = _configured(config_dir, overrides, is_secure=tls.is_on)
    return replace(target, tls=_client_tls(target.host, tls)) if tls.is_on else target


def _configured(config_dir: Path, overrides: tuple[str, ...], *, is_secure: bool) -> Target:
    node = load_config(config_dir, overrides).node
    listener = node.listener
    if is_secure and not node.tls.enabled:
        raise click.UsageError("The node of this configuration has no TLS port (tls.enabled).")
    section, port = ("tls", node.tls.port) if is_secure else ("listener", listener.port)
    if not port:
        raise click.UsageError(
            f"The configuration lets the node choose its port ({section}.port = 0): name it with"
            " --to AETITLE@HOST:PORT; the node's log has it in node.ready."
        )
    host = "127.0.0.1" if listener.host in _ANY else listener.host
    return Target(listener.ae_title, host, port)


def _client_tls(host: str, options: TlsOptions) -> "ClientTls":
    from dicomanon_node.network import tls  # noqa: PLC0415  (slow, rarely needed)

    verify: Literal["name", "none"] = "none" if options.is_insecure else "name"
    try:
        context = tls.client_context(options.ca, options.cert, options.key, verify=verify)
    except tls.CredentialsError as error:
        name = "--ca" if error.role == "ca" else "--cert and --key"
        raise click.UsageError(
            f"{name} cannot be used: PEM is needed, a key without passphrase that is the"
            " certificate's, and files that can be read"
        ) from None
    return tls.ClientTls(context, host)


def explain(error: NodeError, *, is_destination: bool = False) -> str:
    """What went wrong with a target, in words for a person.

    Args:
        error: What was raised.
        is_destination: Whether the target is somebody else's for sure, and not this node.
    """
    if isinstance(error, ConnectionFailedError):
        if is_destination and error.code == "connection-refused":
            return "nobody listens there. Is it running, and are host and port right?"
        return _CONNECTION_WORDS.get(error.code, "no connection can be made")
    if isinstance(error, AssociationRejectedError):
        words = _REJECTION_WORDS.get(error.code, "it rejected the association")
        return f"{words} (rejected: {error.result}, {error.source}, {error.diagnostic})"
    return _CONNECTION_WORDS.get(str(error), str(error))
