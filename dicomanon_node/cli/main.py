"""The group of commands and what they share."""

import gc
import os
from importlib import import_module
from typing import Final

import click

import dicomanon_node

# In the order in which people come to need them; and the module of each, so that a command
# waits for what it needs itself and not for what others need.
_MODULES: Final = {
    "serve": "serve",
    "check": "check",
    "status": "status",
    "reload": "reload",
    "doctor": "doctor",
    "init": "init",
    "send": "send",
    "echo": "send",
    "deidentify": "deidentify",
    "try": "trial",
    "explain": "explain",
    "diff": "diff",
    "verify": "verify",
    "coverage": "coverage",
    "rules": "rules",
    "test-rules": "rule_tests",
    "queue": "queue",
    "receipts": "receipts",
    "retention": "retention",
    "reidentify": "reidentify",
    "rekey": "reidentify",
    "logs": "logs",
    "hold": "hold",
    "certs": "certs",
    "schema": "check",
    "completion": "completion",
}

_ATTRIBUTES: Final = {"try": "try_", "test-rules": "test_rules"}
"""Where a command's name cannot be its function's."""


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (click's signature)
        if cmd_name not in _MODULES:
            return None
        was_enabled = gc.isenabled()
        gc.disable()  # nothing imported is garbage: looking for it takes a fifth of the time
        try:
            module = import_module(f"dicomanon_node.cli.{_MODULES[cmd_name]}")
        finally:
            if was_enabled:
                gc.enable()
        command: click.Command = getattr(module, _ATTRIBUTES.get(cmd_name, cmd_name))
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dicomanon_node.__version__, prog_name="dicomanon-node")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Receive DICOM objects, de-identify them on receipt, write and forward them.

    Start with `dicomanon-node serve`, then `dicomanon-node send FILE...` from another
    terminal.
    """
    if os.environ.get("NO_COLOR"):  # https://no-color.org
        ctx.color = False
