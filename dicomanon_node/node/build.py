"""From configuration to objects: the only place that knows both.

No process, no socket: what is made here is the same for `serve` and for the batch
command, so that there is one engine and no twin.
"""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dicomanon_node.config import Config, model
from dicomanon_node.config.model import DicomDestination
from dicomanon_node.config.private_files import sweep_parts
from dicomanon_node.config.secrets import make_key, read_key
from dicomanon_node.deid.boundaries import Limits
from dicomanon_node.deid.labels import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.hold.area import Area, Bounds, held_reasons
from dicomanon_node.hold.sealing import HoldKey, KeyRing
from dicomanon_node.holding import Hold
from dicomanon_node.ledger.crosswalk import CrosswalkKey
from dicomanon_node.ledger.journal import Journal
from dicomanon_node.ledger.origins import Origins
from dicomanon_node.ledger.receipts import ReceiptWriter
from dicomanon_node.ledger.telling import CrosswalkWriter
from dicomanon_node.network.peers import Peer
from dicomanon_node.network.service import ListenerSettings
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.receive import ReceiveSettings
from dicomanon_node.routing import FixedRoute, Router
from dicomanon_node.spool.layout import Layout
from dicomanon_node.spool.spool import Spool

if TYPE_CHECKING:
    import ssl

    from dicomanon_node.network.tls import ClientTls


def key(config: Config) -> tuple[Key, bool]:
    """The node's key, and whether it was made just now.

    Raises:
        ConfigError: The key file cannot be used.
    """
    path = config.node.secrets.key_file
    is_new = not path.exists()
    if is_new:
        try:
            make_key(path)
        except ConfigError:
            if not path.exists():
                raise
            is_new = False  # another process of this site made it just now: one key for both
    secret = Key(read_key(path))
    sweep_parts(path)
    return secret, is_new


def plans(config: Config, secret: Key) -> Mapping[str, Plan]:
    """The compiled rules of each study."""
    return {
        name: Plan(rules, secret, config.rules.digest)
        for name, rules in config.rules.studies.items()
    }


def router(config: Config, compiled: Mapping[str, Plan]) -> Router:
    """What finds the study of an object."""
    return Router(
        config.rules.stations,
        compiled,
        config.rules.default_study,
        refuses_missing=config.node.routing.on_missing == "refuse",
        fixed={
            rule.ae_title: FixedRoute(rule.study or None, rule.station or None)
            for rule in config.node.ae_titles
        },
    )


def spool(config: Config) -> Spool:
    """The spool and the outgoing tree; not prepared yet."""
    storage = config.node.storage
    return Spool(
        storage.spool,
        storage.outgoing,
        destination_names(config),
        low_water_bytes=storage.low_water_bytes,
        high_water_bytes=storage.high_water_bytes,
        sync=storage.sync,
    )


def destination_names(config: Config) -> tuple[str, ...]:
    """Names of all configured destinations."""
    return tuple(destination.name for destination in config.node.destinations)


def receive_settings(config: Config, *, is_batch: bool = False) -> ReceiveSettings:
    """What `receive` needs to know.

    Args:
        config: The configuration.
        is_batch: Everything is written, nothing forwarded.
    """
    node = config.node
    limits = node.limits
    return ReceiveSettings(
        limits=Limits(
            header_bytes=limits.header_bytes,
            object_bytes=limits.object_bytes,
            nesting=limits.nesting,
            elements=limits.elements,
        ),
        deflated_bytes=limits.deflated_bytes,
        converted_bytes=limits.converted_bytes,
        destinations=destination_names(config),
        layout=Layout(node.storage.layout) if is_batch or node.storage.outgoing else None,
        rules_digest=config.rules.digest,
        held_bytes=limits.held_bytes,
        is_batch=is_batch,
    )


def hold(config: Config, secret: Key, *, makes_key: bool = False) -> tuple[Hold, bool]:
    """The hold, whether or not it is enabled; and whether its key was made just now.

    Args:
        config: The configuration.
        secret: The node's key, which must not be the hold's.
        makes_key: Make the hold's key if there is none.

    Raises:
        ConfigError: A key file cannot be used.
    """
    node = config.node
    settings = node.hold
    is_new = makes_key and not settings.key_file.exists()
    if is_new:
        make_key(settings.key_file)
    keys = [_hold_key(path, secret) for path in (settings.key_file, *settings.old_key_files)]
    area = Area(
        node.storage.spool / "hold",
        KeyRing(keys[0], keys[1:]),
        Bounds(settings.max_bytes, node.storage.low_water_bytes),
        sync=node.storage.sync,
    )
    return Hold(area, held_reasons(settings.reasons), settings.answer == "accept"), is_new


def _hold_key(path: Path, secret: Key) -> HoldKey:
    content = read_key(path)
    if Key(content).key_id == secret.key_id:
        why = "is the key of secrets.key_file: the hold needs one of its own"
        raise ConfigError(Problem(str(path), "", why))
    return HoldKey(content)


def receipts(config: Config, secret: Key, log: TellEvent) -> ReceiptWriter | None:
    """What writes receipts in any process of the node; None if none are wanted."""
    if not config.node.ledger.enabled:
        return None
    return ReceiptWriter(
        Journal(config.node.storage.spool),
        Origins(secret),
        log,
        is_required=config.node.ledger.required,
    )


