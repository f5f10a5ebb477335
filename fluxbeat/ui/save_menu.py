"""The Save menu: what is shown of a track, as a file in any of the formats there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr
from gradio.events import Dependency

from fluxbeat.analysis import TrackAnalysis
from fluxbeat.charts.wording import model_title
from fluxbeat.errors import FluxBeatError
from fluxbeat.export import FORMATS, Picture, explained_genres, explanation_picture, export, file_name
from fluxbeat.ui.jobs import Jobs, session_of
from fluxbeat.ui.listening import Heard
from fluxbeat.ui.offered_models import OfferedModels
from fluxbeat.ui.panel import panel, panel_answer
from fluxbeat.ui.served_files import folder_to_serve, served_url

REPORT, EXPLAINED = "html", "explained"
_EXPLAINED_VIEW = {
    "kind": EXPLAINED,
    "title": "Report with explanations",
    "about": "The same page, with a picture of what in the sound speaks for each genre. Takes some seconds.",
}


def save_panel() -> gr.HTML:
    """The menu, with nothing saved yet."""
    return panel("save", save_view(), events=["chosen", "explained"])


def save_view(**now: Any) -> dict[str, Any]:
    """What the menu offers, and how the last choice fares: `share` and `words`, `url` and `name`, or `error`."""
    choices = []
    for one in FORMATS.values():
        choices.append({"kind": one.name, "title": one.title, "about": one.about})
        if one.name == REPORT:
            choices.append(_EXPLAINED_VIEW)
    return {"choices": choices, "now": now}


class SaveMenu:
    """What the menu does.

    Parameters
    ----------
    offered : OfferedModels
        All models of the page.
    jobs : Jobs
        Which track each page is at.
    """

    def __init__(self, offered: OfferedModels, jobs: Jobs) -> None:
        self._offered, self._jobs = offered, jobs

    def connect(
        self, menu: gr.HTML, heard: gr.State, model: gr.Radio, ended: Sequence[Dependency], at_once: int
    ) -> None:
        """Write the chosen format of what the chosen model hears, `at_once` at a time where pictures are to be made.

        After each of the events `ended` the track is not what it was: the menu tells nothing more of the one before.
        """

        def save(heard: Heard | None, model: str, event: gr.EventData) -> Iterator[str]:
            yield from _told(self._saved(menu, heard, model, str(event.kind)))

        def save_explained(heard: Heard | None, model: str, request: gr.Request) -> Iterator[Any]:
            session = session_of(request)
            begun = self._jobs.current(session)
            for told in _told(self._saved_with_pictures(menu, heard, model)):
                if self._jobs.current(session) != begun:
                    yield gr.skip()  # the page is told the last word once more when this ends
                    return
                yield told

        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        # the menu takes one choice at a time, and what is made of the track before must not block the next
        hidden["trigger_mode"] = "multiple"
        menu.chosen(save, [heard, model], menu, **hidden)
        menu.explained(
            save_explained, [heard, model], menu, concurrency_id="explanation", concurrency_limit=at_once, **hidden
        )
        for event in ended:
            event.then(lambda: panel_answer(save_view()), None, menu, queue=False, **hidden)

    def _saved(self, menu: gr.HTML, heard: Heard | None, model: str, kind: str) -> Iterator[dict[str, Any]]:
        heard, analysis = _known(heard, model)
        yield _written(menu, heard, analysis, kind)

    def _saved_with_pictures(self, menu: gr.HTML, heard: Heard | None, model: str) -> Iterator[dict[str, Any]]:
        heard, analysis = _known(heard, model)
        chosen = self._offered[model]
        yield save_view(share=0.0, words="Opening the track")
        track, pictures = heard.track(chosen.network.config.features), list[Picture]()
        genres = explained_genres(analysis)
        for number, genre in enumerate(genres, 1):
            yield save_view(share=number / (len(genres) + 1), words=f"Looking for what speaks for {genre}")
            pictures.append(explanation_picture(track, chosen, analysis, genre))
        yield _written(menu, heard, analysis, REPORT, pictures)


def _told(steps: Iterator[dict[str, Any]]) -> Iterator[str]:
    """What the menu shows step by step, what went wrong included."""
    try:
        for view in steps:
            yield panel_answer(view)
    except FluxBeatError as error:
        yield panel_answer(save_view(error=str(error)))
    except OSError as error:
        yield panel_answer(save_view(error=f"There is no room to make the file ({error.strerror})."))


def _known(heard: Heard | None, model: str) -> tuple[Heard, TrackAnalysis]:
    if heard is None:
        raise FluxBeatError("The track is not kept any more: give it once more.")
    analysis = heard.by(model)
    if analysis is None:
        raise FluxBeatError(f"{model_title(model)} is still listening: try again in a moment.")
    return heard, analysis


def _written(
    menu: gr.HTML, heard: Heard, analysis: TrackAnalysis, kind: str, pictures: Sequence[Picture] = ()
) -> dict[str, Any]:
    name = file_name(analysis.file, kind, heard.path)
    folder = folder_to_serve(menu, "save-")
    try:
        written = export(analysis, kind, folder / name, heard.path, pictures=pictures)
    except FluxBeatError:
        folder.rmdir()
        raise
    return save_view(name=name, url=served_url(menu, written))
