"""Who may look, and who may change: the token, sessions, and proof that a form is ours.

Pure but for the clock and randomness it is given. Nothing is kept: a session is a cookie
that is signed, so that it outlives a restart of the console, and ends when the token is
changed.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from typing import Final

SESSION_S: Final = 12 * 3600
"""How long somebody who entered the token may go on, seconds: a shift."""

_COOKIE: Final = re.compile(r"([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")
_NONCE_BYTES: Final = 16


class Sessions:
    """Makes sessions and judges them. Thread-safe.

    Args:
        token: What lets people in (secret); None lets in everybody who can connect.
        clock: Seconds since the epoch.
    """

    def __init__(self, token: str | None, clock: Callable[[], float] = time.time) -> None:
        self._token = token
        self._clock = clock
        key = secrets.token_bytes(32) if token is None else token.encode()
        self._key = hmac.digest(key, b"dicomanon-node console session", hashlib.sha256)

    @property
    def needs_token(self) -> bool:
        """Whether nobody gets in without the token."""
        return self._token is not None

    def is_token(self, text: str) -> bool:
        """Whether this is the token. Takes as long for every wrong one."""
        return self._token is not None and hmac.compare_digest(
            text.encode("utf-8", "replace"), self._token.encode()
        )

    def begin(self) -> str:
        """A cookie for somebody who may come in."""
        head = f"{int(self._clock()) + SESSION_S}.{secrets.token_hex(_NONCE_BYTES)}"
        return f"{head}.{self._sign('session', head)}"

    def is_valid(self, cookie: str) -> bool:
        """Whether a cookie is one of ours, and not too old."""
        found = _COOKIE.fullmatch(cookie)
        if found is None:
            return False
        ends, nonce, signature = found.groups()
        is_ours = hmac.compare_digest(self._sign("session", f"{ends}.{nonce}"), signature)
        return is_ours and int(ends) > self._clock()

    def form_token(self, cookie: str) -> str:
        """What a form of this session has to bring along."""
        return self._sign("form", cookie)

    def is_form_token(self, cookie: str, text: str) -> bool:
        """Whether a form is one of ours, made for this session."""
        return self.is_valid(cookie) and hmac.compare_digest(
            self.form_token(cookie).encode(), text.encode("utf-8", "replace")
        )

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()
