"""How commands ask the running node, and say that they get no answer."""

import sys
from pathlib import Path
from typing import NoReturn

import click

from dicomanon_node.cli.common import EXIT_NOT_ALL
from dicomanon_node.node.control import Document, NoAnswerError, NotRunningError, ask


def ask_node(spool: Path, request: str, timeout_s: float) -> Document:
    """Ask the node that runs on a spool; without an answer the command ends with exit code 1.

    Args:
        spool: Its spool.
        request: What is asked.
        timeout_s: Seconds to wait for the answer.
    """
    try:
        return ask(spool, request, timeout_s)
    except NotRunningError:
        _fail(f"No node runs on {spool}: start it with `dicomanon-node serve`.")
    except NoAnswerError as error:
        _fail(f"{error}; its log says more.".capitalize())
    except PermissionError:
        _fail(f"{spool} belongs to another user: run this as the node's user.")


def _fail(message: str) -> NoReturn:
    click.secho(message, fg="red", err=True)
    sys.exit(EXIT_NOT_ALL)
