"""The page, and what happens on it when a track is given; what it is made of is `page_parts`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr

from fluxbeat.analysis import TrackAnalysis
from fluxbeat.charts.wording import waiting
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.web.analysis_queue import Waiting
from fluxbeat.web.service import Service
from fluxbeat.web.ui.analysis_progress import AnalysisProgress, now_and_then
from fluxbeat.web.ui.client_functions import ClientFunctions
from fluxbeat.web.ui.example_tracks import ExampleAnswers, read_examples
from fluxbeat.web.ui.gradio_internals import allow_events_at_once
from fluxbeat.web.ui.jobs import Job, session_of
from fluxbeat.web.ui.kept_tracks import KeptTracks
from fluxbeat.web.ui.library_tab import LibraryState
from fluxbeat.web.ui.models_tab import ModelsState
from fluxbeat.web.ui.page_parts import RESULTS_KEPT_S, UPLOADS_KEPT_S, PageParts, Updates
from fluxbeat.web.ui.panel import HIDDEN, panel_answer, panel_value
from fluxbeat.web.ui.player import CHOSEN_BPM
from fluxbeat.web.ui.track_results import TrackResults

TITLE = "FluxBeat"
KEPT_TOKEN = "_ => { try { return [sessionStorage.getItem('fluxbeat-track') ?? '']; } catch { return ['']; } }"
"""By which a page that was here before asks for the track that it had."""


def build_page(service: Service, answers: ExampleAnswers | None = None) -> gr.Blocks:
    """The Gradio page over the service's models; the default model, or else the first, answers first.

    `answers` is what they say of the examples: whoever serves the page may `begin` with that before anybody comes.
    """
    with gr.Blocks(title=TITLE, delete_cache=(3600, UPLOADS_KEPT_S), fill_width=False) as blocks:
        answers = answers or ExampleAnswers(read_examples(), list(service.models.values()), service.queue)
        _Page(service, answers).connect(blocks)
        ClientFunctions(service).offer()
    blocks.queue(
        default_concurrency_limit=8,
        max_size=10_000,  # on a Space with ZeroGPU Gradio would let one event wait
        api_open=False,  # or whoever calls Gradio's /run/... would not have to wait
    )
    allow_events_at_once(blocks, service.queue.places)
    return blocks


class _Page(PageParts):
    """The components and what they do."""

    def __init__(self, service: Service, answers: ExampleAnswers) -> None:
        super().__init__(service, answers.examples)
        self._answered, self._examples = answers, answers.examples
        self._kept = KeptTracks(RESULTS_KEPT_S)

    def connect(self, page: gr.Blocks) -> None:
        """Say what the events do."""
        at_once: dict[str, Any] = {**HIDDEN, "queue": False, "trigger_mode": "multiple"}
        newest: dict[str, Any] = {**at_once, "trigger_mode": "always_last"}
        shown, views = [self.results, self.model], [self.timeline, self.tempo, self.beat]
        asked = [self.job, self.results, self.model, self.compared, self.models.state]
        outputs = [
            self.notice, *views, self.compare, self.explain.panel, self.explain.whole, self.results, self.player,
            self.status,
        ]  # fmt: skip
        analysing: dict[str, Any] = {
            "inputs": asked,
            "outputs": outputs,
            **HIDDEN,
            "trigger_mode": "multiple",
            "concurrency_limit": None,  # who waits for whom is the business of our own queue
        }
        begun = [self.job, self.notice]
        given = [
            self.status.given(self.begin, self.given.inputs, begun, js=self.given.js, **at_once),
            self.examples.chosen(self.begin_example, None, begun, **at_once),
            self.library.panel.opened(
                self.begin_from_library, [self.library.state, self.model], [*begun, self.tabs], **at_once
            ),
        ]
        opened = page.load(self.arrive, self.token, begun, js=KEPT_TOKEN, concurrency_limit=None, **HIDDEN)
        fetched = self.models.connect(page, self.model, self.compared)
        taught = self.teach.connect(self.library.panel, self.library.state, self.tabs, self.model, self.compared)
        for event in (opened, *given, fetched, *taught):
            event.then(self.analyse, **analysing).then(self.show_chosen, [self.job, *shown], views, **at_once)
        chosen = self.model.change(self.choose_model, [self.job, *shown], [self.job, *views], **newest)
        chosen.then(self.analyse_again, **analysing).then(self.show_chosen, [self.job, *shown], views, **at_once)
        self.status.cancelled(
            self.cancel,
            [self.results, self.model, self.compared],
            [self.status, self.player, self.timeline, self.compare],
            **at_once,
        )
        self.beat.corrected(
            self.correct_tempo,
            [self.chosen_bpm, self.job, self.results, self.model, self.compared, self.library.state],
            [self.results, *views, self.compare, self.library.panel, self.library.csv, self.notice],
            js=CHOSEN_BPM,
            **newest,  # of several words the last one holds
        )
        self.compared.change(self.show_compared, [self.results, self.compared], self.compare, **newest)
        self.save.connect(self.results, self.model, [opened, *given])
        self.explain.connect(self.results, self.model)
        self.layers.connect(self.results, self.model)
        self.library.connect(self.model)
        page.unload(self.leave)

    async def arrive(self, token: str, request: gr.Request) -> tuple[Any, Any]:
        """A page was opened: it gets the track that it had before, while that is known, or else the first example."""
        if (kept := self._kept.find(token)) is not None:
            return self._begin(kept, request)
        if not self._examples:
            return gr.skip(), gr.skip()
        await asyncio.shield(asyncio.wrap_future(self._answered.begin()))
        if self._jobs.current(session_of(request)) is not None:  # a track was given meanwhile
            return gr.skip(), gr.skip()
        return self._begin(self._answered.track(self._examples[0], self._longest_s), request, opening=True)

    def begin(self, path: str | None, told: str, request: gr.Request) -> tuple[Any, Any]:
        """A file was given: it is what the session waits for from now on."""
        if not path:
            return gr.skip(), gr.skip()
        (name,) = json.loads(told)["names"]
        return self._begin(self._given(path, name), request)

    def begin_example(self, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        example = self._examples[int(event.index)]
        return self._begin(self._answered.track(example, self._longest_s), request)

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
        track = self._given(str(file.path), Path(file.shown).name, {model: known} if known else {})
        return *self._begin(track, request), gr.Tabs(selected="timeline")

    def _given(self, path: str, name: str, analyses: dict[str, TrackAnalysis] | None = None) -> TrackResults:
        return TrackResults(path, name or Path(path).name, analyses or {}, max_duration_s=self._longest_s)

    def _begin(self, track: TrackResults, request: gr.Request, opening: bool = False) -> tuple[Any, Any]:
        corrected = [known.tempo.bpm for known in track.analyses.values() if known.tempo.corrected]
        job = Job(session_of(request), track, tempo_bpm=next(iter(corrected), None), opening=opening)
        self._jobs.start(job)
        return job, panel_value(None)

    async def analyse(
        self,
        job: Job | None,
        results: TrackResults | None,
        model: str,
        compared: list[str],
        models_state: ModelsState,
    ) -> AsyncIterator[Updates]:
        """Analyse the session's track with every model, the chosen one first, and show each answer as it comes.

        Of a track that is shown already only models that came later are asked.
        """
        shown = results if job and results and results.key == job.track.key else None
        yield {self.status: gr.skip()}  # of an event that gives nothing at all Gradio empties the outputs
        if job is None or not (self._jobs.claim(job) or shown):
            return
        models = sorted(self.models.names(models_state), key=lambda name: name != model)
        progress = AnalysisProgress(job.track.key, job.track.name, shown is None, job.opening)
        steps = self._answers(job, shown or job.track, models, compared, progress)
        if shown is None:
            steps = self._opened(job, results, model, steps, progress)
        if set(models) <= set((shown or job.track).analyses):
            while (updates := await asyncio.to_thread(next, steps, None)) is not None:
                yield updates
            yield {self.status: progress.over()}  # alone: what came last Gradio sends once more as the event ends
            return
        async with aclosing(self._in_own_queue(job, steps, progress)) as computed:
            async for updates in computed:
                yield updates

    async def analyse_again(self, job: Job | None, *others: Any) -> AsyncIterator[Updates]:
        """As `analyse`, where `choose_model` made a new job of the track."""
        yield {self.status: gr.skip()}  # as in `analyse`
        if job is not None and self._jobs.claimable(job):
            async with aclosing(self.analyse(job, *others)) as computed:  # type: ignore[type-var]
                async for updates in computed:
                    yield updates

    def _opened(
        self,
        job: Job,
        before: TrackResults | None,
        model: str,
        answers: Iterator[Updates],
        progress: AnalysisProgress,
    ) -> Iterator[Updates]:
        """A new track in the player, and all of the page with its first answer; the one before where it has none."""
        try:
            yield {self.player: self.playing(job.track, job.opening)}
            self._kept.keep(job.track)
            if not job.track.analyses:
                yield from self.beginnings(job.track, model, lambda *_: self._go_on(job))
            for updates in answers:
                first, progress.locked = progress.locked, False
                yield updates | self.first_look(job, updates[self.results], model) if first else updates
        except FluxBeatError as error:
            yield {
                self.notice: panel_answer({"text": str(error)}),
                self.player: self.playing_again(before),
                self.timeline: self.timeline_again(before, model),
            }

    def _answers(
        self, job: Job, track: TrackResults, models: list[str], compared: list[str], progress: AnalysisProgress
    ) -> Iterator[Updates]:
        def report(share: float, words: str) -> None:
            self._go_on(job)
            progress.report(share, words)

        found = track
        for found in track.answers([self._offered.models[name] for name in models], report):
            if job.tempo_bpm is not None:
                found = found.with_tempo(job.tempo_bpm)
            self._kept.keep(found)
            yield {self.results: found, self.compare: self.compared_models(found, compared)}
        self._answered.remember(found)

    def _go_on(self, job: Job) -> None:
        """Let others have their turn; raises where nobody waits for the job any more."""
        self._queue.give_way()
        if not self._jobs.wanted(job):
            raise AnalysisCancelled("a newer track was given")

    async def _in_own_queue(
        self, job: Job, steps: Iterator[Updates], progress: AnalysisProgress
    ) -> AsyncGenerator[Updates, None]:
        """What is computed for a job when its turn comes, while it is wanted; until then how many go first."""

        def wanted() -> bool:
            return self._jobs.wanted(job)

        yield {self.status: progress.view()}
        try:
            async with (
                aclosing(self._queue.run_steps(steps, wanted)) as computed,
                aclosing(now_and_then(computed)) as told,
            ):
                async for step in told:
                    if isinstance(step, Waiting):
                        yield {self.status: progress.waiting(waiting(step.before))}
                    elif not wanted():
                        return
                    elif step is None and not progress.begun:
                        continue
                    else:
                        yield {self.status: progress.view(), **(step or {})}
        except AnalysisCancelled:
            return
        except FluxBeatError as error:
            yield {self.notice: panel_answer({"text": str(error)})}
        if wanted():
            yield {self.status: progress.over()}

    def choose_model(
        self, job: Job | None, results: TrackResults | None, model: str, request: gr.Request
    ) -> tuple[Any, Any, Any, Any]:
        """Show what the model says; where its work was cancelled before, the track is its session's job again."""
        views = self.show_model(results, model)
        if results is None or model in results.analyses or self._jobs.current(session_of(request)) is not None:
            self._mark_shown(job, results, model)
            return gr.skip(), *views
        again, _ = self._begin(results, request)
        again.tempo_bpm = job.tempo_bpm if job and job.track.key == results.key else None
        return again, *views

    def show_chosen(self, job: Job | None, results: TrackResults | None, model: str) -> tuple[Any, Any, Any]:
        """As `show_model`, after an analysis: nothing where the page shows this answer already."""
        if job and results and job.track.key == results.key and job.shown_model == model:
            return gr.skip(), gr.skip(), gr.skip()
        self._mark_shown(job, results, model)
        return self.show_model(results, model)

    def _mark_shown(self, job: Job | None, results: TrackResults | None, model: str) -> None:
        if job and results and job.track.key == results.key and model in results.analyses:
            job.shown_model = model

    def cancel(
        self, results: TrackResults | None, model: str, compared: list[str], request: gr.Request
    ) -> tuple[Any, Any, Any, Any]:
        """The listener waits no more: what is shown stays, with its player, and nothing more comes to it."""
        job = self._jobs.current(session_of(request))
        begun = job is not None and (results is None or job.track.key != results.key)
        self._jobs.cancel(session_of(request))
        try:
            player = self.playing_again(results)
        except FluxBeatError:
            player = panel_value(None)
        compare = self.compared_models(results, compared, to_come=False) if results else panel_value(None)
        timeline = self.timeline_again(results, model) if begun else gr.skip()
        return panel_answer({}), player, timeline, compare

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
        unchanged = (gr.skip(),) * 7
        if results is None:
            return *unchanged, gr.skip()
        try:
            changed = results.with_tempo(bpm)
            table = self.library.corrected(library, results.path, bpm)
        except FluxBeatError as error:
            return *unchanged, panel_answer({"text": str(error)})
        if job and job.track.key == results.key:
            job.tempo_bpm = bpm
        self._kept.keep(changed)
        return changed, *self.show_model(changed, model), self.compared_models(changed, compared), *table, gr.skip()

    def show_compared(self, results: TrackResults | None, compared: list[str]) -> Any:
        """The Compare tab with the models that are switched on."""
        return self.compared_models(results, compared) if results else gr.skip()

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.library.leave(request)
        self.teach.leave(request)
        self.explain.stop(request)
        self._jobs.cancel(session_of(request))
