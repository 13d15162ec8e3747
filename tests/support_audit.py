"""An audit record repository for tests, and what PS3.15 A.5.1 says of a message."""

import base64
import ctypes
import ctypes.util
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from xml.dom import minidom

from dicomanon_node.audit.messages import Place, Source
from dicomanon_node.ledger.outbox import AuditEvent

SCHEMA = Path(__file__).parent / "data" / "audit" / "audit-message.rng"
SOURCE = Source("node-1", "host-1", ("DICOMANON",), {"pacs": Place("PACS", "192.0.2.9")})

# RFC 5424 6, with what PS3.15 A.6 says of PRI and MSGID, and the mark of UTF-8 text.
_SYSLOG = re.compile(
    rb"<85>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) ([!-~]{1,48})"
    rb" ([!-~]{1,128}) DICOM\+RFC3881 - \xef\xbb\xbf(.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Told:
    """A message as it came, taken apart by a parser that did not make it."""

    raw: bytes
    document: minidom.Document

    def codes(self, name: str) -> list[str]:
        """The codes of elements of this name."""
        return [one.getAttribute("csd-code") for one in self.document.getElementsByTagName(name)]

    def values(self, element: str, attribute: str) -> list[str]:
        """An attribute of all elements of this name."""
        return [one.getAttribute(attribute) for one in self.document.getElementsByTagName(element)]

    @property
    def event(self) -> str:
        """Its EventID."""
        [code] = self.codes("EventID")
        return code

    @property
    def outcome(self) -> str:
        [found] = self.values("EventIdentification", "EventOutcomeIndicator")
        return found

    @property
    def action(self) -> str:
        [found] = self.values("EventIdentification", "EventActionCode")
        return found

    @property
    def objects(self) -> dict[str, str]:
        """Participant objects: what kind of identifier, and the identifier."""
        kinds = self.codes("ParticipantObjectIDTypeCode")
        found = self.values("ParticipantObjectIdentification", "ParticipantObjectID")
        return dict(zip(kinds, found, strict=True))

    @property
    def roles(self) -> dict[str, str]:
        """UserID by the code of its role."""
        return {
            role.getAttribute("csd-code"): participant.getAttribute("UserID")
            for participant in self.document.getElementsByTagName("ActiveParticipant")
            for role in participant.getElementsByTagName("RoleIDCode")
        }

    @property
    def count(self) -> int:
        """Instances of all SOP classes."""
        return sum(map(int, self.values("SOPClass", "NumberOfInstances")))

    @property
    def description(self) -> str:
        [value] = self.values("ParticipantObjectDetail", "value")
        return base64.b64decode(value).decode()


def event(kind: str, **facts: object) -> AuditEvent:
    """An event of the outbox."""
    return AuditEvent(1, 1_700_000_000_123_456, kind, facts)


def parsed(message: bytes) -> Told:
    """A syslog message taken apart; it must be one, and its XML must be valid."""
    found = _SYSLOG.fullmatch(message)
    assert found is not None, message[:200]
    return parsed_xml(found[5])


def parsed_xml(text: bytes) -> Told:
    assert is_valid(text), text
    return Told(text, minidom.parseString(text))  # noqa: S318  (our own)


def is_valid(text: bytes) -> bool:
    """Whether libxml2 finds an XML document valid by the schema of PS3.15 A.5.1.1."""
    library, schema = _schema()
    document = library.xmlReadMemory(text, len(text), None, None, 0x20 | 0x40 | 0x800)
    if not document:
        return False
    context = library.xmlRelaxNGNewValidCtxt(schema)
    library.xmlRelaxNGSetValidErrors(context, None, None, None)
    try:
        return bool(library.xmlRelaxNGValidateDoc(context, document) == 0)
    finally:
        library.xmlRelaxNGFreeValidCtxt(context)
        library.xmlFreeDoc(document)


@cache
def _schema() -> tuple[ctypes.CDLL, int]:
    library = ctypes.CDLL(ctypes.util.find_library("xml2") or "libxml2.so.2")
    for name in (
        "xmlReadMemory xmlRelaxNGNewMemParserCtxt xmlRelaxNGParse xmlRelaxNGNewValidCtxt"
    ).split():
        getattr(library, name).restype = ctypes.c_void_p
    pointer = ctypes.c_void_p
    library.xmlReadMemory.argtypes = [
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_int,
    ]
    library.xmlRelaxNGNewMemParserCtxt.argtypes = [ctypes.c_char_p, ctypes.c_int]
    for name in (
        "xmlRelaxNGParse xmlRelaxNGNewValidCtxt xmlRelaxNGFreeValidCtxt xmlFreeDoc"
    ).split():
        getattr(library, name).argtypes = [pointer]
    library.xmlRelaxNGValidateDoc.argtypes = [pointer, pointer]
    library.xmlRelaxNGSetValidErrors.argtypes = [pointer, pointer, pointer, pointer]
    content = SCHEMA.read_bytes()
    schema = library.xmlRelaxNGParse(library.xmlRelaxNGNewMemParserCtxt(content, len(content)))
    assert schema, "the schema itself is not valid"
    return library, schema


@dataclass
class Repository:
    """A syslog receiver over TLS (RFC 5425): a server of the standard library, no more."""

    context: ssl.SSLContext
    port: int = 0
    messages: list[bytes] = field(default_factory=list)
    connections: int = 0

    @contextmanager
    def listening(self) -> Iterator["Repository"]:
        """Receive while the context lasts; then every connection is closed."""
        server = socket.create_server(("127.0.0.1", self.port))
        self.port = server.getsockname()[1]
        server.settimeout(0.05)
        stop = threading.Event()
        threads = [threading.Thread(target=self._serve, args=(server, stop))]
        threads[0].start()
        try:
            yield self
        finally:
            stop.set()
            threads[0].join()
            server.close()

    @property
    def told(self) -> list[Told]:
        return [parsed(message) for message in self.messages]

    def of(self, code: str) -> list[Told]:
        """Messages with this EventID."""
        return [told for told in self.told if told.event == code]

    def _serve(self, server: socket.socket, stop: threading.Event) -> None:
        threads = []
        while not stop.is_set():
            with suppress(TimeoutError):
                connection, _ = server.accept()
                self.connections += 1
                threads.append(threading.Thread(target=self._take, args=(connection, stop)))
                threads[-1].start()
        for thread in threads:
            thread.join()

    def _take(self, plain: socket.socket, stop: threading.Event) -> None:
        plain.settimeout(10)
        try:
            connection = self.context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        data = b""
        connection.settimeout(0.05)
        with connection:
            while not stop.is_set():
                try:
                    piece = connection.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not piece:
                    return
                data = self._split(data + piece)

    def _split(self, data: bytes) -> bytes:
        """Take whole messages out of the stream: each has its length before it."""
        while b" " in data:
            length, _, rest = data.partition(b" ")
            assert re.fullmatch(rb"[1-9][0-9]*", length)
            if len(rest) < int(length):
                break
            self.messages.append(rest[: int(length)])
            data = rest[int(length) :]
        return data
