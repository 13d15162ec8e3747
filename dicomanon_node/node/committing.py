"""What the committer process does, and what receivers take Storage Commitment requests with."""

import os
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Final

from dicomanon_node.commitment.intake import Intake
from dicomanon_node.commitment.reporting import Reporting
from dicomanon_node.commitment.settings import Channel, CommitmentSettings, Listening, Mode
from dicomanon_node.commitment.transactions import Transactions
from dicomanon_node.config import Config
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.ledger.origins import Origins
from dicomanon_node.node import build
from dicomanon_node.node.children import ABORT, RETIRE, STOP, Ready
from dicomanon_node.ops import logs
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.spool.medium import Medium

_NICENESS: Final = 5
"""A requestor waits for its report, but less than a sender for its answer."""

_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class Commitment:
    """Storage Commitment of a node, made before the processes are forked.

    Attributes:
        config: The configuration.
        settings: What counts as committed.
        transactions: The requests.
        intake: For the receivers.
        origins: Hashes original UIDs as receipts do.
    """

    config: Config
    settings: CommitmentSettings
    transactions: Transactions
    intake: Intake
    origins: Origins

    def run(self, ready: Ready) -> None:
        """Answer and report until `STOP` or `RETIRE`; after `ABORT` nothing is waited for.

        After a reload the next generation goes on with what is open.

        Args:
            ready: To be called when it works.
        """
        # SQLAlchemy: here only, and in the recorder.
        from dicomanon_node.commitment.holdings import LedgerHoldings  # noqa: PLC0415  (slow)
        from dicomanon_node.ledger.database import engine_of  # noqa: PLC0415  (slow)

        os.nice(_NICENESS)
        os.umask(_OTHERS)
        stop = threading.Event()
        for number in (STOP, RETIRE):
            signal.signal(number, lambda _number, _frame: stop.set())
        signal.signal(ABORT, lambda _number, _frame: sys.exit(0))
        path = self.config.node.ledger.path
        holdings = LedgerHoldings(lambda: engine_of(path, is_writer=False), self.origins)
        ready()
        Reporting(self.settings, self.transactions, holdings, logs.get()).run(stop)
        holdings.close()


def prepare(config: Config, key: Key, log: TellEvent, *, is_first: bool) -> Commitment | None:
    """Storage Commitment as configured, its directory made; None if it is off.

    Args:
        config: The configuration.
        key: The node's key.
        log: Where requests are told.
        is_first: No process of the node runs yet.

    Raises:
        ConfigError: The directory cannot be made.
        OSError: It cannot be read or written.
    """
    if not config.node.commitment.enabled:
        return None
    settings = _settings(config)
    transactions = Transactions(
        config.node.storage.spool,
        key,
        max_open=settings.max_open,
        medium=Medium(is_synced=config.node.storage.sync),
    )
    transactions.prepare(is_first=is_first)
    intake = Intake(settings, transactions, log)
    return Commitment(config, settings, transactions, intake, Origins(key))


def _settings(config: Config) -> CommitmentSettings:
    section = config.node.commitment
    return CommitmentSettings(
        mode=Mode(section.mode),
        channel=Channel(section.report),
        listening=tuple(
            Listening(build.peer(peer), peer.host, peer.port)
            for peer in config.node.peers
            if peer.port
        ),
        settle_s=section.settle_s,
        wait_s=section.wait_s,
        give_up_s=section.give_up_s,
        max_instances=section.max_instances,
        max_open=section.max_open,
    )
