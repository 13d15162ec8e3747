"""The pages: the same documents as the API's, for people.

Each is whole without a script. With one, parts of it are loaded anew when something has
happened. Templates escape everything.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dicomanon_node.admin import shown
from dicomanon_node.admin.api import PREFIX, Api, filters
from dicomanon_node.admin.guard import FORM_TOKEN, Guard, cookie_header
from dicomanon_node.admin.rates import WINDOW_S
from dicomanon_node.admin.sessions import Sessions
from dicomanon_node.ops.events import EVENTS

_TEMPLATES: Final = Path(__file__).parent / "templates"

NAVIGATION: Final = (
    ("/", "Overview"),
    ("/studies", "Studies"),
    ("/queues", "Queues"),
    ("/failures", "Failures"),
    ("/holds", "Holds"),
    ("/rules", "Rules"),
    ("/configuration", "Configuration"),
    ("/log", "Log"),
)

_FILTERS: Final = {
    "study": "Study",
    "study_uid": "New Study UID",
    "association": "Association",
    "destination": "Destination",
    "reason": "Reason",
    "sop_instance_uid": "New SOP Instance UID",
}
"""By what log lines are chosen, besides event and level, as people call it."""

_CHART_SECONDS: Final = WINDOW_S - 1
_CHART_STEP_S: Final = 5


class Pages:
    """Answers with pages.

    Args:
        api: Where the facts are from, and who puts back what failed.
        sessions: Judges the token that is entered.
    """

    def __init__(self, api: Api, sessions: Sessions) -> None:
        self._api = api
        self._picture = api.picture
        self._sessions = sessions
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(shown.FILTERS)
        self._templates.globals["query"] = _query
        self.guard: Guard | None = None

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/", self._overview),
            Route("/studies", self._studies),
            Route("/study", self._study),
            Route("/queues", self._queues),
            Route("/failures", self._failures),
            Route("/failures/retry", self._retry, methods=["POST"]),
            Route("/holds", self._holds),
            Route("/rules", self._rules),
            Route("/configuration", self._configuration),
            Route("/log", self._log),
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/logout", self._logout, methods=["POST"]),
        ]

    def page(
        self, request: Request, name: str, status: int = 200, **values: object
    ) -> HTMLResponse:
        """A page from its template."""
        state = request.scope.get("state", {})
        body = self._templates.get_template(name).render(
            navigation=NAVIGATION,
            path=request.url.path,
            form_token=state.get(FORM_TOKEN, ""),
            needs_token=self._sessions.needs_token,
            title=self._picture.config.node.listener.ae_title,
            rules_digest=self._picture.config.rules.digest,
            **values,
        )
        return HTMLResponse(body, status)

    async def not_found(self, request: Request, _error: Exception) -> Response:
        """For what there is not."""
        if request.url.path.startswith(f"{PREFIX}/"):
            return JSONResponse({"error": "There is no such thing."}, 404)
        return self.page(request, "missing.html", 404)

    async def _overview(self, request: Request) -> Response:
        seconds = self._picture.history.rates.last(time.monotonic(), _CHART_SECONDS)
        counts = [each.stored_count for each in seconds]
        bars = [
            sum(counts[start : start + _CHART_STEP_S])
            for start in range(0, len(counts), _CHART_STEP_S)
        ]
        return self.page(
            request,
            "overview.html",
            now=self._picture.overview(),
            associations=self._picture.associations(),
            chart=shown.chart(bars),
            most_per_s=max(bars, default=0) / _CHART_STEP_S,
            refusals=self._picture.refusals(5),
        )

    async def _studies(self, request: Request) -> Response:
        return self.page(request, "studies.html", studies=self._picture.studies()[:200])

    async def _study(self, request: Request) -> Response:
        asked = request.query_params
        study = self._picture.study(asked.get("study", ""), asked.get("study_uid", ""))
        if study is None:
            return self.page(request, "missing.html", 404)
        lines = self._picture.log({"study_uid": study.study_uid}, 30)
        return self.page(
            request,
            "study.html",
            study=study,
            lines=lines,
            has_rules=study.study in self._picture.config.rules.studies,
        )

    async def _queues(self, request: Request) -> Response:
        return self.page(request, "queues.html", destinations=self._picture.destinations())

    async def _failures(self, request: Request) -> Response:
        retried = request.query_params.get("retried", "")
        return self.page(
            request,
            "failures.html",
            failures=self._picture.failures(),
            refusals=self._picture.refusals(),
            retried=int(retried) if retried.isascii() and retried.isdigit() else None,
        )

    async def _retry(self, request: Request) -> Response:
        form: Mapping[str, str] = request.scope["state"]["form"]
        count = await self._api.retry(form.get("destination", ""), form.get("entry") or None)
        if count is None:
            return self.page(request, "missing.html", 404)
        return RedirectResponse(f"/failures?retried={count}", 303)

    async def _holds(self, request: Request) -> Response:
        return self.page(request, "holds.html", holds=self._picture.holds())

    async def _rules(self, request: Request) -> Response:
        names = list(self._picture.config.rules.studies)
        wanted = request.query_params.get("study")
        rules = self._picture.rules(wanted if wanted is not None else names[0])
        if rules is None:
            return self.page(request, "missing.html", 404)
        state = request.query_params.get("state", "")
        rows = [
            row
            for row in rules.rows
            if not state or row.state == state or (state == "weaker" and row.weaker)
        ]
        return self.page(request, "rules.html", names=names, rules=rules, rows=rows, state=state)

    async def _configuration(self, request: Request) -> Response:
        return self.page(request, "configuration.html", configuration=self._picture.configuration())

    async def _log(self, request: Request) -> Response:
        wanted = filters(request)
        return self.page(
            request,
            "log.html",
            lines=self._picture.log(wanted, 200),
            wanted=wanted,
            filters=_FILTERS,
            events=sorted(EVENTS),
        )

    async def _login(self, request: Request) -> Response:
        if not self._sessions.needs_token:
            return RedirectResponse("/", 303)
        if request.method != "POST":
            return self.page(request, "login.html", is_wrong=False)
        form: Mapping[str, str] = request.scope["state"]["form"]
        if not self._sessions.is_token(form.get("token", "").strip()):
            if self.guard is not None:
                self.guard.tell_denied(request.scope, "token")
            return self.page(request, "login.html", 403, is_wrong=True)
        answer = RedirectResponse("/", 303)
        answer.headers["Set-Cookie"] = cookie_header(self._sessions.begin())
        return answer

    async def _logout(self, _request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.headers["Set-Cookie"] = cookie_header("", 0)
        return answer


def _query(path: str, **values: Any) -> str:  # noqa: ANN401  (what templates have)
    return f"{path}?{urlencode({key: value for key, value in values.items() if value})}"
