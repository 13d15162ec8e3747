"""Storage Commitment as a requestor made of stock pynetdicom sees it, on a real node."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.association import Association
from support_commitment import (
    ALL_WELL,
    FAILURES_EXIST,
    PUSH_MODEL,
    Requestor,
    action,
    ask,
    references_of,
    store,
)
from support_delivery import free_port, storescp
from support_node import SMALL, Node, files_below, running_node, wait_until

# Stock pynetdicom leaves the socket of an aborted association to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CT = "1.2.840.10008.5.1.4.1.1.2"
FILES = SMALL[:3]


def leave(node: Node, association: Association, reported_count: int = 1) -> None:
    """Release, once the node has our answers: stock pynetdicom can hang in both at once."""
    node.wait_for("commitment.reported", reported_count, 30)
    association.release()


def toml(*lines: str, peer_port: int = 0) -> str:
    peer = f'[[peers]]\nae_title = "SCU"\nport = {peer_port}\n' if peer_port else ""
    return peer + "\n".join(["[commitment]", "enabled = true", *lines]) + "\n"


def open_requests(node: Node) -> list[str]:
    return [path.name for path in (node.spool / "commitment").iterdir()]


def assert_committed(requestor: Requestor, uids: list[str]) -> None:
    [report] = requestor.reports
    assert report.event_type == ALL_WELL
    assert report.committed == set(uids)
    assert report.failed == {}


def test_what_was_stored_is_committed_on_the_association_that_asked(tmp_path: Path) -> None:
    with running_node(tmp_path / "node", toml=toml()) as node:
        requestor = Requestor()
        association = requestor.associate(node.port)
        references = references_of(store(association, FILES))
        information = action(references)
        assert ask(association, information) == 0x0000
        wait_until(lambda: requestor.reports)
        assert_committed(requestor, [uid for _, uid in references])
        assert requestor.reports[0].transaction_uid == information.TransactionUID
        [reported] = node.wait_for("commitment.reported")
        assert reported["how"] == "same-association"
        assert open_requests(node) == []
        leave(node, association)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_what_never_came_is_not_committed_in_either_syntax(tmp_path: Path, syntax: str) -> None:
    with running_node(tmp_path / "node", toml=toml("settle_s = 1.0")) as node:
        requestor = Requestor()
        association = requestor.associate(node.port, syntaxes=[syntax])
        [known] = references_of(store(association, FILES[:1]))
        ask(association, action([known, (CT, "1.2.3.4"), (CT, known[1])]))
        wait_until(lambda: requestor.reports)
        [report] = requestor.reports
        assert report.event_type == FAILURES_EXIST
        assert report.failed["1.2.3.4"] == 0x0112
        is_ct = known[0] == CT
        assert report.failed.get(known[1]) == (None if is_ct else 0x0119)
        leave(node, association)


def test_who_has_left_is_told_on_a_new_association(tmp_path: Path) -> None:
    requestor = Requestor()
    with requestor.listening():
        text = toml(peer_port=requestor.port)
        with running_node(tmp_path / "node", toml=text) as node:
            association = requestor.associate(node.port)
            references = references_of(store(association, FILES))
            assert ask(association, action(references)) == 0x0000
            association.abort()
            wait_until(lambda: requestor.reports)
            assert_committed(requestor, [uid for _, uid in references])
            [reported] = node.wait_for("commitment.reported")
            assert reported["how"] in {"new-association", "same-association"}
            wait_until(lambda: open_requests(node) == [])


def test_new_means_never_on_the_association_that_asked(tmp_path: Path) -> None:
    requestor = Requestor()
    with requestor.listening():
        text = toml('report = "new"', peer_port=requestor.port)
        with running_node(tmp_path / "node", toml=text) as node:
            association = requestor.associate(node.port)
            references = references_of(store(association, FILES))
            assert ask(association, action(references)) == 0x0000
            [reported] = node.wait_for("commitment.reported")
            assert reported["how"] == "new-association"
            assert_committed(requestor, [uid for _, uid in references])
            association.release()


def killed_in_between(
    tmp_path: Path, kill: Callable[[Node], Node]
) -> tuple[Requestor, list[str], Node]:
    """Ask, let the node lose a process or all, and only then listen for the report."""
    port = free_port()
    requestor = Requestor()
    text = toml(peer_port=port)
    with running_node(tmp_path / "node", toml=text) as first:
        association = requestor.associate(first.port)
        references = references_of(store(association, FILES))
        first.wait_for("instance.stored", len(FILES))
        # Asked for on an association that is gone at once, so that it is still open.
        asking = requestor.associate(first.port)
        assert ask(asking, action([*references, (CT, "1.2.3.4")])) == 0x0000
        assert len(open_requests(first)) >= 1
        node = kill(first)
        association.abort()
        asking.abort()
        assert requestor.reports == []
        with requestor.listening(port):
            wait_until(lambda: requestor.reports, 60)
            node.wait_for("commitment.reported")
            wait_until(lambda: open_requests(node) == [])
        if node is not first:
            node.stop()
    return requestor, [uid for _, uid in references], node


def assert_all_but_one(requestor: Requestor, uids: list[str]) -> None:
    report = requestor.reports[0]
    assert report.event_type == FAILURES_EXIST
    assert report.committed == set(uids)
    assert report.failed == {"1.2.3.4": 0x0112}


def test_a_report_outlives_the_receivers(tmp_path: Path) -> None:
    def kill(node: Node) -> Node:
        for pid in node.children():
            node.kill(pid)
        return node

    requestor, uids, _ = killed_in_between(tmp_path, kill)
    assert_all_but_one(requestor, uids)


def test_a_report_outlives_the_process_that_makes_it(tmp_path: Path) -> None:
    def kill(node: Node) -> Node:
        for pid in (*node.children("committer"), *node.children()):
            node.kill(pid)
        return node

    requestor, uids, _ = killed_in_between(tmp_path, kill)
    assert_all_but_one(requestor, uids)


def test_a_report_outlives_the_node(tmp_path: Path) -> None:
    def kill(node: Node) -> Node:
        node.process.kill()
        node.process.wait(30)
        return node.restarted()

    requestor, uids, _ = killed_in_between(tmp_path, kill)
    assert_all_but_one(requestor, uids)


def test_a_reload_goes_on_with_what_is_open(tmp_path: Path) -> None:
    requestor = Requestor()
    with requestor.listening():
        text = toml("settle_s = 5.0", peer_port=requestor.port)
        with running_node(tmp_path / "node", toml=text) as node:
            association = requestor.associate(node.port)
            references = references_of(store(association, FILES))
            assert ask(association, action([*references, (CT, "1.2.3.4")])) == 0x0000
            before = node.children("committer")
            node.process.send_signal(signal.SIGHUP)
            node.wait_for("node.reloaded")
            wait_until(lambda: node.children("committer") != before)
            wait_until(lambda: requestor.reports, 30)  # on the association, under its old rules
            assert_all_but_one(requestor, [uid for _, uid in references])
            again = requestor.associate(node.port)
            assert ask(again, action(references)) == 0x0000
            again.abort()
            wait_until(lambda: len(requestor.reports) == 2, 30)
            wait_until(lambda: open_requests(node) == [])
            leave(node, association, 2)


def test_no_original_uid_comes_to_rest_while_a_request_waits(tmp_path: Path) -> None:
    with running_node(tmp_path / "node", toml=toml("settle_s = 600.0")) as node:
        requestor = Requestor()
        association = requestor.associate(node.port)
        references = references_of(store(association, FILES))
        information = action([*references, (CT, "1.2.840.99999.20010203.4")])
        assert ask(association, information) == 0x0000
        assert len(open_requests(node)) == 1
        written = files_below(node.directory)
        for uid in (
            *(uid for _, uid in references),
            "1.2.840.99999.20010203.4",
            str(information.TransactionUID),
        ):
            assert [name for name, content in written.items() if uid.encode() in content] == []
        association.abort()
        node.wait_for("commitment.given_up")


@pytest.mark.tool("storescp")
def test_in_mode_destination_each_destination_has_to_take_it_first(tmp_path: Path) -> None:
    port = free_port()
    text = toml('mode = "destination"') + (
        '[[destinations]]\nname = "pacs"\nkind = "dicom"\nae_title = "PACS"\n'
        f'host = "127.0.0.1"\nport = {port}\n'
    )
    with running_node(tmp_path / "node", toml=text) as node:
        requestor = Requestor()
        association = requestor.associate(node.port)
        references = references_of(store(association, FILES))
        assert ask(association, action(references)) == 0x0000
        node.wait_for("destination.down")
        assert requestor.reports == []
        (tmp_path / "received").mkdir()
        with storescp(tmp_path / "received", "--accept-all", "--promiscuous", port=port):
            node.wait_for("delivery.sent", len(FILES), 60)
            wait_until(lambda: requestor.reports, 30)
        assert_committed(requestor, [uid for _, uid in references])
        leave(node, association)


def test_in_mode_destination_the_wait_has_an_end(tmp_path: Path) -> None:
    text = toml('mode = "destination"', "wait_s = 2.0", "give_up_s = 60.0") + (
        '[[destinations]]\nname = "pacs"\nkind = "dicom"\nae_title = "PACS"\n'
        f'host = "127.0.0.1"\nport = {free_port()}\n'
    )
    with running_node(tmp_path / "node", toml=text) as node:
        requestor = Requestor()
        association = requestor.associate(node.port)
        references = references_of(store(association, FILES[:1]))
        assert ask(association, action(references)) == 0x0000
        wait_until(lambda: requestor.reports, 30)
        [report] = requestor.reports
        assert report.failed == {references[0][1]: 0x0110}
        leave(node, association)


def test_a_requestor_that_refuses_the_report_is_asked_again(tmp_path: Path) -> None:
    requestor = Requestor(statuses=[0x0110, 0x0000])
    with requestor.listening():
        text = toml('report = "new"', peer_port=requestor.port)
        with running_node(tmp_path / "node", toml=text) as node:
            association = requestor.associate(node.port)
            references = references_of(store(association, FILES[:1]))
            ask(association, action(references))
            node.wait_for("commitment.reported", deadline_s=30)
            assert [one.event_type for one in requestor.reports] == [ALL_WELL, ALL_WELL]
            deferred = [event.get("status") for event in node.events("commitment.deferred")]
            assert "0110H" in deferred
            association.release()


def test_who_does_not_grant_the_role_of_scp_gets_no_report(tmp_path: Path) -> None:
    requestor = Requestor()
    with requestor.listening(takes_role=False):
        text = toml('report = "new"', "wait_s = 1.0", "give_up_s = 4.0", peer_port=requestor.port)
        with running_node(tmp_path / "node", toml=text) as node:
            association = requestor.associate(node.port)
            references = references_of(store(association, FILES[:1]))
            assert ask(association, action(references)) == 0x0000
            association.release()
            wait_until(
                lambda: (
                    "role-not-accepted"
                    in [event["reason"] for event in node.events("commitment.deferred")]
                )
            )
            [given_up] = node.wait_for("commitment.given_up", deadline_s=30)
            assert given_up["reason"] == "given-up"
            assert requestor.reports == []
            wait_until(lambda: open_requests(node) == [])


def test_a_transaction_uid_in_use_is_no_key_to_another_list(tmp_path: Path) -> None:
    with running_node(tmp_path / "node", toml=toml("settle_s = 3.0")) as node:
        requestor = Requestor()
        association = requestor.associate(node.port)
        references = references_of(store(association, FILES[:1]))
        unknown = action([*references, (CT, "1.2.3.4")])
        assert ask(association, unknown) == 0x0000
        assert ask(association, action(references, str(unknown.TransactionUID))) == 0x0000
        assert ask(association, unknown) == 0x0000  # the same again is the same
        wait_until(lambda: len(requestor.reports) == 2, 30)
        assert [report.failed for report in requestor.reports] == [
            {references[0][1]: 0x0131},
            {"1.2.3.4": 0x0112},
        ]
        leave(node, association, 2)


def status_of(node: Node, information: Any) -> int:  # noqa: ANN401  (a Dataset)
    association = Requestor().associate(node.port)
    try:
        return ask(association, information)
    finally:
        association.release()


def test_what_cannot_be_taken_is_refused_with_its_status(tmp_path: Path) -> None:
    text = toml("max_instances = 2", "max_open = 1", "settle_s = 600.0")
    with running_node(tmp_path / "node", toml=text) as node:
        assert status_of(node, action([(CT, f"1.2.{n}") for n in range(3)])) == 0x0213
        assert status_of(node, action([])) == 0x0115
        association = Requestor().associate(node.port)
        assert ask(association, action([(CT, "1.2.1")])) == 0x0000
        assert ask(association, action([(CT, "1.2.1")])) == 0x0213
        association.release()
        reasons = [event["reason"] for event in node.wait_for("commitment.refused", 3)]
        assert reasons == ["too-many-instances", "no-instance", "too-many-open"]


def test_it_is_off_unless_somebody_turns_it_on(tmp_path: Path) -> None:
    with running_node(tmp_path / "node") as node:
        association = Requestor().associate(node.port)
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        assert PUSH_MODEL not in accepted
        assert not (node.spool / "commitment").exists()
        assert node.children("committer") == []
        association.release()


def test_many_instances_are_committed_at_once(tmp_path: Path) -> None:
    with running_node(tmp_path / "node", toml=toml("settle_s = 1.0")) as node:
        requestor = Requestor()
        association = requestor.associate(node.port)
        references = references_of(store(association, FILES))
        many = [(CT, f"1.2.826.0.1.3680043.8.498.1{n:037d}") for n in range(3000)]
        assert ask(association, action([*references, *many])) == 0x0000
        wait_until(lambda: requestor.reports, 60)
        [report] = requestor.reports
        assert report.committed == {uid for _, uid in references}
        assert len(report.failed) == 3000
        leave(node, association)
