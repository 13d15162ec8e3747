"""`send` and `echo`: an SCU of our own, so that nobody needs another one to try the node."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dicomanon_node.cli.common import config_options, load_config, printable
from dicomanon_node.cli.files import open_dicom, walk
from dicomanon_node.errors import NodeError
from dicomanon_node.network.failures import AssociationError, ContextNotAcceptedError
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.proposal import Context, contexts_for
from dicomanon_node.network.requestor import Requestor

_VERIFICATION = "1.2.840.10008.1.1"
_IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_TARGET = re.compile(r"(?P<ae>[^@]{1,16})@(?P<host>[^@]+):(?P<port>\d{1,5})\Z")
_BATCH = 64
_MAX_PORT = 65535
_ANY = ("0.0.0.0", "::", "")  # noqa: S104  (compared, not bound)


class Target(click.ParamType[tuple[str, str, int]]):
    """AETITLE@HOST:PORT."""

    name = "AETITLE@HOST:PORT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str, int]:
        """Parse the text."""
        match = _TARGET.match(str(value))
        if match is None or not 0 < int(match["port"]) <= _MAX_PORT:
            self.fail("expected AETITLE@HOST:PORT, such as DICOMANON@127.0.0.1:11112", param, ctx)
        return match["ae"], match["host"], int(match["port"])


def _target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--from",
        "calling_aet",
        default="DICOMANON-SCU",
        show_default=True,
        metavar="AETITLE",
        help="Our AE title towards the target.",
    )(command)
    return click.option(
        "--to",
        "target",
        type=Target(),
        help="Where to send.  [default: the node of --config, on this machine]",
    )(command)


def _resolve(
    target: tuple[str, str, int] | None, config_dir: Path, overrides: tuple[str, ...]
) -> tuple[str, str, int]:
    if target is not None:
        return target
    listener = load_config(config_dir, overrides).node.listener
    host = "127.0.0.1" if listener.host in _ANY else listener.host
    return listener.ae_title, host, listener.port


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@_target_options
@config_options
def send(
    files: tuple[Path, ...],
    target: tuple[str, str, int] | None,
    calling_aet: str,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Send DICOM FILES (and all files in folders) by C-STORE, as they are.

    Without --to they go to the node of --config on this machine. The exit code is 1 if
    any file was not accepted.
    """
    ae_title, host, port = _resolve(target, config_dir, overrides)
    sender = _Sender(calling_aet, ae_title, host, port)
    batch: list[DicomFile] = []
    for path in walk(files):
        file, reason = open_dicom(path)
        if file is None:
            sender.skip(path, reason)
            continue
        batch.append(file)
        if len(batch) == _BATCH:
            sender.send(batch)
            batch = []
    sender.send(batch)
    sys.exit(sender.report())


class _Sender:
    """Sends batches and counts; an association is made anew for each batch."""

    def __init__(self, calling_aet: str, called_aet: str, host: str, port: int) -> None:
        self._calling_aet, self._called_aet = calling_aet, called_aet
        self._host, self._port = host, port
        self._sent_count = self._failed_count = self._skipped_count = 0
        self._sent_bytes = 0
        self._started = time.monotonic()

    def skip(self, path: Path, reason: str) -> None:
        self._skipped_count += 1
        click.echo(f"skipped  {printable(str(path))}: {reason}", err=True)

    def send(self, files: list[DicomFile]) -> None:
        if not files:
            return
        requestor = Requestor(
            self._host,
            self._port,
            calling_aet=self._calling_aet,
            called_aet=self._called_aet,
            contexts=contexts_for(files),
        )
        pending = list(files)
        try:
            with requestor:
                while pending:
                    self._send_one(requestor, pending[0])
                    pending.pop(0)
        except AssociationError as error:
            for file in pending:
                self._fail(file, error.code)
            if requestor.contexts and error.code == "connection-failed":
                click.secho(
                    f"Nobody answers at {self._host} port {self._port}."
                    " Is the node running? (dicomanon-node serve)",
                    fg="red",
                    err=True,
                )
                sys.exit(1)

    def _send_one(self, requestor: Requestor, file: DicomFile) -> None:
        try:
            response = requestor.store(file)
        except ContextNotAcceptedError as error:
            self._fail(file, error.code)
            return
        if response.status == 0:
            self._sent_count += 1
            self._sent_bytes += file.dataset_bytes
            return
        comment = f" ({printable(response.comment)})" if response.comment else ""
        self._fail(file, f"answered {response.status:04X}H{comment}")

    def _fail(self, file: DicomFile, why: str) -> None:
        self._failed_count += 1
        click.echo(f"failed   {printable(str(file.path))}: {why}", err=True)

    def report(self) -> int:
        seconds = max(time.monotonic() - self._started, 1e-9)
        click.echo(
            f"{self._sent_count} sent, {self._failed_count} failed, {self._skipped_count} skipped;"
            f" {self._sent_bytes / 1e6:.1f} MB in {seconds:.1f} s"
        )
        return 1 if self._failed_count or not self._sent_count else 0


@click.command()
@_target_options
@config_options
def echo(
    target: tuple[str, str, int] | None,
    calling_aet: str,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Send a C-ECHO; the exit code is 0 if it was answered 0000H."""
    ae_title, host, port = _resolve(target, config_dir, overrides)
    context = Context(_VERIFICATION, (_IMPLICIT_VR_LITTLE_ENDIAN,))
    started = time.monotonic()
    try:
        with Requestor(
            host, port, calling_aet=calling_aet, called_aet=ae_title, contexts=(context,)
        ) as requestor:
            status = requestor.echo()
    except NodeError as error:
        click.echo(f"{ae_title}@{host}:{port}: {error}", err=True)
        sys.exit(1)
    click.echo(
        f"{ae_title}@{host}:{port}: {status:04X}H in {(time.monotonic() - started) * 1e3:.0f} ms"
    )
    sys.exit(0 if status == 0 else 1)
