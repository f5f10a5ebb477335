"""The page: one player above the tabs, and what happens when a track is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from fluxbeat.analysis import DEFAULT_MODEL, TrackAnalysis
from fluxbeat.charts.wording import doing, model_title
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.ui.client_functions import ClientFunctions
from fluxbeat.ui.compare_tab import ComparePieces, compare_pieces, compare_view
from fluxbeat.ui.examples_shelf import Example, read_examples
from fluxbeat.ui.explain_tab import Explainer, ExplainPieces, explain_pieces
from fluxbeat.ui.jobs import Job, Jobs, session_of
from fluxbeat.ui.library_tab import Library, LibraryPieces, Shelf, library_pieces
from fluxbeat.ui.limits import PageLimits
from fluxbeat.ui.listening import Heard, Report, listen
from fluxbeat.ui.live_tab import live_panel
from fluxbeat.ui.models_tab import ModelsPieces, ModelsTab, models_pieces
from fluxbeat.ui.models_tab import Shelf as ModelShelf
from fluxbeat.ui.offered_models import OfferedModels, not_kept
from fluxbeat.ui.panel import panel, panel_answer, panel_value
from fluxbeat.ui.player import NAMED_FILE, any_file_button, browser_file, track_player
from fluxbeat.ui.save_menu import SaveMenu, save_panel
from fluxbeat.ui.tempo_tab import tempo_panel, tempo_view
from fluxbeat.ui.timeline_tab import timeline_panel, timeline_view
from fluxbeat.zoo import ZooModel

Updates = dict[Any, Any]

TITLE = "FluxBeat"
RECORDING = "Your recording"
LIBRARIES_AT_ONCE = 4
MOST_FETCHED = 8
"""Models from the Hub that are kept in memory beside the server's."""
PLACE_TOLD_EVERY_S = 1.0
UPLOADS_KEPT_S = 6 * 3600
RESULTS_KEPT_S = 2 * 3600


_HIDDEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True, eq=False)
class Pieces:
    """Every component that an event reads or changes."""

    player: gr.Audio
    any_file: gr.UploadButton
    file_name: gr.Textbox
    notice: gr.HTML
    status: gr.HTML
    shelf: gr.Accordion
    examples: gr.HTML
    results: gr.Column
    tabs: gr.Tabs
    model: gr.Radio
    save: gr.HTML
    timeline: gr.HTML
    tempo: gr.HTML
    compare: ComparePieces
    explain: ExplainPieces
    library: LibraryPieces
    models: ModelsPieces
    heard: gr.State
    job: gr.State


def build_page(models: Sequence[ZooModel], limits: PageLimits) -> gr.Blocks:
    """The Gradio page over these models; the default model, or else the first, answers first."""
    examples = read_examples()
    with gr.Blocks(title=TITLE, delete_cache=(3600, UPLOADS_KEPT_S), fill_width=False) as page:
        pieces = _lay_out(models, examples)
        _Events(pieces, models, examples, limits).connect(page)
        ClientFunctions(models, limits).offer("analysis")
    page.queue(
        max_size=limits.places,
        default_concurrency_limit=8,
        status_update_rate=PLACE_TOLD_EVERY_S,
        api_open=False,  # or whoever calls Gradio's /run/... would not have to wait
    )
    return page


def _lay_out(models: Sequence[ZooModel], examples: Sequence[Example]) -> Pieces:
    names = [model.info.name for model in models]
    first = DEFAULT_MODEL if DEFAULT_MODEL in names else names[0]
    panel("masthead")
    player = track_player()
    any_file = any_file_button()
    file_name = gr.Textbox(visible=False)
    notice = panel("notice")
    status = panel("status")
    with gr.Accordion("Or begin with an example", open=True, visible=bool(examples), elem_id="shelf") as shelf:
        shown = panel("examples", [_example_view(example) for example in examples], events=["chosen"])
    with gr.Column(visible=False, elem_id="results") as results:
        model = gr.Radio([(model_title(name), name) for name in names], value=first, label="Heard by", elem_id="model")
        save = save_panel()
    with gr.Tabs(elem_id="tabs") as tabs:
        with gr.Tab("Timeline", id="timeline"):
            timeline = timeline_panel()
        with gr.Tab("Tempo", id="tempo"):
            tempo = tempo_panel()
        with gr.Tab("Compare", id="compare"):
            compare = compare_pieces(names)
        with gr.Tab("Explain", id="explain"):
            explain = explain_pieces()
        with gr.Tab("Library", id="library"):
            library = library_pieces(UPLOADS_KEPT_S)
        with gr.Tab("Live", id="live"):
            live_panel(models, first)
        with gr.Tab("Models", id="models-tab"):
            own = models_pieces(RESULTS_KEPT_S)
    return Pieces(
        player, any_file, file_name, notice, status, shelf, shown, results, tabs, model, save, timeline, tempo,
        compare, explain, library, own,
        heard=gr.State(None, time_to_live=RESULTS_KEPT_S), job=gr.State(None, time_to_live=RESULTS_KEPT_S),
    )  # fmt: skip


