"""Every error of the service as a problem document (RFC 9457)."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fluxbeat.errors import AudioDecodeError, ExplanationError, ExportError, FluxBeatError

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499
_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}  # newer than Python 3.11's

Responses = dict[int | str, dict[str, Any]]

_log = logging.getLogger(__name__)


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


class ProblemResponse(Response):
    """A problem on its way to the client."""

    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem.model_dump_json(exclude_defaults=False), problem.status, headers)


class Refused(HTTPException):
    """A request that is answered with a problem."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)

    @property
    def response(self) -> ProblemResponse:
        """The answer."""
        return ProblemResponse(problem(self.status_code, self.detail), dict(self.headers or {}))


def problem(status: int, detail: str, errors: list[InvalidPart] | None = None) -> Problem:
    """A problem whose title is the status' own phrase."""
    title = _PHRASES.get(status) or HTTPStatus(status).phrase
    return Problem(type="about:blank", title=title, status=status, detail=detail, errors=errors or [])


def problem_of(error: FluxBeatError) -> Problem:
    """What the engine says, as a problem: 422 if it is about the recording or what was asked of it, else 500."""
    asked = isinstance(error, AudioDecodeError | ExplanationError | ExportError)
    return problem(422 if asked else 500, str(error))


def problems_of(descriptions: dict[int, str]) -> Responses:
    """For `responses=` of an app or a router: which problems its routes answer with, by status."""
    return {status: {"model": Problem, "description": text} for status, text in descriptions.items()}


def answer_with_problems(app: FastAPI) -> None:
    """Have every error of `app` answered with a problem document."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(FluxBeatError, _failed)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _crashed)


def crashed() -> Problem:
    """An error that nobody foresaw; its particulars go to the log, not to the client."""
    return problem(500, "the server failed on this request; its log says why")


UPLOAD_PROBLEMS: Responses = problems_of(
    {
        400: "the form is malformed",
        404: "there is no such model",
        408: "the upload stood still",
        413: "too many bytes",
        422: "not a recording that can be analysed, or a parameter out of range",
        429: "too many requests at the moment",
    }
)
"""Of every route that takes a recording and the name of a model."""


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not possible here"}
    phrase = HTTPStatus(error.status_code).phrase
    detail = details.get(error.status_code, phrase) if error.detail == phrase else str(error.detail)
    return ProblemResponse(problem(error.status_code, detail), dict(error.headers or {}))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    parts = [_part(each) for each in error.errors()]
    detail = "; ".join(f"{part.where}: {part.detail}" for part in parts)
    return ProblemResponse(problem(422, detail, parts))


def _part(error: dict[str, Any]) -> InvalidPart:
    detail = "is missing: send it" if error["type"] == "missing" else str(error["msg"])
    if "Expected UploadFile" in detail:
        detail = "is text: send a file, as curl does with file=@song.mp3"
    return InvalidPart(where=".".join(map(str, error["loc"])), detail=detail)


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, FluxBeatError)
    return ProblemResponse(problem_of(error))


def _gone(request: Request, error: Exception) -> Response:
    _log.info("the client left %s before it was answered", request.url.path)
    return Response(status_code=CLIENT_GONE)


def _crashed(request: Request, error: Exception) -> Response:
    return ProblemResponse(crashed())
