"""What the page is made of: a header, the tabs, one player at the foot; and what each of them shows of a track."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from fluxbeat.analysis.beginning import BEGINNINGS_S, analyze_beginning
from fluxbeat.charts.wording import model_title
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.registry import default_model
from fluxbeat.web.service import Service
from fluxbeat.web.ui.compare_tab import compare_view
from fluxbeat.web.ui.example_tracks import Example
from fluxbeat.web.ui.explain_tab import ExplainTab
from fluxbeat.web.ui.given_files import GivenFiles
from fluxbeat.web.ui.jobs import Jobs, TrackJob
from fluxbeat.web.ui.library_tab import LibraryTab
from fluxbeat.web.ui.live_tab import live_view
from fluxbeat.web.ui.models_tab import ModelsTab
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import panel, panel_value
from fluxbeat.web.ui.player import beat_view, player_view
from fluxbeat.web.ui.save_menu import SaveMenu
from fluxbeat.web.ui.stage_layers import StageLayers
from fluxbeat.web.ui.teach_tab import TeachTab
from fluxbeat.web.ui.tempo_tab import tempo_view
from fluxbeat.web.ui.timeline_tab import beginning_view, timeline_view
from fluxbeat.web.ui.track_results import TrackResults

Updates = dict[Any, Any]
"""Values by the components that show them."""

UPLOADS_KEPT_S = 6 * 3600
RESULTS_KEPT_S = 2 * 3600


class PageParts:
    """The components of one page; they hold no result of anybody's, these live in each session's state."""

    def __init__(self, service: Service, examples: Sequence[Example]) -> None:
        models = list(service.models.values())
        self._queue, self._longest_s = service.queue, service.settings.max_duration_s
        self._offered, self._jobs = OfferedModels(models), Jobs[TrackJob]()
        choices = [(model_title(name), name) for name in self._offered.own]
        first = default_model(list(self._offered.own))
        labels = sorted({label for model in models for label in model.network.config.labels})
        panel("masthead", {"labels": labels})
        # the header's script shows this choice
        self.model = gr.Radio(choices, value=first, label="Heard by", elem_id="model")
        self.given, self.chosen_bpm = GivenFiles("track"), gr.Number(visible=False)
        self.token = gr.Textbox(visible=False)
        self.notice, self.status = panel("notice"), panel("status", events=["cancelled", "given"])
        self.examples = panel("examples", [asdict(example) for example in examples], events=["chosen"])
        with gr.Tabs(elem_id="tabs") as self.tabs:
            with gr.Tab("Timeline", id="timeline"):
                self.timeline = panel("timeline")
                self.layers = StageLayers(self._offered, self._queue)
            with gr.Tab("Tempo", id="tempo"):
                self.tempo = panel("tempo")
            with gr.Tab("Compare", id="compare"):
                self.compared = gr.CheckboxGroup(
                    choices, value=list(self._offered.own), label="Models to compare", elem_id="compare-models"
                )
                self.compare = panel("compare")
            with gr.Tab("Explain", id="explain"):
                self.explain = ExplainTab(self._offered, self._queue)
            with gr.Tab("Library", id="library"):
                self.library = LibraryTab(self._offered, self._queue, self._longest_s, UPLOADS_KEPT_S)
            with gr.Tab("Teach", id="teach"):
                teach_place = gr.Column()
            with gr.Tab("Live", id="live"):
                panel("live", live_view(models, first))
            with gr.Tab("Models", id="models-tab"):
                self.models = ModelsTab(self._offered, self._queue, service.settings.allow_hub, RESULTS_KEPT_S)
        self.player, self.beat = panel("player"), panel("beat", events=["corrected"])
        self.save = SaveMenu(self._offered, self._queue)
        with teach_place:
            self.teach = TeachTab(self._offered, self.models, self._queue, self._longest_s, UPLOADS_KEPT_S)
        self.results = gr.State(None, time_to_live=RESULTS_KEPT_S)

    def beginnings(self, job: TrackJob) -> Iterator[Updates]:
        """The Timeline of what a long track begins with, as it grows, before all of it is read."""
        model, track = self._offered.find(job.model), job.track
        for length_s in BEGINNINGS_S:
            found = analyze_beginning(
                track.path, model, track.name, lambda *_: job.go_on(), track.max_duration_s, length_s
            )
            if found is None:
                return
            metrics = model.network.config.metrics
            yield {self.timeline: panel_value(beginning_view(track.key, found, self._offered.paints, metrics))}

    def show_again(self, before: TrackResults | None, model: str) -> Updates:
        """The track that the page showed `before`, in player and Timeline; both empty where there is none."""
        if before is None:
            return {self.player: panel_value(None), self.timeline: panel_value(None)}
        try:
            playing = player_view(before) if Path(before.path).is_file() else None
        except FluxBeatError:  # its file was damaged meanwhile
            playing = None
        return {self.player: panel_value(playing), **self.show_model(before, before.answering(model))}

    def show_model(self, results: TrackResults | None, model: str) -> Updates:
        """Timeline, Tempo and the player's tempo of the chosen model; nothing new before it has answered."""
        analysis = results.analyses.get(model) if results else None
        shown = self._offered.models.get(model)
        if results is None or analysis is None or shown is None:
            return {self.timeline: gr.skip()}
        metrics = shown.network.config.metrics
        return {
            self.timeline: panel_value(timeline_view(results.key, analysis, self._offered.paints, metrics)),
            self.tempo: panel_value(tempo_view(results.key, analysis)),
            self.beat: panel_value(beat_view(results.key, analysis)),
        }

    def compared_models(self, results: TrackResults, compared: list[str], to_come: bool = True) -> str:
        """The Compare tab with the models that are switched on; those without an answer yet are `to_come`, or not."""
        names = [name for name in self._offered.models if name in compared]
        ready = [results.analyses[name] for name in names if name in results.analyses]
        missing = [name for name in names if name not in results.analyses and to_come]
        return panel_value(compare_view(results.key, ready, missing, self._offered.paints, self._offered.models))
