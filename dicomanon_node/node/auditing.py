"""What the auditor process does: tell the audit until it is told to stop.

A node has one auditor, whatever generation serves. It is not waited for at the start, and
told to stop last of all, so that it may still tell of the stop; what it cannot get rid of
then is told after the next start.
"""

import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Final

from dicomanon_node.config import Config
from dicomanon_node.config.model import DicomDestination
from dicomanon_node.node import build
from dicomanon_node.node.children import ABORT, STOP, Child, Ready
from dicomanon_node.node.generation import Shared
from dicomanon_node.node.recording import Lasting
from dicomanon_node.ops import logs

if TYPE_CHECKING:
    from dicomanon_node.audit.messages import Source
    from dicomanon_node.audit.transports import Transport
    from dicomanon_node.network.tls import ClientTls

_NICENESS: Final = 10
_OTHERS: Final = 0o077


class Auditing(Lasting):
    """The one auditor of a node, for the supervisor. None where there is no audit.

    Args:
        config: The configuration.
        shared: What the processes of a node have in common.

    Raises:
        ConfigError: The files of TLS cannot be used.
    """

    def __init__(self, config: Config, shared: Shared) -> None:
        self._config = config
        self._client = build.audit_tls(config)
        enabled = config.node.audit.enabled
        super().__init__([Child("auditor", self._tell)] if enabled else [], shared)

    def take(self, config: Config, client: "ClientTls | None") -> None:
        """A reload: another auditor, which knows today's destinations and certificates.

        Args:
            config: The configuration.
            client: `build.audit_tls` of it.
        """
        self._config, self._client = config, client
        for child in self.children:
            child.signal(STOP)  # started again by `look_after`

    def _tell(self, ready: Ready) -> None:
        self._shared.ports.close()
        tell(self._config, self._client, ready)


def tell(config: Config, client: "ClientTls | None", ready: Ready) -> None:
    """Tell the audit until `STOP`, and then what is left; after `ABORT` not even that.

    Args:
        config: The configuration.
        client: How TLS is spoken to the repository, if it is.
        ready: To be called when it works.
    """
    os.nice(_NICENESS)
    os.umask(_OTHERS)
    stop = threading.Event()
    signal.signal(STOP, lambda _number, _frame: stop.set())
    signal.signal(ABORT, lambda _number, _frame: sys.exit(0))
    # After the handlers: SQLAlchemy takes its time to import.
    from dicomanon_node.audit.telling import Telling  # noqa: PLC0415
    from dicomanon_node.ledger.database import engine_of  # noqa: PLC0415
    from dicomanon_node.ledger.outbox import Outbox  # noqa: PLC0415

    path = config.node.ledger.path

    def open_outbox() -> Outbox:
        return Outbox(engine_of(path, is_writer=False), engine_of(path, is_writer=True))

    telling = Telling(
        open_outbox,
        transport(config, client),
        _source(config),
        os.getpid(),
        logs.get(),
        give_up_days=config.node.audit.give_up_days,
    )
    ready()
    telling.run(stop)


def transport(config: Config, client: "ClientTls | None") -> "Transport":
    """How audit messages leave, as configured.

    Args:
        config: The configuration.
        client: How TLS is spoken to the repository, if it is.
    """
    from dicomanon_node.audit import transports  # noqa: PLC0415  (brings `ssl`)

    audit = config.node.audit
    if audit.transport == "file" and audit.path is not None:
        return transports.FileTransport(audit.path)
    if client is None:
        return transports.UdpTransport(audit.host, audit.port)
    return transports.TlsTransport(audit.host, audit.port, client)


def _source(config: Config) -> "Source":
    from dicomanon_node.audit.messages import Place, Source  # noqa: PLC0415  (SQLAlchemy)

    node, host_name = config.node, socket.gethostname()
    places = {
        entry.name: Place(entry.ae_title, entry.host)
        if isinstance(entry, DicomDestination)
        else Place()
        for entry in node.destinations
    }
    titles = dict.fromkeys((node.listener.ae_title, *(rule.ae_title for rule in node.ae_titles)))
    return Source(node.audit.source_id or host_name, host_name, tuple(titles), places)
