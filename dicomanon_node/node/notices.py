"""The log as a configuration wants it, and what a configuration is warned of.

Says nothing of what is wrong with a configuration: such a one is not used.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain

from dicomanon_node.config import Config
from dicomanon_node.config.checks import uses_tls
from dicomanon_node.config.problems import show
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.pseudonyms import KEY_BYTES, Key
from dicomanon_node.deid.rules import StudyRules
from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.errors import Problem
from dicomanon_node.network.supported import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from dicomanon_node.node import build
from dicomanon_node.ops import logs

# So many names fit into one line of the log.
_NAMES_A_LINE = 20


def configure_logs(config: Config, *earlier: Config) -> None:
    """Let the log be written as configured, and name what is configured.

    Args:
        config: The configuration.
        earlier: Those whose processes still run: their studies are named as well.
    """
    log, all_of_them = config.node.log, (config, *earlier)
    logs.configure(
        format=log.format,
        level=log.level,
        stream=sys.stdout,
        studies=chain.from_iterable(one.rules.studies for one in all_of_them),
        destinations=chain.from_iterable(build.destination_names(one) for one in all_of_them),
        known_uids=chain(
            STORAGE_SOP_CLASSES,
            TRANSFER_SYNTAXES,
            *(one.node.listener.extra_sop_classes for one in all_of_them),
        ),
        rules=config.rules.digest,
    )


def tell_warnings(config: Config) -> None:
    """Log what is allowed, and must not go unsaid."""
    for warning in (*config.rules.warnings, *_node_warnings(config)):
        logs.get().event(
            "node.config_warning", file=warning.file, path=warning.path, message=warning.message
        )


def uncovered_names(rules: StudyRules) -> list[str]:
    """Names of the attributes of Table E.1-1 that a study's rules do not cover."""
    # Coverage does not depend on the key.
    plan = Plan(rules, Key(bytes(KEY_BYTES)))
    return [row.name for row in plan.uncovered()]


def certificate_warnings(config: Config) -> list[Problem]:
    """What is said of the certificates in use: those that have expired or soon will."""
    if not uses_tls(config.node):
        return []
    from dicomanon_node.config.certificates import tls_warnings  # noqa: PLC0415  (slow)

    return list(tls_warnings(config.node))


def _forgotten_queues(config: Config) -> Iterator[Problem]:
    """Queues of destinations that are configured no more, and are not empty."""
    spool, known = config.node.storage.spool, build.destination_names(config)
    try:
        names = sorted(path.name for path in (spool / "queue").iterdir() if path.name not in known)
        counts = {name: QueueDirectory(spool, name).waiting_count() for name in names}
    except OSError:  # there is no spool yet, or it is told of elsewhere
        return
    for name, count in counts.items():
        if count:
            message = f"{count} objects wait for {show(name)}, which is not configured any more"
            yield Problem("node.toml", "destinations", message)


def _node_warnings(config: Config) -> Iterator[Problem]:
    yield from _forgotten_queues(config)
    if not config.node.peers:
        yield Problem("node.toml", "peers", "none listed: every sender is accepted")
    if not config.node.storage.sync:
        yield Problem(
            "node.toml",
            "storage.sync",
            "false: what is answered 0000H may be lost when the machine stops",
        )
    yield from certificate_warnings(config)
    for name, rules in config.rules.studies.items():
        if rules.profile is not None:
            continue
        names = uncovered_names(rules)
        yield Problem(
            "studies.json",
            name,
            f"Profile is null: {len(names)} attributes of Table E.1-1 are kept",
        )
        for some in _batches(names, _NAMES_A_LINE):
            yield Problem("studies.json", name, "kept: " + ", ".join(some))


def _batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
