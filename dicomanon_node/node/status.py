"""What the node says of itself when it is asked: processes, queues, counts since its start.

Holds nothing of an object but study names of the configuration.
"""

import time
from collections.abc import Sequence
from typing import Final

import dicomanon_node
from dicomanon_node.config import Config
from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.node.children import Child
from dicomanon_node.node.control import Document
from dicomanon_node.ops.studies import InstanceFact

_DIGITS: Final = 1


class Totals:
    """Counts of instances since the start. As exact as the facts that came."""

    def __init__(self) -> None:
        self._stored_count = 0
        self._duplicate_count = 0
        self._refused_count = 0
        self._bytes_count = 0

    def add(self, fact: InstanceFact) -> None:
        """Count an instance."""
        if not fact.is_stored:
            self._refused_count += 1
        elif fact.is_duplicate:
            self._duplicate_count += 1
        else:
            self._stored_count += 1
            self._bytes_count += fact.bytes_count

    def describe(self) -> Document:
        """The counts."""
        return {
            "stored": self._stored_count,
            "duplicates": self._duplicate_count,
            "refused": self._refused_count,
            "bytes": self._bytes_count,
        }


def describe_processes(children: Sequence[Child], now: float) -> list[Document]:
    """The processes there are.

    Args:
        children: Their places.
        now: Monotonic seconds.
    """
    return [
        {"role": child.role, "pid": child.pid, "seconds": round(now - child.started, _DIGITS)}
        for child in children
        if child.is_running
    ]


def describe_queues(config: Config) -> list[Document]:
    """How many instances wait for each destination, since when, and how many have failed."""
    return [_describe_queue(config, one.name) for one in config.node.destinations]


def describe_node(config: Config, host: str, port: int, started: float, now: float) -> Document:
    """Who answers.

    Args:
        config: The configuration in force.
        host: Where it listens.
        port: Likewise.
        started: When it did, monotonic seconds.
        now: Monotonic seconds.
    """
    return {
        "version": dicomanon_node.__version__,
        "ae_title": config.node.listener.ae_title,
        "host": host,
        "port": port,
        "rules": config.rules.digest,
        "studies": len(config.rules.studies),
        "seconds": round(now - started, _DIGITS),
    }


def _describe_queue(config: Config, destination: str) -> Document:
    queue = QueueDirectory(config.node.storage.spool, destination)
    try:
        oldest, waiting_count = queue.waiting(1)
        failed_count = queue.failed_count()
    except OSError:
        return {"destination": destination, "waiting": None, "failed": None, "oldest_s": None}
    oldest_s = None
    if oldest:
        oldest_s = round(max(0.0, time.time() - oldest[0].received_ns / 1e9), _DIGITS)
    return {
        "destination": destination,
        "waiting": waiting_count,
        "failed": failed_count,
        "oldest_s": oldest_s,
    }
