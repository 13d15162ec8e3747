"""The API: every route declared once, with its answer, and the OpenAPI document of them.

All answers are documents of `documents`. What changes something is POST; the guard has
judged it before it comes here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio.to_thread
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import dicomanon_node
from dicomanon_node.admin import documents as doc
from dicomanon_node.admin.picture import Picture
from dicomanon_node.admin.shelves import Shelves
from dicomanon_node.ops import keys
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.ops.keys import Key

PREFIX: Final = "/api/v1"

LOG_FILTERS: Final[tuple[Key, ...]] = (
    keys.STUDY,
    keys.STUDY_UID,
    keys.ASSOCIATION,
    keys.DESTINATION,
    keys.REASON,
    keys.SOP_INSTANCE_UID,
)
"""Keys by which log lines can be chosen, besides `event` and `level`."""

FILTER_NAMES: Final = ("event", "level", *(key.name for key in LOG_FILTERS))
MAX_LINES: Final = 1000


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something a route is asked with."""

    name: str
    meaning: str
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Declared:
    """A route.

    Attributes:
        path: With the prefix.
        summary: One sentence.
        answer: Type of the document.
        handle: Gives it; None is "not found".
        parameters: What it is asked with.
        method: GET, or POST for what changes something.
        is_open: Answers without the token.
    """

    path: str
    summary: str
    answer: Any
    handle: Callable[["Api", Request], Awaitable[object]]
    parameters: tuple[Parameter, ...] = ()
    method: str = "GET"
    is_open: bool = False


class Api:
    """Answers the API's requests.

    Args:
        picture: What is known.
        shelves: Puts failed entries back.
        log: Is told of that.
        look_again: Called when something was put back.
    """

    def __init__(
        self,
        picture: Picture,
        shelves: Shelves,
        log: TellEvent,
        look_again: Callable[[], Awaitable[None]],
    ) -> None:
        self.picture = picture
        self._shelves = shelves
        self._log = log
        self._look_again = look_again

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            *(Route(each.path, self._endpoint(each), methods=[each.method]) for each in DECLARED),
            Route(f"{PREFIX}/openapi.json", self._openapi, methods=["GET"]),
        ]

    async def retry(self, destination: str, entry: str | None) -> int | None:
        """Put failed entries back; how many, or None if there is no such destination."""
        if destination not in {each.name for each in self.picture.config.node.destinations}:
            return None
        count = await anyio.to_thread.run_sync(self._shelves.retry, destination, entry)
        if count:
            self._log.event("delivery.retried", destination=destination, count=count)
        await self._look_again()
        return count

    def _endpoint(self, declared: Declared) -> Callable[[Request], Awaitable[Response]]:
        adapter = TypeAdapter[object](declared.answer)

        async def endpoint(request: Request) -> Response:
            answer = await declared.handle(self, request)
            if answer is None:
                return JSONResponse({"error": "There is no such thing."}, 404)
            is_ready = not isinstance(answer, doc.Readiness) or answer.ready
            body = adapter.dump_json(answer)
            status = 200 if is_ready else 503
            return Response(body, status, media_type="application/json")

        return endpoint

    @staticmethod
    async def _openapi(_request: Request) -> Response:
        return JSONResponse(openapi())


async def _alive(_api: Api, _request: Request) -> object:
    return doc.Alive(alive=True)


async def _ready(api: Api, _request: Request) -> object:
    return api.picture.readiness()


async def _overview(api: Api, _request: Request) -> object:
    return api.picture.overview()


async def _associations(api: Api, _request: Request) -> object:
    return api.picture.associations()


async def _destinations(api: Api, _request: Request) -> object:
    return api.picture.destinations()


async def _studies(api: Api, _request: Request) -> object:
    return api.picture.studies()


async def _study(api: Api, request: Request) -> object:
    query = request.query_params
    return api.picture.study(query.get("study", ""), query.get("study_uid", ""))


async def _refusals(api: Api, _request: Request) -> object:
    return api.picture.refusals()


async def _failures(api: Api, _request: Request) -> object:
    return api.picture.failures()


async def _holds(api: Api, _request: Request) -> object:
    return api.picture.holds()


async def _rules(api: Api, request: Request) -> object:
    return api.picture.rules(request.query_params.get("study", ""))


async def _configuration(api: Api, _request: Request) -> object:
    return api.picture.configuration()


async def _log(api: Api, request: Request) -> object:
    return api.picture.log(filters(request), limit(request))


