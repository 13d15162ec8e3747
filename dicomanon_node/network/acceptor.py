"""What all associations of a listener share.

Values and services only: it accepts nothing itself.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from pynetdicom.ae import ApplicationEntity

from dicomanon_node.network.admission import Admission
from dicomanon_node.network.commitment import CommitmentService
from dicomanon_node.network.registry import Registry
from dicomanon_node.network.service import AssociationObserver, ListenerSettings, StorageService


@dataclass(frozen=True, slots=True)
class Acceptor:
    """What all associations of a listener share.

    Attributes:
        entity: pynetdicom's Application Entity; only its values are used.
        prepare_socket: Run first thing in the connection's own thread: socket options.
        commitment: Where Storage Commitment requests go; None: there is no such service.
    """

    entity: ApplicationEntity
    settings: ListenerSettings
    admission: Admission
    service: StorageService
    observer: AssociationObserver
    registry: Registry
    prepare_socket: Callable[[socket.socket], socket.socket]
    commitment: CommitmentService | None = None


def application_entity(settings: ListenerSettings) -> ApplicationEntity:
    """What pynetdicom's classes ask their Application Entity for."""
    entity = ApplicationEntity(settings.ae_titles[0])
    entity.implementation_class_uid = settings.implementation_class_uid
    entity.implementation_version_name = settings.implementation_version_name
    entity.maximum_pdu_size = settings.max_pdu_bytes
    entity.acse_timeout = settings.acse_timeout_s
    entity.network_timeout = settings.idle_timeout_s
    return entity
