"""What is answered to an A-ASSOCIATE-RQ: decoded within bounds, and remembered.

pynetdicom decodes and encodes; it takes a millisecond for an ordinary request and five
seconds for a megabyte of tiny sub-items. So items are counted before they are decoded,
and the answer to a request is kept, because a console sends the same bytes each time.
This module judges no peer and sends nothing.
"""

import contextlib
import hashlib
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

from dicomanon_node.network.contexts import AcceptedContext, ContextPolicy
from dicomanon_node.network.peers import APPLICATION_CONTEXT_NAME
from dicomanon_node.network.service import ListenerSettings

FIXED_BYTES: Final = 74
"""Of an A-ASSOCIATE-RQ, before its variable items (PS3.8 Table 9-11)."""

MAX_CONTEXTS: Final = 128  # PS3.8 9.3.2.2: odd IDs of one byte

MAX_SUB_ITEMS: Final = 8192
"""Of one request: 128 contexts of 63 transfer syntaxes, which are all there are and more. What
pynetdicom needs for so many is a fifth of a second."""

MANY_SUB_ITEMS: Final = 1024
"""Requests with more are decoded one at a time, so that a flood of them leaves time to others."""

REMEMBERED: Final = 64
"""Requests whose answer is kept. A node has a few dozen senders; an answer is some kilobytes."""

_ITEM = struct.Struct(">BxH")  # type, length of what follows
_PRESENTATION_CONTEXT: Final = 0x20
_CONTEXT_FIELDS_BYTES: Final = 4  # ID and reserved bytes, before the sub-items
_USER_INFORMATION: Final = 0x50
_COMMON_EXTENDED: Final = 0x57  # PS3.7 Table D.3-12: a sub-item that holds a list of UIDs
_SHORTEST_UID_FIELD_BYTES: Final = 8


class TooManyItemsError(Exception):
    """A request with more items than any sensible one has."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The answer to a request. Shared by all associations that begin with it: read-only.

    Attributes:
        accepted: The accepted presentation contexts by their ID.
        accepted_items: The same, as pynetdicom's services want them.
        peer_max_pdu_bytes: The requestor's maximum length, 0 for unlimited; None when it did
            not say.
        encoded: The A-ASSOCIATE-AC.
    """

    accepted: Mapping[int, AcceptedContext]
    accepted_items: dict[int, PresentationContext]
    peer_max_pdu_bytes: int | None
    encoded: bytes


class Negotiator:
    """Answers requests under the settings of one listener. Thread-safe.

    Args:
        settings: What the answer says of us.
        contexts: Decides which presentation contexts are accepted.
    """

    def __init__(self, settings: ListenerSettings, contexts: ContextPolicy) -> None:
        self._settings = settings
        self._contexts = contexts
        # By digest: a request may hold a password (PS3.7 D.3.3.7), which is not to be kept.
        self._remembered: dict[bytes, Agreement] = {}
        self._changing = threading.Lock()
        self._decoding_many = threading.Lock()

    def agree(self, encoded: bytes) -> Agreement | None:
        """Answer a request of a peer that may associate.

        Args:
            encoded: The whole A-ASSOCIATE-RQ.

        Returns:
            None when its application context is not that of DICOM.

        Raises:
            TooManyItemsError: It is not decoded at all.
            Exception: It cannot be decoded; pynetdicom's, and its text may quote the peer.
        """
        digest = hashlib.sha256(encoded).digest()
        agreement = self._remembered.get(digest)
        if agreement is None:
            is_large = count_items(encoded) > MANY_SUB_ITEMS
            with self._decoding_many if is_large else contextlib.nullcontext():
                pdu = A_ASSOCIATE_RQ()
                pdu.decode(encoded)
                request = pdu.to_primitive()
                if request.application_context_name != APPLICATION_CONTEXT_NAME:
                    return None
                agreement = self._negotiate(request)
            with self._changing:
                if len(self._remembered) >= REMEMBERED:
                    self._remembered.pop(next(iter(self._remembered)))
                self._remembered[digest] = agreement
        return agreement

    def _negotiate(self, request: A_ASSOCIATE) -> Agreement:
        negotiated = self._contexts.negotiate(
            request.presentation_context_definition_list, request.user_information
        )
        answer = A_ASSOCIATE()
        answer.application_context_name = UID(APPLICATION_CONTEXT_NAME)
        answer.calling_ae_title = request.calling_ae_title
        answer.called_ae_title = request.called_ae_title
        answer.result = 0x00
        answer.result_source = 0x01
        answer.presentation_context_definition_results_list = [
            *(negotiated.accepted_items[number] for number in sorted(negotiated.accepted_items)),
            *negotiated.rejected_items,
        ]
        answer.user_information = [*self._own_information(), *negotiated.user_information]
        return Agreement(
            negotiated.accepted,
            negotiated.accepted_items,
            _maximum_length(request.user_information),
            A_ASSOCIATE_AC(answer).encode(),
        )

    def _own_information(
        self,
    ) -> Iterator[
        MaximumLengthNotification
        | ImplementationClassUIDNotification
        | ImplementationVersionNameNotification
    ]:
        length = MaximumLengthNotification()
        length.maximum_length_received = self._settings.max_pdu_bytes
        yield length
        implementation = ImplementationClassUIDNotification()
        implementation.implementation_class_uid = UID(self._settings.implementation_class_uid)
        yield implementation
        version = ImplementationVersionNameNotification()
        version.implementation_version_name = self._settings.implementation_version_name
        yield version


def count_items(encoded: bytes) -> int:
    """Count the items of a request, and those in them, without decoding them.

    Raises:
        TooManyItemsError: There are more than a sensible request has.
        struct.error: It ends in the header of an item.
    """
    contexts = 0
    left = MAX_SUB_ITEMS
    for kind, start, end in _items(encoded, FIXED_BYTES, len(encoded)):
        left -= 1
        contexts += kind == _PRESENTATION_CONTEXT
        if kind == _PRESENTATION_CONTEXT:
            start += _CONTEXT_FIELDS_BYTES  # noqa: PLW2901  (where its sub-items start)
        if kind in (_PRESENTATION_CONTEXT, _USER_INFORMATION):
            for sub_kind, sub_start, sub_end in _items(encoded, start, end):
                left -= 1
                if sub_kind == _COMMON_EXTENDED:
                    left -= (sub_end - sub_start) // _SHORTEST_UID_FIELD_BYTES
                if left < 0:
                    raise TooManyItemsError
        if left < 0 or contexts > MAX_CONTEXTS:
            raise TooManyItemsError
    return MAX_SUB_ITEMS - left


def _items(encoded: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Type, start and end of the value of each item that begins before `end`."""
    while start < end:
        kind, length = _ITEM.unpack_from(encoded, start)
        start += _ITEM.size
        yield kind, start, start + length
        start += length


def _maximum_length(user_information: Sequence[object]) -> int | None:
    for item in user_information:
        if isinstance(item, MaximumLengthNotification):
            length: int = item.maximum_length_received
            return length
    return None
