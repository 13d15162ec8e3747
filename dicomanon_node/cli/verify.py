"""`verify`: a second look at what was de-identified, to be signed by a second person."""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

import dicomanon_node
from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    EXIT_USAGE,
    config_options,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.cli.files import Found, UnusableError, walk
from dicomanon_node.cli.progress import Progress
from dicomanon_node.config import Config
from dicomanon_node.config.secrets import read_key
from dicomanon_node.deid.dictionary import PIXEL_DATA_TAGS
from dicomanon_node.deid.elements import Element as ElementRow
from dicomanon_node.deid.elements import Elements
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import ConfigError, Problem, Refused
from dicomanon_node.node import build, process
from dicomanon_node.node.batch import Batch
from dicomanon_node.ops.silence import keep_quiet
from dicomanon_node.review.pairing import Index, match
from dicomanon_node.review.reading import (
    Instance,
    Item,
    UnreadableError,
    read,
    sop_instance_uid,
)
from dicomanon_node.review.residue import Search
from dicomanon_node.review.setwide import SetWide
from dicomanon_node.review.signoff import (
    CountOnly,
    ObjectVerdicts,
    Report,
    Result,
    Row,
    as_csv,
    as_json,
    as_table,
)
from dicomanon_node.review.verification import Verification

_FORMATS: Final = {"table": as_table, "csv": as_csv, "json": as_json}
_SOP_INSTANCE_UID: Final = 0x00080018
_RESIDUE: Final = ("raw bytes", "no identity of the original")
_REPORT_MODE: Final = 0o640