def _example_view(example: Example) -> dict[str, str]:
    return {
        "title": example.title,
        "artist": example.artist,
        "licence": example.licence,
        "licence_url": example.licence_url,
        "origin": "\n".join(filter(None, [example.source, example.changes])),
        "genre": example.genre_hint,
    }


class _Events:
    """What the page does; holds no result of anybody's, these live in each session's state."""

    def __init__(
        self, pieces: Pieces, models: Sequence[ZooModel], examples: Sequence[Example], limits: PageLimits
    ) -> None:
        self._at = pieces
        self._offered = OfferedModels(models, MOST_FETCHED)
        self._examples = examples
        self._limits = limits
        self._jobs = Jobs()
        self._explainer = Explainer(self._offered)
        self._library = Library(self._offered, limits.max_duration_s)
        self._tab = ModelsTab(self._offered)

    def connect(self, page: gr.Blocks) -> None:
        at, hidden = self._at, _HIDDEN
        at_once: dict[str, Any] = {**hidden, "queue": False, "trigger_mode": "multiple"}
        analyses = self._limits.analyses_at_once
        in_turn: dict[str, Any] = {"concurrency_id": "analysis", "concurrency_limit": analyses}
        views = [at.timeline, at.tempo]
        results = [at.shelf, at.results, *views, at.compare.panel, at.explain.panel, at.explain.whole, at.heard]
        begun = [at.job, at.notice]
        given = [
            at.player.upload(self.begin, [at.player, at.file_name], begun, js=NAMED_FILE, **at_once),
            at.player.stop_recording(self.begin_recording, at.player, begun, **at_once),
            at.any_file.upload(self.begin_any_file, [at.any_file, at.file_name], begun, js=NAMED_FILE, **at_once),
            at.examples.chosen(self.begin_example, None, begun, **at_once),
            at.library.panel.opened(
                self.begin_from_library, [at.library.shelf, at.model], [*begun, at.tabs], **at_once
            ),
        ]
        for event in given:
            event.then(
                self.analyse,
                [at.job, at.heard, at.model, at.compare.switches, at.models.shelf],
                [at.player, at.notice, at.status, at.model, *results],
                api_visibility="private",
                show_progress="full",
                show_progress_on=at.status,
                trigger_mode="multiple",
                **in_turn,
            ).then(self.show_model, [at.heard, at.model], views, **hidden, queue=False)
        cleared = at.player.clear(self.clear, None, [at.notice, *results], **at_once)
        at.model.change(self.show_model, [at.heard, at.model], views, **hidden, queue=False)
        at.compare.switches.change(
            self.show_compared, [at.heard, at.compare.switches], at.compare.panel, **hidden, queue=False
        )
        self._tab.connect(page, at.models, at.model, at.compare.switches).then(
            self.hear_more,
            [at.job, at.heard, at.model, at.compare.switches, at.models.shelf],
            [at.heard, at.notice, at.status, at.compare.panel],
            api_visibility="private",
            show_progress="full",
            show_progress_on=at.status,
            **in_turn,
        ).then(self.show_model, [at.heard, at.model], views, **hidden, queue=False)
        SaveMenu(self._offered, self._jobs).connect(at.save, at.heard, at.model, [*given, cleared], analyses)
        self._explainer.connect(at.explain, at.heard, at.model, analyses)
        self._library.connect(at.library, at.model, at.shelf, LIBRARIES_AT_ONCE)
        page.unload(self.leave)

    def begin(self, path: str | None, name: str, request: gr.Request) -> tuple[Any, Any]:
        """The player was given a file: it is what the session waits for from now on."""
        return self._begin(path, name, request, in_player=True)

    def begin_any_file(self, path: str | None, name: str, request: gr.Request) -> tuple[Any, Any]:
        return self._begin(path, name, request, in_player=False)

    def begin_recording(self, path: str | None, request: gr.Request) -> tuple[Any, Any]:
        return self._begin(path, RECORDING, request, in_player=True)

    def begin_example(self, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        example = self._examples[int(event.index)]
        return self._begin(str(example.path), f"{example.title} – {example.artist}", request, in_player=False)

    def begin_from_library(
        self, shelf: Shelf | None, model: str, event: gr.EventData, request: gr.Request
    ) -> tuple[Any, Any, Any]:
        """A row of the library was chosen: it is shown at once as the library's model heard it."""
        try:
            chosen = self._library.chosen(shelf, int(event.index), model)
        except FluxBeatError as error:
            return gr.skip(), panel_answer({"text": str(error)}), gr.skip()
        if chosen is None:
            return gr.skip(), gr.skip(), gr.skip()
        file, known = chosen
        name = Path(file.shown).name
        return *self._begin(str(file.path), name, request, in_player=False, known=known), gr.Tabs(selected="timeline")

    def _begin(
        self, path: str | None, name: str, request: gr.Request, in_player: bool, known: TrackAnalysis | None = None
    ) -> tuple[Any, Any]:
        if not path:
            return gr.skip(), gr.skip()
        job = self._jobs.start(session_of(request), str(path), name or Path(path).name, in_player, known)
        return job, panel_value(None)

    def analyse(
        self,
        job: Job | None,
        heard: Heard | None,
        model: str,
        compared: list[str],
        shelf: ModelShelf,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[Updates]:
        """Analyse the session's track with every model, the chosen one first, and show each answer as it comes."""
        if job is None or not self._jobs.claim(job):
            return
        at, longest_s = self._at, self._limits.max_duration_s
        report = self._reporter(job, progress)
        try:
            progress(0.0, desc="Opening the track")
            playable = browser_file(job.path, job.name, longest_s)
            yield {at.player: gr.skip() if job.in_player and playable == job.path else playable}
            models = self._in_turn(model, shelf)
            if models[0].info.name != model:
                choices = [(model_title(name), name) for name in self._tab.names(shelf)]
                yield {
                    at.notice: panel_answer({"text": not_kept(model)}),
                    at.model: gr.Radio(choices=choices, value=models[0].info.name),
                }
                model = models[0].info.name
            for found in listen(job.path, job.name, str(job.ticket), models, report, job.known, longest_s):
                if not self._jobs.wanted(job):
                    return
                updates: Updates = {at.heard: found, at.compare.panel: self._compared(found, compared)}
                if len(found.analyses) == 1:
                    updates |= self._first_look(found, model)
                yield updates
        except AnalysisCancelled:
            return
        except FluxBeatError as error:
            kept = heard is not None and Path(heard.path).is_file()
            before = browser_file(heard.path, heard.any.file, longest_s) if heard and kept else None
            yield {at.notice: panel_answer({"text": str(error)}), at.player: before}

    def hear_more(
        self,
        job: Job | None,
        heard: Heard | None,
        model: str,
        compared: list[str],
        shelf: ModelShelf,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[Updates]:
        """Let models that came later hear the track that is shown."""
        if job is None or heard is None or heard.key != str(job.ticket):
            return
        missing = [one for one in self._in_turn(model, shelf) if one.info.name not in heard.analyses]
        report, longest_s = self._reporter(job, progress), self._limits.max_duration_s
        try:
            for found in listen(heard.path, heard.any.file, heard.key, missing, report, max_duration_s=longest_s):
                if not self._jobs.wanted(job):
                    return
                both = replace(
                    found,
                    analyses={**heard.analyses, **found.analyses},
                    tracks={**heard.tracks, **found.tracks},
                )
                yield {self._at.heard: both, self._at.compare.panel: self._compared(both, compared)}
        except AnalysisCancelled:
            return
        except FluxBeatError as error:
            yield {self._at.notice: panel_answer({"text": str(error)})}

    def _reporter(self, job: Job, progress: gr.Progress) -> Report:
        def report(share: float, words: str, name: str) -> None:
            if not self._jobs.wanted(job):
                raise AnalysisCancelled("a newer track was given")
            progress(share, desc=doing(words, model_title(name)))

        return report

    def _in_turn(self, first: str, shelf: ModelShelf) -> list[ZooModel]:
        there = self._offered.models
        offered = [there[name] for name in self._tab.names(shelf) if name in there]
        return sorted(offered, key=lambda model: model.info.name != first)

    def _first_look(self, heard: Heard, model: str) -> Updates:
        at = self._at
        timeline, tempo = self.show_model(heard, model)
        shown = {at.results: gr.Column(visible=True), at.shelf: gr.Accordion(open=False, visible=bool(self._examples))}
        opening = panel_value(self._explainer.waiting(heard))
        return shown | {
            at.timeline: timeline, at.tempo: tempo, at.explain.panel: opening, at.explain.whole: panel_value(None)
        }  # fmt: skip

    def show_model(self, heard: Heard | None, model: str) -> tuple[Any, Any]:
        """Timeline and Tempo as the chosen model hears the track."""
        analysis = heard.by(model) if heard else None
        if heard is None or analysis is None:
            return gr.skip(), gr.skip()
        timeline = panel_value(timeline_view(heard.key, analysis, self._offered.paints))
        return timeline, panel_value(tempo_view(heard.key, analysis))

    def show_compared(self, heard: Heard | None, compared: list[str]) -> Any:
        """The Compare tab with the models that are switched on."""
        return self._compared(heard, compared) if heard else gr.skip()

    def _compared(self, heard: Heard, compared: list[str]) -> str:
        names = [name for name in self._offered.models if name in compared]
        ready = [heard.analyses[name] for name in names if name in heard.analyses]
        waiting = [name for name in names if name not in heard.analyses]
        return panel_value(compare_view(heard.key, ready, waiting, self._offered.paints))

    def clear(self, request: gr.Request) -> tuple[Any, ...]:
        """The player was emptied: stop what is running and begin anew."""
        self._jobs.cancel(session_of(request))
        empty = panel_value(None)
        shelf = gr.Accordion(open=True, visible=bool(self._examples))
        return empty, shelf, gr.Column(visible=False), empty, empty, empty, empty, empty, None

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self._library.leave(request)
        self._jobs.cancel(session_of(request))
