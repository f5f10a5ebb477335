"""POST /export: an analysis as a file for other programs."""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from fluxbeat.analysis.engine import analyze_each
from fluxbeat.analysis.track import Progress
from fluxbeat.export.explained import explanation_images
from fluxbeat.export.formats import FORMATS
from fluxbeat.export.writing import file_name, render
from fluxbeat.web.api.answers import done
from fluxbeat.web.api.parameters import ChosenModel, ReceivedUpload, RunningService
from fluxbeat.web.api.routes.analysis import TempoBpm
from fluxbeat.web.problems import UPLOAD_PROBLEMS, Responses

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[tuple(FORMATS)]

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
    chosen: ChosenModel,
    format: Annotated[FormatName, Query()],
    tempo_bpm: TempoBpm = None,
    explain: Annotated[bool, Query(description="html: also what in the sound speaks for each genre")] = False,
) -> Response:
    """What a model says of a recording, as a file for another program or for a reader."""

    def work(progress: Progress) -> bytes:
        each = analyze_each(
            upload.path, [chosen], name=upload.name, progress=progress,
            max_duration_s=service.settings.max_duration_s, tempo_bpm=tempo_bpm,
        )  # fmt: skip
        track, analysis = next(each)
        images = (
            explanation_images(track, chosen, analysis, upload.path, progress) if explain and format == "html" else []
        )
        return render(analysis, format, upload.path, images=images)

    content = await done(request, service.queue, work)
    name = file_name(upload.name, format, upload.path)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=media_type, headers=headers)
