"""What `doctor` looks at on the network: our port and title, who may send, destinations.

It sends C-ECHO and nothing else.
"""

import errno
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from dicomanon_node.cli.findings import Finding, error, fine, note, warning
from dicomanon_node.cli.target import Target, explain
from dicomanon_node.config import Config
from dicomanon_node.config.model import DicomDestination, FolderDestination
from dicomanon_node.errors import NodeError
from dicomanon_node.network.failures import AssociationRejectedError
from dicomanon_node.network.proposal import Context
from dicomanon_node.network.requestor import Requestor
from dicomanon_node.node import build

if TYPE_CHECKING:
    from dicomanon_node.network.tls import ClientTls

_VERIFICATION: Final = Context("1.2.840.10008.1.1", ("1.2.840.10008.1.2",))
_LONGEST_WAIT_S: Final = 10.0
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  (compared, not bound)
_AT_ONCE: Final = 8


def port(config: Config) -> Iterator[Finding]:
    """Whether the port is free, or our node answers there."""
    listener = config.node.listener
    if not listener.port:
        yield fine("port", "the node takes a free one when it starts (listener.port = 0)")
        return
    number = _bind_error(listener.host, listener.port)
    where = f"port {listener.port}"
    if number == 0:
        yield note("port", f"{where} is free: the node does not run")
    elif number == errno.EADDRINUSE:
        yield _who_answers(config)
    elif number == errno.EACCES:
        yield error(
            "port",
            f"{where} needs a privilege that this user does not have",
            "Choose a port from 1024 on, or give the service CAP_NET_BIND_SERVICE"
            " (AmbientCapabilities= in systemd).",
        )
    elif number == errno.EADDRNOTAVAIL:
        yield error(
            "port",
            f"{listener.host} is no address of this machine",
            'Set listener.host to one of `ip address`, or to "0.0.0.0" for all.',
        )
    else:
        yield error(
            "port",
            f"{where} cannot be opened: {os.strerror(number)}",
            "Set listener.host and port.",
        )


def title(config: Config) -> Iterator[Finding]:
    """The AE titles senders use."""
    titles = [config.node.listener.ae_title, *(rule.ae_title for rule in config.node.ae_titles)]
    names = ", ".join(dict.fromkeys(titles))
    if names != names.upper():
        yield note(
            "AE title",
            f"{names}: upper and lower case matter, and some consoles know upper case only",
            "Choose titles in upper case if a sender is rejected (called-aet-not-recognised).",
        )
    else:
        yield fine("AE title", names)


def peers(config: Config) -> Iterator[Finding]:
    """Who may send."""
    listed = config.node.peers
    if not listed:
        yield warning(
            "peers",
            "none listed: every sender is accepted",
            "List your scanners in [[peers]] of node.toml, each with its address.",
        )
        return
    loose = [peer.ae_title for peer in listed if peer.address is None]
    if loose:
        yield note(
            "peers",
            f"{', '.join(loose)} from any address: an AE title is no proof of who sends",
            "Give these peers their address.",
        )
    else:
        yield fine("peers", f"{len(listed)} listed, all others are rejected")


def destinations(config: Config) -> Iterator[Finding]:
    """Whether destinations answer, all asked at the same time."""
    listed = config.node.destinations
    if not listed:
        return
    known = build.client_tls(config)
    tls = [known.get(entry.name) for entry in listed]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(_destination, listed, tls)


def _bind_error(host: str, number: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, number))
            trial.listen(1)
    except OSError as found:
        return found.errno or errno.EIO
    return 0


def _who_answers(config: Config) -> Finding:
    listener = config.node.listener
    host = _ANY.get(listener.host, listener.host)
    target = Target(listener.ae_title, host, listener.port)
    try:
        status = _echo(target, listener.ae_title)
    except AssociationRejectedError as rejected:
        return note(
            "port",
            f"a DICOM node answers at {target} and does not take us: {explain(rejected)}",
            "That is as it should be if [[peers]] does not list this machine.",
        )
    except NodeError:
        return error(
            "port",
            f"port {listener.port} is taken by something that does not answer as {target}",
            f"See who it is (ss -ltnp 'sport = :{listener.port}') and stop it, or choose another"
            " listener.port. If it is this node with TLS, ignore this.",
        )
    return fine("port", f"{target} answers C-ECHO ({status:04X}H): the node runs")


def _destination(entry: DicomDestination | FolderDestination, tls: "ClientTls | None") -> Finding:
    if isinstance(entry, FolderDestination):
        return _folder(entry)
    target = Target(entry.ae_title, entry.host, entry.port, tls)
    subject = f"to {entry.name}"
    try:
        status = _echo(target, entry.calling_ae_title)
    except NodeError as found:
        return warning(
            subject,
            f"{target}: {explain(found, is_destination=True)}",
            "Objects for it wait in the spool meanwhile. Its administrator must know our AE title"
            f" {entry.calling_ae_title} and address.",
        )
    if status:
        return warning(subject, f"{target} answers C-ECHO with {status:04X}H", "Ask there why.")
    return fine(subject, f"{target} answers C-ECHO")


def _folder(entry: FolderDestination) -> Finding:
    subject = f"to {entry.name}"
    if not entry.path.is_dir():
        return warning(
            subject,
            f"there is no folder {entry.path}",
            "Make it, or mount it. Objects for it wait in the spool meanwhile.",
        )
    if not os.access(entry.path, os.W_OK | os.X_OK):
        return warning(
            subject,
            f"{entry.path} cannot be written by this user",
            "Let the node's user write there; run doctor as that user.",
        )
    return fine(subject, f"{entry.path} can be written")


def _echo(target: Target, calling_aet: str) -> int:
    with Requestor(
        target.host,
        target.port,
        calling_aet=calling_aet,
        called_aet=target.ae_title,
        contexts=(_VERIFICATION,),
        connect_timeout_s=_LONGEST_WAIT_S,
        association_timeout_s=_LONGEST_WAIT_S,
        response_timeout_s=_LONGEST_WAIT_S,
        tls=target.tls,
    ) as requestor:
        return requestor.echo()
