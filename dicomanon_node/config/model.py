"""What node.toml may say: frozen models, one a section, a default for every key.

The descriptions go into the JSON Schema; config/node.toml and docs/configuration.md say
the same to people, and tests hold the three together. Paths are as written: `loading`
resolves them. What concerns more than one section is checked in `checks`.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dicomanon_node.config.completion import Completion, Retention
from dicomanon_node.config.records import Audit, Commitment, LedgerSection
from dicomanon_node.config.section import Port, Seconds, Section
from dicomanon_node.config.values import (
    AETitle,
    DestinationName,
    FilePath,
    HeldReason,
    Host,
    KeyPath,
    Layout,
    Network,
    OptionalAETitle,
    OptionalCertificateName,
    OptionalHost,
    OptionalPath,
    Uid,
)

_MIB = 1024 * 1024
_GIB = 1024 * _MIB

# DCMTK's and most others' smallest; above 16 MiB nobody gains and a peer could make us
# reserve memory at will.
_MIN_PDU_BYTES, _MAX_PDU_BYTES = 4096, 16 * _MIB
_DEFAULT_PDU_BYTES = 128 * 1024

AnyPort = Annotated[int, Field(ge=0, le=65535)]
PduBytes = Annotated[int, Field(ge=_MIN_PDU_BYTES, le=_MAX_PDU_BYTES)]
Bytes = Annotated[int, Field(ge=0, le=2**62)]
Count = Annotated[int, Field(ge=0, le=2**31)]
LimitBytes = Annotated[int, Field(ge=64 * 1024, le=2**62)]


class Listener(Section):
    """Where and as whom the node accepts associations."""

    ae_title: AETitle = "DICOMANON"
    """Called AE title that senders use."""
    host: Host = "0.0.0.0"  # noqa: S104  (a node is there to be reached; peers narrow it)
    """Address to listen on; "0.0.0.0" is every IPv4 interface, "::" IPv6 as well."""
    port: AnyPort = 11112
    """TCP port; 0 takes a free one and logs it."""
    processes: Annotated[int, Field(ge=0, le=256)] = 0
    """Receiver processes that share the port; 0 is one a core."""
    max_pdu_bytes: PduBytes = _DEFAULT_PDU_BYTES
    """Largest P-DATA-TF PDU a sender may send (PS3.8 D.1), bytes."""
    acse_timeout_s: Seconds = 10.0
    """Seconds a connection has to request an association, and an abort or release to end."""
    idle_timeout_s: Seconds = 300.0
    """Seconds an association may be silent before it is aborted."""
    pdu_timeout_s: Seconds = 60.0
    """Seconds a sender has for the rest of a PDU, or to take an answer, beside its bytes' time."""
    min_bytes_per_s: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1024
    """Bytes a second a sender must send once those times are used up, else it is aborted."""
    max_associations: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Associations at a time in each process; more are rejected for the time being."""
    max_associations_per_peer: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Of them, from one address; 0 is half of them, rounded up."""
    extra_sop_classes: Annotated[tuple[Uid, ...], Field(strict=False)] = ()
    """UIDs of private or new SOP classes to accept besides all storage SOP classes."""
    proxy_protocol: Annotated[tuple[Network, ...], Field(strict=False)] = ()
    """Networks of balancers, whose connections begin with a PROXY header; none is off."""


class Tls(Section):
    """A port where associations are encrypted (PS3.15 B.12), beside the listener's own."""

    enabled: bool = False
    """Whether there is a TLS port."""
    port: AnyPort = 2762
    """TCP port; that of the listener: all is TLS; 0 takes a free one and logs it."""
    cert_file: OptionalPath = None
    """PEM file with the node's certificate and those that lead from it to its CA."""
    key_file: OptionalPath = None
    """PEM file with its private key, without a passphrase, for the node's user alone."""
    ca_file: OptionalPath = None
    """PEM file with the CAs, or the certificates themselves, that senders are known by."""
    client_certificates: Literal["required", "optional", "none"] = "required"
    """Whether a sender must, may or need not show a certificate; one shown must be valid."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken."""


