"""POST /export: an analysis as a file for other programs."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from fluxbeat.analysis import DEFAULT_MODEL, Progress, analyze_track, read_track
from fluxbeat.api.answers import done
from fluxbeat.api.problems import UPLOAD_PROBLEMS, Responses
from fluxbeat.api.service import RunningService
from fluxbeat.api.uploads import ReceivedUpload
from fluxbeat.export import explanation_pictures, file_name, media_type, render

router = APIRouter(tags=["export"], responses=UPLOAD_PROBLEMS)

FILE: Responses = {
    200: {
        "description": "The file; `Content-Disposition` names it.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/export", response_class=Response, responses=FILE)
async def export_analysis(
    request: Request,
    service: RunningService,
    upload: ReceivedUpload,
    format: Annotated[Literal["json", "csv", "audacity", "jams", "tags", "html"], Query()],
    model: Annotated[str, Query(description="one of GET /models")] = DEFAULT_MODEL,
    explain: Annotated[bool, Query(description="html: also what in the sound speaks for each genre")] = False,
) -> Response:
    """What a model says of a recording, as JSON, CSV, Audacity labels, JAMS, a tagged copy, or an HTML report."""
    chosen = service.model(model)

    def work(progress: Progress) -> bytes:
        track = read_track(
            upload.path, chosen.network.config.features, upload.name, progress,
            max_duration_s=service.settings.max_duration_s,
        )  # fmt: skip
        analysis = analyze_track(track, chosen)
        pictures = explanation_pictures(track, chosen, analysis) if explain and format == "html" else []
        return render(analysis, format, upload.path, pictures=pictures)

    content = await done(request, service.line, work)
    name = file_name(upload.name, format, upload.path)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(content, media_type=media_type(format, upload.path), headers=headers)
