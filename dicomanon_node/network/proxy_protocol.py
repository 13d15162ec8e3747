"""The PROXY protocol: who the client is of a balancer that passes connections on.

Versions 1 (text) and 2 (binary) of HAProxy's `proxy-protocol.txt`. The header comes
first, before TLS and DICOM. It is taken a few bytes at a time, never one more than
belongs to it, and never more than `MAX_HEADER_BYTES`. This module reads no socket and
decides on nobody's address: whom to believe is the configuration's.
"""

import re
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from dicomanon_node.errors import NodeError

MAX_HEADER_BYTES: Final = 4096
"""Of version 2 with its TLVs, which may hold a certificate's name; the format allows 64 KiB."""

_V1_START: Final = b"PROXY "
_V1_MAX_BYTES: Final = 107  # section 2.1, with CR LF
_V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED_BYTES: Final = 16
_V2_FIXED = struct.Struct(">12xBBH")  # version and command, family and protocol, length
_V2_VERSION: Final = 0x20
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_UNSPEC: Final = 0x00
_ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}  # TCP over IPv4, over IPv6
_PORTS_BYTES: Final = 4
_NUMERAL: Final = re.compile(r"0|[1-9][0-9]{0,4}")
_MAX_PORT: Final = 65535


class ProxyHeaderError(NodeError):
    """What came is no PROXY header, or one that is not used for TCP. The text is fixed."""


class HeaderParser:
    """One header, as it comes. Feed it exactly what it `wants` until it `is_complete`.

    Attributes:
        address: The client's IP address; None if the header does not say: the balancer's own
            health check (LOCAL), or UNKNOWN. The connection's own holds then.
        is_complete: Whether the header has come to its end.
    """

    def __init__(self) -> None:
        self.address: str | None = None
        self.is_complete = False
        self._taken = bytearray()
        self._length = 0  # of version 2, once it is known

    @property
    def wants(self) -> int:
        """How many bytes can be taken that belong to the header for certain."""
        count = len(self._taken)
        if count < len(_V2_SIGNATURE):
            # The shortest of version 1, "PROXY UNKNOWN" and CR LF, is longer.
            return len(_V2_SIGNATURE) - count
        if self._taken.startswith(_V1_START):
            return 1 if self._taken.endswith(b"\r") else 2
        return (self._length or _V2_FIXED_BYTES) - count

    def feed(self, data: bytes) -> None:
        """Take the next bytes, at most as many as it `wants`.

        Raises:
            ProxyHeaderError: They are not those of a header.
        """
        self._taken += data
        taken = self._taken
        if taken.startswith(_V1_START):
            self._take_v1()
        elif taken[: len(_V2_SIGNATURE)] == _V2_SIGNATURE:
            self._take_v2()
        elif not (_V1_START.startswith(taken) or _V2_SIGNATURE.startswith(taken)):
            raise ProxyHeaderError("no PROXY header")

    def _take_v1(self) -> None:
        if self._taken.endswith(b"\r\n"):
            self.address = _v1_address(bytes(self._taken[:-2]))
            self.is_complete = True
        elif len(self._taken) >= _V1_MAX_BYTES or b"\n" in self._taken:
            raise ProxyHeaderError("PROXY header of version 1 without its end")

    def _take_v2(self) -> None:
        if not self._length and len(self._taken) >= _V2_FIXED_BYTES:
            command, family, length = _V2_FIXED.unpack_from(self._taken)
            if command not in (_LOCAL, _PROXY):
                raise ProxyHeaderError("PROXY header of another version or command")
            self._length = _V2_FIXED_BYTES + length
            if self._length > MAX_HEADER_BYTES:
                raise ProxyHeaderError("PROXY header over its limit")
            if command == _PROXY and family != _UNSPEC:
                size = _ADDRESS_BYTES.get(family)
                if size is None or length < 2 * size + _PORTS_BYTES:
                    raise ProxyHeaderError("PROXY header of something else than TCP")
        if self._length and len(self._taken) == self._length:
            command, family, _ = _V2_FIXED.unpack_from(self._taken)
            if command == _PROXY and family != _UNSPEC:
                size = _ADDRESS_BYTES[family]
                packed = bytes(self._taken[_V2_FIXED_BYTES : _V2_FIXED_BYTES + size])
                self.address = _plain(ip_address(packed))
            self.is_complete = True


def _v1_address(line: bytes) -> str | None:
    try:
        words = line.decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyHeaderError("PROXY header of version 1 that is not text") from None
    if words[1] == "UNKNOWN":  # whatever follows is to be ignored
        return None
    kinds: dict[str, type[IPv4Address | IPv6Address]] = {"TCP4": IPv4Address, "TCP6": IPv6Address}
    kind = kinds.get(words[1])
    if kind is None or len(words) != 6 or not all(map(_is_port, words[4:])):  # noqa: PLR2004  (section 2.1)
        raise ProxyHeaderError("PROXY header of version 1 that says something else")
    try:
        source, _ = kind(words[2]), kind(words[3])
    except ValueError:
        raise ProxyHeaderError("PROXY header of version 1 without addresses") from None
    if isinstance(source, IPv6Address) and source.scope_id is not None:
        raise ProxyHeaderError("PROXY header of version 1 without addresses")
    return _plain(source)


def _is_port(word: str) -> bool:
    return bool(_NUMERAL.fullmatch(word)) and int(word) <= _MAX_PORT


def _plain(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
