"""The Save menu: what is shown of a track, as a file in any of the formats there are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.events import Dependency

from fluxbeat.charts.wording import model_title
from fluxbeat.errors import FluxBeatError
from fluxbeat.export import FORMATS, export, file_name
from fluxbeat.ui.listening import Heard
from fluxbeat.ui.panel import panel, panel_value
from fluxbeat.ui.served_files import folder_to_serve, served_url

_tickets = itertools.count(1)


def save_panel() -> gr.HTML:
    """The menu, with nothing saved yet."""
    return panel("save", save_view(), events=["chosen"])


def save_view(**done: Any) -> dict[str, Any]:
    """What the menu offers, and what came of the last choice: `url` and `name`, or `error`."""
    formats = [{"kind": one.name, "title": one.title, "about": one.about} for one in FORMATS.values()]
    return {"formats": formats, "done": {"ticket": next(_tickets), **done} if done else None}


def connect_saving(menu: gr.HTML, heard: gr.State, model: gr.Radio, given: Sequence[Dependency]) -> None:
    """Write the chosen format of what the chosen model hears.

    `given` are the events that bring a new track: then the menu tells nothing more of the one before.
    """

    def save(heard: Heard | None, model: str, event: gr.EventData) -> str:
        try:
            return panel_value(_saved(menu, heard, model, str(event.kind)))
        except FluxBeatError as error:
            return panel_value(save_view(error=str(error)))
        except OSError as error:
            return panel_value(save_view(error=f"There is no room to make the file ({error.strerror})."))

    hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    menu.chosen(save, [heard, model], menu, **hidden)
    for event in given:
        event.then(lambda: panel_value(save_view()), None, menu, **hidden, queue=False)


def _saved(menu: gr.HTML, heard: Heard | None, model: str, kind: str) -> dict[str, Any]:
    if heard is None:
        return save_view(error="The track is not kept any more: give it once more.")
    analysis = heard.by(model)
    if analysis is None:
        return save_view(error=f"{model_title(model)} is still listening: try again in a moment.")
    name = file_name(analysis.file, kind, heard.path)
    folder = folder_to_serve(menu, "save-")
    try:
        written = export(analysis, kind, folder / name, heard.path)
    except FluxBeatError:
        folder.rmdir()
        raise
    return save_view(name=name, url=served_url(menu, written))
