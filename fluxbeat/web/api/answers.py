"""The answer to a request that takes long: at once when done, or line by line with its progress."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from anyio import CancelScope
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from fluxbeat.analysis.track import Progress
from fluxbeat.errors import FluxBeatError
from fluxbeat.web.analysis_queue import AnalysisQueue, Work
from fluxbeat.web.problems import Problem, crashed, problem_of

LINES_MEDIA_TYPE = "application/x-ndjson"
WAITING = "waiting for its turn"

_log = logging.getLogger(__name__)


async def answer(request: Request, queue: AnalysisQueue, work: Work[Any]) -> Response:
    """Do `work` in its turn and answer with its result; it ends early if the client leaves.

    Parameters
    ----------
    request : Request
        With `Accept: application/x-ndjson` the answer is a stream of lines, see `_lines`.
    queue : AnalysisQueue
    work : callable
        Gives what becomes the JSON of the answer.

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
    with CancelScope() as scope:  # the work notices when this is cancelled
        leaving = asyncio.create_task(_cancel_when_left(request, scope))
        try:
            return await queue.run(work)
        finally:
            leaving.cancel()
    raise ClientDisconnect


async def _cancel_when_left(request: Request, scope: CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _lines(queue: AnalysisQueue, work: Work[Any]) -> AsyncIterator[bytes]:
    """JSON objects, one a line: `progress` (0..1) with `doing`, and last `result` or `problem`.

    Lines of a request that waits also have `before`: how many others go first.
    """
    lines = asyncio.Queue[bytes | None]()
    scope = CancelScope()
    computing = asyncio.create_task(_compute(queue, work, lines.put_nowait, scope))
    try:
        while (line := await lines.get()) is not None:
            yield line + b"\n"
    finally:
        scope.cancel()
        with CancelScope(shield=True):
            await asyncio.gather(computing, return_exceptions=True)


async def _compute(
    queue: AnalysisQueue, work: Work[Any], send: Callable[[bytes | None], None], scope: CancelScope
) -> None:
    def on_progress(share: float, doing: str) -> None:
        send(_json({"progress": round(share, 3), "doing": doing}))

    def on_wait(before: int) -> None:
        send(_json({"progress": 0.0, "doing": WAITING, "before": before}))

    with scope:
        try:
            send(b'{"result": ' + await queue.run(partial(_json_of, work), on_progress, on_wait) + b"}")
        except FluxBeatError as error:
            send(_problem_line(problem_of(error)))
        except Exception:
            _log.exception("an analysis failed")
            send(_problem_line(crashed()))
        send(None)


def _accepts_lines(request: Request) -> bool:
    kinds = (kind.partition(";")[0].strip().lower() for kind in request.headers.get("accept", "").split(","))
    return LINES_MEDIA_TYPE in kinds


def _problem_line(problem: Problem) -> bytes:
    return _json({"problem": problem.model_dump()})


def _json_of(work: Work[Any], progress: Progress) -> bytes:
    return _json(work(progress))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