async def _retry(api: Api, request: Request) -> object:
    query = request.query_params
    count = await api.retry(query.get("destination", ""), query.get("entry"))
    return None if count is None else doc.Retried(retried=count)


def filters(request: Request) -> dict[str, str]:
    """By which log lines are chosen: what is asked for and not empty."""
    query = request.query_params
    return {name: query[name] for name in FILTER_NAMES if query.get(name)}


def limit(request: Request) -> int:
    """How many lines are asked for."""
    text = request.query_params.get("limit", "")
    return min(int(text), MAX_LINES) if text.isascii() and text.isdigit() else 200


_STUDY: Final = Parameter("study", "Name of a configured study")
_STUDY_UID: Final = Parameter("study_uid", "New Study Instance UID")
_LOG: Final = (
    Parameter("event", "An event, or the first word of several: delivery"),
    Parameter("level", "Lowest level: debug, info, warning, error"),
    *(Parameter(key.name, key.meaning[0].upper() + key.meaning[1:]) for key in LOG_FILTERS),
    Parameter("limit", f"How many lines, at most {MAX_LINES}"),
)
_RETRY: Final = (
    Parameter("destination", "Name of a configured destination"),
    Parameter("entry", "Its name in failed/; without it, all of the destination"),
)

DECLARED: Final = (
    Declared("/healthz", "The console's process is alive", doc.Alive, _alive, is_open=True),
    Declared("/readyz", "The node takes objects; 503 if not", doc.Readiness, _ready, is_open=True),
    Declared(f"{PREFIX}/overview", "The node at a glance", doc.Overview, _overview),
    Declared(f"{PREFIX}/associations", "Open associations", list[doc.Association], _associations),
    Declared(
        f"{PREFIX}/destinations",
        "Destinations: state, queue, failures",
        list[doc.Destination],
        _destinations,
    ),
    Declared(f"{PREFIX}/studies", "Studies, the last first", list[doc.Study], _studies),
    Declared(f"{PREFIX}/study", "One study", doc.Study, _study, (_STUDY, _STUDY_UID)),
    Declared(f"{PREFIX}/refusals", "Refused instances", doc.Refusals, _refusals),
    Declared(f"{PREFIX}/failures", "Deliveries that failed for good", doc.Failures, _failures),
    Declared(
        f"{PREFIX}/failures/retry",
        "Put failed entries back into their queue",
        doc.Retried,
        _retry,
        _RETRY,
        "POST",
    ),
    Declared(f"{PREFIX}/holds", "Refused objects in the hold", doc.Holds, _holds),
    Declared(f"{PREFIX}/rules", "A study against Table E.1-1", doc.Rules, _rules, (_STUDY,)),
    Declared(
        f"{PREFIX}/configuration",
        "The configuration in force, without secrets",
        doc.Configuration,
        _configuration,
    ),
    Declared(f"{PREFIX}/log", "The last lines of the log", list[doc.LogLine], _log, _LOG),
)


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document of all declared routes."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for each in DECLARED:
        schema = TypeAdapter[object](each.answer).json_schema(
            ref_template="#/components/schemas/{model}", mode="serialization"
        )
        schemas |= schema.pop("$defs", {})
        if "title" in schema and schema.get("type") == "object":
            name = schema["title"]
            schemas[name] = schema
            schema = {"$ref": f"#/components/schemas/{name}"}
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schema)
    problem = doc.Problem.model_json_schema()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dicomanon_node",
            "version": dicomanon_node.__version__,
            "description": "What the node does and has done, without a value of an original.",
        },
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas | {"Problem": problem},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "What is in admin.token_file. Without such a file nobody is"
                    " asked; then a POST needs the header X-Requested-With.",
                }
            },
        },
    }


def _operation(declared: Declared, schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers: dict[str, Any] = {"200": {"description": declared.summary, "content": content}}
    if declared.answer is doc.Readiness:
        answers["503"] = {"description": "It does not", "content": content}
    if not declared.is_open:
        answers["401"] = {"description": "The token is needed", "content": problem}
    if declared.parameters and not declared.path.endswith("/log"):
        answers["404"] = {"description": "There is no such thing", "content": problem}
    operation: dict[str, Any] = {
        "operationId": declared.path.removeprefix(PREFIX).strip("/").replace("/", "_"),
        "summary": declared.summary,
        "parameters": [
            {
                "name": each.name,
                "in": each.place,
                "description": each.meaning,
                "schema": {"type": "string"},
            }
            for each in declared.parameters
        ],
        "responses": answers,
    }
    if declared.is_open:
        operation["security"] = []
    return operation
