import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import support_spool as support
from support_spool import closes_spools  # noqa: F401  (a fixture)

from dicomanon_node.errors import Refused
from dicomanon_node.spool.directories import MAX_KNOWN_DIRECTORIES, Tree
from dicomanon_node.spool.medium import Medium


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    (tmp_path / "root").mkdir()
    tree = Tree(tmp_path / "root", mode=0o750, medium=Medium(), makes_missing=True)
    yield tree
    tree.close()


def syncs_of(tree: Tree, *parts: str) -> list[str]:
    """Which directories an open makes durable, by their names."""
    with support.recorded() as calls:
        os.close(tree.open(parts))
    return [Path(call.path).name for call in calls if call.kind == "sync"]


def test_each_parent_is_synced_when_a_directory_is_first_used_and_not_again(tree: Tree) -> None:
    assert syncs_of(tree, "a", "b")[1:] == ["root", "a"]
    assert syncs_of(tree, "a", "b") == []
    assert syncs_of(tree, "a", "c") == ["a"]


def test_a_directory_replaced_by_another_is_not_known(tree: Tree, tmp_path: Path) -> None:
    os.close(tree.open(("a", "b")))
    (tmp_path / "root" / "a").rename(tmp_path / "moved away")
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    assert syncs_of(tree, "a", "b") == ["root", "a"]


def test_a_failed_sync_makes_nothing_known(tree: Tree) -> None:
    os.close(tree.open(()))
    with support.failing("fsync", 1), pytest.raises(OSError, match="Input/output"):
        tree.open(("a",))
    assert syncs_of(tree, "a") == ["root"]


def test_a_known_directory_costs_no_more_than_so_many_descriptors(tree: Tree) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(3 * MAX_KNOWN_DIRECTORIES):
        os.close(tree.open((str(number),)))
    assert len(list(Path("/proc/self/fd").iterdir())) == before + MAX_KNOWN_DIRECTORIES
    assert syncs_of(tree, "0") == ["root"]  # forgotten, so made sure of again
    tree.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_no_descriptor_is_lost_when_things_fail(tree: Tree) -> None:
    os.close(tree.open(()))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("fsync", "mkdir"):
        with support.failing(name, 2), pytest.raises(OSError, match="Input/output"):
            tree.open((f"{name}-1", f"{name}-2", f"{name}-3"))
    tree.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1


def test_a_symbolic_link_below_the_root_is_not_followed(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    for parts in (("link",), ("link", "a")):
        with pytest.raises(OSError, match=r"Not a directory|symbolic"):
            tree.open(parts)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_root_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    tree = Tree(tmp_path / "link", mode=0o750, medium=Medium(), makes_missing=True)
    os.close(tree.open(("a",)))
    tree.close()
    assert (tmp_path / "real" / "a").is_dir()


def test_nothing_is_made_where_the_root_has_no_parent_any_more(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "mount" / "root", mode=0o750, medium=Medium(), makes_missing=True)
    with pytest.raises(FileNotFoundError):
        tree.open(("a",))
    assert list(tmp_path.iterdir()) == []


def test_an_outgoing_tree_removed_while_running_is_made_again(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    for depth in range(len(support.OUTGOING_PATH.parts)):
        support.commit(spool)
        shutil.rmtree(Path(tmp_path / "outgoing", *support.OUTGOING_PATH.parts[:depth]))
        assert not support.commit(spool).is_duplicate
        assert support.visible(tmp_path) == dict.fromkeys(support.everywhere(), support.CONTENT)


def test_an_object_goes_to_its_path_when_its_directory_was_moved_away(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool)
    (tmp_path / "outgoing" / "study").rename(tmp_path / "finished")
    second = support.OUTGOING_PATH.with_name("second.dcm")
    support.commit(spool, outgoing_path=second)
    assert (tmp_path / "outgoing" / second).exists()
    assert [path.name for path in (tmp_path / "finished").rglob("*.dcm")] == [
        support.OUTGOING_PATH.name
    ]


@pytest.mark.parametrize(("removals", "is_answered"), [(1, True), (4, True), (100, False)])
def test_a_directory_removed_just_before_the_link_is_made_again_a_few_times(
    tmp_path: Path, removals: int, is_answered: bool
) -> None:
    spool = support.make_spool(tmp_path)
    link = os.link
    attempts = 0

    def link_too_late(source: str, name: str, *, dst_dir_fd: int) -> None:
        nonlocal attempts
        directory = Path(f"/proc/self/fd/{dst_dir_fd}").readlink()
        if directory.is_relative_to(tmp_path / "outgoing"):
            attempts += 1
            if attempts <= removals:
                shutil.rmtree(tmp_path / "outgoing")
        link(source, name, dst_dir_fd=dst_dir_fd)

    with mock.patch.object(os, "link", link_too_late):
        if is_answered:
            support.commit(spool)
        else:
            with pytest.raises(Refused):
                support.commit(spool)
    assert set(support.visible(tmp_path)) == (support.everywhere() if is_answered else set())
    assert list(spool.incoming.iterdir()) == []
