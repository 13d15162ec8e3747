"""What has to fit together: sections of node.toml with each other and with the rules."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from dicomanon_node.config.model import DicomDestination, FolderDestination, NodeConfig
from dicomanon_node.config.problems import alternatives, show
from dicomanon_node.config.shape import Location
from dicomanon_node.deid.rules import StudyRules

Fault = tuple[Location, str]


def node_faults(node: NodeConfig) -> Iterable[Fault]:
    """Contradictions inside node.toml. Paths in it must be resolved already."""
    yield from _repeated(
        "destinations", "name", [entry.name.casefold() for entry in node.destinations]
    )
    yield from _repeated("ae_titles", "ae_title", [entry.ae_title for entry in node.ae_titles])
    yield from _admin_faults(node)
    yield from _port_faults(node)
    yield from _certificate_name_faults(node)
    yield from _commitment_faults(node)
    spool, outgoing = node.storage.spool, node.storage.outgoing
    if outgoing is not None and _overlap(spool, outgoing):
        yield ("storage", "outgoing"), "and storage.spool must not lie in each other"
    for index, destination in enumerate(node.destinations):
        if isinstance(destination, FolderDestination):
            if _overlap(spool, destination.path):
                path = ("destinations", index, "path")
                yield path, "and storage.spool must not lie in each other"
            if outgoing is not None and _overlap(outgoing, destination.path):
                path = ("destinations", index, "path")
                yield path, "and storage.outgoing must not lie in each other"
    for public in (outgoing, *(_folders(node))):
        if public is not None and node.secrets.key_file.is_relative_to(public):
            yield ("secrets", "key_file"), "lies where objects are handed out: put it elsewhere"
    yield from _hold_faults(node)
    yield from _ledger_faults(node)
    yield from _completion_faults(node)
    yield from _retention_faults(node)
    yield from _audit_faults(node)
    if outgoing is None and not node.destinations:
        yield (
            ("storage", "outgoing"),
            "is empty and there are no destinations: objects would go nowhere",
        )


def _hold_faults(node: NodeConfig) -> Iterable[Fault]:
    hold, storage = node.hold, node.storage
    files: list[tuple[Location, Path]] = [(("hold", "key_file"), hold.key_file)]
    files += [
        (("hold", "old_key_files", number), path) for number, path in enumerate(hold.old_key_files)
    ]
    for place, path in files:
        if path == node.secrets.key_file:
            yield place, "is that of secrets.key_file: the hold needs a key of its own"
        for public in (storage.outgoing, *_folders(node)):
            if public is not None and path.is_relative_to(public):
                yield place, "lies where objects are handed out: put it elsewhere"
        if path.is_relative_to(storage.spool):
            yield place, "lies in the spool, beside what it encrypts: put it elsewhere"


def _admin_faults(node: NodeConfig) -> Iterable[Fault]:
    admin, token_file = node.admin, node.admin.token_file
    if token_file is None:
        if admin.enabled and not is_loopback(admin.host):
            why = (
                f"is needed, because admin.host {show(admin.host)} can be reached from elsewhere:"
                ' name a file, such as "var/admin.token", which is made at the next start; or bind'
                " to 127.0.0.1"
            )
            yield ("admin", "token_file"), why
        return
    if token_file == node.secrets.key_file:
        yield ("admin", "token_file"), "is the node's key too: choose another"
    for public in (node.storage.outgoing, *_folders(node)):
        if public is not None and token_file.is_relative_to(public):
            yield ("admin", "token_file"), "lies where objects are handed out: put it elsewhere"


def uses_tls(node: NodeConfig) -> bool:
    """Whether there is TLS anywhere."""
    if node.audit.enabled and node.audit.transport == "tls":
        return True
    return node.tls.enabled or any(
        isinstance(entry, DicomDestination) and entry.tls for entry in node.destinations
    )


def _commitment_faults(node: NodeConfig) -> Iterable[Fault]:
    commitment = node.commitment
    if not commitment.enabled:
        return
    if not node.ledger.enabled:
        yield ("commitment", "enabled"), "needs the ledger: set ledger.enabled = true"
    if commitment.mode == "destination" and not node.destinations:
        yield ("commitment", "mode"), 'is "destination" and there are none'
    if commitment.report == "new" and not any(peer.port for peer in node.peers):
        yield ("commitment", "report"), 'is "new" and no peer has a port to report to'
    if commitment.give_up_s < commitment.wait_s:
        yield ("commitment", "give_up_s"), "must not be less than wait_s"


def _audit_faults(node: NodeConfig) -> Iterable[Fault]:
    audit = node.audit
    if not audit.enabled:
        return
    if not node.ledger.enabled:
        yield ("audit", "enabled"), "needs the ledger: set ledger.enabled = true"
    if audit.transport == "file" and audit.path is not None:
        for public in (node.storage.outgoing, *_folders(node)):
            if public is not None and audit.path.is_relative_to(public):
                yield ("audit", "path"), "lies where objects are handed out: put it elsewhere"
        if audit.path.is_relative_to(node.storage.spool):
            yield ("audit", "path"), "lies in the spool: put it elsewhere"


def _ledger_faults(node: NodeConfig) -> Iterable[Fault]:
    ledger = node.ledger
    keys = (ledger.crosswalk_key_file, *ledger.crosswalk_old_key_files)
    if node.secrets.key_file in keys:
        yield (
            ("ledger", "crosswalk_key_file"),
            "or an old one is secrets.key_file: the crosswalk has a key of its own",
        )
    if ledger.crosswalk and not ledger.enabled:
        yield ("ledger", "crosswalk"), "needs ledger.enabled"
    for public in (node.storage.outgoing, *_folders(node)):
        for key, path in (("path", ledger.path), ("crosswalk_key_file", keys[0])):
            if public is not None and path.is_relative_to(public):
                yield ("ledger", key), "lies where objects are handed out: put it elsewhere"


def _completion_faults(node: NodeConfig) -> Iterable[Fault]:
    completion, storage = node.completion, node.storage
    if completion.enabled and not node.ledger.enabled:
        yield ("completion", "enabled"), "needs ledger.enabled"
    if completion.studylist is not None:
        if storage.outgoing is None:
            yield ("completion", "studylist"), "needs storage.outgoing"
        if completion.studylist.is_relative_to(storage.spool):
            yield ("completion", "studylist"), "lies in the spool: put it elsewhere"
    key_file = completion.hook_key_file
    own = (node.secrets.key_file, node.hold.key_file, node.ledger.crosswalk_key_file)
    if key_file is not None and key_file in own:
        yield ("completion", "hook_key_file"), "is another key's file: it needs a key of its own"
    for public in (storage.outgoing, *_folders(node)):
        if key_file is not None and public is not None and key_file.is_relative_to(public):
            yield (
                ("completion", "hook_key_file"),
                "lies where objects are handed out: put it elsewhere",
            )


def _retention_faults(node: NodeConfig) -> Iterable[Fault]:
    days = node.retention.outgoing_days
    if days and not node.ledger.enabled:
        yield ("retention", "outgoing_days"), "needs ledger.enabled: it says what is delivered"
    if days and node.storage.outgoing is None:
        yield ("retention", "outgoing_days"), "needs storage.outgoing"
    if days and 0 < node.ledger.retention_days <= days:
        yield (
            ("retention", "outgoing_days"),
            "must be less than ledger.retention_days: without its receipt no object is removed",
        )


def rule_name_faults(
    node: NodeConfig, stations: Collection[str], studies: Collection[str]
) -> Iterable[Fault]:
    """Stations and studies that node.toml names and the rule files do not have."""
    for index, entry in enumerate(node.ae_titles):
        for key, name, known in (
            ("study", entry.study, studies),
            ("station", entry.station, stations),
        ):
            if name and name not in known:
                text = f"{show(name)} is not in {_FILES[key]}{alternatives(name, known)}"
                yield ("ae_titles", index, key), text


def study_faults(
    names: Sequence[str], studies: Mapping[str, StudyRules], *, has_outgoing: bool
) -> Iterable[Fault]:
    """Studies whose objects would go nowhere, or to destinations that do not exist.

    Args:
        names: Names of the destinations in node.toml.
        studies: The rules.
        has_outgoing: Whether there is an outgoing directory.
    """
    for study, rules in studies.items():
        chosen = names if rules.destinations is None else rules.destinations
        for index, name in enumerate(rules.destinations or ()):
            if name not in names:
                text = f"{show(name)} is no destination of node.toml{alternatives(name, names)}"
                yield (study, "Destinations", index), text
        if not chosen and not (has_outgoing and rules.writes_outgoing):
            yield (study,), "its objects would go nowhere: neither to outgoing nor to a destination"
        if len(set(rules.destinations or ())) < len(rules.destinations or ()):
            yield (study, "Destinations"), "names a destination twice"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name; whatever it stands for today
        return False


def _port_faults(node: NodeConfig) -> Iterable[Fault]:
    port = node.admin.port if node.admin.enabled else 0
    if port and port == node.listener.port:
        yield ("admin", "port"), "is the listener's port too: choose another"
    elif port and node.tls.enabled and port == node.tls.port:
        yield ("admin", "port"), "is the TLS port too: choose another"


def _certificate_name_faults(node: NodeConfig) -> Iterable[Fault]:
    bound = {peer.ae_title for peer in node.peers if peer.certificate and peer.ae_title}
    asks = node.tls.enabled and node.tls.client_certificates != "none"
    for index, peer in enumerate(node.peers):
        path = ("peers", index, "certificate")
        if peer.certificate and not asks:
            yield path, 'needs tls.enabled, and tls.client_certificates other than "none"'
        if not peer.certificate and peer.ae_title in bound:
            # An AE title that is bound to a certificate is never believed without one.
            yield path, "is missing: another entry binds this AE title to a certificate"


_FILES = {"study": "studies.json", "station": "stations.json"}


def _repeated(section: str, key: str, names: list[str]) -> Iterable[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            first = names.index(name)
            yield (section, index, key), f"is the same as in {section}[{first}]"


def _folders(node: NodeConfig) -> list[Path]:
    return [entry.path for entry in node.destinations if isinstance(entry, FolderDestination)]


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
