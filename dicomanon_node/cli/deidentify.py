"""`deidentify`: files and folders through the same engine, without a network."""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import click

from dicomanon_node.cli.common import (
    config_options,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.cli.files import open_dicom, walk
from dicomanon_node.config import Config
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.service import AssociationFacts, Outcome, StoreRequest
from dicomanon_node.node import build
from dicomanon_node.ops import library_logs, logs
from dicomanon_node.ops.studies import InstanceFact
from dicomanon_node.receive import Receiver
from dicomanon_node.spool.spool import Spool

_READ_BYTES = 1 << 20


class _NoFacts:
    """Nobody follows studies here."""

    def send(self, fact: InstanceFact) -> None:
        """Take no note."""


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for the de-identified files, laid out as node.toml says.",
)
@config_options
@reports_config_errors
def deidentify(
    inputs: tuple[Path, ...], output: Path, config_dir: Path, overrides: tuple[str, ...]
) -> None:
    """De-identify files and folders by the rules of --config. The originals stay as they are.

    What is no DICOM file is skipped and named. The exit code is 1 if any object was
    refused.
    """
    config = load_config(config_dir, overrides)
    # What happens to each file is told below; the events of a node are of no use here.
    logs.configure(stream=None)
    library_logs.install()
    output.mkdir(parents=True, exist_ok=True)
    paths = list(walk(inputs))
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix=".dicomanon-", dir=output.absolute().parent) as scratch:
        receiver = _receiver(config, Path(scratch) / "spool", output)
        with click.progressbar(
            paths, label="De-identifying", file=sys.stderr, show_pos=True
        ) as progress:
            for path in progress:
                verdict, why = _one(receiver, path, config.node.listener.ae_title)
                counts[verdict] += 1
                if why:
                    click.echo(f"{verdict:<9}{printable(str(path))}: {why}", err=True)
        receiver.spool.close()
    click.echo(
        f"{counts['done']} de-identified, {counts['refused']} refused, {counts['skipped']} skipped"
    )
    sys.exit(1 if counts["refused"] or not counts["done"] else 0)


def _receiver(config: Config, scratch: Path, output: Path) -> Receiver:
    key, is_new = build.key(config)
    if is_new:
        click.echo(f"A secret key was made: {config.node.secrets.key_file}", err=True)
    plans = build.plans(config, key)
    spool = Spool(scratch, output, (), low_water_bytes=0)
    spool.prepare()
    settings = build.receive_settings(config, is_batch=True)
    return Receiver(build.router(config, plans), spool, settings, logs.get(), _NoFacts())


def _one(receiver: Receiver, path: Path, called_aet: str) -> tuple[str, str]:
    file, reason = open_dicom(path)
    if file is None:
        return "skipped", reason
    try:
        outcome = _take(receiver, file, called_aet)
    except OSError:
        return "refused", "cannot be read"
    if outcome.status == 0:
        return "done", ""
    return "refused", f"{outcome.status:04X}H {outcome.comment}"


def _take(receiver: Receiver, file: DicomFile, called_aet: str) -> Outcome:
    request = StoreRequest(
        message_id=1,
        sop_class_uid=file.sop_class_uid,
        sop_instance_uid=file.sop_instance_uid,
        presentation_context_id=1,
        transfer_syntax_uid=file.transfer_syntax_uid,
    )
    association = AssociationFacts("batch", "", called_aet, "")
    instance = receiver.begin(request, association)
    buffer = bytearray(_READ_BYTES)
    with file.path.open("rb", buffering=0) as source:
        source.seek(file.dataset_offset)
        while size := source.readinto(buffer):
            instance.write([memoryview(buffer)[:size]])
    return instance.finish()
