"""Every error of the service as a problem document (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from fluxbeat.errors import AudioDecodeError, ExplanationError, ExportError, FluxBeatError
from fluxbeat.web.hub_fetching import NotFetchedError

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499
_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}  # newer than Python 3.11's

API_PREFIX = "/api/v1"

Responses = dict[int | str, dict[str, Any]]


def is_api_request(scope: Scope) -> bool:
    """Whether a request to a site is one to the REST service in it, whose errors are problem documents."""
    return str(scope["path"]).removeprefix(scope.get("root_path", "")).startswith(f"{API_PREFIX}/")


class InvalidPart(BaseModel):
    """One part of a request that is not as it should be."""

    model_config = ConfigDict(extra="forbid")
    where: str = Field(description="for example query.hop_s or body.file")
    detail: str


class Problem(BaseModel):
    """What went wrong, and what to do (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")
    type: str = Field("about:blank", description="about:blank: the status says it all")
    title: str = Field(description="the status in words")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="what was found and what to do, in one sentence")
    errors: list[InvalidPart] = Field(default_factory=list, description="each part of the request that is at fault")


class Refused(HTTPException):
    """A request that is answered with a problem."""

    @property
    def response(self) -> Response:
        """The answer."""
        return _response(problem(self.status_code, self.detail), self.headers)


def problem(status: int, detail: str, errors: list[InvalidPart] | None = None) -> Problem:
    """A problem whose title is the status' own phrase."""
    title = _PHRASES.get(status) or HTTPStatus(status).phrase
    return Problem(type="about:blank", title=title, status=status, detail=detail, errors=errors or [])


def problem_of(error: FluxBeatError) -> Problem:
    """What the engine says, as a problem: 422 if it is about the recording or what was asked of it, else 500."""
    asked = isinstance(error, AudioDecodeError | ExplanationError | ExportError | NotFetchedError)
    return problem(422 if asked else 500, str(error))


def problems_of(descriptions: dict[int, str]) -> Responses:
    """For `responses=` of an app or a router: which problems its routes answer with, by status."""
    return {status: {"model": Problem, "description": text} for status, text in descriptions.items()}


def answer_with_problems(app: FastAPI) -> None:
    """Have every error of `app` answered with a problem document."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(FluxBeatError, lambda _, error: _response(problem_of(error)))
    app.add_exception_handler(ClientDisconnect, lambda *_: Response(status_code=CLIENT_GONE))
    app.add_exception_handler(Exception, lambda *_: _response(crashed()))


def crashed() -> Problem:
    """An error that nobody foresaw; its particulars go to the log, not to the client."""
    return problem(500, "the server failed on this request; its log says why")


BODY_PROBLEMS: Responses = problems_of(
    {408: "the upload stood still", 413: "too many bytes", 429: "too many requests at the moment"}
)
UPLOAD_PROBLEMS: Responses = BODY_PROBLEMS | problems_of(
    {
        400: "the form is malformed",
        404: "there is no such model",
        422: "not a recording that can be analysed, or a parameter out of range",
    }
)
"""Of every route that takes a recording and the name of a model."""


def _response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(problem.model_dump_json(), problem.status, headers, MEDIA_TYPE)


def _refused(request: Request, error: Any) -> Response:
    details = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not possible here"}
    phrase = HTTPStatus(error.status_code).phrase
    detail = details.get(error.status_code, phrase) if error.detail == phrase else str(error.detail)
    headers = error.headers
    if error.status_code == 405:
        headers = {**(headers or {}), "Allow": ", ".join(sorted(_methods_at(request)))}
    return _response(problem(error.status_code, detail), headers)


def _methods_at(request: Request) -> set[str]:
    """What can be done at the place of a request: Starlette tells of the first of several routes only."""
    found: set[str] = set()
    # FastAPI keeps the routes of included routers from sight
    for route in (*request.app.routes, *getattr(request.app.state, "included_routes", ())):
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= set(getattr(route, "methods", None) or ())
    return found


def _invalid(request: Request, error: Any) -> Response:
    parts = [_part(each) for each in error.errors()]
    return _response(problem(422, "; ".join(f"{part.where}: {part.detail}" for part in parts), parts))


def _part(error: dict[str, Any]) -> InvalidPart:
    detail = "is missing: send it" if error["type"] == "missing" else str(error["msg"])
    if error["type"] == "value_error" and error["loc"][0] == "body":
        detail = "is text: send a file, as curl does with file=@song.mp3"
    return InvalidPart(where=".".join(map(str, error["loc"])), detail=detail)
