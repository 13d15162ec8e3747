"""What commands that read the ledger share: how they say that they cannot."""

import functools
import sys
from collections.abc import Callable
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError

from dicomanon_node.cli.common import EXIT_NOT_ALL
from dicomanon_node.ledger.schema import SchemaError

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
