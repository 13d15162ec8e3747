"""What the finisher process does: complete studies, tell of them, and keep to retention.

One of a generation, so that a reload gives it new settings; a lock keeps the one of
before and the one of now from working at a time. It is not waited for, and nobody waits for
it: what it does is in the ledger, and a kill costs nothing but telling somebody twice.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from dicomanon_node.completion.command import Command
from dicomanon_node.completion.facts import describer
from dicomanon_node.completion.folder import StudyFolder
from dicomanon_node.completion.freshness import Freshness
from dicomanon_node.completion.retention import Retention
from dicomanon_node.completion.studylist import StudyList
from dicomanon_node.completion.teller import Patience, Teller, Tells
from dicomanon_node.completion.watch import Watch, WhenComplete
from dicomanon_node.completion.webhook import Webhook
from dicomanon_node.config import Config
from dicomanon_node.ledger import schema
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.removals import Removals
from dicomanon_node.ledger.schema import SchemaError
from dicomanon_node.ledger.studies import Studies, Telling
from dicomanon_node.node.children import ABORT, RETIRE, STOP, Ready
from dicomanon_node.ops import logs
from dicomanon_node.ops.events import TellEvent

LOCK: Final = "finisher.lock"
"""In the spool; held by the one finisher that works."""

_NICENESS: Final = 10
_OTHERS: Final = 0o077
_TICK_S: Final = 0.5
_RETENTION_S: Final = 3600.0
_RETRY_S: Final = 5.0
_DAY_US: Final = 86_400_000_000
_FAULTS: Final = (OSError, SQLAlchemyError, SchemaError)


def now_us() -> int:
    """The time of day as records have it."""
    return time.time_ns() // 1000


class Finisher:
    """Completes studies and tells of them. Not thread-safe but for `telling`.

    Args:
        config: The configuration.
        log: Where it tells.
        key: Signs what the webhook gets (secret); None: nothing is signed.
    """

    def __init__(self, config: Config, log: TellEvent, key: bytes | None) -> None:
        node, settings = config.node, config.node.completion
        self._log = log
        writer = engine_of(node.ledger.path, is_writer=True)  # first: it makes the file
        self._studies = Studies(writer, engine_of(node.ledger.path, is_writer=False))
        folder = StudyFolder(node.storage.layout)
        channels: dict[str, Tells] = {}
        if settings.hook_command:
            channels["command"] = Command(settings.hook_command, settings.hook_timeout_s)
        if settings.hook_url:
            channels["url"] = Webhook(
                settings.hook_url, settings.hook_timeout_s, key=key, ca_file=settings.hook_ca_file
            )
        patience = Patience(settings.hook_retry_s, settings.hook_give_up_s)
        self.tellers = [
            Teller(channel, self._studies, tells, patience, log)
            for channel, tells in channels.items()
        ]
        self._watch = Watch(
            self._studies,
            Freshness(node.storage.spool, now_us),
            WhenComplete(
                settings.quiet_s, settings.on_association_close, settings.after == "delivered"
            ),
            ("log", *channels),
            describer(folder),
        )
        self._list: StudyList | None = None
        if settings.studylist is not None and node.storage.outgoing is not None:
            self._list = StudyList(
                settings.studylist,
                node.storage.outgoing,
                folder,
                self._studies,
                log,
                time.monotonic,
            )

    def turn(self) -> None:
        """Do what is due.

        Raises:
            OSError: The journals cannot be read.
            SQLAlchemyError: The ledger does not work.
        """
        self._watch.turn()
        while (telling := self._studies.due("log", now_us())) is not None:
            self._tell_log(telling)
            self._studies.ended(telling, now_us(), is_told=True)
        if self._list is not None:
            self._list.turn()

    def _tell_log(self, telling: Telling) -> None:
        document = telling.document()
        self._log.event(
            "study.completed",
            study=document["study"],
            study_uid=document["study_uid"],
            revision=document["revision"],
            series=len(document["series"]),
            instances=document["instances"],
            bytes=document["bytes"],
            destination_count=len(document["destinations"]),
        )


def finish(config: Config, key: bytes | None, ready: Ready) -> None:
    """Complete studies and keep to retention, until `STOP`, `RETIRE` or `ABORT`.

    Args:
        config: The configuration.
        key: Signs what the webhook gets (secret); None: nothing is signed.
        ready: To be called when it has begun.
    """
    os.nice(_NICENESS)
    os.umask(_OTHERS)
    stop = threading.Event()
    for number in (STOP, RETIRE):
        signal.signal(number, lambda _number, _frame: stop.set())
    signal.signal(ABORT, lambda _number, _frame: sys.exit(0))
    ready()
    lock = _claim(config, stop)
    threads: list[threading.Thread] = []
    try:
        if config.node.retention.outgoing_days:
            threads.append(_thread(partial(_retain, config, stop)))
        if config.node.completion.enabled:
            _complete(config, key, stop, threads)
        stop.wait()
    finally:
        for thread in threads:
            thread.join(_RETRY_S)
        os.close(lock)


def _claim(config: Config, stop: threading.Event) -> int:
    """Wait until the finisher of before has ended."""
    path = config.node.storage.spool / LOCK
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while not stop.is_set():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stop.wait(_TICK_S)
        else:
            break
    return lock


def _thread(run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _complete(
    config: Config, key: bytes | None, stop: threading.Event, threads: list[threading.Thread]
) -> None:
    log = logs.get()
    finisher: Finisher | None = None
    is_broken = False
    while not stop.is_set():
        try:
            if finisher is None:
                finisher = Finisher(config, log, key)
                threads += [_thread(partial(one.run, stop)) for one in finisher.tellers]
            finisher.turn()
        except _FAULTS as error:
            if not is_broken:  # once, not each time
                log.event("completion.failed", error=error)
            is_broken = True
            stop.wait(_RETRY_S)
            continue
        is_broken = False
        stop.wait(_TICK_S)


def _retain(config: Config, stop: threading.Event) -> None:
    log, node = logs.get(), config.node
    if node.storage.outgoing is None:
        return
    is_broken = False
    while not stop.is_set():
        try:
            engine = engine_of(node.ledger.path, is_writer=True)
            with engine.begin() as connection:
                schema.migrate(connection)  # the recorder may not have come to it yet
            removals = Removals(engine)
            retention = Retention(node.storage.outgoing, node.storage.spool, removals, now_us)
            swept = retention.sweep(now_us() - node.retention.outgoing_days * _DAY_US, stop)
        except _FAULTS as error:
            if not is_broken:
                log.event("retention.failed", error=error)
            is_broken = True
            stop.wait(_RETRY_S)
            continue
        is_broken = False
        if swept.removed or swept.directories:
            log.event(
                "retention.removed",
                files=swept.removed,
                bytes=swept.bytes_count,
                directories=swept.directories,
                kept=swept.kept,
            )
        stop.wait(_RETENTION_S)
