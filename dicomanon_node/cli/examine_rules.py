"""What `doctor` looks at in the node's own files: its key, its rules, its queues."""

import stat
import time
from collections.abc import Iterator
from typing import Final

from dicomanon_node.cli.common import counted, printable
from dicomanon_node.cli.findings import Finding, error, fine, note, warning
from dicomanon_node.config import Config
from dicomanon_node.config.secrets import read_key
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.deid.rules import BurnedIn
from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.errors import ConfigError
from dicomanon_node.review import coverage
from dicomanon_node.review.coverage import State

_LONG_S: Final = 3600.0
_NANOSECONDS: Final = 1e9


def key(config: Config) -> Iterator[Finding]:
    """Whether the key can be used, and is the node's alone."""
    path = config.node.secrets.key_file
    if not path.exists():
        yield note(
            "key",
            f"{path} is made when the node starts for the first time",
            "Keep a copy of it then: with another key every patient becomes somebody else.",
        )
        return
    try:
        secret = Key(read_key(path))
    except ConfigError as fault:
        for problem in fault.problems:
            yield error("key", f"{path}: {problem.message}", "The node does not start before.")
        return
    if path.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield warning(
            "key",
            f"others may replace it: {path.parent} can be written by more than its owner",
            f"chmod go-w {path.parent}",
        )
    yield fine("key", f"key id {secret.key_id}, mode 0600. Is there a copy of {path} elsewhere?")


def rules(config: Config) -> Iterator[Finding]:
    """What the studies leave of Table E.1-1, and what the configuration warns of."""
    known = config.rules.studies
    for name, study in known.items():
        found = coverage.of(study)
        shown = printable(name)
        look = f"dicomanon-node coverage --study '{shown}'"
        uncovered = len(found.of_state(State.UNCOVERED))
        if uncovered:
            yield warning(
                "rules",
                f"{shown}: no profile, so {uncovered} attributes of Table E.1-1 are kept",
                f'Set "Profile": "basic", or list what is to go: {look} --list uncovered',
            )
        elif found.weaker:
            yield note(
                "rules",
                f"{shown}: {counted(len(found.weaker), 'rule')} keep more than the profile would",
                f"Make sure that it is meant: {look} --list weaker",
            )
        if study.burned_in is BurnedIn.PASS:
            yield note("rules", f"{shown}: objects that say they have burned in text are passed on")
    for each in config.rules.warnings:
        if not each.path.endswith("Profile"):  # told above, with its count
            yield note("rules", f"{printable(each.path)}: {printable(each.message)}")
    count = "1 study" if len(known) == 1 else f"{len(known)} studies"
    yield fine("rules", f"{count}, rules {config.rules.digest}")


def queues(config: Config) -> Iterator[Finding]:
    """What has failed, and what has been waiting for long."""
    for entry in config.node.destinations:
        queue = QueueDirectory(config.node.storage.spool, entry.name)
        subject = f"to {entry.name}"
        try:
            oldest, waiting_count = queue.waiting(1)
            failed_count = len(queue.failed())
        except FileNotFoundError:  # the node has not been started with this destination yet
            continue
        except OSError as fault:
            yield note(
                subject,
                f"its queue cannot be looked at: {fault.strerror}",
                "Run doctor as the node's user.",
            )
            continue
        if failed_count:
            yield warning(
                subject,
                f"{counted(failed_count, 'object')} it refused for good",
                f"dicomanon-node queue list --failed --destination {entry.name}, then queue retry"
                " or queue drop",
            )
        age_s = time.time() - oldest[0].received_ns / _NANOSECONDS if oldest else 0.0
        if age_s > _LONG_S:
            yield warning(
                subject,
                f"{counted(waiting_count, 'object')} waiting, the oldest for"
                f" {age_s / _LONG_S:.0f} h",
                "The log says why: dicomanon-node logs --event 'destination.*' --event"
                " delivery.deferred",
            )
