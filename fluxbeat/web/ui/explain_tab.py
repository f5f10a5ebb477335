"""The Explain tab: what in the sound speaks for a genre, for each model, and how far to trust that."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import gradio as gr
import numpy as np
import soundfile
import torch

from fluxbeat.analysis import Progress, Timeline, Track, presence
from fluxbeat.analysis.track import part_of
from fluxbeat.charts.colours import Paint
from fluxbeat.charts.heat import track_heat_figure
from fluxbeat.charts.plots import river_figure, river_rise
from fluxbeat.charts.wording import capitalised, clock, model_title, percent, waiting
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.explanation import (
    Explanation,
    SegmentEvidence,
    explain_track,
    explain_track_tempo,
    explain_whole_track,
)
from fluxbeat.explanation.attribution import chosen_cam, shown_probability
from fluxbeat.explanation.drawing import strength
from fluxbeat.explanation.files import window_parts
from fluxbeat.explanation.occlusion import OCCLUSION
from fluxbeat.explanation.regions import REGISTERS, Region
from fluxbeat.explanation.windows import cut_window, last_start_s
from fluxbeat.models.registry import LoadedModel
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui.gradio_internals import asks_whether_wanted, folder_to_serve, served_url
from fluxbeat.web.ui.jobs import session_of
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import HIDDEN, panel, panel_answer, panel_bytes
from fluxbeat.web.ui.track_results import TrackResults

TEMPO = "tempo"
"""Offered among the genres: what speaks for the tempo."""
FAITHFULNESS_STEPS = 5
"""Of which the first takes away the fifth that the tab speaks of."""
QUIET, LOUD = -3.0, 3.0
"""Levels between which the spectrogram is drawn, in units of the normalised log-mel."""
REGIONS_OF_SEGMENT = 3
LOOK_EVERY_S = 0.3
MOST_KEPT = 32
"""Explanations of models that take long, for whoever then listens to what they marked."""
VISIBLE = 0.2
"""Strength below which no mark is seen: where none is stronger, nothing speaks for the answer."""
PLACES = ((80, "bass"), (280, "low mids"), (1000, "voice"), (3200, "snare"), (7500, "cymbals"))
"""Words beside the spectrogram, and where in Hz they stand."""
BY_SOUND = (
    "What is marked was found by taking each part of the sound away and asking the model again: it is coarse, and "
    "it is what the model says without it."
)
SHARE_WORDS = ((0.5, "most of it"), (0.25, "a large part"), (0.1, "a part"), (0.0, "a little"))


class ExplainTab:
    """The tab, and what it does with the models of the page."""

    def __init__(self, offered: OfferedModels, queue: AnalysisQueue) -> None:
        self._offered, self._queue = offered, queue
        self._questions: dict[str, _Question] = {}
        self._found: dict[tuple[Any, ...], Explanation] = {}
        self.panel = panel("explain", events=["asked", "played", "stopped"])
        self.whole = panel("whole", events=["asked"])
        self.played = panel("sound")

    def connect(self, results: gr.State, model: gr.Radio) -> None:
        """Answer what the panel asks."""
        # they wait in our own queue
        each: dict[str, Any] = {**HIDDEN, "trigger_mode": "multiple", "concurrency_limit": None}
        self.panel.asked(self.explain, results, self.panel, **each)
        self.panel.stopped(self.stop, None, None, queue=False, **HIDDEN)
        self.whole.asked(self.explain_whole, [results, model], self.whole, **each)
        self.panel.played(self.play, results, self.played, **each)

    async def _in_turn(
        self, work: Callable[[Progress], dict[str, Any]], told: Callable[[int], None] | None = None
    ) -> str:
        """The view that `work` computes when its turn comes."""
        try:
            with self._queue.place():
                return panel_answer(await self._queue.run(work, on_wait=told))
        except AnalysisCancelled:
            return panel_answer({"stopped": True})
        except FluxBeatError as error:
            return panel_answer({"error": str(error)})

    async def explain(
        self, results: TrackResults | None, event: gr.EventData, request: gr.Request
    ) -> AsyncIterator[Any]:
        """As `explained`, when its turn comes; until then how far it is, where that takes long.

        What a page asks takes the place of what it asked before.
        """
        session, wanted = session_of(request), asks_whether_wanted()
        self.stop(request)
        question = self._questions[session] = _Question()

        def work(progress: Progress) -> dict[str, Any]:
            return self.explained(results, event, question.reporting(progress))

        doing = asyncio.create_task(self._in_turn(work, question.tell_place))
        try:
            while not doing.done():
                await asyncio.wait([doing], timeout=LOOK_EVERY_S)
                if not wanted():
                    question.stop()
                if question.words and not doing.done() and self._questions.get(session) is question:
                    yield panel_answer({"busy": {"share": question.share, "words": question.words}})
        finally:
            question.stop()
            newest = self._questions.get(session) is question
            if newest:
                del self._questions[session]
        yield doing.result() if newest else gr.skip()

    def stop(self, request: gr.Request) -> None:
        """The page does not wait for what it asked any more."""
        question = self._questions.get(session_of(request))
        if question:
            question.stop()

    async def play(self, results: TrackResults | None, event: gr.EventData) -> str:
        """As `sound`, when its turn comes."""
        return await self._in_turn(lambda _: self.sound(results, event))

    def explained(
        self, results: TrackResults | None, event: gr.EventData, progress: Progress | None = None
    ) -> dict[str, Any]:
        """The window that begins at `start_s` for the genre `about`, or else its strongest, by all of `models`.

        A genre that was chosen at another moment (`moved`) gives way to the strongest where it is absent. A model that
        does not know the genre has a row that says so.
        """
        if results is None:
            return {"error": "The track is not kept any more: give it once more."}
        names = [name for name in self._offered.models if name in set(event.models)]
        try:
            probabilities = self._window_probabilities(results, names, float(event.start_s))
        except FluxBeatError as error:
            return {**self.waiting(results), "error": str(error)}
        asked = about = str(event.about)
        absent = event.moved and presence(probabilities.get(asked, 0.0)) == "none"
        if about != TEMPO and (about not in probabilities or absent):
            about = next(iter(probabilities), "")
        rows, paints = list[dict[str, Any]](), self._offered.paints
        slow = [name for name in names if self._offered.models[name].network.takes_sound]
        for name in names:  # one model that cannot be explained leaves the others be
            try:
                network = self._offered.models[name].network
                if not network.takes_sound:
                    chosen_cam(network)
                if about != TEMPO and about not in network.config.labels:
                    raise FluxBeatError(f"{model_title(name)} does not know {about}")
                report = part_of(_of_model(progress, name), slow.index(name), len(slow)) if name in slow else None
                rows.append(_row(self._of(results, name, about, float(event.start_s), progress=report), paints))
            except AnalysisCancelled:
                raise
            except FluxBeatError as error:
                rows.append({"model": name, "title": model_title(name), "missing": f"{error}."})
        explained = [row["window"] for row in rows if "window" in row]
        shares = sorted(probabilities.items(), key=lambda item: -item[1])
        return {
            "key": results.key,
            "duration_s": round(results.any.duration_s, 3),
            "choices": [
                {"label": label, "presence": presence(share), "colour": paints[label].fill} for label, share in shares
            ],
            "absent": asked if asked not in ("", about) else "",
            "rows": rows,
            **({"about": about, "start_s": explained[0]["start_s"]} if explained else {}),
        }

    def waiting(self, results: TrackResults) -> dict[str, Any]:
        """What the tab shows before anything was asked."""
        paints, genres = self._offered.paints, [genre.label for genre in results.any.genres]
        # those that a visitor fetches are that visitor's alone
        names = list(dict.fromkeys([*self._offered.own, *results.analyses]))
        return {
            "key": results.key,
            "file": results.any.file,
            "duration_s": round(results.any.duration_s, 3),
            "window_s": self._offered.models[names[0]].network.config.window_s,
            "models": [{"name": name, "title": model_title(name)} for name in names],
            "choices": [{"label": label, "colour": paints[label].fill} for label in genres],
            "first": genres[0],
            "river": river_figure(results.any, paints, genres, river_rise([results.any])),
        }

    async def explain_whole(
        self,
        results: TrackResults | None,
        model: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> str:
        """What carried each segment of the chosen model's timeline."""

        def work(report: Progress) -> dict[str, Any]:
            def both(share: float, label: str) -> None:
                report(share, label)
                progress(share, desc=label)

            return self._whole(results, model, both)

        return await self._in_turn(work)

    def _whole(self, results: TrackResults | None, model: str, progress: Progress) -> dict[str, Any]:
        analysis = results.analyses.get(model) if results else None
        if results is None or analysis is None:
            return {"error": "This model is still listening: try again in a moment."}
        track, asked = self._ready(results, model)
        found = explain_whole_track(track, asked, analysis, progress=progress)
        paints = self._offered.paints
        return {
            "key": results.key,
            "model": model_title(model),
            "duration_s": round(analysis.duration_s, 3),
            "figure": track_heat_figure(found, analysis.duration_s, paints),
            "segments": [_segment(one, paints) for one in found.segments],
        }

    def sound(self, results: TrackResults | None, event: gr.EventData) -> dict[str, Any]:
        """The sound of a window in two parts, what a model attended to and the rest, as files for the browser."""
        if results is None:
            return {"error": "The track is not kept any more: give it once more.", "ticket": event.ticket}
        found = self._of(results, str(event.model), str(event.about), float(event.start_s), measure=False)
        parts = window_parts(found, results.path)
        loudest = max(1.0, float(np.abs(parts.attended).max()), float(np.abs(parts.rest).max()))
        folder, urls = folder_to_serve(self.played, "results-"), dict[str, str]()
        for name, samples in (("attended", parts.attended), ("rest", parts.rest)):
            written = folder / f"{name}.wav"
            soundfile.write(written, samples / loudest, parts.sample_rate_hz, subtype="PCM_16")
            urls[name] = served_url(self.played, written)
        return {"urls": urls, "start_s": round(found.start_s, 3), "ticket": event.ticket}

    def _of(
        self,
        results: TrackResults,
        name: str,
        about: str,
        start_s: float,
        measure: bool = True,
        progress: Progress | None = None,
    ) -> Explanation:
        """The explanation of a window; what a slow model was asked a moment ago it is not asked again."""
        track, model = self._ready(results, name)
        start_s = min(max(0.0, start_s), last_start_s(track, model.network))
        if model.network.takes_sound and about != TEMPO:
            asked = (results.key, model.info.revision, about, start_s)
            if asked not in self._found:
                found = explain_track(track, model, about, start_s, sound=results.path, progress=progress)
                kept = list(self._found.items())[-MOST_KEPT:]
                self._found = dict([*kept, (asked, found)])
                return found
            return self._found[asked]
        if about == TEMPO:
            analysis = results.analyses.get(name)
            bpm = analysis.tempo.bpm if analysis else None
            return explain_track_tempo(track, model, bpm, start_s)
        return explain_track(track, model, about, start_s, measure=measure, steps=FAITHFULNESS_STEPS)

    def _ready(self, results: TrackResults, name: str) -> tuple[Track, LoadedModel]:
        model = self._offered.models[name]
        return results.track(model.network.config.features), model

    def _window_probabilities(self, results: TrackResults, names: Sequence[str], start_s: float) -> dict[str, float]:
        """Probability of every genre in the window, mean over the models that know it.

        A classifier that takes sound is not asked again: its answer to the nearest window counts.

        Those that most models know come first, the most probable first.
        """
        probabilities: dict[str, list[float]] = {}
        for name in names:
            if self._offered.models[name].network.takes_sound:
                found = _nearest(results.analyses[name].timeline, start_s) if name in results.analyses else {}
            else:
                found = _probabilities(*self._ready(results, name), start_s)
            for label, probability in found.items():
                probabilities.setdefault(label, []).append(probability)
        ordered = sorted(probabilities.items(), key=lambda item: (-len(item[1]), -np.mean(item[1])))
        return {label: float(np.mean(values)) for label, values in ordered}


