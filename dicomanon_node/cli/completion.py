"""`completion`: what makes a shell complete commands and options. The script is click's."""

import sys
from typing import Final

import click
from click.shell_completion import get_completion_class

_PROGRAM: Final = "dicomanon-node"
_VARIABLE: Final = "_DICOMANON_NODE_COMPLETE"  # as click derives it from the program's name
_INSTALL: Final = {
    "bash": (
        "mkdir -p ~/.local/share/bash-completion/completions",
        (
            "dicomanon-node completion bash"
            " > ~/.local/share/bash-completion/completions/dicomanon-node"
        ),
    ),
    "zsh": (
        "mkdir -p ~/.zfunc && dicomanon-node completion zsh > ~/.zfunc/_dicomanon-node",
        "and in ~/.zshrc:  fpath+=~/.zfunc; autoload -Uz compinit && compinit",
    ),
    "fish": (
        "mkdir -p ~/.config/fish/completions",
        "dicomanon-node completion fish > ~/.config/fish/completions/dicomanon-node.fish",
    ),
}


@click.command()
@click.argument("shell", type=click.Choice(list(_INSTALL)))
def completion(shell: str) -> None:
    """Print a script that makes the shell complete commands and options.

    On a terminal it also says where the script goes. bash needs 4.4 or newer and the
    package bash-completion.
    """
    found = get_completion_class(shell)
    if found is None:  # these three are click's own
        raise click.UsageError(f"{shell} is not known to this version of click")
    from dicomanon_node.cli.main import main  # noqa: PLC0415  (which imports this module)

    click.echo(found(main, {}, _PROGRAM, _VARIABLE).source().strip())
    if sys.stdout.isatty():
        click.echo("\nTo install it, and then open a new shell:", err=True)
        for line in _INSTALL[shell]:
            click.echo(f"  {line}", err=True)
