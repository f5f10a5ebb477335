"""POST /analyze and POST /compare: what models say of a recording."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from fluxbeat.analysis.correction import BPM_RANGE
from fluxbeat.analysis.engine import DEFAULT_HOP_S
from fluxbeat.analysis.track import Progress
from fluxbeat.web.api.answers import LINES_MEDIA_TYPE, answer
from fluxbeat.web.api.contract import AnalysisDocument
from fluxbeat.web.api.parameters import ChosenModel, ReceivedUpload, RunningService, model_named
from fluxbeat.web.problems import UPLOAD_PROBLEMS, Responses
from fluxbeat.web.service import MOST_WINDOWS

router = APIRouter(tags=["analysis"], responses=UPLOAD_PROBLEMS)

HopS = Annotated[
    float,
    Query(ge=0.05, le=600, description=f"distance of windows in seconds; a recording has at most {MOST_WINDOWS:,}"),
]
TempoBpm = Annotated[
    float | None,
    Query(
        ge=BPM_RANGE[0], le=BPM_RANGE[1], description="what the tempo is, if you know better; `corrected` is true then"
    ),
]
LINES: Responses = {
    200: {
        "description": "Done. With `Accept: application/x-ndjson` one JSON object a line instead, as it goes: "
        '`{"progress": 0.4, "doing": "listening"}`, and last `{"result": ...}` or `{"problem": ...}`. While it waits, '
        "`before` says how many others go first.",
        "content": {LINES_MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}


@router.post("/analyze", response_model=AnalysisDocument, responses=LINES)
async def analyze_recording(
    request: Request,
    service: RunningService,
    upload: ReceivedUpload,
    chosen: ChosenModel,
    hop_s: HopS = DEFAULT_HOP_S,
    tempo_bpm: TempoBpm = None,
) -> Response:
    """Genres and tempo of a recording, along its whole length."""

    def work(progress: Progress) -> dict[str, Any]:
        return service.analyses(upload.path, upload.name, [chosen], progress, tempo_bpm, hop_s)[0]

    return await answer(request, service.queue, work)


@router.post("/compare", response_model=list[AnalysisDocument], responses=LINES)
async def compare_models(
    request: Request,
    service: RunningService,
    upload: ReceivedUpload,
    model: Annotated[
        list[str] | None, Query(description="may be repeated; all of GET /models but those added, if left out")
    ] = None,
    hop_s: HopS = DEFAULT_HOP_S,
    tempo_bpm: TempoBpm = None,
) -> Response:
    """What several models say of the same recording, in the order in which they are named."""
    chosen = [model_named(service, name) for name in dict.fromkeys(model or [])] or [
        service.models[name] for name in service.own
    ]

    def work(progress: Progress) -> list[dict[str, Any]]:
        return service.analyses(upload.path, upload.name, chosen, progress, tempo_bpm, hop_s)

    return await answer(request, service.queue, work)
