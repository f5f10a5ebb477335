"""The Save menu: what is shown of a track, as a file in any of the formats there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr

from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.errors import FluxBeatError
from fluxbeat.export.explained import explained_genres, explanation_image
from fluxbeat.export.formats import FORMATS, CaptionedImage
from fluxbeat.export.writing import export, file_name
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui.gradio_internals import folder_to_serve, served_url
from fluxbeat.web.ui.jobs import Job, Jobs, session_of
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import AT_ONCE, HIDDEN, IN_OUR_QUEUE, panel, panel_answer
from fluxbeat.web.ui.track_results import TrackResults, kept_analysis

_EXPLAINED_VIEW = {
    "kind": "explained",
    "title": "Report with explanations",
    "about": "The same page, with a picture of what in the sound speaks for each genre. Takes some seconds.",
}


def save_view(**now: Any) -> dict[str, Any]:
    """What the menu offers, and how the last choice fares: `share` and `words`, `url` and `name`, or `error`."""
    choices = [{"kind": each.name, "title": each.title, "about": each.about} for each in FORMATS.values()]
    choices.insert(1 + list(FORMATS).index("html"), _EXPLAINED_VIEW)
    return {"choices": choices, "now": now}


class SaveMenu:
    """The menu, with nothing saved yet, and what it does with the track that each page is at."""

    def __init__(self, offered: OfferedModels, queue: AnalysisQueue) -> None:
        self._offered, self._queue, self.jobs = offered, queue, Jobs[Job]()
        self._menu = panel("save", save_view(), events=["chosen", "explained"])

    def connect(self, results: gr.State, model: gr.Radio, ended: Sequence[gr.events.Dependency]) -> None:
        """Write the chosen format of the chosen model's analysis, in turn where explanations are to be drawn.

        After each of the events `ended` the track is not what it was: the menu tells nothing more of the one before.
        """
        self._menu.chosen(self.save, [results, model], self._menu, **HIDDEN)
        self._menu.explained(self.save_explained, [results, model], self._menu, **IN_OUR_QUEUE)
        for event in ended:
            event.then(self.begin_anew, None, self._menu, **AT_ONCE)

    def save(self, results: TrackResults | None, model: str, event: gr.EventData) -> str:
        """What is shown, in a format."""
        try:
            return panel_answer(save_view(**self._written(*kept_analysis(results, model), str(event.kind))))
        except FluxBeatError as error:
            return panel_answer(save_view(error=str(error)))

    async def save_explained(self, results: TrackResults | None, model: str, request: gr.Request) -> AsyncIterator[Any]:
        """The report with explanations, while the page stays at this track."""
        job = self.jobs.start(session_of(request), Job(self._queue))
        async with aclosing(job.views(self._with_images(results, model, job))) as views:
            async for view in views:
                # the page is told the last word once more when this ends
                yield job.answer(save_view(**view.get("busy", view)))

    def begin_anew(self, request: gr.Request) -> str:
        """The track is another one: the menu with nothing saved."""
        self.jobs.stop(session_of(request))
        return panel_answer(save_view())

    def _with_images(self, results: TrackResults | None, model: str, job: Job) -> Iterator[dict[str, Any]]:
        results, analysis = kept_analysis(results, model)
        chosen, genres, images = self._offered.find(model), explained_genres(analysis), list[CaptionedImage]()
        job.report(0.0, "Opening the track")
        track = results.track(chosen.network.config.features)
        for number, genre in enumerate(genres, 1):
            job.report(number / (len(genres) + 1), f"Looking for what speaks for {genre}")
            yield job.progress
            images.append(explanation_image(track, chosen, analysis, genre, results.path, lambda *_: job.go_on()))
        yield self._written(results, analysis, "html", images)

    def _written(
        self, results: TrackResults, analysis: TrackAnalysis, kind: str, images: Sequence[CaptionedImage] = ()
    ) -> dict[str, Any]:
        name = file_name(analysis.file, kind, results.path)
        try:
            written = export(analysis, kind, folder_to_serve(self._menu, "save-") / name, results.path, images=images)
        except OSError as error:
            raise FluxBeatError(f"There is no room to make the file ({error.strerror}).") from error
        return {"name": name, "url": served_url(self._menu, written)}
