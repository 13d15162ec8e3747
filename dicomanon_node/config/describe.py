"""The configuration in words: what the node will do with what it is sent.

For `dicomanon-node check` and the first start. Reads nothing and shows no salt.
"""

import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from dicomanon_node.config import tags
from dicomanon_node.config.loading import Config
from dicomanon_node.config.model import DicomDestination, FolderDestination, NodeConfig
from dicomanon_node.config.problems import escape
from dicomanon_node.config.stations import DEFAULT_STATION
from dicomanon_node.deid.dictionary import format_tag
from dicomanon_node.deid.envelope import Recipient
from dicomanon_node.deid.rules import (
    ActionKind,
    BurnedIn,
    PrivateTag,
    RuleAction,
    StationRule,
    StudyRules,
)
from dicomanon_node.errors import Problem

_WIDTH = 100


def describe(
    config: Config,
    uncovered: Callable[[StudyRules], Sequence[str]],
    node_warnings: Iterable[Problem] = (),
) -> list[str]:
    """Say what the configuration does.

    Args:
        config: What was loaded.
        uncovered: Gives the attributes of Table E.1-1 that no rule of a study covers;
            asked for studies without a profile only.
        node_warnings: What deserves a look in node.toml, such as a certificate's end.

    Returns:
        Lines of at most 100 characters where names allow it, without line ends.
    """
    return [
        *_node(config.node),
        *_stations(config),
        *_studies(config, uncovered),
        *_warnings((*config.rules.warnings, *node_warnings)),
        f"Rules {config.rules.digest}",
    ]


def _node(node: NodeConfig) -> Iterator[str]:
    yield from _listener(node)
    yield from _senders(node)
    storage = node.storage
    if storage.outgoing is None:
        yield "Outgoing: no directory is written"
    else:
        yield f"Outgoing: {storage.outgoing}/{storage.layout}"
    free = f"{storage.low_water_bytes / 2**30:.3g} GiB"
    yield f"Spool: {storage.spool}; with less than {free} free, objects are refused"
    if not storage.sync:
        yield "NOT SYNCED: what is answered 0000H may be lost when the machine stops"
    yield f"Key: {node.secrets.key_file}"
    yield "Destinations:" if node.destinations else "Destinations: none"
    for destination in node.destinations:
        yield f"  {destination.name}: {_destination(destination)}"


def _listener(node: NodeConfig) -> Iterator[str]:
    listener = node.listener
    if not (node.tls.enabled and node.tls.port == listener.port != 0):
        yield f"Listens as {listener.ae_title} on {_address(listener.host, listener.port)}"
    yield from _tls(node)
    for entry in node.ae_titles:
        fixed = ""
        if entry.study:
            fixed = f': everything is of study "{escape(entry.study)}"'
        elif entry.station:
            fixed = f': everything is of station "{escape(entry.station)}"'
        yield f"  {entry.ae_title}{fixed}"


def _tls(node: NodeConfig) -> Iterator[str]:
    listener, tls = node.listener, node.tls
    if tls.enabled:
        shown = {
            "required": "must show a certificate",
            "optional": "may show a certificate",
            "none": "are NOT ASKED for a certificate",
        }[tls.client_certificates]
        yield (
            f"Listens as {listener.ae_title} on {_address(listener.host, tls.port)} over TLS "
            f"{tls.min_version} and newer; senders {shown}"
        )
    if listener.proxy_protocol:
        networks = ", ".join(map(str, listener.proxy_protocol))
        yield f"  connections from {networks} must begin with a PROXY header"


def _senders(node: NodeConfig) -> Iterator[str]:
    if not node.peers:
        yield "Senders: none listed = all senders accepted"
        return
    yield "Senders, all others are rejected:"
    for peer in node.peers:
        aet = peer.ae_title or "any AE title"
        origin: object = "anywhere" if peer.address is None else peer.address
        proof = f", certificate {escape(peer.certificate)}" if peer.certificate else ""
        label = f" ({escape(peer.name)})" if peer.name else ""
        yield f"  {aet} from {origin}{proof}{label}"


def _destination(destination: DicomDestination | FolderDestination) -> str:
    if isinstance(destination, FolderDestination):
        return f"copies to {destination.path}"
    address = _address(destination.host, destination.port)
    caller = destination.calling_ae_title
    over = " over TLS" if destination.tls else ""
    return f"C-STORE to {destination.ae_title} at {address}{over}, calling as {caller}"


def _stations(config: Config) -> Iterator[str]:
    yield "Stations, by StationName (0008,1010):"
    for name, rule in config.rules.stations.items():
        yield f"  {escape(name)}: {_station(rule)}"
    fallback = f'as "{DEFAULT_STATION}"' if DEFAULT_STATION in config.rules.stations else "REFUSED"
    study = config.rules.default_study
    yield f"  any other station: {fallback}"
    other_study = f'as "{escape(study)}"' if study else "REFUSED"
    yield f"  any other study: {other_study}"
    if config.node.routing.on_missing == "refuse":
        yield "  no StationName, or no value that names the study: REFUSED"
    else:
        yield "  no StationName, or no value that names the study: the same"


