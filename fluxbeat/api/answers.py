"""The answer to a request that takes long: at once when done, or line by line with its progress."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from anyio import (
    BrokenResourceError,
    CancelScope,
    ClosedResourceError,
    WouldBlock,
    create_memory_object_stream,
    create_task_group,
)
from anyio.streams.memory import MemoryObjectSendStream
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fluxbeat.analysis import Progress
from fluxbeat.api.line import Line
from fluxbeat.api.problems import Problem, crashed, problem_of
from fluxbeat.errors import FluxBeatError

LINES_MEDIA_TYPE = "application/x-ndjson"
REPORT_EVERY_S = 0.1
WAITING = "waiting for its turn"

_log = logging.getLogger(__name__)

Answer = Callable[[Progress], Any]
"""Called in a thread; gives what becomes the JSON of the answer."""


async def answer(request: Request, line: Line, work: Answer) -> Response:
    """Do `work` in its turn and answer with its result; it ends early if the client leaves.

    Parameters
    ----------
    request : Request
        With `Accept: application/x-ndjson` the answer is a stream of lines as in `ProgressResponse`.
    line : Line
    work : callable

    Raises
    ------
    FluxBeatError
        What `work` raises, unless the answer is a stream.
    ClientDisconnect
        If nobody waits for the answer any more.
    """
    if _accepts_lines(request):
        return ProgressResponse(line, work)
    return Response(await done(request, line, partial(_json_of, work)), media_type="application/json")


async def done(request: Request, line: Line, work: Callable[[Progress], bytes]) -> bytes:
    """Do `work` in its turn; it ends early if the client leaves. Errors as in `answer`."""
    body: list[bytes] = []
    errors: list[Exception] = []

    async with create_task_group() as group:
        group.start_soon(_cancel_when_left, request.receive, group.cancel_scope)
        try:
            body.append(await line.run(work))
        except Exception as error:  # out of the group, which would wrap it
            errors.append(error)
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]
    if not body:
        raise ClientDisconnect
    return body[0]


class ProgressResponse(Response):
    """JSON objects, one a line: `progress` (0..1) with `doing`, and last `result` or `problem`.

    Lines of a request that waits also have `before`: how many others go first.
    """

    media_type = LINES_MEDIA_TYPE

    def __init__(self, line: Line, work: Answer) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._line = line
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending, lines = create_memory_object_stream[bytes](16)
        async with create_task_group() as group:
            group.start_soon(_cancel_when_left, receive, group.cancel_scope)
            group.start_soon(self._do, sending)
            async with lines:
                async for text in lines:
                    await send({"type": "http.response.body", "body": text + b"\n", "more_body": True})
            group.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _do(self, lines: MemoryObjectSendStream[bytes]) -> None:
        async with lines:
            report = _Report(lines)
            try:
                result = await self._line.run(partial(_json_of, self._work), report, report.place)
            except FluxBeatError as error:
                await lines.send(_problem_line(problem_of(error)))
            except Exception:
                _log.exception("an analysis failed")
                await lines.send(_problem_line(crashed()))
            else:
                await lines.send(b'{"result": ' + result + b"}")


class _Report:
    """Sends progress now and then, the place in the line always, and never waits for a client that reads slowly."""

    def __init__(self, lines: MemoryObjectSendStream[bytes]) -> None:
        self._lines = lines
        self._next_s = 0.0

    def __call__(self, share: float, doing: str) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + REPORT_EVERY_S
        self._send({"progress": round(share, 3), "doing": doing})

    def place(self, before: int) -> None:
        """Never left out: where one stands does not change so often."""
        self._send({"progress": 0.0, "doing": WAITING, "before": before})

    def _send(self, line: dict[str, Any]) -> None:
        try:
            self._lines.send_nowait(_json(line))
        except (WouldBlock, BrokenResourceError, ClosedResourceError):  # a slow client, or one that is leaving
            return


def _accepts_lines(request: Request) -> bool:
    kinds = (kind.partition(";")[0].strip().lower() for kind in request.headers.get("accept", "").split(","))
    return LINES_MEDIA_TYPE in kinds


async def _cancel_when_left(receive: Receive, scope: CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _problem_line(problem: Problem) -> bytes:
    return _json({"problem": problem.model_dump()})


def _json_of(work: Answer, progress: Progress) -> bytes:
    return _json(work(progress))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
