"""The group of commands and what they share."""

import gc
import os
from importlib import import_module
from typing import Final

import click

import dicomanon_node

# By what people are at, in the order in which they come to need them; and the module of each,
# so that a command waits for what it needs itself and not for what others need.
_SECTIONS: Final = {
    "Run the node": {
        "serve": "serve",
        "send": "send",
        "echo": "send",
        "status": "status",
        "logs": "logs",
        "reload": "reload",
    },
    "Set it up": {
        "init": "init",
        "check": "check",
        "doctor": "doctor",
        "certs": "certs",
    },
    "Try and write rules": {
        "try": "trial",
        "explain": "explain",
        "coverage": "coverage",
        "rules": "rules",
        "test-rules": "rule_tests",
    },
    "Work on files": {
        "deidentify": "deidentify",
        "diff": "diff",
        "verify": "verify",
    },
    "Look after objects": {
        "queue": "queue",
        "hold": "hold",
        "receipts": "receipts",
        "retention": "retention",
        "reidentify": "reidentify",
        "rekey": "reidentify",
    },
    "For editors and shells": {
        "schema": "check",
        "completion": "completion",
    },
}
_MODULES: Final = {
    name: module for section in _SECTIONS.values() for name, module in section.items()
}

_ATTRIBUTES: Final = {"try": "try_", "test-rules": "test_rules"}
"""Where a command's name cannot be its function's."""

_MARGIN: Final = 4
"""Columns of a line of help before a command's name and after it."""


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(_MODULES)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, _MODULES))
        for title, names in _SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            room = formatter.width - width - _MARGIN
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (f"{name:<{width}}", command.get_short_help_str(room))
                        for name, command in commands
                        if command is not None
                    ]
                )

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
