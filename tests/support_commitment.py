"""A Storage Commitment SCU made of stock pynetdicom: it asks, and listens for reports."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from support_node import SMALL, read

PUSH_MODEL = UID("1.2.840.10008.1.20.1")
WELL_KNOWN = UID("1.2.840.10008.1.20.1.1")
SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")

ALL_WELL, FAILURES_EXIST = 1, 2  # Event Type IDs (PS3.4 Table J.3-2)


@dataclass
class Heard:
    """A report as its requestor understands it."""

    event_type: int
    transaction_uid: str
    committed: set[str]
    failed: dict[str, int]


def heard(event: evt.Event) -> Heard:
    """What pynetdicom makes of an N-EVENT-REPORT-RQ."""
    information = event.event_information
    return Heard(
        event.event_type or 0,
        str(information.TransactionUID),
        {
            str(item.ReferencedSOPInstanceUID)
            for item in information.get("ReferencedSOPSequence", [])
        },
        {
            str(item.ReferencedSOPInstanceUID): int(item.FailureReason)
            for item in information.get("FailedSOPSequence", [])
        },
    )


@dataclass
class Requestor:
    """An SCU that stores and asks for commitment.

    Attributes:
        reports: What was reported, in order.
        statuses: What it answers to reports; the last one for ever.
        port: Where it listens for reports; 0 if it does not.
    """

    title: str = "SCU"
    reports: list[Heard] = field(default_factory=list)
    statuses: list[int] = field(default_factory=lambda: [0x0000])
    port: int = 0

    def _take(self, event: evt.Event) -> tuple[int, None]:
        status = self.statuses[0] if len(self.statuses) == 1 else self.statuses.pop(0)
        self.reports.append(heard(event))
        return status, None

    def associate(
        self, port: int, called: str = "DICOMANON", syntaxes: Sequence[str] = SYNTAXES
    ) -> Association:
        """An association for Storage and Storage Commitment."""
        entity = AE(ae_title=self.title)
        entity.add_requested_context(PUSH_MODEL, list(syntaxes))
        for path in SMALL:
            file = read(path)
            entity.add_requested_context(file.SOPClassUID, [str(file.file_meta.TransferSyntaxUID)])
        association = entity.associate(
            "127.0.0.1",
            port,
            ae_title=called,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take)],
        )
        assert association.is_established
        return association

    @contextmanager
    def listening(self, port: int = 0, *, takes_role: bool = True) -> Iterator[None]:
        """Listen for associations on which the node is SCP."""
        entity = AE(ae_title=self.title)
        if takes_role:
            entity.add_supported_context(PUSH_MODEL, list(SYNTAXES), scu_role=False, scp_role=True)
        else:
            entity.add_supported_context(PUSH_MODEL, list(SYNTAXES))
        server = entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take)]
        )
        assert server is not None
        assert server.socket is not None
        self.port = server.socket.getsockname()[1]
        try:
            yield
        finally:
            server.shutdown()


def store(association: Association, paths: Iterable[Path]) -> list[Dataset]:
    """Store files as they are; what was sent."""
    sent = []
    for path in paths:
        dataset = read(path)
        assert association.send_c_store(dataset).Status == 0x0000
        sent.append(dataset)
    return sent


def action(references: Iterable[tuple[str, str]], transaction_uid: str | None = None) -> Dataset:
    """Action Information."""
    information = Dataset()
    information.TransactionUID = transaction_uid or generate_uid()
    information.ReferencedSOPSequence = []
    for sop_class_uid, sop_instance_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID = UID(sop_class_uid)
        item.ReferencedSOPInstanceUID = UID(sop_instance_uid)
        information.ReferencedSOPSequence.append(item)
    return information


def references_of(datasets: Iterable[Dataset]) -> list[tuple[str, str]]:
    """SOP class and instance of each."""
    return [(str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in datasets]


def ask(association: Association, information: Dataset) -> int:
    """N-ACTION; its status."""
    status, _ = association.send_n_action(information, 1, PUSH_MODEL, WELL_KNOWN)
    assert "Status" in status, "the association was lost"
    return int(status.Status)
