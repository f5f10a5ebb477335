"""The Explain tab: what in the sound speaks for a genre, for each model, and how far to trust that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr
import numpy as np
import soundfile
import torch

from fluxbeat.analysis.presence import presence
from fluxbeat.analysis.result import Timeline
from fluxbeat.analysis.track import Progress, Track, part_of
from fluxbeat.charts.colours import Paint
from fluxbeat.charts.heat import track_heat_figure
from fluxbeat.charts.plots import river_figure, river_rise
from fluxbeat.charts.wording import capitalised, clock, model_title, percent
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.explanation.attribution import shown_probability
from fluxbeat.explanation.drawing import strength
from fluxbeat.explanation.explain import explain_track, explain_track_tempo
from fluxbeat.explanation.files import window_parts
from fluxbeat.explanation.occlusion import OCCLUSION
from fluxbeat.explanation.regions import REGISTERS, Region
from fluxbeat.explanation.result import Explanation
from fluxbeat.explanation.whole_track import SegmentEvidence, explain_whole_track
from fluxbeat.explanation.windows import cut_window, last_start_s
from fluxbeat.models.registry import LoadedModel
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui.gradio_internals import folder_to_serve, served_url
from fluxbeat.web.ui.jobs import Job, Jobs, session_of
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import AT_ONCE, IN_OUR_QUEUE, panel, panel_answer, panel_bytes
from fluxbeat.web.ui.track_results import TrackResults, kept, kept_analysis

TEMPO = "tempo"
"""Offered among the genres: what speaks for the tempo."""
FAITHFULNESS_STEPS = 5
"""Of which the first takes away the fifth that the tab speaks of."""
QUIET, LOUD = -3.0, 3.0
"""Levels between which the spectrogram is drawn, in units of the normalised log-mel."""
REGIONS_OF_SEGMENT = 3
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
        self.jobs = Jobs[Job]()
        self._found: dict[tuple[Any, ...], Explanation] = {}
        self.panel = panel("explain", events=["asked", "played", "stopped"])
        self.whole = panel("whole", events=["asked"])
        self.played = panel("sound")

    def connect(self, results: gr.State, model: gr.Radio) -> None:
        """Answer what the panel asks."""
        self.panel.asked(self.explain, results, self.panel, **IN_OUR_QUEUE)
        self.panel.stopped(self.stop, None, None, **AT_ONCE)
        self.whole.asked(self.explain_whole, [results, model], self.whole, **IN_OUR_QUEUE)
        self.panel.played(self.play, results, self.played, **IN_OUR_QUEUE)

    async def _in_turn(self, work: Callable[[Progress], dict[str, Any]]) -> dict[str, Any]:
        """The view that `work` computes when its turn comes."""
        try:
            with self._queue.place():
                return await self._queue.run(work)
        except FluxBeatError as error:
            return {"error": str(error)}

    async def explain(
        self, results: TrackResults | None, event: gr.EventData, request: gr.Request
    ) -> AsyncIterator[Any]:
        """As `explained`, when its turn comes; until then how far it is, where that takes long.

        What a page asks takes the place of what it asked before.
        """
        session = session_of(request)
        job = self.jobs.start(session, Job(self._queue))
        async with aclosing(job.views(self._steps(results, event, job))) as views:
            async for view in views:
                answer = panel_answer(view)  # numbered before what takes its place
                yield gr.skip() if job.stopped and self.jobs.newest(session) else answer

    def _steps(self, results: TrackResults | None, event: gr.EventData, job: Job) -> Iterator[dict[str, Any]]:
        yield self.explained(results, event, job.report)

    def stop(self, request: gr.Request) -> None:
        """The page does not wait for what it asked any more."""
        self.jobs.stop(session_of(request))

    async def play(self, results: TrackResults | None, event: gr.EventData) -> str:
        """As `sound`, when its turn comes."""
        answer = await self._in_turn(lambda _: self.sound(results, event))
        return panel_answer({**answer, "ticket": event.ticket})

    def explained(self, results: TrackResults | None, event: gr.EventData, progress: Progress) -> dict[str, Any]:
        """The window that begins at `start_s` for the genre `about`, or else its strongest, by all of `models`.

        A genre that was chosen at another moment (`moved`) gives way to the strongest where it is absent. A model that
        does not know the genre has a row that says so.
        """
        results, start_s = kept(results), float(event.start_s)
        names = [name for name in self._offered.models if name in set(event.models)]
        probabilities = self._window_probabilities(results, names, start_s)
        asked = about = str(event.about)
        absent = event.moved and presence(probabilities.get(asked, 0.0)) == "none"
        if about != TEMPO and (about not in probabilities or absent):
            about = next(iter(probabilities), "")
        slow = [name for name in names if self._offered.models[name].network.takes_sound]
        rows = list[dict[str, Any]]()
        for name in names:  # one model that cannot be explained leaves the others be
            part = part_of(progress, slow.index(name), len(slow)) if name in slow else None
            try:
                rows.append(self._row(results, name, about, start_s, part))
            except AnalysisCancelled:
                raise
            except FluxBeatError as error:
                rows.append({"model": name, "title": model_title(name), "missing": f"{error}."})
        explained = [row["window"] for row in rows if "window" in row]
        shares = sorted(probabilities.items(), key=lambda item: -item[1])
        return {
            "key": results.key,
            "duration_s": round(results.any.duration_s, 3),
            "choices": [{"label": label, "presence": presence(share)} for label, share in shares],
            "absent": asked if asked not in ("", about) else "",
            "rows": rows,
            **({"about": about, "start_s": explained[0]["start_s"]} if explained else {}),
        }

    def waiting(self, results: TrackResults) -> dict[str, Any]:
        """What the tab shows before anything was asked."""
        genres = [genre.label for genre in results.any.genres]
        # those that a visitor fetches are that visitor's alone
        names = list(dict.fromkeys([*self._offered.own, *results.analyses]))
        return {
            "key": results.key,
            "file": results.any.file,
            "duration_s": round(results.any.duration_s, 3),
            "window_s": self._offered.models[names[0]].network.config.window_s,
            "models": [{"name": name, "title": model_title(name)} for name in names],
            "choices": [{"label": label} for label in genres],
            "river": river_figure(results.any, self._offered.paints, genres, river_rise([results.any])),
        }

    async def explain_whole(self, results: TrackResults | None, model: str) -> str:
        """What carried each segment of the chosen model's timeline."""
        return panel_answer(await self._in_turn(lambda progress: self._whole(results, model, progress)))

    def _whole(self, results: TrackResults | None, model: str, progress: Progress) -> dict[str, Any]:
        results, analysis = kept_analysis(results, model)
        found = explain_whole_track(*self._ready(results, model), analysis, progress=progress)
        paints = self._offered.paints
        return {
            "model": model_title(model),
            "duration_s": round(analysis.duration_s, 3),
            "figure": track_heat_figure(found, analysis.duration_s, paints),
            "segments": [_segment(evidence, paints) for evidence in found.segments],
        }

    def sound(self, results: TrackResults | None, event: gr.EventData) -> dict[str, Any]:
        """The sound of a window in two parts, what a model attended to and the rest, as files for the browser."""
        results = kept(results)
        found = self._of(results, str(event.model), str(event.about), float(event.start_s), measure=False)
        parts = window_parts(found, results.path)
        loudest = max(1.0, float(np.abs(parts.attended).max()), float(np.abs(parts.rest).max()))
        folder, urls = folder_to_serve(self.played, "results-"), dict[str, str]()
        for name, samples in (("attended", parts.attended), ("rest", parts.rest)):
            written = folder / f"{name}.wav"
            soundfile.write(written, samples / loudest, parts.sample_rate_hz, subtype="PCM_16")
            urls[name] = served_url(self.played, written)
        return {"urls": urls}

    def _row(
        self, results: TrackResults, name: str, about: str, start_s: float, progress: Progress | None
    ) -> dict[str, Any]:
        if about not in (TEMPO, *self._offered.find(name).network.config.labels):
            raise FluxBeatError(f"{model_title(name)} does not know {about}")
        found = self._of(results, name, about, start_s, progress=progress)
        marks = strength(found)
        speaks = bool(marks.max() >= VISIBLE)
        return {
            "model": name,
            "title": model_title(name),
            "about": found.about,
            "presence": presence(found.probability) if found.kind == "genre" else "",
            "percent": percent(found.probability),
            "window": _window(found),
            "map": panel_bytes(marks),
            "speaks": speaks,
            **_measured(found, speaks),
            "regions": [_region(region) for region in found.regions] if speaks else [],
        }

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
        if about == TEMPO:
            analysis = results.analyses.get(name)
            return explain_track_tempo(track, model, analysis.tempo.bpm if analysis else None, start_s)
        if not model.network.takes_sound:
            return explain_track(track, model, about, start_s, measure=measure, steps=FAITHFULNESS_STEPS)
        asked = (results.key, model.info.revision, about, start_s)
        if asked not in self._found:

            def report(share: float, doing: str) -> None:
                if progress:
                    progress(share, f"{model_title(name)} is {doing}")

            self._found[asked] = explain_track(track, model, about, start_s, sound=results.path, progress=report)
            if len(self._found) > MOST_KEPT:
                del self._found[next(iter(self._found))]
        return self._found[asked]

    def _ready(self, results: TrackResults, name: str) -> tuple[Track, LoadedModel]:
        model = self._offered.find(name)
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


def _window(found: Explanation) -> dict[str, Any]:
    """The spectrogram image below a map: every model may have windows and bands of its own."""
    bands = np.interp([hz for hz, _ in PLACES], found.band_hz, np.arange(len(found.band_hz)))
    return {
        "start_s": round(found.start_s, 3),
        "window_s": round(found.window_s, 3),
        "frame_rate_hz": found.frame_rate_hz,
        "frames": found.log_mel.shape[1],
        "band_hz": [round(float(hz)) for hz in found.band_hz],
        "places": [[round(float(band), 2), words] for band, (_, words) in zip(bands, PLACES, strict=True)],
        "registers": [[hz if np.isfinite(hz) else None, words] for hz, words in REGISTERS],
        "level": panel_bytes((found.log_mel - QUIET) / (LOUD - QUIET)),
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
