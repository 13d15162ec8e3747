"""Which studies are complete, and what is told of them."""

import json
from pathlib import Path

import pytest
from support_ledger import delivered, opened, rows, stored

from dicomanon_node.completion.facts import describer
from dicomanon_node.completion.folder import StudyFolder
from dicomanon_node.completion.freshness import Freshness
from dicomanon_node.completion.watch import Watch, WhenComplete
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.journal import Journal
from dicomanon_node.ledger.records import Note, Record, encode
from dicomanon_node.ledger.store import Ledger
from dicomanon_node.ledger.studies import Studies

SECOND = 1_000_000
LAYOUT = "{study}/{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"


class Site:
    """A ledger, its watch, and a clock of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "ledger.sqlite"
        self.ledger = Ledger(engine_of(self.path, is_writer=True), tracks_studies=True)
        self.studies = Studies(engine_of(self.path, is_writer=True))
        self.now = 0
        self.seconds = 0.0
        self.channels = ("log", "command")

    def watch(self, when: WhenComplete) -> Watch:
        return Watch(
            self.studies,
            Freshness(self.directory, lambda: self.now),
            when,
            self.channels,
            describer(StudyFolder(LAYOUT)),
            now_us=lambda: self.now,
            clock=lambda: self.seconds,
        )

    def take(self, *records: Record) -> None:
        self.ledger.ingest(records, {})

    def told(self) -> list[dict[str, object]]:
        return [json.loads(facts) for (facts,) in rows(self.path, "SELECT facts FROM completions")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def at(site: Site, watch: Watch, seconds: float) -> list[int]:
    """Revisions that are complete at a time; looked twice, as fresh is known a look later."""
    site.now = int(seconds * SECOND)
    return [made.revision for _ in range(3) for made in watch.turn()]


def test_a_study_is_complete_when_nothing_more_comes(site: Site) -> None:
    watch = site.watch(WhenComplete(10))
    site.take(stored(1), stored(2))
    assert at(site, watch, 11.9) == []
    assert at(site, watch, 12.0) == [1]
    assert at(site, watch, 1000) == []


def test_what_is_told_counts_by_series_and_destination(site: Site) -> None:
    watch = site.watch(WhenComplete(10))
    folder = "ABCD/PAT/2.25.1"
    site.take(
        stored(1, destinations=("pacs", "xnat"), directory=f"{folder}/2.25.2"),
        stored(2, destinations=("pacs", "xnat"), directory=f"{folder}/2.25.2", bytes_count=50),
        stored(3, destinations=("pacs", "xnat"), directory=f"{folder}/9.9", series_uid="9.9"),
        delivered(1),
        delivered(2, is_delivered=False, status=0xA900, reason="refused"),
    )
    assert at(site, watch, 20) == [1]
    [document] = site.told()
    assert document["directory"] == folder
    assert (document["instances"], document["bytes"]) == (3, 2050)
    assert document["series"] == [
        {"series_uid": "2.25.2", "instances": 2, "bytes": 1050},
        {"series_uid": "9.9", "instances": 1, "bytes": 1000},
    ]
    assert document["destinations"] == [
        {"name": "pacs", "queued": 1, "delivered": 1, "failed": 1},
        {"name": "xnat", "queued": 3, "delivered": 0, "failed": 0},
    ]
    assert document["time"] == "1970-01-01T00:00:20+00:00"
    assert (document["revision"], document["is_changed"]) == (1, False)


def test_more_of_a_study_makes_its_next_revision(site: Site) -> None:
    watch = site.watch(WhenComplete(10))
    site.take(stored(1))
    assert at(site, watch, 20) == [1]
    site.take(stored(21))
    assert at(site, watch, 25) == []
    assert at(site, watch, 31) == [2]
    assert [(each["revision"], each["instances"], each["id"]) for each in site.told()] == [
        (1, 1, "2.25.1/1"),
        (2, 2, "2.25.1/2"),
    ]


def test_what_comes_once_more_is_no_revision(site: Site) -> None:
    watch = site.watch(WhenComplete(10))
    site.take(stored(1))
    assert at(site, watch, 20) == [1]
    site.take(stored(1, at=21 * SECOND, is_duplicate=True))
    assert at(site, watch, 100) == []
    assert site.studies.open() == []


def test_rules_that_share_a_study_are_told_apart(site: Site) -> None:
    watch = site.watch(WhenComplete(10))
    site.take(stored(1), stored(2, study="OTHER"))
    assert at(site, watch, 20) == [1, 1]
    assert {each["study"]: each["instances"] for each in site.told()} == {"ABCD": 1, "OTHER": 1}


def test_after_delivery_means_that_every_destination_has_everything(site: Site) -> None:
    watch = site.watch(WhenComplete(10, is_after_delivery=True))
    site.take(stored(1, destinations=("pacs",)), stored(2, destinations=("pacs",)), delivered(1))
    assert at(site, watch, 60) == []
    site.take(delivered(2, is_delivered=False, reason="refused"))
    site.seconds += 10
    assert at(site, watch, 80) == []
    site.take(delivered(2, at=90 * SECOND))
    site.seconds += 10
    assert at(site, watch, 100) == [1]
    assert site.told()[0]["destinations"] == [
        {"name": "pacs", "queued": 0, "delivered": 2, "failed": 0}
    ]


def test_the_end_of_its_associations_completes_a_study_early(site: Site) -> None:
    watch = site.watch(WhenComplete(1000, on_association_close=True))
    site.take(stored(1, association="a-1"), stored(2, association="a-2"))
    site.take(Note(3 * SECOND, "association-closed", {"association": "a-1"}))
    assert at(site, watch, 5) == []
    site.take(Note(4 * SECOND, "association-closed", {"association": "a-2"}))
    assert at(site, watch, 6) == [1]
    site.take(stored(7, association="a-3"))
    assert at(site, watch, 8) == []
    site.take(Note(9 * SECOND, "association-closed", {"association": "a-3"}))
    assert at(site, watch, 10) == [2]


def test_an_association_that_never_told_its_end_is_waited_for_no_longer_than_quiet(
    site: Site,
) -> None:
    watch = site.watch(WhenComplete(10, on_association_close=True))
    site.take(stored(1))
    assert at(site, watch, 11) == [1]


def test_what_comes_while_a_study_is_completed_keeps_it_open(site: Site) -> None:
    site.take(stored(1))
    [seen] = site.studies.open()
    site.take(stored(2))
    assert site.studies.complete(seen, 99 * SECOND, ("log",), lambda _made: {}) is None
    assert [study.last_at for study in site.studies.open()] == [2 * SECOND]


def test_a_completion_and_what_is_to_be_told_of_it_are_one_transaction(site: Site) -> None:
    site.take(stored(1))
    [seen] = site.studies.open()

    def fail(_made: object) -> dict[str, object]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        site.studies.complete(seen, 99 * SECOND, ("log",), fail)
    assert site.studies.open() == [seen]
    assert rows(site.path, "SELECT * FROM completions UNION SELECT 1,1,1,1,1,1 FROM tellings") == []


def test_nothing_is_quiet_while_the_ledger_is_behind(site: Site) -> None:
    watch = site.watch(WhenComplete(10))
    site.take(stored(1))
    journal = Journal(site.directory)
    journal.append(encode(stored(15)))
    assert at(site, watch, 20) == []
    [name] = [path.name for path in (site.directory / "journal").glob("*.jsonl")]
    site.ledger.ingest([stored(15)], {name: (site.directory / "journal" / name).stat().st_size})
    assert at(site, watch, 22) == []
    assert at(site, watch, 26) == [1]
    journal.close()


def test_a_torn_line_is_not_waited_for(site: Site) -> None:
    directory = site.directory / "journal"
    directory.mkdir()
    line = encode(stored(1))
    (directory / "1-1.jsonl").write_bytes(line + line[:40])
    freshness = Freshness(site.directory, lambda: 5)
    assert freshness.look(dict) == 0
    assert freshness.look(lambda: {"1-1.jsonl": len(line)}) == 5


def test_without_completion_a_ledger_keeps_no_studies(tmp_path: Path) -> None:
    with opened(tmp_path / "other.sqlite") as ledger:
        ledger.ingest([stored(1)], {})
    assert rows(tmp_path / "other.sqlite", "SELECT * FROM studies") == []


@pytest.mark.parametrize(
    ("layout", "directory", "expected"),
    [
        (LAYOUT, "ABCD/P/1.2/3.4", "ABCD/P/1.2"),
        ("{study}/{SOPInstanceUID}.dcm", "ABCD", "ABCD"),
        ("{SOPInstanceUID}.dcm", "", "."),
        ("{StudyInstanceUID}/{Modality}/{SOPInstanceUID}.dcm", "1.2/MR", "1.2"),
        ("x/{PatientID}-{SeriesNumber}/{SOPInstanceUID}.dcm", "x/P-3", "x"),
    ],
)
def test_the_folder_of_a_study_ends_where_series_begin(
    layout: str, directory: str, expected: str
) -> None:
    assert StudyFolder(layout).of(directory) == expected


def test_a_study_that_is_not_written_has_no_folder() -> None:
    assert StudyFolder(LAYOUT).of(None) is None