class _Question:
    """What one page asks for, whose share and words another thread reads."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self.share, self.words = 0.0, ""

    def stop(self) -> None:
        self._stopped.set()

    def tell_place(self, before: int) -> None:
        """It is not its turn yet."""
        self.words = waiting(before).rstrip(".") if before else ""
        self._go_on()

    def reporting(self, progress: Progress) -> Progress:
        """As `progress`, which it tells as well."""

        def report(share: float, doing: str) -> None:
            self._go_on()
            self.share, self.words = share, doing
            progress(share, doing)

        return report

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise AnalysisCancelled("no longer wanted")


def _of_model(progress: Progress | None, name: str) -> Progress | None:
    if progress is None:
        return None
    return lambda share, doing: progress(share, f"{model_title(name)} is {doing}")


def _window(found: Explanation) -> dict[str, Any]:
    """The spectrogram image below a map: every model may have windows and bands of its own."""
    bands = np.interp([hz for hz, _ in PLACES], found.band_hz, np.arange(len(found.band_hz)))
    return {
        "start_s": round(found.start_s, 3),
        "window_s": round(found.window_s, 3),
        "frame_rate_hz": found.frame_rate_hz,
        "bands": len(found.band_hz),
        "frames": found.log_mel.shape[1],
        "band_hz": [round(float(hz)) for hz in found.band_hz],
        "places": [[round(float(band), 2), words] for band, (_, words) in zip(bands, PLACES, strict=True)],
        "registers": [[hz if np.isfinite(hz) else None, words] for hz, words in REGISTERS],
        "level": panel_bytes((found.log_mel - QUIET) / (LOUD - QUIET)),
    }


def _row(found: Explanation, paints: Mapping[str, Paint]) -> dict[str, Any]:
    colour = paints[found.about].fill if found.about in paints else "#e88519"
    drawn = strength(found)
    speaks = bool(drawn.max() >= VISIBLE)
    return {
        "model": found.model.name,
        "title": model_title(found.model.name),
        "about": found.about,
        "presence": presence(found.probability) if found.kind == "genre" else "",
        "percent": percent(found.probability),
        "colour": colour,
        "window": _window(found),
        "map": panel_bytes(drawn),
        "speaks": speaks,
        **_measured(found, speaks),
        "regions": [_region(region) for region in found.regions] if speaks else [],
    }


def _measured(found: Explanation, speaks: bool) -> dict[str, str]:
    """A badge that says what was measured, with its numbers as `why`; a sentence alone where nothing can be tested."""
    if not speaks:
        return {"badge": "", "why": f"Nothing in this window speaks for {found.about}."}
    measured = found.faithfulness
    if found.method == OCCLUSION.method:
        return {"badge": "", "why": BY_SOUND}
    if measured is None:
        return {"badge": "", "why": ""}
    if not measured.testable:
        return {"badge": "", "why": f"{capitalised(found.about)} is hardly here: there is too little that could fall."}
    return {
        "badge": measured.in_words(),
        "why": f"Without the most marked fifth {found.about} goes from {percent(found.probability)} to "
        f"{percent(measured.map.without_marked)}; without a random fifth, to "
        f"{percent(measured.random.without_marked)}. "
        f"The most marked fifth alone: {percent(measured.map.marked_alone)}.",
    }


def _region(region: Region) -> dict[str, Any]:
    """A place as a listener would name it; Hz and per cent are for pointing."""
    begin, end = clock(region.start_s), clock(region.end_s)
    return {
        "words": f"{region.register}, {begin}" + (f" to {end}" if end != begin else ""),
        "exactly": region.words(),
        "part": next(words for least, words in SHARE_WORDS if region.share >= least),
        "share": f"{percent(region.share)} of what speaks for it",
        "start_s": round(region.start_s, 2),
    }


def _segment(found: SegmentEvidence, paints: Mapping[str, Paint]) -> dict[str, Any]:
    segment = found.segment
    return {
        "when": f"{clock(segment.start_s)} to {clock(segment.end_s)}",
        "label": found.label,
        "sure": found.label in segment.labels,
        "colour": paints[found.label].fill,
        "regions": [_region(region) for region in found.regions[:REGIONS_OF_SEGMENT]],
    }


def _probabilities(track: Track, model: LoadedModel, start_s: float) -> dict[str, float]:
    cut = cut_window(track, model.network, min(max(0.0, start_s), last_start_s(track, model.network)))
    with torch.inference_mode():
        probabilities = shown_probability(model.network, model.network(cut.log_mel[None]).genre_logits)[0]
    return dict(zip(model.network.config.labels, probabilities.tolist(), strict=True))


def _nearest(timeline: Timeline, start_s: float) -> dict[str, float]:
    """The answer to the window that begins nearest to `start_s`."""
    row = int(np.abs(timeline.start_s - start_s).argmin())
    return dict(zip(timeline.labels, timeline.probability[row].tolist(), strict=True))