class AETitleRule(Section):
    """One more AE title the node answers to, or a fixed rule for the listener's own."""

    ae_title: AETitle
    """Called AE title."""
    study: str = ""
    """Study rule for everything sent to this title; "" routes by StationName."""
    station: str = ""
    """Station rule for everything sent to this title; "" takes the object's StationName."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.study and self.station:
            raise ValueError("give study or station, not both: a fixed study needs no station")
        return self


class Peer(Section):
    """A sender that may associate. AE titles identify, they do not authenticate."""

    name: str = ""
    """For people; means nothing."""
    ae_title: OptionalAETitle = ""
    """Calling AE title; "" is any."""
    address: Network | None = None
    """IP address, or network in CIDR notation; left out is anywhere."""
    certificate: OptionalCertificateName = ""
    """Its certificate: "sha256:" and the fingerprint, or a name; "" is not looked at."""
    host: OptionalHost = ""
    """Where it takes Storage Commitment reports; "" is the address it called from."""
    port: AnyPort = 0
    """TCP port on which it takes them; 0: on the association of its request only."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.ae_title and self.address is None and not self.certificate:
            raise ValueError("needs ae_title or address, or both")
        if self.host and not self.port:
            raise ValueError("has a host and no port: it needs both, or the port alone")
        return self


class Storage(Section):
    """Where objects are written. Spool and outgoing have to be on one file system."""

    spool: FilePath = Path("var/spool")
    """The node's own directory: objects being received, and the queues of the destinations."""
    outgoing: OptionalPath = Path("var/outgoing")
    """Directory for de-identified objects; "" writes none."""
    layout: Layout = (
        "{study}/{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"
    )
    """Path of an object under outgoing, from de-identified values."""
    low_water_bytes: Bytes = _GIB
    """Free bytes under which objects are refused with A700H (out of resources)."""
    high_water_bytes: Bytes = 0
    """Free bytes from which they are taken again; 0 is a tenth more than low_water_bytes."""
    queue_high_water: Count = 1_000_000
    """Objects in a queue from which its studies are refused with A700H; 0 is no limit."""
    queue_low_water: Count = 900_000
    """Objects in it under which they are taken again."""
    sync: bool = True
    """Whether an object is on the disk before 0000H; False is for measuring only."""

    @model_validator(mode="after")
    def _marks_in_order(self) -> Self:
        if 0 < self.high_water_bytes < self.low_water_bytes:
            raise ValueError("high_water_bytes must not be less than low_water_bytes")
        if 0 < self.queue_high_water < self.queue_low_water:
            raise ValueError("queue_low_water must not be more than queue_high_water")
        return self


class Secrets(Section):
    """Where secrets are; never the secrets themselves."""

    key_file: KeyPath = Path("var/secret.key")
    """File with the node's key: 64 hexadecimal digits, mode 0600; made at the first start."""


class Routing(Section):
    """How an object finds its study."""

    on_missing: Literal["default", "refuse"] = "default"
    """StationName or the study's name missing or empty: use the default rules, or refuse."""


class DicomDestination(Section):
    """A PACS or other Storage SCP to forward to."""

    name: DestinationName
    """Unique; studies.json and the queue's directories use it."""
    kind: Literal["dicom"]
    """C-STORE to a Storage SCP."""
    ae_title: AETitle
    """Called AE title of the destination."""
    host: Host
    """Its IP address or host name."""
    port: Port = 104
    """Its TCP port."""
    calling_ae_title: OptionalAETitle = ""
    """Our AE title towards it; "" is the listener's."""
    connect_timeout_s: Seconds = 10.0
    """Seconds to wait for the TCP connection."""
    acse_timeout_s: Seconds = 30.0
    """Seconds to wait for the answer to an association request or release."""
    response_timeout_s: Seconds = 120.0
    """Seconds to wait for the C-STORE response."""
    max_pdu_bytes: PduBytes = _DEFAULT_PDU_BYTES
    """Largest PDU to send, bytes; the destination's own limit holds as well."""
    associations: Annotated[int, Field(ge=1, le=16)] = 4
    """Associations at a time while its queue is long and it is slow; otherwise there is one."""
    operations_window: Annotated[int, Field(ge=1, le=64)] = 8
    """Unanswered C-STOREs on one association, if it grants that; 1 does not ask for it."""
    tls: bool = False
    """Whether it is spoken to over TLS."""
    tls_ca_file: OptionalPath = None
    """PEM file with the CAs that it is known by; left out: those of the system."""
    tls_cert_file: OptionalPath = None
    """PEM file with our certificate towards it, and those that lead to its CA."""
    tls_key_file: OptionalPath = None
    """PEM file with our private key, without a passphrase, for the node's user alone."""
    tls_server_name: OptionalHost = ""
    """Name or address its certificate must have; "" is the host."""
    tls_verify: Literal["name", "ca"] = "name"
    """Whether its certificate must have its name, or only come from one of the CAs."""


class FolderDestination(Section):
    """A directory to copy to, flat; may be on another file system."""

    name: DestinationName
    """Unique; studies.json and the queue's directories use it."""
    kind: Literal["folder"]
    """Copy into a directory."""
    path: FilePath
    """The directory."""


Destination = Annotated[DicomDestination | FolderDestination, Field(discriminator="kind")]


