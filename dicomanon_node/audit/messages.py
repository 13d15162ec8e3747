"""Audit messages: what happened, as XML after the schema of PS3.15 A.5.1.1.

Which message says what is in docs/audit.md. Where the standard asks for a study or a
patient and none is known (an instance that was refused, one without a receipt), it is
"unknown". Nothing that a person has typed goes into a message. Pure: no clock, no socket.
"""

import base64
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from dicomanon_node.ledger.outbox import AuditEvent
from dicomanon_node.ops import judges

UNKNOWN: Final = "unknown"

# PS3.16 CID 400 "Audit Event ID" to 405 "Media Type"; PS3.16 Annex D.
_APPLICATION_ACTIVITY: Final = ("110100", "Application Activity")
_BEGIN_TRANSFERRING: Final = ("110102", "Begin Transferring DICOM Instances")
_TRANSFERRED: Final = ("110104", "DICOM Instances Transferred")
_EXPORT: Final = ("110106", "Export")
_PATIENT_RECORD: Final = ("110110", "Patient Record")
_SECURITY_ALERT: Final = ("110113", "Security Alert")

_START: Final = ("110120", "Application Start")
_STOP: Final = ("110121", "Application Stop")
_NODE_AUTHENTICATION: Final = ("110126", "Node Authentication")
_SECURITY_CONFIGURATION: Final = ("110129", "Security Configuration")
_RESTRICTED_FUNCTION: Final = ("110132", "Use of Restricted Function")
_OBJECT_ATTRIBUTES: Final = ("110135", "Object Security Attributes Changed")

_APPLICATION: Final = ("110150", "Application")
_DESTINATION: Final = ("110152", "Destination Role ID")
_SOURCE: Final = ("110153", "Source Role ID")
_DESTINATION_MEDIA: Final = ("110154", "Destination Media")
_URI: Final = ("110037", "URI")
_STUDY: Final = ("110180", "Study Instance UID")
_NODE_ID: Final = ("110182", "Node ID")

