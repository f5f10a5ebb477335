"""The answer to a request that takes long: at once when done, or line by line with its progress."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from anyio import BrokenResourceError, CancelScope, WouldBlock, create_memory_object_stream, create_task_group
from anyio.streams.memory import MemoryObjectSendStream
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from fluxbeat.analysis import Progress
from fluxbeat.errors import FluxBeatError
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.problems import Problem, crashed, problem_of

LINES_MEDIA_TYPE = "application/x-ndjson"
REPORT_EVERY_S = 0.1
WAITING = "waiting for its turn"

_log = logging.getLogger(__name__)

Answer = Callable[[Progress], Any]
"""Called in a thread; gives what becomes the JSON of the answer."""


async def answer(request: Request, queue: AnalysisQueue, work: Answer) -> Response:
    """Do `work` in its turn and answer with its result; it ends early if the client leaves.

    Parameters
    ----------
    request : Request
        With `Accept: application/x-ndjson` the answer is a stream of lines, see `_lines`.
    queue : AnalysisQueue
    work : callable

    Raises
    ------
    FluxBeatError
        What `work` raises, unless the answer is a stream.
    ClientDisconnect
        If nobody waits for the answer any more.
    """
    if _accepts_lines(request):
        unbuffered = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_lines(queue, work), headers=unbuffered, media_type=LINES_MEDIA_TYPE)
    return Response(await done(request, queue, partial(_json_of, work)), media_type="application/json")


async def done(request: Request, queue: AnalysisQueue, work: Callable[[Progress], bytes]) -> bytes:
    """Do `work` in its turn; it ends early if the client leaves. Errors as in `answer`."""
    body: list[bytes] = []
    errors: list[Exception] = []

    async with create_task_group() as group:

        async def leave() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        group.start_soon(leave)
        try:
            body.append(await queue.run(work))
        except Exception as error:  # out of the group, which would wrap it
            errors.append(error)
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]
    if not body:
        raise ClientDisconnect
    return body[0]


async def _lines(queue: AnalysisQueue, work: Answer) -> AsyncIterator[bytes]:
    """JSON objects, one a line: `progress` (0..1) with `doing`, and last `result` or `problem`.

    Lines of a request that waits also have `before`: how many others go first.
    """
    sending, lines = create_memory_object_stream[bytes](16)
    scope = CancelScope()  # the work notices when this is cancelled
    computing = asyncio.create_task(_compute(queue, work, sending, scope))
    try:
        async for line in lines:
            yield line + b"\n"
    finally:
        lines.close()
        scope.cancel()
        with CancelScope(shield=True):
            await asyncio.gather(computing, return_exceptions=True)


async def _compute(
    queue: AnalysisQueue, work: Answer, lines: MemoryObjectSendStream[bytes], scope: CancelScope
) -> None:
    next_s = 0.0

    def say(line: dict[str, Any]) -> None:
        with suppress(WouldBlock, BrokenResourceError):  # never waits for a client that reads slowly, or is leaving
            lines.send_nowait(_json(line))

    def report(share: float, doing: str) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + REPORT_EVERY_S
            say({"progress": round(share, 3), "doing": doing})

    def place(before: int) -> None:
        say({"progress": 0.0, "doing": WAITING, "before": before})

    with scope, lines:
        try:
            last = b'{"result": ' + await queue.run(partial(_json_of, work), report, place) + b"}"
        except FluxBeatError as error:
            last = _problem_line(problem_of(error))
        except Exception:
            _log.exception("an analysis failed")
            last = _problem_line(crashed())
        await lines.send(last)


def _accepts_lines(request: Request) -> bool:
    kinds = (kind.partition(";")[0].strip().lower() for kind in request.headers.get("accept", "").split(","))
    return LINES_MEDIA_TYPE in kinds


def _problem_line(problem: Problem) -> bytes:
    return _json({"problem": problem.model_dump()})


def _json_of(work: Answer, progress: Progress) -> bytes:
    return _json(work(progress))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
