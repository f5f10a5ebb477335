"""The page, and what happens on it when a track is given; what it is made of is `page_parts`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.concurrency import iterate_in_threadpool

from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.web.service import Service
from fluxbeat.web.ui.client_functions import ClientFunctions
from fluxbeat.web.ui.example_tracks import ExampleAnswers, read_examples
from fluxbeat.web.ui.gradio_internals import allow_events_at_once
from fluxbeat.web.ui.jobs import TrackJob, session_of
from fluxbeat.web.ui.kept_tracks import KeptTracks
from fluxbeat.web.ui.library_tab import LibraryState
from fluxbeat.web.ui.models_tab import ModelsState
from fluxbeat.web.ui.page_parts import RESULTS_KEPT_S, UPLOADS_KEPT_S, PageParts, Updates
from fluxbeat.web.ui.panel import AT_ONCE, IN_OUR_QUEUE, panel_answer, panel_value
from fluxbeat.web.ui.player import CHOSEN_BPM, player_view
from fluxbeat.web.ui.track_results import TrackResults

KEPT_TOKEN = "_ => { try { return [sessionStorage.getItem('fluxbeat-track') ?? '']; } catch { return ['']; } }"
"""By which a page that was here before asks for the track that it had."""


def build_page(service: Service, answers: ExampleAnswers | None = None) -> gr.Blocks:
    """The Gradio page over the service's models; the default model, or else the first, answers first.

    `answers` is what they say of the examples: whoever serves the page may `begin` with that before anybody comes.
    """
    with gr.Blocks(title="FluxBeat", delete_cache=(3600, UPLOADS_KEPT_S), fill_width=False) as blocks:
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
        newest: dict[str, Any] = {**AT_ONCE, "trigger_mode": "always_last"}
        views = [self.timeline, self.tempo, self.beat]
        asked = [self.results, self.model, self.compared, self.models.state]
        outputs = [
            self.notice, *views, self.compare, self.explain.panel, self.explain.whole, self.results, self.player,
            self.status,
        ]  # fmt: skip
        chosen = [self.library.state, self.model]
        given = [
            page.load(self.arrive, self.token, self.notice, js=KEPT_TOKEN, **IN_OUR_QUEUE),
            self.status.given(self.begin, self.given.inputs, self.notice, js=self.given.js, **AT_ONCE),
            self.examples.chosen(self.begin_example, None, self.notice, **AT_ONCE),
            self.library.panel.opened(self.begin_from_library, chosen, [self.notice, self.tabs], **AT_ONCE),
        ]
        # whose fetched or taught models are then chosen
        self.models.connect(page, self.model, self.compared)
        self.teach.connect(self.library.panel, self.library.state, self.tabs, self.model, self.compared)
        seen = [self.results, self.model]
        for event in (*given, self.model.change(self.choose_model, seen, views, **newest)):
            event.then(self.analyse, asked, outputs, **IN_OUR_QUEUE)
        self.status.cancelled(
            self.cancel,
            [self.results, self.model, self.compared],
            [self.status, self.compare, self.player, *views],
            **AT_ONCE,
        )
        self.beat.corrected(
            self.correct_tempo,
            [self.chosen_bpm, self.results, self.model, self.compared, self.library.state],
            [self.results, *views, self.compare, self.library.panel, self.library.csv, self.notice],
            js=CHOSEN_BPM,
            **newest,  # of several words the last one holds
        )
        self.compared.change(self.show_compared, [self.results, self.compared], self.compare, **newest)
        self.save.connect(self.results, self.model, given)
        self.explain.connect(self.results, self.model)
        self.layers.connect(self.results, self.model)
        self.library.connect(self.model)
        page.unload(self.leave)

    async def arrive(self, token: str, request: gr.Request) -> Any:
        """A page was opened: it gets the track that it had before, while that is known, or else the first example."""
        if (kept := self._kept.find(token)) is not None:
            return self._begin(kept, request)
        await asyncio.shield(asyncio.wrap_future(self._answered.begin()))
        if self._jobs.newest(session_of(request)) is not None:  # a track was given meanwhile
            return gr.skip()
        return self._begin(self._answered.track(self._examples[0], self._longest_s), request, opening=True)

    def begin(self, paths: list[str], about: str, request: gr.Request) -> str:
        """A file was given: it is what the session waits for from now on."""
        track = TrackResults(paths[0], json.loads(about)["names"][0], max_duration_s=self._longest_s)
        return self._begin(track, request)

    def begin_example(self, event: gr.EventData, request: gr.Request) -> str:
        example = self._examples[int(event.index)]
        return self._begin(self._answered.track(example, self._longest_s), request)

    def begin_from_library(
        self, library: LibraryState | None, model: str, event: gr.EventData, request: gr.Request
    ) -> tuple[str, Any]:
        """A row of the library was chosen: it is shown at once as the library's model analysed it."""
        try:
            file, known = self.library.chosen(library, int(event.index), model)
        except FluxBeatError as error:
            return panel_answer({"text": str(error)}), gr.skip()
        analyses = {model: known} if known else {}
        track = TrackResults(str(file.path), Path(file.shown).name, analyses, max_duration_s=self._longest_s)
        return self._begin(track, request), gr.Tabs(selected="timeline")

    def _begin(self, track: TrackResults, request: gr.Request, opening: bool = False) -> str:
        """Make a track what the session waits for: nothing more is told of the one before."""
        self._jobs.start(session_of(request), TrackJob(self._queue, track, opening))
        return panel_value(None)

    async def analyse(
        self,
        results: TrackResults | None,
        model: str,
        compared: list[str],
        models_state: ModelsState,
        request: gr.Request,
    ) -> AsyncIterator[Updates]:
        """Begin with the session's job: ask every model, the chosen one first, and show each answer as it comes."""
        yield {self.status: gr.skip()}  # of an event that gives nothing at all Gradio empties the outputs
        job = self._jobs.newest(session_of(request))
        if job is None or job.models:
            return
        job.model = model
        job.models = sorted(self.models.names(models_state), key=lambda name: name != model)
        job.locked = results is None or results.key != job.track.key
        steps = self._opened(job, results, compared) if job.locked else self._answers(job, compared)
        if set(job.models) <= set(job.track.analyses):  # nobody needs to wait for a turn
            async for updates in iterate_in_threadpool(steps):
                yield updates
        else:
            yield {self.status: job.view()}
            try:
                async with aclosing(job.in_turn(steps)) as computed:
                    async for step in computed:
                        yield {self.status: job.view(), **(step or {})}
            except AnalysisCancelled:
                return
            except FluxBeatError as error:
                yield {self.notice: panel_answer({"text": str(error)})}
        yield {self.status: job.over()}  # alone: what came last Gradio sends once more as the event ends

    def _opened(self, job: TrackJob, before: TrackResults | None, compared: list[str]) -> Iterator[Updates]:
        """A new track in the player, and what is said of it; the one before again where it cannot be read."""
        try:
            yield {self.player: panel_value(player_view(job.track, job.opening))}
            self._kept.keep(job.track)
            if not job.track.analyses:
                yield from self.beginnings(job)
            yield from self._answers(job, compared)
        except FluxBeatError as error:
            yield {self.notice: panel_answer({"text": str(error)}), **self.show_again(before, job.model)}

    def _answers(self, job: TrackJob, compared: list[str]) -> Iterator[Updates]:
        """Each answer as it comes; the first one, and then that of the chosen model, in every tab."""
        for found in job.track.answers([self._offered.find(name) for name in job.models], job.report):
            if job.tempo_bpm is not None:
                found = found.with_tempo(job.tempo_bpm)
            job.track = found
            self._kept.keep(found)
            updates: Updates = {self.results: found, self.compare: self.compared_models(found, compared)}
            newest = next(reversed(found.analyses))
            if job.locked:
                updates[self.explain.panel] = panel_value(self.explain.waiting(found))
                updates[self.explain.whole] = panel_value(None)
            if job.locked or newest == job.model:
                updates |= self.show_model(found, found.answering(job.model))
            job.locked = False
            yield updates
        self._answered.remember(job.track)

    def choose_model(self, results: TrackResults | None, model: str, request: gr.Request) -> Updates:
        """Show what the model says; where nobody asks it, as after Cancel, the track is its session's job again."""
        job = self._jobs.newest(session_of(request))
        if job:
            job.model = model
            if results and job.track.key == results.key:
                results = job.track  # which may have come further
        asked = job and (job.locked or model in job.models)
        if results and model not in results.analyses and not asked:
            self._begin(results, request)
        return self.show_model(results, model)

    def cancel(self, results: TrackResults | None, model: str, compared: list[str], request: gr.Request) -> Updates:
        """The listener waits no more: what is shown stays, with its player, and nothing more comes to it."""
        self._jobs.stop(session_of(request))
        compare = self.compared_models(results, compared, to_come=False) if results else panel_value(None)
        return {self.status: panel_answer({}), self.compare: compare, **self.show_again(results, model)}

    def correct_tempo(
        self,
        bpm: float | None,
        results: TrackResults | None,
        model: str,
        compared: list[str],
        library: LibraryState | None,
        request: gr.Request,
    ) -> Updates:
        """A person says what the tempo of the track is, or takes it back: it is so wherever the page shows it."""
        if results is None:
            return {self.notice: gr.skip()}
        try:
            changed = results.with_tempo(bpm)
            table, csv = self.library.corrected(library, results.path, bpm)
        except FluxBeatError as error:
            return {self.notice: panel_answer({"text": str(error)})}
        job = self._jobs.newest(session_of(request))
        if job and job.track.key == results.key:
            job.tempo_bpm, job.track = bpm, job.track.with_tempo(bpm)
        self._kept.keep(changed)
        updates = {self.results: changed, self.compare: self.compared_models(changed, compared)}
        return {**updates, **self.show_model(changed, model), self.library.panel: table, self.library.csv: csv}

    def show_compared(self, results: TrackResults | None, compared: list[str]) -> Any:
        """The Compare tab with the models that are switched on."""
        return self.compared_models(results, compared) if results else gr.skip()

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.library.leave(request)
        self.teach.leave(request)
        for jobs in (self._jobs, self.explain.jobs, self.layers.jobs, self.save.jobs):
            jobs.stop(session_of(request))
