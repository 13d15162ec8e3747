"""What node.toml may say of receipts, Storage Commitment and audit messages; see `model`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dicomanon_node.config.section import DAY_S, Port, Seconds, Section
from dicomanon_node.config.values import (
    FilePath,
    KeyPath,
    OptionalHost,
    OptionalPath,
    SourceId,
)


class LedgerSection(Section):
    """A receipt for every instance, for people and programs that ask later."""

    enabled: bool = True
    """Whether receipts are written."""
    path: FilePath = Path("var/ledger.sqlite")
    """The ledger: a SQLite file, mode 0600, on a local disk."""
    required: bool = False
    """Whether an instance is refused with A700H when its receipt cannot be written."""
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """Days after which a receipt is removed; 0 keeps it for ever."""
    crosswalk: bool = False
    """Whether it is kept, encrypted, who each pseudonym is."""
    crosswalk_key_file: KeyPath = Path("var/crosswalk.key")
    """File with the crosswalk's key: 64 hexadecimal digits, mode 0600; made at the first start."""
    crosswalk_old_key_files: Annotated[tuple[KeyPath, ...], Field(strict=False)] = ()
    """Files with earlier keys of the crosswalk, to read what they encrypted."""


class Commitment(Section):
    """Storage Commitment Push Model SCP (PS3.4 J): the node says what it holds."""

    enabled: bool = False
    """Whether requests are taken; needs the ledger."""
    mode: Literal["node", "destination"] = "node"
    """When an instance is committed: durable here, or taken by each destination of its study."""
    report: Literal["auto", "same", "new"] = "auto"
    """On the request's association while it lasts and then on a new one, or one of both only."""
    settle_s: Seconds = 10.0
    """Seconds an instance may be unknown to the ledger before it is reported as not here."""
    wait_s: Annotated[float, Field(gt=0, le=30 * DAY_S)] = 3600.0
    """Seconds to wait for deliveries in mode "destination"."""
    give_up_s: Annotated[float, Field(gt=0, le=30 * DAY_S)] = float(DAY_S)
    """Seconds after which a report that nobody takes is given up."""
    max_instances: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    """Instances in one request; 256 bytes of memory each."""
    max_open: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Requests open at a time; more are refused with 0213H."""


class Audit(Section):
    """Audit messages (PS3.15 A.5) to an audit record repository, over syslog."""

    enabled: bool = False
    """Whether there are audit messages; needs the ledger."""
    transport: Literal["tls", "udp", "file"] = "tls"
    """Syslog over TLS (RFC 5425) or UDP (RFC 5426), or into a file."""
    host: OptionalHost = ""
    """IP address or host name of the repository, which its certificate must have."""
    port: Port = 6514
    """Its port; over UDP mostly 514."""
    path: OptionalPath = None
    """The file, with transport "file"."""
    ca_file: OptionalPath = None
    """PEM file with the CAs that the repository is known by; left out: those of the system."""
    cert_file: OptionalPath = None
    """PEM file with our certificate towards it, and those that lead to its CA."""
    key_file: OptionalPath = None
    """PEM file with our private key, without a passphrase, for the node's user alone."""
    source_id: SourceId = ""
    """What the node is called in the messages; "" is the machine's host name."""
    give_up_days: Annotated[int, Field(ge=0, le=36_500)] = 30
    """Days after which a message that nobody has taken is dropped; 0 keeps it."""

    @model_validator(mode="after")
    def _has_somewhere_to_go(self) -> Self:
        if self.enabled and self.transport == "file" and self.path is None:
            raise ValueError('needs path, as transport is "file"')
        if self.enabled and self.transport != "file" and not self.host:
            raise ValueError(f'needs host, as transport is "{self.transport}"')
        return self
