"""What commands share that use the ledger: how they say that they cannot, and who did what."""

import functools
import os
import pwd
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError

from dicomanon_node.cli.common import EXIT_NOT_ALL
from dicomanon_node.config import Config
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.receipts import now
from dicomanon_node.ledger.records import Fact, Note
from dicomanon_node.ledger.schema import SchemaError
from dicomanon_node.ledger.store import Ledger
from dicomanon_node.ops import judges

Command = Callable[..., Any]


def reports_ledger_errors(command: Command) -> Command:
    """What is wrong with the ledger is told without its values; exit code 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (click's callbacks are untyped)
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:  # whoever reads what we print has seen enough
            raise
        except FileNotFoundError:
            click.secho("There is no ledger yet: the node makes it when it runs.", err=True)
        except OSError as error:
            click.secho(f"The ledger cannot be read: {error.strerror}", fg="red", err=True)
        except SchemaError as error:
            click.secho(f"The ledger cannot be read: {error}", fg="red", err=True)
        except SQLAlchemyError:
            click.secho(
                "The ledger cannot be read: it is damaged, no ledger, or not ours to read. Run"
                " this as the node's user, on its machine.",
                fg="red",
                err=True,
            )
        sys.exit(EXIT_NOT_ALL)

    return wrapped


def record_act(config: Config, kind: str, facts: Mapping[str, Fact]) -> None:
    """Note in the ledger, and for the audit, who does what; durable when this returns.

    Args:
        config: The configuration.
        kind: Kind of the note.
        facts: What else is to be known.

    Raises:
        OSError: The ledger cannot be written.
        SQLAlchemyError: It does not work.
    """
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:  # as in many containers
        user = ""
    who: dict[str, Fact] = {"user": str(judges.SHORT_TEXT.accept(user)), "user_id": uid}
    engine = engine_of(config.node.ledger.path, is_writer=True)
    with Ledger(engine, is_audited=config.node.audit.enabled) as ledger:
        ledger.add(Note(now(), kind, {**who, **facts}))