def peer(entry: model.Peer) -> Peer:
    """A peer as the network knows it."""
    networks = () if entry.address is None else (ipaddress.ip_network(entry.address),)
    return Peer(entry.ae_title or None, networks, entry.certificate or None)


def hook_key(config: Config) -> bytes | None:
    """The key that signs what a webhook gets (secret); None: nothing is signed.

    Raises:
        ConfigError: Its file cannot be used.
    """
    settings = config.node.completion
    if not settings.enabled or settings.hook_key_file is None:
        return None
    return read_key(settings.hook_key_file)


def crosswalk(
    config: Config, secret: Key, receipts: ReceiptWriter | None, log: TellEvent
) -> CrosswalkWriter | None:
    """What writes the crosswalk; None if none is wanted. Makes its key if there is none.

    Raises:
        ConfigError: A key file cannot be used, or is the node's.
    """
    ledger = config.node.ledger
    if receipts is None or not ledger.crosswalk:
        return None
    is_new = not ledger.crosswalk_key_file.exists()
    if is_new:
        make_key(ledger.crosswalk_key_file)
    key = CrosswalkKey(read_key(ledger.crosswalk_key_file))
    if is_new:
        log.event("crosswalk.key_created", key_id=key.key_id)
    if key.key_id == secret.key_id:
        raise ConfigError(
            Problem(
                "node.toml",
                "ledger.crosswalk_key_file",
                "holds the same key as secrets.key_file: the crosswalk has a key of its own",
            )
        )
    return CrosswalkWriter(receipts, key)


def listener_settings(config: Config) -> ListenerSettings:
    """What the listener needs to know.

    Call it before forking: the files of TLS are read here, and all receivers, also those
    that take the place of one that died, are to have the same.

    Raises:
        ConfigError: The files of TLS cannot be used.
    """
    listener = config.node.listener
    titles = dict.fromkeys((listener.ae_title, *(rule.ae_title for rule in config.node.ae_titles)))
    return ListenerSettings(
        ae_titles=tuple(titles),
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        peers=tuple(map(peer, config.node.peers)),
        extra_sop_classes=listener.extra_sop_classes,
        max_pdu_bytes=listener.max_pdu_bytes,
        acse_timeout_s=listener.acse_timeout_s,
        idle_timeout_s=listener.idle_timeout_s,
        pdu_timeout_s=listener.pdu_timeout_s,
        min_bytes_per_s=listener.min_bytes_per_s,
        max_associations=listener.max_associations,
        max_associations_per_peer=listener.max_associations_per_peer,
        tls=_server_context(config),
        proxies=listener.proxy_protocol,
    )


def client_tls(config: Config) -> "Mapping[str, ClientTls]":
    """How to speak TLS to the destinations that ask for it, by name.

    Call it before forking, as `listener_settings`.

    Raises:
        ConfigError: The files of TLS cannot be used.
    """
    found: dict[str, ClientTls] = {}
    for index, entry in enumerate(config.node.destinations):
        if not isinstance(entry, DicomDestination) or not entry.tls:
            continue
        from dicomanon_node.network import tls  # noqa: PLC0415  (slow, rarely needed)

        try:
            context = tls.client_context(
                entry.tls_ca_file, entry.tls_cert_file, entry.tls_key_file, verify=entry.tls_verify
            )
        except tls.CredentialsError as error:
            raise _unusable(f"destinations[{index}].tls_", error.role) from None
        found[entry.name] = tls.ClientTls(context, entry.tls_server_name or entry.host)
    return found


def audit_tls(config: Config) -> "ClientTls | None":
    """How to speak TLS to the audit record repository; None if that is not spoken.

    Raises:
        ConfigError: The files of TLS cannot be used.
    """
    audit = config.node.audit
    if not audit.enabled or audit.transport != "tls":
        return None
    from dicomanon_node.network import tls  # noqa: PLC0415  (slow, rarely needed)

    try:
        context = tls.client_context(audit.ca_file, audit.cert_file, audit.key_file)
    except tls.CredentialsError as error:
        raise _unusable("audit.", error.role) from None
    return tls.ClientTls(context, audit.host)


def _server_context(config: Config) -> "ssl.SSLContext | None":
    settings = config.node.tls
    if not settings.enabled or settings.cert_file is None or settings.key_file is None:
        return None
    from dicomanon_node.network import tls  # noqa: PLC0415  (slow, rarely needed)

    try:
        return tls.server_context(
            settings.cert_file,
            settings.key_file,
            settings.ca_file,
            client_certificates=settings.client_certificates,
            min_version=settings.min_version,
        )
    except tls.CredentialsError as error:
        raise _unusable("tls.", error.role) from None


def _unusable(prefix: str, role: str) -> ConfigError:
    # What a careful look at the file has not found: `config.certificates` has been there.
    key = "ca_file" if role == "ca" else "cert_file"
    text = "OpenSSL does not take it: a weak key or signature, or the file has just changed"
    return ConfigError(Problem("node.toml", f"{prefix}{key}", text))
