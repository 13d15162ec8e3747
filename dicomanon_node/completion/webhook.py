"""A web address that is told of a study: one POST of JSON over HTTP or HTTPS.

A 2xx answers that it was told. No redirect is followed, no proxy of the environment is
used, nothing of the answer but its status is read. With a key each request is signed:

    X-Dicomanon-Timestamp: 1794787200
    X-Dicomanon-Signature: sha256=<HMAC-SHA256 of "timestamp.body" under the key, hexadecimal>

so that the receiver can tell ours from others' and an old one that is sent again.
"""

import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dicomanon_node.completion.outcome import MissedError

_OK: Final = range(200, 300)
_USER_AGENT: Final = "dicomanon-node"


class Webhook:
    """Tells a web address. Thread-safe.

    Args:
        url: Where; http or https.
        timeout_s: How long it may take altogether, seconds.
        key: Signs (secret); None: unsigned.
        ca_file: CAs that the server is known by; None: those of the system.
        now: Time of day, seconds.

    Raises:
        OSError: The CAs cannot be read.
        ssl.SSLError: They are none.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        *,
        key: bytes | None = None,
        ca_file: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._context: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._context = ssl.create_default_context(cafile=ca_file)
        self._timeout_s = timeout_s
        self._key = key
        self._now = now

    def __repr__(self) -> str:
        return "Webhook(...)"

    def tell(self, body: bytes, stop: threading.Event) -> None:  # noqa: ARG002  (as `Command.tell`)
        """Post the document.

        Args:
            body: The document.
            stop: Not waited for: the time is bounded, and the process may just end.

        Raises:
            MissedError: It could not be reached, took too long or answered something else than 2xx.
        """
        headers = {
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            "Connection": "close",
        }
        if self._key is not None:
            headers |= self._signed(body)
        connection = self._connection()
        # A timeout of the socket is one of each step; a server may take a step for ever.
        is_over = threading.Event()
        guard = threading.Timer(self._timeout_s, _cut, (connection, is_over))
        guard.daemon = True
        guard.start()
        try:
            connection.request("POST", self._target, body, headers)
            status = connection.getresponse().status
        except ssl.SSLError:
            raise MissedError("timeout" if is_over.is_set() else "tls") from None
        except TimeoutError:
            raise MissedError("timeout") from None
        except OSError as error:
            if is_over.is_set():
                raise MissedError("timeout") from None
            raise MissedError("unreachable", number=error.errno) from None
        except http.client.HTTPException:
            raise MissedError("timeout" if is_over.is_set() else "no-http") from None
        finally:
            guard.cancel()
            connection.close()
        if status not in _OK:
            raise MissedError("http-status", http_status=status)

    def _connection(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=self._context
        )

    def _signed(self, body: bytes) -> dict[str, str]:
        moment = str(int(self._now()))
        signed = f"{moment}.".encode() + body
        digest = hmac.new(self._key or b"", signed, hashlib.sha256).hexdigest()
        return {"X-Dicomanon-Timestamp": moment, "X-Dicomanon-Signature": f"sha256={digest}"}


def _cut(connection: http.client.HTTPConnection, is_over: threading.Event) -> None:
    is_over.set()
    with suppress(OSError, AttributeError):  # not connected yet, or closed by now
        connection.sock.shutdown(socket.SHUT_RDWR)
