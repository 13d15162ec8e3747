"""Every log event there is, by name.

Rooms declare theirs in `declared`. What is not declared is not written (`logs`). The
reference for operators, `docs/logs.md`, is made from these declarations (`reference`),
in the order given here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from dicomanon_node.ops.declared.audit import AUDIT
from dicomanon_node.ops.declared.commitment import COMMITMENT
from dicomanon_node.ops.declared.completion import COMPLETION
from dicomanon_node.ops.declared.console import CONSOLE
from dicomanon_node.ops.declared.delivery import DELIVERY
from dicomanon_node.ops.declared.hold import HOLD
from dicomanon_node.ops.declared.ledger import LEDGER
from dicomanon_node.ops.declared.log import LOG
from dicomanon_node.ops.declared.node import NODE
from dicomanon_node.ops.declared.receiving import RECEIVING
from dicomanon_node.ops.declared.spool import SPOOL
from dicomanon_node.ops.declaring import Event


class TellEvent(Protocol):
    """Takes events: a log, or what stands in for one."""

    def event(self, name: str, /, **keys: object) -> None:
        """Tell a declared event with its keys; see `logs.Log`."""


class UndeclaredError(LookupError):
    """An event or a key that is not declared. Its text holds names, never values."""


_DECLARED = (
    *NODE,
    *RECEIVING,
    *DELIVERY,
    *SPOOL,
    *HOLD,
    *COMMITMENT,
    *AUDIT,
    *LEDGER,
    *CONSOLE,
    *COMPLETION,
    *LOG,
)

EVENTS: Mapping[str, Event] = MappingProxyType({event.name: event for event in _DECLARED})
KEY_NAMES = frozenset(key.name for event in _DECLARED for key in event.keys)