@click.command()
@click.argument("originals", type=click.Path(path_type=Path, exists=True))
@click.argument("outputs", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(_FORMATS)),
    default="table",
    show_default=True,
    help="Form of the report.",
)
@click.option(
    "--report",
    "report_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report into this file instead of printing it.",
)
@config_options
@reports_config_errors("Nothing was verified:")
def verify(
    originals: Path,
    outputs: Path,
    format_name: str,
    report_file: Path | None,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Check outputs against their originals.

    What the rules say must change did, nothing else did, and nothing of the originals'
    identity is left in the outputs' bytes. Files are read by pydicom, not by the node's
    own engine. Configuration and key are those that made the outputs.

    The report has empty columns for a second person to sign. It shows no value, but it
    names files: keep it where the originals are.

    The exit code is 0 if all passed, 1 if not, 2 if it could not be done.
    """
    config = load_config(config_dir, overrides)
    key_file = config.node.secrets.key_file
    if not key_file.exists():
        raise ConfigError(Problem(str(key_file), "", "there is no key that outputs were made with"))
    process.forbid_core_dumps()
    keep_quiet()
    run = _Run(config, Key(read_key(key_file)), originals, outputs)
    run.index()
    run.verify()
    text = _FORMATS[format_name](run.report)
    try:
        if report_file is None:
            click.echo(text, nl=False)
        else:
            _write(report_file, text)
    except OSError as error:
        click.secho(
            f"{printable(str(report_file))} cannot be written: {error.strerror}",
            fg="red",
            err=True,
        )
        sys.exit(EXIT_USAGE)
    if report_file is not None:
        sums = ", ".join(f"{count} {what}" for what, count in run.report.counts.items())
        click.echo(f"{sums or 'Nothing found'}; report: {printable(str(report_file))}")
    if not run.report.objects:
        sys.exit(EXIT_USAGE)
    sys.exit(0 if run.report.has_passed else EXIT_NOT_ALL)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        path.chmod(_REPORT_MODE)
        file.write(text)


class _Run:
    # Two passes: who is there, then each pair. Objects are held one pair at a time.

    def __init__(self, config: Config, key: Key, originals: Path, outputs: Path) -> None:
        self._config = config
        self._originals, self._outputs = originals, outputs
        self._plans: Mapping[str, Plan] = build.plans(config, key)
        self._router = build.router(config, self._plans)
        self._called_aet = config.node.listener.ae_title
        self._studies: dict[Path, str] = {}
        self._index = Index()
        self.report = Report(
            header={
                "program": f"dicomanon_node {dicomanon_node.__version__}",
                "rules": config.rules.digest,
                "key": key.key_id,
                "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
                "originals": printable(str(originals)),
                "outputs": printable(str(outputs)),
            }
        )

    def index(self) -> None:
        """Read the UIDs of all files, and route the originals."""
        with Progress("Looking", self._count) as progress:
            for found in self._walk_originals():
                self._index_original(found)
                progress.step()
            for found in walk([self._outputs]):
                self._index_output(found)
                progress.step()

    def verify(self) -> None:
        """Judge each pair, then the set."""
        report, index = self.report, self._index
        whole = SetWide(frozenset(index.uids), frozenset(index.outputs))
        with Progress("Verifying", lambda: len(index.originals)) as progress:
            for originals, outputs in index.groups():
                matched = match(originals, outputs, self._count_faults)
                for original, output in matched.pairs:
                    self._judge(original, output, whole)
                for path in matched.again:
                    report.counts["the same object again"] += 1
                    self._tell_object(path, None, "the same object again", Result.PASS)
                for path in matched.missing:
                    self._tell_missing(path)
                for path in matched.foreign:
                    self._tell_foreign(path)
                progress.step()
        for path in index.without_original():
            self._tell_foreign(path)
        for demand, count, failed, reason in whole.verdicts():
            result = Result.FAIL if failed else Result.PASS
            report.whole.append(
                Row(
                    "set",
                    result,
                    demand=demand,
                    count=count,
                    failed=failed,
                    reason=reason if failed else "",
                )
            )

    def _count(self) -> int:
        return sum(1 for _ in self._walk_originals()) + sum(1 for _ in walk([self._outputs]))

    def _walk_originals(self) -> "list[Found] | filter[Found]":
        return filter(None, walk([self._originals], excluding=self._outputs))

    def _index_original(self, found: Found) -> None:
        try:
            found.open()
            original = read(found.path)
        except UnusableError as error:
            if error.is_dicom:
                self._tell_unreadable(found.path, str(error))
            else:
                self.report.counts["skipped"] += 1
            return
        except UnreadableError:
            self._tell_missing(found.path, "cannot be read by pydicom, so nothing was verified")
            return
        except OSError as error:
            self._tell_unreadable(found.path, f"cannot be read: {error.strerror}")
            return
        try:
            plan = self._plan_of(original)
        except Refused:
            self._tell_missing(found.path)
            return
        self._studies[found.path] = plan.rules.name
        uid = original.dataset.ascii(_SOP_INSTANCE_UID).encode("latin-1")
        self._index.add_original(found.path, uid, plan)

    def _index_output(self, found: Found) -> None:
        try:
            found.open()
            uid = sop_instance_uid(found.path)
        except (UnusableError, UnreadableError):
            self._tell_foreign(found.path, "is no DICOM file that the node wrote")
        except OSError as error:
            self._tell_foreign(found.path, f"cannot be read: {error.strerror}")
        else:
            self._index.add_output(found.path, uid.encode("latin-1", "replace"))

    def _plan_of(self, original: Instance) -> Plan:
        return self._router.route(_as_elements(original.dataset), self._called_aet).plan

    def _count_faults(self, original: Path, output: Path) -> int:
        counted = CountOnly()
        try:
            plan = self._plans[self._studies[original]]
            Verification(read(original), read(output), plan, counted).run()
        except (UnreadableError, OSError):
            return sys.maxsize
        return counted.failed

    def _judge(self, original: Path, output: Path, whole: SetWide) -> None:
        study = self._studies[original]
        verdicts = self.report.object_verdicts(study, self._name(original), self._name(output))
        try:
            before, after = read(original), read(output)
            run = Verification(before, after, self._plans[study], verdicts, whole)
            search = run.run().search()
            self._search(search, output, after, verdicts)
        except UnreadableError as error:
            verdicts.tell((), "file", "readable", str(error))
        except OSError as error:
            verdicts.tell((), "file", "readable", f"cannot be read: {error.strerror}")
        verdicts.finish()

    def _search(
        self, search: Search, output: Path, after: Instance, verdicts: ObjectVerdicts
    ) -> None:
        reason = search.finds_in_file(output, _pixels(after))
        if not reason:
            verdicts.tell((), *_RESIDUE, "")
        else:
            # Where it is, if it is in an element.
            places = 0
            for path, leaf, _ in after.dataset.leaves():
                found = "" if leaf.tag in PIXEL_DATA_TAGS else search.finds(leaf.value)
                if found:
                    places += 1
                    verdicts.tell(path, *_RESIDUE, found)
            if not places:
                verdicts.tell((), *_RESIDUE, reason)
        inside = output.relative_to(self._outputs) if output != self._outputs else output.name
        verdicts.tell((), "file name", _RESIDUE[1], search.finds(str(inside).encode()))

    # What has no pair.

    def _tell_missing(
        self, path: Path, otherwise: str = "has no output, though the node accepts it"
    ) -> None:
        reason = self._why_refused(path) or otherwise
        self.report.counts["without output"] += 1
        self._tell_object(path, None, reason, Result.FAIL)

    def _tell_unreadable(self, path: Path, why: str) -> None:
        self.report.counts["without output"] += 1
        self._tell_object(path, None, f"has no output: {why}", Result.FAIL)

    def _tell_foreign(self, path: Path, why: str = "came of none of the originals") -> None:
        self.report.counts["without original"] += 1
        self._tell_object(None, path, why, Result.FAIL)

    def _tell_object(
        self, original: Path | None, output: Path | None, why: str, result: Result
    ) -> None:
        self.report.objects.append(
            Row(
                "object",
                result,
                self._studies.get(original, "") if original is not None else "",
                reason=why,
                original=self._name(original) if original is not None else "",
                output=self._name(output) if output is not None else "",
            )
        )

    def _why_refused(self, path: Path) -> str:
        # The node's own way, into a directory that is gone afterwards.
        scratch = Path(tempfile.mkdtemp(prefix="dicomanon-"))
        try:
            with Batch(self._config, scratch) as batch:
                outcome = batch.deidentify(Found(path).open())
        except (UnusableError, OSError):
            return "has no output: cannot be read"
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if outcome.status == 0:
            return ""
        return f"has no output: {outcome.comment} ({outcome.status:04X}H)"

    def _name(self, path: Path) -> str:
        return printable(str(path))


def _as_elements(dataset: Item) -> Elements:
    # What routing asks for, from what pydicom read.
    buffer = bytearray()
    rows: list[ElementRow] = []
    for element in dataset.elements.values():
        start = len(buffer)
        buffer += element.value
        rows.append((element.tag, element.vr, start, start, len(buffer), len(buffer)))
    return Elements(bytes(buffer), rows, implicit=False)


def _pixels(instance: Instance) -> tuple[int, int]:
    for tag in PIXEL_DATA_TAGS:
        found = instance.dataset.get(tag)
        if found is not None:
            return found.offset, found.offset + found.length
    return sys.maxsize, sys.maxsize
