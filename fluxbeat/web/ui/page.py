"""The page: one player above the tabs, and what happens when a track is given."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from fluxbeat.analysis import TrackAnalysis
from fluxbeat.charts.wording import capitalised, model_title, waiting
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.models.registry import default_model
from fluxbeat.web.analysis_queue import Waiting
from fluxbeat.web.service import Service
from fluxbeat.web.ui.client_functions import ClientFunctions
from fluxbeat.web.ui.compare_tab import compare_view
from fluxbeat.web.ui.example_tracks import read_examples
from fluxbeat.web.ui.explain_tab import ExplainTab
from fluxbeat.web.ui.gradio_internals import allow_events_at_once
from fluxbeat.web.ui.jobs import Job, Jobs, session_of
from fluxbeat.web.ui.library_tab import LibraryState, LibraryTab
from fluxbeat.web.ui.live_tab import live_view
from fluxbeat.web.ui.models_tab import ModelsState, ModelsTab
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import HIDDEN, panel, panel_answer, panel_value
from fluxbeat.web.ui.player import NAMED_FILE, any_file_button, browser_file, track_player
from fluxbeat.web.ui.save_menu import SaveMenu
from fluxbeat.web.ui.teach_tab import TeachTab
from fluxbeat.web.ui.tempo_tab import CHOSEN_BPM, tempo_view
from fluxbeat.web.ui.timeline_tab import timeline_view
from fluxbeat.web.ui.track_results import TrackResults

Updates = dict[Any, Any]

TITLE = "FluxBeat"
RECORDING = "Your recording"
UPLOADS_KEPT_S = 6 * 3600
RESULTS_KEPT_S = 2 * 3600


def build_page(service: Service) -> gr.Blocks:
    """The Gradio page over the service's models; the default model, or else the first, answers first."""
    with gr.Blocks(title=TITLE, delete_cache=(3600, UPLOADS_KEPT_S), fill_width=False) as blocks:
        _Page(service).connect(blocks)
        ClientFunctions(service).offer()
    blocks.queue(
        default_concurrency_limit=8,
        max_size=10_000,  # on a Space with ZeroGPU Gradio would let one event wait
        api_open=False,  # or whoever calls Gradio's /run/... would not have to wait
    )
    allow_events_at_once(blocks, service.queue.places)
    return blocks


