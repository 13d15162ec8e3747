"""`init`: a first configuration, from a few questions or from options."""

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Final

import click

from dicomanon_node.cli.common import EXIT_NOT_ALL, printable, reports_config_errors
from dicomanon_node.cli.target import AETitle, Target, TargetType
from dicomanon_node.config import load
from dicomanon_node.config.replacing import replace_text
from dicomanon_node.config.starter import Answers, Case, Sender, texts

_PEER: Final = re.compile(r"(?:(?P<ae_title>[^@]+)@)?(?P<address>[0-9A-Fa-f:.]+(?:/\d{1,3})?)")
_MAX_PORT: Final = 65535


class _Peer(click.ParamType[Sender]):
    """[AETITLE@]ADDRESS on the command line."""

    name = "[AETITLE@]ADDRESS"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Sender:
        """Parse the text; whether the parts are right is checked with the configuration."""
        if isinstance(value, Sender):
            return value
        match = _PEER.fullmatch(str(value))
        if match is None:
            self.fail(
                "expected [AETITLE@]ADDRESS, such as CT1@192.0.2.7 or 192.0.2.0/24", param, ctx
            )
        return Sender(match["ae_title"] or "", match["address"])


@click.command()
@click.argument(
    "directory",
    metavar="[DIR]",
    default=Path("config"),
    type=click.Path(path_type=Path, file_okay=False),
)
@click.option(
    "--case",
    type=click.Choice([case.value for case in Case]),
    help="folder: scanners to a folder. pacs: a PACS to a research PACS. studies: several studies.",
)
@click.option("--ae-title", type=AETitle(), metavar="AETITLE", help="The node's AE title.")
@click.option("--port", type=click.IntRange(1, _MAX_PORT), help="The node's TCP port.")
@click.option(
    "--peer",
    "peers",
    type=_Peer(),
    multiple=True,
    help="Who may send.  May be repeated.  [default: everybody]",
)
@click.option("--to", "pacs", type=TargetType(), help="The research PACS to forward to.")
@click.option(
    "--study", "studies", metavar="NAME", multiple=True, help="A study.  May be repeated."
)
@click.option("--force", is_flag=True, help="Replace a configuration that is there.")
@reports_config_errors("Nothing was written:")
def init(
    directory: Path,
    case: str | None,
    ae_title: str | None,
    port: int | None,
    peers: tuple[Sender, ...],
    pacs: Target | None,
    studies: tuple[str, ...],
    force: bool,
) -> None:
    """Write a first configuration.

    It goes into DIR, or into config. Asks a few questions on a terminal, unless --case is
    given; what options say is not asked. The three files come with comments and pass
    `dicomanon-node check`. A configuration that is there is not touched without --force.
    """
    _refuse_existing(directory, force=force)
    asks = case is None and sys.stdin.isatty()
    chosen = Case(case) if case else _asked_case() if asks else _case_of(pacs, studies)
    if asks:
        ae_title = ae_title or click.prompt("AE title of this node", "DICOMANON", type=AETitle())
        port = port or click.prompt("TCP port", 11112, type=click.IntRange(1, _MAX_PORT))
        peers = peers or _asked_peers()
        if pacs is None and chosen is not Case.FOLDER:
            pacs = _asked_pacs(is_needed=chosen is Case.PACS)
        if not studies and chosen is Case.STUDIES:
            studies = tuple(_words(click.prompt("Names of the studies, with commas between")))
    if chosen is Case.PACS and pacs is None:
        raise click.UsageError("--case pacs needs --to AETITLE@HOST:PORT, the research PACS.")
    if chosen is Case.STUDIES and not studies:
        raise click.UsageError("--case studies needs --study NAME, once for each study.")
    answers = Answers(
        chosen,
        ae_title or "DICOMANON",
        port or 11112,
        peers,
        (pacs.ae_title, pacs.host, pacs.port) if pacs else None,
        tuple(dict.fromkeys(studies)),
    )
    made = texts(answers)
    # As it will be read; the environment of a node is not this one.
    load(directory, {}, instead=made)
    _write(directory, made)
    _tell(directory, answers)


def _refuse_existing(directory: Path, *, force: bool) -> None:
    there = [path for name in _FILES if (path := directory / name).exists()]
    if there and not force:
        names = ", ".join(str(path) for path in there)
        click.echo(
            f"There is a configuration already: {printable(names)}\nNothing was written. Name"
            " another directory, or replace it with --force.",
            err=True,
        )
        sys.exit(EXIT_NOT_ALL)


_FILES: Final = ("node.toml", "stations.json", "studies.json")


def _case_of(pacs: Target | None, studies: tuple[str, ...]) -> Case:
    if studies:
        return Case.STUDIES
    return Case.PACS if pacs else Case.FOLDER


def _asked_case() -> Case:
    click.echo("What is the node for?")
    for case, words in (
        (Case.FOLDER, "scanners send, de-identified objects go to a folder"),
        (Case.PACS, "a PACS or scanner sends, a research PACS gets them; no copy stays here"),
        (Case.STUDIES, "several studies, told apart by Study Description"),
    ):
        click.echo(f"  {case:<8} {words}")
    kind = click.Choice([case.value for case in Case])
    return Case(click.prompt("Case", Case.FOLDER.value, type=kind, show_choices=False))


def _asked_peers() -> tuple[Sender, ...]:
    text = click.prompt(
        "Who may send, as [AETITLE@]ADDRESS with commas between; empty is everybody",
        "",
        show_default=False,
    )
    return tuple(_Peer().convert(word, None, None) for word in _words(text))


def _asked_pacs(*, is_needed: bool) -> Target | None:
    if not is_needed and not click.confirm("Forward to a research PACS?", default=False):
        return None
    found: Target = click.prompt("Research PACS, as AETITLE@HOST:PORT", type=TargetType())
    return found


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _write(directory: Path, made: dict[str, str]) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            replace_text(directory / name, text)
    except OSError as error:
        click.secho(f"{directory} cannot be written: {error.strerror}", fg="red", err=True)
        sys.exit(EXIT_NOT_ALL)


def _tell(directory: Path, answers: Answers) -> None:
    for name in _FILES:
        click.echo(f"written  {directory / name}")
    option = "" if directory == Path("config") else f" --config {shlex.quote(str(directory))}"
    click.echo("\nNext:")
    for command, words in (
        (f"check{option}", "says what will happen to objects"),
        (f"doctor{option}", "looks whether everything is as the node needs it"),
        (f"serve{option}", "runs the node"),
    ):
        click.echo(f"  dicomanon-node {command:<{len(option) + 6}}  {words}")
    host = os.uname().nodename
    click.echo(
        f"\nAt the scanner: AE title {answers.ae_title}, host {host}, port {answers.port}, no TLS."
    )
    if answers.studies:
        click.echo(
            "An object is of a study if its Study Description is the study's name, up to the"
            f" first ^: {', '.join(printable(study) for study in answers.studies)}."
        )
    if not answers.senders:
        click.echo("Every sender is accepted: list [[peers]] in node.toml before patients come.")
