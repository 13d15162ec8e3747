"""What stands before every page and every answer: who asks, from where, and for what.

ASGI middleware. Denies by default: a request passes when its Host is one of ours (against
DNS rebinding), when it carries the token or a session where one is asked for, and, if it
would change something, when it proves that it comes from our own page or from a program.
No GET changes anything. Also sets the headers that keep a browser from doing more with
an answer than to show it.
"""

import ipaddress
import time
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomanon_node.admin.sessions import SESSION_S, Sessions
from dicomanon_node.ops.events import TellEvent

COOKIE: Final = "dicomanon_session"
FORM_TOKEN: Final = "form_token"  # noqa: S105  (the name of a form's field)
MAX_BODY_BYTES: Final = 8192

_OPEN: Final = frozenset({"/healthz", "/readyz", "/login"})
_OPEN_BELOW: Final = "/static/"
_SAFE: Final = frozenset({"GET", "HEAD"})

HEADERS: Final[Mapping[str, str]] = {
    # Nothing but our own files: no inline script or style, no frames, no other place.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # With "no-referrer" a browser says "Origin: null" of our own forms too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """The middleware.

    Args:
        app: What it guards. It finds `form` and `form_token` in its scope's state.
        sessions: Judges tokens and cookies.
        hosts: Names by which we may be asked, besides localhost and addresses.
        log: Is told who was denied, at most once a second.
    """

    def __init__(
        self, app: ASGIApp, sessions: Sessions, hosts: Collection[str], log: TellEvent
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._hosts = frozenset(host.lower().rstrip(".") for host in hosts) | {"localhost"}
        self._log = log
        self._denied_count = 0
        self._tell_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            return  # a WebSocket that is not answered is refused by the server
        cookies: list[str] = []

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                for cookie in cookies:
                    headers.append("Set-Cookie", cookie)
            await send(message)

        answer = await self._judge(scope, receive, cookies)
        await (answer or self._app)(scope, receive, send_guarded)

    async def _judge(self, scope: Scope, receive: Receive, cookies: list[str]) -> Response | None:
        """Why a request is not passed on; None: it is."""
        headers = Headers(scope=scope)
        unwanted = self._unwanted(scope, headers)
        if unwanted is not None:
            return unwanted
        has_token, session = self._who(headers)
        is_safe = scope["method"] in _SAFE
        if not self._is_open(scope["path"]) and not has_token and session is None:
            if self._sessions.needs_token:
                return self._not_known(scope)
            if is_safe:  # it lets in nobody: it binds forms to a browser
                session = self._sessions.begin()
                cookies.append(cookie_header(session))
        state: dict[str, Any] = scope.setdefault("state", {})
        state[FORM_TOKEN] = "" if session is None else self._sessions.form_token(session)
        if is_safe:
            return None
        form = state["form"] = await _form(receive)
        if form is None:
            return PlainTextResponse("The request is too long.", 413)
        if not has_token and not self._may_change(scope, headers, session, form):
            why = "This form is too old, or not one of ours. Load the page again."
            return self._denied(scope, "form-token", 403, why)
        return None

    def _unwanted(self, scope: Scope, headers: Headers) -> Response | None:
        if not self._is_ours(headers.get("host", "")):
            why = "This name is not listed in admin.hosts of node.toml."
            return self._denied(scope, "host", 421, why)
        if scope["method"] in _SAFE:
            return None
        origin = headers.get("origin")
        is_elsewhere = origin is not None and origin.partition("://")[2] != headers.get("host")
        if is_elsewhere or headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            return self._denied(scope, "origin", 403, "Not from a page of this console.")
        return None

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.lower().rstrip(".").removeprefix("[").removesuffix("]")
        if name in self._hosts:
            return True
        try:  # whoever rebinds a name has a name; an address is the one that was connected to
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _who(self, headers: Headers) -> tuple[bool, str | None]:
        """Whether the token is there, and the session if there is one."""
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        has_token = scheme.lower() == "bearer" and self._sessions.is_token(credentials.strip())
        for pair in headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == COOKIE and self._sessions.is_valid(value):
                return has_token, value
        return has_token, None

    def _may_change(
        self,
        scope: Scope,
        headers: Headers,
        session: str | None,
        form: Mapping[str, str],
    ) -> bool:
        if scope["path"] == "/login":
            return True
        # A page of elsewhere cannot send a header of its own without being asked for first,
        # and no such question is ever answered with yes.
        if "x-requested-with" in headers and scope["path"].startswith("/api/"):
            return session is not None or not self._sessions.needs_token
        return session is not None and self._sessions.is_form_token(
            session, form.get(FORM_TOKEN, "")
        )

    def _not_known(self, scope: Scope) -> Response:
        if scope["path"].startswith("/api/") or scope["path"] in {"/metrics", "/events"}:
            answer = self._denied(scope, "token", 401, "The token is needed.")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        return RedirectResponse("/login", 303)

    def _denied(self, scope: Scope, reason: str, status: int, why: str) -> Response:
        self.tell_denied(scope, reason)
        if scope["path"].startswith("/api/"):
            return JSONResponse({"error": why}, status)
        return PlainTextResponse(why, status)

    def tell_denied(self, scope: Scope, reason: str) -> None:
        """Log that somebody was denied; of many in a second, one line."""
        self._denied_count += 1
        now = time.monotonic()
        if now >= self._tell_at:
            count, self._denied_count = self._denied_count, 0
            self._tell_at = now + 1.0
            client = scope.get("client")
            self._log.event(
                "admin.denied", peer=client[0] if client else None, reason=reason, count=count
            )

    @staticmethod
    def _is_open(path: str) -> bool:
        return path in _OPEN or path.startswith(_OPEN_BELOW)


def cookie_header(session: str, age_s: int = SESSION_S) -> str:
    """The Set-Cookie header of a session; an age of 0 seconds ends it."""
    return f"{COOKIE}={session}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict"


async def _form(receive: Receive) -> dict[str, str] | None:
    """The fields of a form; None if the body is too long."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return {}
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            break
    try:
        fields = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
