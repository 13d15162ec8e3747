"""From configuration to objects: the only place that knows both.

No process, no socket: what is made here is the same for `serve` and for the batch
command, so that there is one engine and no twin.
"""

import ipaddress
from collections.abc import Mapping

from dicomanon_node.config import Config
from dicomanon_node.config.secrets import make_key, read_key
from dicomanon_node.deid.boundaries import Limits
from dicomanon_node.deid.labels import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import ConfigError, Problem
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


def key(config: Config) -> tuple[Key, bool]:
    """The node's key, and whether it was made just now.

    Raises:
        ConfigError: The key file cannot be used.
    """
    path = config.node.secrets.key_file
    is_new = not path.exists()
    if is_new:
        make_key(path)
    return Key(read_key(path)), is_new


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
    """What the listener needs to know."""
    listener = config.node.listener
    titles = dict.fromkeys((listener.ae_title, *(rule.ae_title for rule in config.node.ae_titles)))
    return ListenerSettings(
        ae_titles=tuple(titles),
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        peers=tuple(
            Peer(
                peer.ae_title or None,
                (ipaddress.ip_network(peer.address),) if peer.address is not None else (),
            )
            for peer in config.node.peers
        ),
        extra_sop_classes=listener.extra_sop_classes,
        max_pdu_bytes=listener.max_pdu_bytes,
        acse_timeout_s=listener.acse_timeout_s,
        idle_timeout_s=listener.idle_timeout_s,
        max_associations=listener.max_associations,
    )
