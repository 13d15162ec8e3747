"""What `doctor` looks at of the audit: whether the repository can be reached.

It connects, and does the handshake of TLS; it tells the repository nothing.
"""

import os
from collections.abc import Iterator

from dicomanon_node.cli.findings import Finding, fine, note, warning
from dicomanon_node.config import Config
from dicomanon_node.network import tls
from dicomanon_node.node import auditing, build

_CURES = {
    "tls-certificate-name": "Its certificate must have the name or address that is audit.host.",
    "tls-certificate": "Name the file with its CA in audit.ca_file.",
    "tls-certificate-unknown": "Name the file with its CA in audit.ca_file.",
    "tls-certificate-expired": "Ask its administrator to renew its certificate.",
    "tls-refused": "It may want our certificate: audit.cert_file and audit.key_file.",
    "tls-not-spoken": "Look whether audit.port is that of syslog over TLS.",
}
_WAITING = "Messages wait in the ledger meanwhile."


def audit(config: Config) -> Iterator[Finding]:
    """Whether the audit record repository can be reached."""
    settings = config.node.audit
    if not settings.enabled:
        return
    if settings.transport == "file" and settings.path is not None:
        target = settings.path if settings.path.exists() else settings.path.parent
        if os.access(target, os.W_OK):
            yield fine("audit", f"{settings.path} can be written")
        else:
            yield warning(
                "audit",
                f"{settings.path} cannot be written by this user",
                f"Make its directory, for the node's user; run doctor as that user. {_WAITING}",
            )
        return
    where = f"{settings.host} port {settings.port}"
    transport = auditing.transport(config, build.audit_tls(config))
    try:
        transport.send(())
    except OSError as found:
        word = tls.failure(found)
        text = word or found.strerror or "no connection"
        cure = _CURES.get(word, "Look at audit.host and audit.port, and at firewalls.")
        yield warning("audit", f"{where}: {text}", f"{cure} {_WAITING}")
        return
    finally:
        transport.close()
    if settings.transport == "udp":
        yield note(
            "audit",
            f"{where}: over UDP nobody knows whether messages arrive, and all can read them",
            'Set audit.transport = "tls" if the repository takes it.',
        )
    else:
        yield fine("audit", f"{where} speaks TLS with us")
