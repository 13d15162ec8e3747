"""Who has the name that several ask for does not depend on who is quicker."""

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from dicomanon_node.node.naming import Naming
from dicomanon_node.spool.incoming import Committed
from dicomanon_node.spool.spool import Spool

NAME = PurePosixPath("study/1.dcm")


def variant(data: bytes) -> str:
    return f"1~{hashlib.sha256(data).hexdigest()[:8]}.dcm"


class Batch:
    """Commits through a real spool in any order, and tells in the order of the input."""

    def __init__(self, directory: Path) -> None:
        self.output = directory / "out"
        self.scratch = directory / "scratch"
        for path in (self.output, self.scratch, self.scratch / "incoming"):
            path.mkdir(exist_ok=True)

    def run(self, objects: Sequence[bytes], order: Sequence[int], window: int = 8) -> None:
        spool = Spool(self.scratch, self.output, (), low_water_bytes=0, sync=False)
        committed: dict[int, Committed] = {}
        for index in order:
            file = spool.open()
            file.write([objects[index]])
            committed[index] = file.commit(outgoing_path=NAME, queue_name="1.dcm", destinations=())
            file.discard()
        spool.close()
        naming = Naming(self.output, self.scratch, window)
        for index in range(len(objects)):
            naming.told(committed[index])
        naming.settle()

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.output / "study").iterdir()}


@pytest.mark.parametrize(
    "objects", [(b"a", b"b"), (b"a", b"b", b"c"), (b"a", b"b", b"a"), (b"b", b"a", b"a", b"c")]
)
def test_in_every_order_the_first_of_the_input_has_the_name(
    tmp_path: Path, objects: tuple[bytes, ...]
) -> None:
    expected = {variant(data): data for data in objects if data != objects[0]}
    expected["1.dcm"] = objects[0]
    for number, order in enumerate(itertools.permutations(range(len(objects)))):
        directory = tmp_path / str(number)
        directory.mkdir()
        batch = Batch(directory)
        batch.run(objects, order)
        assert batch.files() == expected, order
        batch.run(objects, order[::-1])
        assert batch.files() == expected, "a second run changes nothing"


def test_a_name_of_an_earlier_run_stays_whose_it_is(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    batch.run([b"old"], [0])
    batch.run([b"a", b"b"], [1, 0])
    assert batch.files() == {"1.dcm": b"old", variant(b"a"): b"a", variant(b"b"): b"b"}


def test_what_it_remembers_is_bounded(tmp_path: Path) -> None:
    naming = Naming(tmp_path, tmp_path, 8)
    for number in range(100):
        path = PurePosixPath(f"study/{number}.dcm")
        naming.told(Committed(path, 1, is_duplicate=True, is_variant=False))
    assert len(naming._early) == 8
