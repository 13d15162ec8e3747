"""The group of commands and what they share."""

import click

import dicomanon_node
from dicomanon_node.cli.check import check, schema
from dicomanon_node.cli.coverage import coverage
from dicomanon_node.cli.deidentify import deidentify
from dicomanon_node.cli.diff import diff
from dicomanon_node.cli.explain import explain
from dicomanon_node.cli.queue import queue
from dicomanon_node.cli.send import echo, send
from dicomanon_node.cli.serve import serve
from dicomanon_node.cli.verify import verify


class _InOrder(click.Group):
    """Lists commands in the order in which people come to need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dicomanon_node.__version__, prog_name="dicomanon-node")
def main() -> None:
    """Receive DICOM objects, de-identify them on receipt, write and forward them.

    Start with `dicomanon-node serve`, then `dicomanon-node send FILE...` from another
    terminal.
    """


for _command in (
    serve,
    check,
    send,
    echo,
    deidentify,
    explain,
    diff,
    verify,
    coverage,
    queue,
    schema,
):
    main.add_command(_command)