class _Page:
    """The components and what they do; holds no result of anybody's, these live in each session's state."""

    def __init__(self, service: Service) -> None:
        models = list(service.models.values())
        self._queue, self._longest_s = service.queue, service.settings.max_duration_s
        self._offered, self._jobs, self._examples = OfferedModels(models), Jobs(), read_examples()
        choices = [(model_title(name), name) for name in self._offered.own]
        first = default_model(list(self._offered.own))
        panel("masthead")
        self.player, self.any_file = track_player(), any_file_button()
        self.file_name, self.chosen_bpm = gr.Textbox(visible=False), gr.Number(visible=False)
        self.notice, self.status = panel("notice"), panel("status")
        with gr.Accordion("Or begin with an example", open=True, elem_id="examples-box") as self.examples_box:
            self.examples = panel("examples", [asdict(example) for example in self._examples], events=["chosen"])
        with gr.Column(visible=False, elem_id="results") as self.result_area:
            self.model = gr.Radio(choices, value=first, label="Heard by", elem_id="model")
            self.save = SaveMenu(self._offered, self._jobs, self._queue)
        with gr.Tabs(elem_id="tabs") as self.tabs:
            with gr.Tab("Timeline", id="timeline"):
                self.timeline = panel("timeline")
            with gr.Tab("Tempo", id="tempo"):
                self.tempo = panel("tempo", events=["corrected"])
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
                self.models = ModelsTab(self._offered, service.settings.allow_hub, RESULTS_KEPT_S)
        with teach_place:
            self.teach = TeachTab(self._offered, self.models, self._queue, self._longest_s, UPLOADS_KEPT_S)
        self.results = gr.State(None, time_to_live=RESULTS_KEPT_S)
        self.job = gr.State(None, time_to_live=RESULTS_KEPT_S)

    def connect(self, page: gr.Blocks) -> None:
        """Say what the events do."""
        at_once: dict[str, Any] = {**HIDDEN, "queue": False, "trigger_mode": "multiple"}
        newest: dict[str, Any] = {**at_once, "trigger_mode": "always_last"}
        shown, views = [self.results, self.model], [self.timeline, self.tempo]
        outputs = [
            self.notice, self.examples_box, self.result_area, *views, self.compare, self.explain.panel,
            self.explain.whole, self.results,
        ]  # fmt: skip
        analysing: dict[str, Any] = {
            "fn": self.analyse,
            "inputs": [self.job, self.results, self.model, self.compared, self.models.state],
            "outputs": [self.player, self.status, *outputs],
            "api_visibility": "private",
            "show_progress": "full",
            "show_progress_on": self.status,
            "trigger_mode": "multiple",
            "concurrency_limit": None,  # who waits for whom is the business of our own queue
        }
        named: dict[str, Any] = {"js": NAMED_FILE, **at_once}
        begun = [self.job, self.notice]
        given = [
            self.player.upload(self.begin, [self.player, self.file_name], begun, **named),
            self.player.stop_recording(self.begin_recording, self.player, begun, **at_once),
            self.any_file.upload(self.begin_any_file, [self.any_file, self.file_name], begun, **named),
            self.examples.chosen(self.begin_example, None, begun, **at_once),
            self.library.panel.opened(
                self.begin_from_library, [self.library.state, self.model], [*begun, self.tabs], **at_once
            ),
        ]
        fetched = self.models.connect(page, self.model, self.compared)
        taught = self.teach.connect(self.library.panel, self.library.state, self.tabs, self.model, self.compared)
        for event in (*given, fetched, *taught):
            event.then(**analysing).then(self.show_model, shown, views, **at_once)
        cleared = self.player.clear(self.clear, None, outputs, **at_once)
        self.model.change(self.show_model, shown, views, **newest)
        self.tempo.corrected(
            self.correct_tempo,
            [self.chosen_bpm, self.job, self.results, self.model, self.compared, self.library.state],
            [self.results, *views, self.compare, self.library.panel, self.library.csv, self.notice],
            js=CHOSEN_BPM,
            **newest,  # of several words the last one holds
        )
        self.compared.change(self.show_compared, [self.results, self.compared], self.compare, **newest)
        self.save.connect(self.results, self.model, [*given, cleared])
        self.explain.connect(self.results, self.model)
        self.library.connect(self.model, self.examples_box)
        page.unload(self.leave)

    def begin(self, path: str | None, name: str, request: gr.Request) -> tuple[Any, Any]:
        """The player was given a file: it is what the session waits for from now on."""
        return self._begin(path, name, request)

    def begin_any_file(self, path: str | None, name: str, request: gr.Request) -> tuple[Any, Any]:
        return self._begin(path, name, request, in_player=False)

    def begin_recording(self, path: str | None, request: gr.Request) -> tuple[Any, Any]:
        return self._begin(path, RECORDING, request)

    def begin_example(self, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        example = self._examples[int(event.index)]
        return self._begin(str(example.path), f"{example.title} – {example.artist}", request, in_player=False)

    def begin_from_library(
        self, library: LibraryState | None, model: str, event: gr.EventData, request: gr.Request
    ) -> tuple[Any, Any, Any]:
        """A row of the library was chosen: it is shown at once as the library's model analysed it."""
        try:
            chosen = self.library.chosen(library, int(event.index), model)
        except FluxBeatError as error:
            return gr.skip(), panel_answer({"text": str(error)}), gr.skip()
        if chosen is None:
            return gr.skip(), gr.skip(), gr.skip()
        file, known = chosen
        name = Path(file.shown).name
        analyses = {model: known} if known else {}
        return *self._begin(str(file.path), name, request, False, analyses), gr.Tabs(selected="timeline")

    def _begin(
        self,
        path: str | None,
        name: str,
        request: gr.Request,
        in_player: bool = True,
        analyses: dict[str, TrackAnalysis] | None = None,
    ) -> tuple[Any, Any]:
        if not path:
            return gr.skip(), gr.skip()
        track = TrackResults(path, name or Path(path).name, analyses or {}, max_duration_s=self._longest_s)
        corrected = [known.tempo.bpm for known in track.analyses.values() if known.tempo.corrected]
        job = Job(session_of(request), track, in_player, tempo_bpm=next(iter(corrected), None))
        self._jobs.start(job)
        return job, panel_value(None)

    async def analyse(
        self,
        job: Job | None,
        results: TrackResults | None,
        model: str,
        compared: list[str],
        models_state: ModelsState,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> AsyncIterator[Updates]:
        """Analyse the session's track with every model, the chosen one first, and show each answer as it comes.

        Of a track that is shown already only models that came later are asked.
        """
        shown = results if job and results and results.key == job.track.key else None
        if job is None or not (self._jobs.claim(job) or shown):
            return
        models = sorted(self.models.names(models_state), key=lambda name: name != model)
        steps = self._answers(job, shown or job.track, models, compared, progress)
        if shown is None:
            steps = self._opened(job, results, steps, progress)
        async with aclosing(self._in_own_queue(job, steps)) as computed:
            async for updates in computed:
                yield updates

    def _opened(
        self, job: Job, before: TrackResults | None, answers: Iterator[Updates], progress: gr.Progress
    ) -> Iterator[Updates]:
        """A new track in the player, and all of the page with its first answer; the one before where it has none."""
        track = job.track
        try:
            progress(0.0, desc="Opening the track")
            playable = browser_file(track.path, track.name, self._longest_s)
            yield {self.player: gr.skip() if job.in_player and playable == track.path else playable}
            for updates in answers:
                found = updates[self.results]
                yield updates if len(found.analyses) > 1 else updates | self._first_look(found)
        except FluxBeatError as error:
            kept = before is not None and Path(before.path).is_file()
            playable_before = browser_file(before.path, before.name, self._longest_s) if before and kept else None
            yield {self.notice: panel_answer({"text": str(error)}), self.player: playable_before}

    def _answers(
        self, job: Job, track: TrackResults, models: list[str], compared: list[str], progress: gr.Progress
    ) -> Iterator[Updates]:
        def report(share: float, words: str) -> None:
            self._queue.give_way()
            if not self._jobs.wanted(job):
                raise AnalysisCancelled("a newer track was given")
            progress(share, desc=capitalised(words))

        for found in track.answers([self._offered.models[name] for name in models], report):
            if job.tempo_bpm is not None:
                found = found.with_tempo(job.tempo_bpm)
            yield {self.results: found, self.compare: self._compared(found, compared)}

    async def _in_own_queue(self, job: Job, steps: Iterator[Updates]) -> AsyncGenerator[Updates, None]:
        """What is computed for a job when its turn comes, while it is wanted; until then how many go first."""

        def wanted() -> bool:
            return self._jobs.wanted(job)

        try:
            async with aclosing(self._queue.run_steps(steps, wanted)) as computed:
                async for step in computed:
                    if isinstance(step, Waiting):
                        yield {self.status: panel_value({"waiting": waiting(step.before)})}
                    elif not wanted():
                        return
                    else:
                        yield {self.status: panel_value(None), **step}
        except AnalysisCancelled:
            return
        except FluxBeatError as error:
            yield {self.notice: panel_answer({"text": str(error)})}

    def _first_look(self, results: TrackResults) -> Updates:
        timeline, tempo = self.show_model(results, next(iter(results.analyses)))
        return {
            self.result_area: gr.Column(visible=True),
            self.examples_box: gr.Accordion(open=False),
            self.timeline: timeline,
            self.tempo: tempo,
            self.explain.panel: panel_value(self.explain.waiting(results)),
            self.explain.whole: panel_value(None),
        }

    def show_model(self, results: TrackResults | None, model: str) -> tuple[Any, Any]:
        """Timeline and Tempo of the chosen model."""
        analysis = results.analyses.get(model) if results else None
        if results is None or analysis is None:
            return gr.skip(), gr.skip()
        timeline = panel_value(timeline_view(results.key, analysis, self._offered.paints))
        return timeline, panel_value(tempo_view(results.key, analysis))

    def correct_tempo(
        self,
        bpm: float | None,
        job: Job | None,
        results: TrackResults | None,
        model: str,
        compared: list[str],
        library: LibraryState | None,
    ) -> tuple[Any, ...]:
        """A person says what the tempo of the track is, or takes it back: it is so wherever the page shows it."""
        unchanged = (gr.skip(),) * 6
        if results is None:
            return *unchanged, gr.skip()
        try:
            changed = results.with_tempo(bpm)
            table = self.library.corrected(library, results.path, bpm)
        except FluxBeatError as error:
            return *unchanged, panel_answer({"text": str(error)})
        if job and job.track.key == results.key:
            job.tempo_bpm = bpm
        return changed, *self.show_model(changed, model), self._compared(changed, compared), *table, gr.skip()

    def show_compared(self, results: TrackResults | None, compared: list[str]) -> Any:
        """The Compare tab with the models that are switched on."""
        return self._compared(results, compared) if results else gr.skip()

    def _compared(self, results: TrackResults, compared: list[str]) -> str:
        names = [name for name in self._offered.models if name in compared]
        ready = [results.analyses[name] for name in names if name in results.analyses]
        missing = [name for name in names if name not in results.analyses]
        return panel_value(compare_view(results.key, ready, missing, self._offered.paints))

    def clear(self, request: gr.Request) -> tuple[Any, ...]:
        """The player was emptied: stop what is running and begin anew."""
        self._jobs.cancel(session_of(request))
        empty = panel_value(None)
        return empty, gr.Accordion(open=True), gr.Column(visible=False), empty, empty, empty, empty, empty, None

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.library.leave(request)
        self.teach.leave(request)
        self._jobs.cancel(session_of(request))