def _station(rule: StationRule) -> str:
    tag = f"{tags.keyword_of(rule.tag_for_study)} {format_tag(rule.tag_for_study)}"
    if rule.split is None:
        return f"{tag} is the study's name"
    return (
        f'part {rule.split_index} of {tag}, split at "{escape(rule.split)}", is the study\'s name'
    )


def _studies(config: Config, uncovered: Callable[[StudyRules], Sequence[str]]) -> Iterator[str]:
    yield "Studies:"
    for name, rules in config.rules.studies.items():
        is_default = name == config.rules.default_study
        yield f"  {escape(name)}{' (for all that have no other)' if is_default else ''}"
        for line in _study(rules, config.node, uncovered):
            yield from _wrapped(line)


def _study(
    rules: StudyRules, node: NodeConfig, uncovered: Callable[[StudyRules], Sequence[str]]
) -> Iterator[str]:
    if rules.profile is None:
        missing = uncovered(rules)
        yield (
            f"NO PROFILE: what is not listed is kept; {len(missing)} attributes of PS3.15 Table "
            f"E.1-1 are not covered{': ' if missing else ''}{', '.join(missing)}"
        )
    else:
        options = ", ".join(sorted(rules.options)) or "no options"
        yield f"floor: PS3.15 Basic Profile, {options}"
    yield from _own_rules(rules)
    yield f"private elements: {_private(rules)}"
    yield f"goes to: {_goes_to(rules, node)}"
    burned_in = "refused" if rules.burned_in is BurnedIn.REFUSE else "passed AS THEY ARE"
    phoenix = "accepted" if rules.accepts_phoenix else "refused"
    yield f"objects with burned in annotation are {burned_in}, Phoenix reports {phoenix}"
    if rules.encrypts_for is not None:
        yield _encrypted(rules.encrypts_for)
    if rules.is_compatible:
        yield "hashes and UIDs: formulas of DCMAnonymize, with the study's RandomSeed"
    elif rules.random_seed is not None:
        yield "hashes, UIDs and day shifts: keyed, in a scope of its own (RandomSeed)"


def _encrypted(recipient: Recipient) -> str:
    holder = f"RSA {recipient.key_bits} key, SHA-256 {recipient.fingerprint[:16]}..."
    return f"what is removed or replaced goes along ENCRYPTED for the holder of: {holder}"


def _own_rules(rules: StudyRules) -> Iterator[str]:
    names: dict[str, list[str]] = defaultdict(list)
    for tag, action in rules.tags.items():
        names[_action(action)].append(tags.keyword_of(tag))
    for private_tag, action in rules.private_tags.items():
        names[_action(action)].append(_private_name(private_tag))
    for vr, action in rules.vrs.items():
        names[_action(action)].append(f"every {vr}")
    if not names:
        yield "own rules: none"
    for action_words in sorted(names):
        listed = names[action_words]
        yield f"{action_words} ({len(listed)}): {', '.join(sorted(listed))}"


def _action(action: RuleAction) -> str:
    words = str(action.kind)
    if action.kind is ActionKind.VALUE:
        return f'set to "{escape(action.value)}"' if action.value else "clear"
    if action.amount is not None:
        words += f" by {action.amount:+g}"
    elif action.kind is ActionKind.OFFSET:
        words += " by the patient's days"
    if action.salt is not None:
        words += ", with a salt of its own"
    return words


def _private(rules: StudyRules) -> str:
    kept = [_private_name(tag) for tag in rules.saved_private]
    kept += [format_tag(tag) for tag in rules.saved_groups]
    if not rules.removes_private:
        return "KEPT unless listed above"
    listed = ", ".join(sorted(kept))
    return f"removed but {listed}" if kept else "removed unless listed above"


def _private_name(tag: PrivateTag) -> str:
    return f'({tag.group:04X},"{escape(tag.creator)}",{tag.element:02X})'


def _goes_to(rules: StudyRules, node: NodeConfig) -> str:
    places = ["outgoing"] if rules.writes_outgoing and node.storage.outgoing is not None else []
    if rules.destinations is None:
        places += [entry.name for entry in node.destinations]
    else:
        places += rules.destinations
    return ", ".join(places)


def _warnings(warnings: Iterable[Problem]) -> Iterator[str]:
    lines = [f"  {warning}" for warning in warnings]
    if lines:
        yield f"Warnings ({len(lines)}):"
        yield from lines


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line,
        _WIDTH,
        initial_indent="    ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