# PS3.15 A.5.1.1: EventOutcomeIndicator.
_SUCCESS, _MINOR_FAILURE, _SERIOUS_FAILURE = "0", "4", "8"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """A destination, as a message names it.

    Attributes:
        ae_title: Its AE title; "" if it has none.
        host: Its address or name; "" if it has none.
    """

    ae_title: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Who tells.

    Attributes:
        source_id: Name of the node.
        host_name: Name of its machine.
        ae_titles: The AE titles it is called by.
        places: Its destinations by name.
    """

    source_id: str
    host_name: str
    ae_titles: Sequence[str]
    places: Mapping[str, Place] = field(default_factory=dict)


def message(event: AuditEvent, source: Source) -> str:
    """The audit message of an event.

    Args:
        event: From the outbox.
        source: Who tells.
    """
    built = _Message(event, source)
    _MAKERS[event.kind](built, event)
    return built.text()


def moment(at: int) -> str:
    """A time as RFC 3339 and XML Schema have it, UTC.

    Args:
        at: Microseconds since the epoch.
    """
    when = _EPOCH + timedelta(microseconds=at)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Message:
    """An AuditMessage that is being put together, in the order of its schema."""

    def __init__(self, event: AuditEvent, source: Source) -> None:
        self.source = source
        self._at = event.at
        self._root = Element("AuditMessage")
        self._objects: list[Element] = []

    def event(
        self, code: tuple[str, str], action: str, outcome: str, kind: tuple[str, str] | None = None
    ) -> None:
        """What happened."""
        element = SubElement(
            self._root,
            "EventIdentification",
            EventActionCode=action,
            EventDateTime=moment(self._at),
            EventOutcomeIndicator=outcome,
        )
        _code(element, "EventID", code)
        if kind is not None:
            _code(element, "EventTypeCode", kind)

    def node(self, role: tuple[str, str], *, is_requestor: bool) -> None:
        """The node as one that took part."""
        self.participant(
            self.source.source_id,
            role,
            ae_titles=self.source.ae_titles,
            host=self.source.host_name,
            is_requestor=is_requestor,
        )

    def participant(
        self,
        user_id: str,
        role: tuple[str, str] | None,
        *,
        ae_titles: Sequence[str] = (),
        host: str = "",
        is_requestor: bool,
        media: tuple[str, str] | None = None,
    ) -> None:
        """Somebody who took part."""
        values = {"UserID": _text(user_id) or UNKNOWN}
        if ae_titles:
            values["AlternativeUserID"] = "AETITLES=" + ";".join(map(_text, ae_titles))
        values["UserIsRequestor"] = "true" if is_requestor else "false"
        if host:
            values["NetworkAccessPointID"] = _text(host)
            values["NetworkAccessPointTypeCode"] = "2" if _is_address(host) else "1"
        element = SubElement(self._root, "ActiveParticipant", values)
        if role is not None:
            _code(element, "RoleIDCode", role)
        if media is not None:
            _code(SubElement(element, "MediaIdentifier"), "MediaType", media)

    def sender(self, event: AuditEvent) -> None:
        """The peer that sent, with what is known of it."""
        aet = str(event.facts.get("calling_aet", ""))
        self.participant(
            aet,
            _SOURCE,
            ae_titles=(aet,) if aet else (),
            host=_address(event.facts.get("peer", "")),
            is_requestor=True,
        )

    def study(self, event: AuditEvent) -> None:
        """A study: de-identified, and how many instances of which class."""
        element = self._object(
            str(event.facts.get("study_uid", "")),
            str(event.facts.get("study", "")),
            ("2", "3"),
            ("DCM", *_STUDY),
        )
        classes = event.facts.get("classes")
        if not classes:
            return
        description = SubElement(element, "ParticipantObjectDescription")
        for uid, count in classes:
            values = {"UID": str(uid)} if uid else {}
            SubElement(description, "SOPClass", values, NumberOfInstances=str(count))
        if event.facts.get("study_uid"):
            SubElement(description, "Anonymized").text = "true"

    def patient(self, patient_id: str) -> None:
        """A patient, by the ID that the de-identified objects have."""
        self._object(patient_id, "", ("1", "1"), ("RFC-3881", "2", "Patient Number"))

    def subject(self, node: str, description: str) -> None:
        """What a security alert is about: a node, and what happened (PS3.15 A.5.3.11)."""
        element = self._object(node, node, ("2", "13"), ("DCM", *_NODE_ID))
        value = base64.b64encode(_text(description).encode()).decode("ascii")
        SubElement(element, "ParticipantObjectDetail", type="Alert Description", value=value)

    def text(self) -> str:
        """The whole, without XML declaration: its encoding is that of the syslog message."""
        SubElement(self._root, "AuditSourceIdentification", AuditSourceID=self.source.source_id)
        # "4": application server process (PS3.15 A.5.1.2.1).
        SubElement(self._root[-1], "AuditSourceTypeCode", {"csd-code": "4"})
        self._root.extend(self._objects)
        return tostring(self._root, encoding="unicode")

    def _object(
        self, identifier: str, name: str, roles: tuple[str, str], code: tuple[str, str, str]
    ) -> Element:
        element = Element(
            "ParticipantObjectIdentification",
            ParticipantObjectID=_text(identifier) or UNKNOWN,
            ParticipantObjectTypeCode=roles[0],
            ParticipantObjectTypeCodeRole=roles[1],
        )
        system, *what = code
        _code(element, "ParticipantObjectIDTypeCode", (what[0], what[1]), system)
        # The schema wants a name of everything.
        named = SubElement(element, "ParticipantObjectName")
        named.text = _text(name) or _text(identifier) or UNKNOWN
        self._objects.append(element)
        return element


def _application(message: _Message, event: AuditEvent) -> None:
    is_failure = event.kind == "stopped" and event.facts.get("clean") is False
    outcome = _SERIOUS_FAILURE if is_failure else _SUCCESS
    kind = _STOP if event.kind == "stopped" else _START
    message.event(_APPLICATION_ACTIVITY, "E", outcome, kind)
    message.node(_APPLICATION, is_requestor=False)


def _begin(message: _Message, event: AuditEvent) -> None:
    message.event(_BEGIN_TRANSFERRING, "E", _SUCCESS)
    message.sender(event)
    message.node(_DESTINATION, is_requestor=False)
    message.study(event)
    message.patient(str(event.facts.get("patient", "")))


def _imported(message: _Message, event: AuditEvent) -> None:
    outcome = _MINOR_FAILURE if event.kind == "refusal" else _SUCCESS
    # PS3.15 A.5.3.7: C if the receiver did not have them, R if it did.
    message.event(_TRANSFERRED, "R" if event.kind == "resend" else "C", outcome)
    message.sender(event)
    message.node(_DESTINATION, is_requestor=False)
    message.study(event)
    message.patient(str(event.facts.get("patient", "")))


def _exported(message: _Message, event: AuditEvent) -> None:
    name = str(event.facts.get("party", ""))
    place = message.source.places.get(name, Place())
    outcome = _SUCCESS if event.kind == "export" else _SERIOUS_FAILURE
    # R: whether the receiver had them is not known here.
    message.event(_TRANSFERRED, "R", outcome)
    message.node(_SOURCE, is_requestor=True)
    message.participant(
        name,
        _DESTINATION,
        ae_titles=(place.ae_title,) if place.ae_title else (),
        host=place.host,
        is_requestor=False,
    )
    message.study(event)
    message.patient(str(event.facts.get("patient", "")))


def _reidentified(message: _Message, event: AuditEvent) -> None:
    is_known = bool(event.facts.get("entries"))
    message.event(_PATIENT_RECORD, "R", _SUCCESS if is_known else _MINOR_FAILURE)
    message.participant(_person(message, event), None, is_requestor=True)
    message.node(_APPLICATION, is_requestor=False)
    # What is not in the crosswalk may be anything, a name perhaps.
    message.patient(str(event.facts.get("subject", "")) if is_known else "")


def _hold_exported(message: _Message, event: AuditEvent) -> None:
    message.event(_EXPORT, "R", _SUCCESS)
    message.participant(_person(message, event), _SOURCE, is_requestor=True)
    message.node(_SOURCE, is_requestor=False)
    # The directory's name is the exporter's: it may name somebody.
    message.participant(
        f"file://{message.source.host_name}/",
        _DESTINATION_MEDIA,
        is_requestor=False,
        media=_URI,
    )
    message.patient(f"held:{event.facts.get('entry', '')}")


def _alert(message: _Message, event: AuditEvent) -> None:
    facts = event.facts
    is_console = facts.get("event") == "admin.denied"
    kind = _RESTRICTED_FUNCTION if is_console else _NODE_AUTHENTICATION
    message.event(_SECURITY_ALERT, "E", _MINOR_FAILURE, kind)
    message.node(_APPLICATION, is_requestor=False)
    aet, peer = str(facts.get("calling_aet") or ""), _address(facts.get("peer"))
    message.participant(
        aet or peer, None, ae_titles=(aet,) if aet else (), host=peer, is_requestor=False
    )
    what = f"{facts.get('event', UNKNOWN)}: {facts.get('reason', UNKNOWN)}"
    message.subject(peer or message.source.host_name, f"{what}, count {facts.get('count') or 1}")


def _security(message: _Message, event: AuditEvent) -> None:
    is_rekeyed = event.kind == "rekeyed"
    outcome = _SERIOUS_FAILURE if event.facts.get("is_refused") else _SUCCESS
    kind = _OBJECT_ATTRIBUTES if is_rekeyed else _SECURITY_CONFIGURATION
    message.event(_SECURITY_ALERT, "E", outcome, kind)
    message.node(_APPLICATION, is_requestor=True)
    what = f"rules in force {event.facts.get('rules', UNKNOWN)}"
    if is_rekeyed:
        message.participant(_person(message, event), None, is_requestor=False)
        what = f"crosswalk encrypted anew, key {event.facts.get('keys', UNKNOWN)}"
    message.subject(message.source.host_name, what)


_MAKERS: Final[Mapping[str, Callable[[_Message, AuditEvent], None]]] = MappingProxyType(
    {
        "started": _application,
        "stopped": _application,
        "reloaded": _security,
        "begin": _begin,
        "import": _imported,
        "resend": _imported,
        "refusal": _imported,
        "export": _exported,
        "export-failed": _exported,
        "reidentified": _reidentified,
        "rekeyed": _security,
        "hold-exported": _hold_exported,
        "alert": _alert,
    }
)
KINDS: Final = frozenset(_MAKERS)
"""The kinds of events there are messages for."""


def _person(message: _Message, event: AuditEvent) -> str:
    """PS3.15 A.5.2.1: loginName@domain-name."""
    user = str(event.facts.get("user") or event.facts.get("user_id", UNKNOWN))
    return f"{user}@{message.source.host_name}"


def _code(parent: Element, name: str, code: tuple[str, str], system: str = "DCM") -> None:
    value, meaning = code
    SubElement(parent, name, {"csd-code": value, "codeSystemName": system, "originalText": meaning})


def _text(value: str) -> str:
    return str(judges.SHORT_TEXT.accept(value)) if value else ""


def _address(value: object) -> str:
    text = str(value or "")
    return text if _is_address(text) else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
