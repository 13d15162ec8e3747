"""What a reload cannot change, because something hangs on it that outlives a process.

Objects wait in the spool, names hang on the key, senders know the port. Changing one
of these takes a restart, and that is said instead of half of it being done.
"""

from collections.abc import Iterator
from typing import Final

from dicomanon_node.config import Config
from dicomanon_node.config.secrets import read_key
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import ConfigError, Problem

FIXED: Final = (
    "listener.host",
    "listener.port",
    "tls.enabled",
    "tls.port",
    "storage.spool",
    "storage.outgoing",
    "storage.sync",
    "secrets.key_file",
    "ledger.enabled",
    "ledger.path",
    "ledger.retention_days",
    "audit.enabled",
    "audit.transport",
    "audit.host",
    "audit.port",
    "audit.path",
    "audit.ca_file",
    "audit.cert_file",
    "audit.key_file",
    "audit.source_id",
    "audit.give_up_days",
    "admin.enabled",
    "completion.enabled",
    "admin.host",
    "admin.port",
    "admin.token_file",
    "admin.hosts",
)
"""Keys of node.toml."""

_CURE: Final = "that takes a restart of the node"


def check(before: Config, after: Config, secret: Key) -> None:
    """Make sure that a reload is enough.

    Args:
        before: The configuration in force.
        after: The one to come.
        secret: The key in use.

    Raises:
        ConfigError: Names every key of node.toml that takes a restart.
    """
    problems = list(_problems(before, after))
    key_file = after.node.secrets.key_file
    if not problems and Key(read_key(key_file)).key_id != secret.key_id:
        problems.append(Problem(str(key_file), "", f"holds another key now: {_CURE}"))
    if problems:
        raise ConfigError(*problems)


def _problems(before: Config, after: Config) -> Iterator[Problem]:
    for path in FIXED:
        section, key = path.split(".")
        if getattr(getattr(before.node, section), key) != getattr(
            getattr(after.node, section), key
        ):
            yield Problem("node.toml", path, f"has changed: {_CURE}")
