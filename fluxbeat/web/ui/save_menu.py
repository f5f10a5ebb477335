"""The Save menu: what is shown of a track, as a file in any of the formats there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr

from fluxbeat.analysis import TrackAnalysis
from fluxbeat.charts.wording import model_title, waiting
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.export.explained import explained_genres, explanation_image
from fluxbeat.export.formats import FORMATS, CaptionedImage
from fluxbeat.export.writing import export, file_name
from fluxbeat.web.analysis_queue import AnalysisQueue, Waiting
from fluxbeat.web.ui.gradio_internals import Dependency, folder_to_serve, served_url
from fluxbeat.web.ui.jobs import Jobs, session_of
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import HIDDEN, panel, panel_answer
from fluxbeat.web.ui.track_results import TrackResults

REPORT, EXPLAINED = "html", "explained"
_EXPLAINED_VIEW = {
    "kind": EXPLAINED,
    "title": "Report with explanations",
    "about": "The same page, with a picture of what in the sound speaks for each genre. Takes some seconds.",
}


def save_view(**now: Any) -> dict[str, Any]:
    """What the menu offers, and how the last choice fares: `share` and `words`, `url` and `name`, or `error`."""
    choices = []
    for one in FORMATS.values():
        choices.append({"kind": one.name, "title": one.title, "about": one.about})
        if one.name == REPORT:
            choices.append(_EXPLAINED_VIEW)
    return {"choices": choices, "now": now}


class SaveMenu:
    """The menu, with nothing saved yet, and what it does with the track that each page is at."""

    def __init__(self, offered: OfferedModels, jobs: Jobs, queue: AnalysisQueue) -> None:
        self._offered, self._jobs, self._queue = offered, jobs, queue
        self._menu = panel("save", save_view(), events=["chosen", "explained"])

    def connect(self, results: gr.State, model: gr.Radio, ended: Sequence[Dependency]) -> None:
        """Write the chosen format of the chosen model's analysis, in turn where explanations are to be drawn.

        After each of the events `ended` the track is not what it was: the menu tells nothing more of the one before.
        """
        # the menu takes one choice at a time, and what is made of the track before must not block the next
        each: dict[str, Any] = {**HIDDEN, "trigger_mode": "multiple"}
        self._menu.chosen(self.save, [results, model], self._menu, **each)
        self._menu.explained(self.save_explained, [results, model], self._menu, concurrency_limit=None, **each)
        for event in ended:
            event.then(lambda: panel_answer(save_view()), None, self._menu, queue=False, **each)

    def save(self, results: TrackResults | None, model: str, event: gr.EventData) -> str:
        """What is shown, in a format."""
        return next(_told(self._saved(results, model, str(event.kind))))

    async def save_explained(self, results: TrackResults | None, model: str, request: gr.Request) -> AsyncIterator[Any]:
        """The report with explanations, while the page stays at this track."""
        session = session_of(request)
        begun = self._jobs.current(session)

        def wanted() -> bool:
            return self._jobs.current(session) is begun

        told = _told(self._saved_with_images(results, model))
        try:
            async with aclosing(self._queue.run_steps(told, wanted)) as steps:
                async for step in steps:
                    if not wanted():
                        break
                    yield _place_view(step) if isinstance(step, Waiting) else step
                else:
                    return
        except AnalysisCancelled:
            pass
        except FluxBeatError as error:
            yield panel_answer(save_view(error=str(error)))
            return
        yield gr.skip()  # the page is told the last word once more when this ends

    def _saved(self, results: TrackResults | None, model: str, kind: str) -> Iterator[dict[str, Any]]:
        results, analysis = _known(results, model)
        yield self._written(results, analysis, kind)

    def _saved_with_images(self, results: TrackResults | None, model: str) -> Iterator[dict[str, Any]]:
        results, analysis = _known(results, model)
        chosen = self._offered.models[model]
        yield save_view(share=0.0, words="Opening the track")
        track, images = results.track(chosen.network.config.features), list[CaptionedImage]()
        genres = explained_genres(analysis)

        def look(*_: Any) -> None:
            self._queue.give_way()

        for number, genre in enumerate(genres, 1):
            yield save_view(share=number / (len(genres) + 1), words=f"Looking for what speaks for {genre}")
            self._queue.give_way()
            images.append(explanation_image(track, chosen, analysis, genre, results.path, look))
        yield self._written(results, analysis, REPORT, images)

    def _written(
        self, results: TrackResults, analysis: TrackAnalysis, kind: str, images: Sequence[CaptionedImage] = ()
    ) -> dict[str, Any]:
        name = file_name(analysis.file, kind, results.path)
        written = export(analysis, kind, folder_to_serve(self._menu, "save-") / name, results.path, images=images)
        return save_view(name=name, url=served_url(self._menu, written))


def _place_view(place: Waiting) -> str:
    return panel_answer(save_view(share=0.0, words=waiting(place.before).rstrip(".")))


def _told(steps: Iterator[dict[str, Any]]) -> Iterator[str]:
    """What the menu shows step by step, what went wrong included."""
    try:
        for view in steps:
            yield panel_answer(view)
    except FluxBeatError as error:
        yield panel_answer(save_view(error=str(error)))
    except OSError as error:
        yield panel_answer(save_view(error=f"There is no room to make the file ({error.strerror})."))


def _known(results: TrackResults | None, model: str) -> tuple[TrackResults, TrackAnalysis]:
    if results is None:
        raise FluxBeatError("The track is not kept any more: give it once more.")
    analysis = results.analyses.get(model)
    if analysis is None:
        raise FluxBeatError(f"{model_title(model)} is still listening: try again in a moment.")
    return results, analysis
