"""`send` and `echo`: an SCU of our own, so that nobody needs another one to try the node."""

import sys
import time
from itertools import islice
from pathlib import Path
from typing import Final

import click

from dicomanon_node.cli.common import (
    EXIT_INTERRUPTED,
    EXIT_NOT_ALL,
    UNUSABLE,
    config_options,
    printable,
    reports_config_errors,
)
from dicomanon_node.cli.files import Found, UnusableError, walk
from dicomanon_node.cli.progress import Progress
from dicomanon_node.cli.target import (
    Target,
    TlsOptions,
    explain,
    resolve,
    target_options,
    tls_options,
)
from dicomanon_node.errors import NodeError
from dicomanon_node.network.failures import (
    AssociationError,
    NotSendableError,
)
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.proposal import Context, contexts_for
from dicomanon_node.network.requestor import Requestor
from dicomanon_node.ops.silence import keep_quiet

_VERIFICATION: Final = "1.2.840.10008.1.1"
_IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
# Files an association is negotiated for: their presentation contexts always fit (128).
_BATCH: Final = 100

_WORDS: Final = {
    "sop-class-not-accepted": "its SOP class is not accepted there",
    "transfer-syntax-not-accepted": "its transfer syntax is not accepted there",
    "context-not-accepted": "it is not accepted there",
    "odd-dataset": "its data set is of odd length, which DICOM forbids",
}


@click.command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True),
)
@target_options
@tls_options
@config_options
@reports_config_errors(UNUSABLE)
def send(
    files: tuple[Path, ...],
    target: Target | None,
    calling_aet: str,
    config_dir: Path,
    overrides: tuple[str, ...],
    tls: TlsOptions,
) -> None:
    """Send DICOM files, and all files in folders, by C-STORE.

    They go out as they are: nothing is de-identified before it is sent. Without --to they
    go to the node of --config on this machine. Files that are not DICOM are skipped and
    named.

    The exit code is 0 if all DICOM files were accepted (0000H), 1 if one was not, or if
    there was none.
    """
    keep_quiet()
    sender = _Sender(calling_aet, resolve(target, config_dir, overrides, tls))
    try:
        with Progress("Sending", lambda: sum(1 for _ in walk(files))) as progress:
            sender.run(files, progress)
    except KeyboardInterrupt:
        click.echo(f"Interrupted: {sender.summary()} so far", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except AssociationError as error:
        click.secho(f"{sender.target}: {explain(error)}", fg="red", err=True)
        if sender.sent_count:
            click.echo(f"{sender.summary()}; the rest was not sent", err=True)
        sys.exit(EXIT_NOT_ALL)
    click.echo(sender.summary())
    sys.exit(EXIT_NOT_ALL if sender.failed_count or not sender.sent_count else 0)


class _Sender:
    """Sends batches and counts; an association is made anew for each batch."""

    def __init__(self, calling_aet: str, target: Target) -> None:
        self.target = target
        self.sent_count = self.failed_count = self.skipped_count = 0
        self._calling_aet = calling_aet
        self._sent_bytes = 0
        self._started = time.monotonic()

    def run(self, paths: tuple[Path, ...], progress: Progress) -> None:
        """Send all.

        Raises:
            AssociationError: There is nobody to send to.
        """
        self._progress = progress
        found = walk(paths)
        while batch := list(islice(found, _BATCH)):
            pending = [file for entry in batch if (file := self._open(entry)) is not None]
            while pending:
                self._send(pending)

    def summary(self) -> str:
        """What was done, in a line."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        return (
            f"{self.sent_count} sent, {self.failed_count} failed,"
            f" {self.skipped_count} skipped; {self._sent_bytes / 1e6:.1f} MB in {seconds:.1f} s"
        )

    def _open(self, found: Found) -> DicomFile | None:
        try:
            return found.open()
        except UnusableError as error:
            if error.is_dicom:
                self._fail(found.path, str(error))
            else:
                self.skipped_count += 1
                self._progress.tell(f"skipped  {printable(str(found.path))}: {error}")
                self._progress.step()
            return None

    def _send(self, pending: list[DicomFile]) -> None:
        """Send files in one association, as far as it goes; what was tried is taken off.

        Raises:
            AssociationError: There is none.
        """
        with Requestor(
            self.target.host,
            self.target.port,
            calling_aet=self._calling_aet,
            called_aet=self.target.ae_title,
            contexts=contexts_for(pending),
            tls=self.target.tls,
        ) as requestor:
            # What breaks the association fails; the others get one of their own.
            while pending and requestor.is_established:
                self._send_one(requestor, pending.pop(0))

    def _send_one(self, requestor: Requestor, file: DicomFile) -> None:
        try:
            response = requestor.store(file)
        except NotSendableError as error:
            self._fail(file.path, _WORDS.get(error.code, error.code))
            return
        except AssociationError as error:
            self._fail(file.path, f"the association ended: {error}")
            return
        except OSError as error:
            self._fail(file.path, f"cannot be read: {error.strerror}")
            return
        if response.status == 0:
            self.sent_count += 1
            self._sent_bytes += file.dataset_bytes
            self._progress.step()
            return
        comment = f"{printable(response.comment)} " if response.comment else ""
        self._fail(file.path, f"{comment}({response.status:04X}H)")

    def _fail(self, path: Path, why: str) -> None:
        self.failed_count += 1
        self._progress.tell(f"failed   {printable(str(path))}: {why}")
        self._progress.step()


@click.command()
@target_options
@tls_options
@config_options
@reports_config_errors(UNUSABLE)
def echo(
    target: Target | None,
    calling_aet: str,
    config_dir: Path,
    overrides: tuple[str, ...],
    tls: TlsOptions,
) -> None:
    """Ask a node whether it is there (C-ECHO).

    The exit code is 0 if it answers 0000H, and 1 if it does not.
    """
    target = resolve(target, config_dir, overrides, tls)
    context = Context(_VERIFICATION, (_IMPLICIT_VR_LITTLE_ENDIAN,))
    started = time.monotonic()
    try:
        with Requestor(
            target.host,
            target.port,
            calling_aet=calling_aet,
            called_aet=target.ae_title,
            contexts=(context,),
            tls=target.tls,
        ) as requestor:
            status = requestor.echo()
    except NodeError as error:
        click.secho(f"{target}: {explain(error)}", fg="red", err=True)
        sys.exit(EXIT_NOT_ALL)
    click.echo(f"{target}: {status:04X}H in {(time.monotonic() - started) * 1e3:.0f} ms")
    sys.exit(0 if status == 0 else EXIT_NOT_ALL)
