"""What the kernel sees of a living node: data before name before answer, of queues too.

strace records the calls, `support_spool.broken_promises` knows what outlives a power cut.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import support_spool
from support_campaign import (
    SHARE_AND_STOCK,
    Objects,
    Site,
    Strace,
    campaign_site,
    require_strace,
    send_one,
)
from support_delivery import StockPeer
from support_node import run, wait_until

_CALLS = (
    "write,writev,fdatasync,fsync,link,linkat,rename,renameat,renameat2,mkdir,mkdirat,unlink,"
    "sendto,sendmsg"
)
_OPTIONS = ("-y", "-s", "4096", "-e", f"trace={_CALLS}")

_QUEUE = (sys.executable, "-m", "dicomanon_node", "queue")
_PATTERNS = {
    "write": re.compile(r"\bwritev?\(\d+<(?P<path>/[^>]+)>"),
    "sync": re.compile(r"\bf(?:data)?sync\(\d+<(?P<path>[^>]+)>"),
    "mkdir": re.compile(r'\bmkdirat\(\d+<(?P<parent>[^>]+)>, "(?P<name>[^"]+)"'),
    "link": re.compile(
        r'\blink(?:at)?\((?:AT_FDCWD[^,]*, )?"(?P<source>[^"]+)", '
        r'(?:(?:AT_FDCWD|\d+)<(?P<parent>[^>]+)>, )?"(?P<name>[^"]+)"'
    ),
    "rename": re.compile(r'\brename(?:at2?)?\("(?P<source>[^"]+)", "(?P<name>[^"]+)"'),
    "unlink": re.compile(r'\bunlink\("(?P<name>[^"]+)"'),
    "answer": re.compile(r"\bsend(?:to|msg)\(\d+<(?:socket|TCP)[^>]*>"),
}


def calls(trace: str) -> list[support_spool.Call]:
    """The calls that succeeded, in the order in which they returned."""
    found = []
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        pid, _, text = line.partition(" ")
        if "<unfinished ...>" in text:
            begun[pid] = text.partition("<unfinished ...>")[0]
            continue
        resumed = re.search(r"<\.\.\. \w+ resumed>(.*)", text)
        if resumed:
            text = begun.pop(pid, "") + resumed[1]
        if " = -1 " in text:
            continue
        for kind, pattern in _PATTERNS.items():
            match = pattern.search(text)
            if match:
                groups = match.groupdict()
                path = groups.get("path") or "/".join(
                    filter(None, (groups.get("parent"), groups.get("name")))
                )
                found.append(support_spool.Call(kind, path, groups.get("source") or ""))
                break
    return found


@pytest.fixture
def peer() -> Iterator[StockPeer]:
    with StockPeer().serving() as serving:
        yield serving


@pytest.fixture
def site(tmp_path: Path, peer: StockPeer) -> Iterator[Site]:
    require_strace()
    toml = SHARE_AND_STOCK.format(port=peer.port)
    with campaign_site(tmp_path / "node", toml, 1) as running:
        yield running


def test_a_receiver_answers_after_data_directories_names_and_queues_are_durable(
    site: Site, tmp_path: Path
) -> None:
    objects = Objects.make(3, tmp_path / "made", site.directory, studies=3)
    assert site.node is not None
    var = site.directory / "var"
    for index in range(3):
        with Strace(site.node.children(), _OPTIONS, tmp_path / f"{index}.trace") as strace:
            assert send_one(site.port, index, objects.sent[index]) == 0
        seen = calls(strace.output.read_text(encoding="utf-8"))
        # The association's own answers come before the data set.
        first = next(i for i, call in enumerate(seen) if "/incoming/" in call.path)
        answer = next(i for i, call in enumerate(seen) if call.kind == "answer" and i > first)
        of_object = seen[first : answer + 1]
        required = {
            str(var / "outgoing" / objects.paths[index]),
            *(str(var / "spool" / "queue" / queue / objects.names[index])
              for queue in ("share", "stock")),
        }  # fmt: skip
        assert support_spool.broken_promises(of_object, required) == []
        assert sum(call.kind == "mkdir" for call in of_object) in (3, 4)
        journal = str(var / "spool" / "journal")  # gets its own name with the first receipt
        renamed = [call.path for call in of_object if call.kind == "rename"]
        assert [path for path in renamed if not path.startswith(journal)] == []


def test_a_copy_in_a_share_is_durable_before_its_entry_leaves_the_queue(
    site: Site, tmp_path: Path
) -> None:
    objects = Objects.make(1, tmp_path / "made", site.directory)
    assert site.node is not None
    node = site.node
    with Strace(node.children("courier"), _OPTIONS, tmp_path / "trace") as strace:
        assert send_one(site.port, 0, objects.sent[0]) == 0
        node.wait_for("delivery.sent", 2)
    seen = calls(strace.output.read_text(encoding="utf-8"))
    share, name = site.directory / "share", objects.names[0]
    kinds = [
        (call.kind, call.path)
        for call in seen
        if str(share) in call.path or call.path.endswith(f"queue/share/{name}")
    ]
    renamed = kinds.index(("rename", str(share / name)))
    left = kinds.index(("unlink", str(site.directory / "var/spool/queue/share" / name)))
    part = [at for at, (kind, path) in enumerate(kinds) if kind == "sync" and ".part" in path]
    synced = [at for at, found in enumerate(kinds) if found == ("sync", str(share))]
    assert part
    assert part[0] < renamed
    assert any(renamed < at < left for at in synced)


def test_failed_entries_move_durably_before_they_leave_where_they_were(
    site: Site, peer: StockPeer, tmp_path: Path
) -> None:
    objects = Objects.make(1, tmp_path / "made", site.directory)
    assert site.node is not None
    node, name = site.node, objects.names[0]
    peer.answer = lambda _: 0xA900
    waiting, failed = (node.spool / kind / "stock" for kind in ("queue", "failed"))
    with Strace(node.children("courier"), _OPTIONS, tmp_path / "fail.trace") as strace:
        assert send_one(site.port, 0, objects.sent[0]) == 0
        node.wait_for("delivery.failed")
    assert_moved(calls(strace.output.read_text(encoding="utf-8")), waiting, failed, name)

    # Back by hand, while no courier is there to take it away again.
    assert node.stop() == 0
    trace = tmp_path / "retry.trace"
    retried = run(
        "strace", "-f", *_OPTIONS, "-o", trace,
        *_QUEUE, "retry", "--destination", "stock", "--all",
        cwd=site.directory,
    )  # fmt: skip
    assert retried.returncode == 0, retried.stderr
    assert_moved(calls(trace.read_text(encoding="utf-8")), failed, waiting, name)


def assert_moved(seen: list[support_spool.Call], old: Path, new: Path, name: str) -> None:
    """The new name is durable before the old one goes, and that one's going is made so."""
    linked = seen.index(support_spool.Call("link", str(new / name), str(old / name)))
    left = seen.index(support_spool.Call("unlink", str(old / name)))
    synced = [at for at, call in enumerate(seen) if call.kind == "sync"]
    assert any(linked < at < left and seen[at].path == str(new) for at in synced)
    assert any(at > left and seen[at].path == str(old) for at in synced)


def test_a_dropped_entry_is_gone_for_good_when_the_command_ends(
    site: Site, peer: StockPeer, tmp_path: Path
) -> None:
    objects = Objects.make(1, tmp_path / "made", site.directory)
    assert site.node is not None
    node = site.node
    peer.answer = lambda _: 0xA900
    assert send_one(site.port, 0, objects.sent[0]) == 0
    node.wait_for("delivery.failed")
    trace = tmp_path / "drop.trace"
    dropped = run(
        "strace", "-f", *_OPTIONS, "-o", trace,
        *_QUEUE, "drop", "--destination", "stock", "--all", "--yes",
        cwd=site.directory,
    )  # fmt: skip
    assert dropped.returncode == 0, dropped.stderr
    seen = calls(trace.read_text(encoding="utf-8"))
    failed = node.spool / "failed" / "stock"
    left = seen.index(support_spool.Call("unlink", str(failed / objects.names[0])))
    assert support_spool.Call("sync", str(failed)) in seen[left:]
    wait_until(lambda: node.queued("stock", "failed") == [])