class Hold(Section):
    """Quarantine for refused objects, encrypted; identified data comes to rest there."""

    enabled: bool = False
    """Whether refused objects are held."""
    key_file: KeyPath = Path("var/hold.key")
    """File with the key that encrypts them, not that of [secrets]; made at the first start."""
    old_key_files: Annotated[tuple[KeyPath, ...], Field(strict=False)] = ()
    """Files with earlier keys, which may still open what they have encrypted."""
    answer: Literal["refuse", "accept"] = "refuse"
    """The sender of a held object is answered its refusal, or 0000H."""
    reasons: Annotated[tuple[HeldReason, ...], Field(strict=False)] = (
        "unparsable",
        "truncated",
        "nested-too-deep",
        "too-many-elements",
        "header-too-large",
        "missing-uid",
        "deflate-limit",
        "no-station",
        "no-study",
        "phoenix-report",
        "burned-in",
        "action-failed",
        "leak-found",
        "private-unreadable",
        "internal",
    )
    """Reason codes of the refusals that are held."""
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """Days after which a held object is deleted; 0 keeps it."""
    alarm_count: Annotated[int, Field(ge=0, le=10_000_000)] = 100
    """Held objects from which on the log has an alarm; 0 has none."""
    max_bytes: Bytes = 20 * _GIB
    """Bytes in the hold beyond which nothing more is held; 0 knows no bound."""


class Log(Section):
    """What is logged, and how. No value from an object ever is."""

    format: Literal["auto", "json", "console"] = "auto"
    """JSON lines, text for people, or auto: text on a terminal, JSON elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level to log."""
    study_quiet_s: Seconds = 30.0
    """Seconds without a new object after which a study's counts are logged."""


class Limits(Section):
    """Bounds on one object; beyond them it is refused with C000H (cannot understand)."""

    header_bytes: LimitBytes = 128 * _MIB
    """Data set up to Pixel Data, which is held in memory."""
    object_bytes: LimitBytes = 16 * _GIB
    """Whole data set; streamed, never held in memory."""
    nesting: Annotated[int, Field(ge=1, le=1000)] = 64
    """Depth of sequences in sequences."""
    elements: Annotated[int, Field(ge=100, le=1_000_000_000)] = 2_000_000
    """Elements before Pixel Data, at all depths."""
    deflated_bytes: LimitBytes = 512 * _MIB
    """Data set in Deflated transfer syntax after inflating."""
    converted_bytes: LimitBytes = 512 * _MIB
    """Big Endian data set, which is held in memory to be re-encoded."""
    held_bytes: LimitBytes = 512 * _MIB
    """All that a receiver process holds of objects under way, beyond 1 MiB each."""

    @model_validator(mode="after")
    def _has_room_for_one(self) -> Self:
        # Else the largest object allowed would be told to come again later, for ever.
        if self.held_bytes < max(self.header_bytes, self.converted_bytes):
            raise ValueError("held_bytes must not be less than header_bytes or converted_bytes")
        return self


class Admin(Section):
    """The console, the API and the metrics, over HTTP."""

    enabled: bool = True
    """Whether there is a console at all; without it nothing listens for HTTP."""
    host: Host = "127.0.0.1"
    """Address to listen on; anything but this machine's own needs `token_file`."""
    port: AnyPort = 8042
    """TCP port; 0 takes a free one and logs it."""
    token_file: OptionalPath = None
    """File with the token that lets people in, mode 0600; made if it is missing. "" asks nobody."""
    hosts: Annotated[tuple[Host, ...], Field(strict=False)] = ()
    """Names by which browsers may reach it, besides localhost, addresses and `host`."""


class NodeConfig(Section):
    """node.toml of dicomanon_node."""

    listener: Listener = Listener()
    tls: Tls = Tls()
    ae_titles: Annotated[tuple[AETitleRule, ...], Field(strict=False)] = ()
    """More AE titles; objects sent to one may have a fixed study or station rule."""
    peers: Annotated[tuple[Peer, ...], Field(strict=False)] = ()
    """Senders that may associate; none listed is all."""
    storage: Storage = Storage()
    secrets: Secrets = Secrets()
    routing: Routing = Routing()
    destinations: Annotated[tuple[Destination, ...], Field(strict=False)] = ()
    """Where studies are forwarded to; studies.json may choose among them by name."""
    hold: Hold = Hold()
    log: Log = Log()
    limits: Limits = Limits()
    ledger: LedgerSection = LedgerSection()
    commitment: Commitment = Commitment()
    completion: Completion = Completion()
    retention: Retention = Retention()
    audit: Audit = Audit()
    admin: Admin = Admin()
