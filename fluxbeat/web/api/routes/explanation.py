"""POST /explain: what in a recording speaks for a genre or its tempo."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from fluxbeat.analysis.track import Progress, part_of, read_track
from fluxbeat.explanation.drawing import draw_png
from fluxbeat.explanation.explain import explain_track, explain_track_tempo
from fluxbeat.explanation.files import npz_bytes
from fluxbeat.explanation.result import Explanation
from fluxbeat.web.api.answers import answer, done
from fluxbeat.web.api.contract import ExplanationDocument
from fluxbeat.web.api.parameters import ChosenModel, ReceivedUpload, RunningService
from fluxbeat.web.problems import UPLOAD_PROBLEMS, Responses

router = APIRouter(tags=["explanation"], responses=UPLOAD_PROBLEMS)

MEDIA_TYPES = {"png": "image/png", "npz": "application/octet-stream"}
KINDS: Responses = {
    200: {
        "description": "As `format` asks: JSON, the picture, or all arrays.",
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in MEDIA_TYPES.values()
        },
    }
}


@router.post("/explain", response_model=ExplanationDocument, responses=KINDS)
async def explain_recording(
    request: Request,
    service: RunningService,
    upload: ReceivedUpload,
    chosen: ChosenModel,
    about: Annotated[
        str | None, Query(max_length=200, description="a genre of GET /labels, or `tempo`; else the strongest genre")
    ] = None,
    start_s: Annotated[
        float | None, Query(ge=0, le=1e6, description="where the window begins; else where it is strongest")
    ] = None,
    format: Annotated[Literal["json", "png", "npz"], Query()] = "json",
) -> Response:
    """What in one window speaks for a genre or the tempo, how far to trust that, and its strongest places."""

    def found(progress: Progress) -> Explanation:
        track = read_track(
            upload.path, chosen.network.config.features, upload.name, part_of(progress, 0, 2),
            max_duration_s=service.settings.max_duration_s,
        )  # fmt: skip
        if about == "tempo":
            return explain_track_tempo(track, chosen, None, start_s)
        return explain_track(track, chosen, about, start_s, sound=upload.path, progress=part_of(progress, 1, 2))

    if format == "json":
        return await answer(request, service.queue, lambda progress: found(progress).to_dict())
    write = draw_png if format == "png" else npz_bytes
    content = await done(request, service.queue, lambda progress: write(found(progress)))
    return Response(content, media_type=MEDIA_TYPES[format])
