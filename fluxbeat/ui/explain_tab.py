"""The Explain tab: what in the sound speaks for a genre, as each model hears it, and how far to trust that."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np
import soundfile
import torch

from fluxbeat.analysis import Track, TrackAnalysis
from fluxbeat.charts.colours import Paint
from fluxbeat.charts.heat import track_heat_figure
from fluxbeat.charts.plots import river_figure, river_rise
from fluxbeat.charts.wording import clock, model_title, percent
from fluxbeat.errors import FluxBeatError
from fluxbeat.explanation import (
    Explanation,
    SegmentEvidence,
    explain_track,
    explain_track_tempo,
    explain_whole_track,
)
from fluxbeat.explanation.files import heard_parts
from fluxbeat.explanation.picture import TICKS_HZ, strength
from fluxbeat.explanation.windows import cut_window, last_start_s
from fluxbeat.ui.listening import Heard
from fluxbeat.ui.offered_models import OfferedModels
from fluxbeat.ui.panel import panel, panel_answer
from fluxbeat.ui.served_files import folder_to_serve, served_url
from fluxbeat.zoo import ZooModel

TEMPO = "tempo"
"""Offered among the genres: what speaks for the tempo."""
FAITHFULNESS_STEPS = 4
QUIET, LOUD = -3.0, 3.0
"""Levels between which the spectrogram is drawn, in units of the normalised log-mel."""
REGIONS_OF_SEGMENT = 3
PARTS = ("window", "attended", "rest")


@dataclass(frozen=True, eq=False)
class ExplainPieces:
    """The components of the tab."""

    panel: gr.HTML
    whole: gr.HTML
    sound: gr.HTML


def explain_pieces() -> ExplainPieces:
    """The content of the tab."""
    return ExplainPieces(
        panel("explain", events=["asked", "listened"]), panel("whole", events=["asked"]), panel("sound")
    )


class Explainer:
    """What the tab does with the models of the page."""

    def __init__(self, offered: OfferedModels) -> None:
        self._offered = offered

    def connect(self, pieces: ExplainPieces, heard: gr.State, model: gr.Radio, at_once: int) -> None:
        """Answer what the panel asks, `at_once` at a time."""
        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        limits: dict[str, Any] = {"concurrency_id": "explanation", "concurrency_limit": at_once}
        pieces.panel.asked(self.explain, heard, pieces.panel, trigger_mode="multiple", **hidden, **limits)
        pieces.whole.asked(
            self.explain_whole, [heard, model], pieces.whole, trigger_mode="multiple", **hidden, **limits
        )

        def listen(heard: Heard | None, event: gr.EventData) -> str:
            return panel_answer(self.sound(pieces.sound, heard, event))

        pieces.panel.listened(listen, heard, pieces.sound, trigger_mode="multiple", **hidden, **limits)

    def explain(self, heard: Heard | None, event: gr.EventData) -> str:
        """The window that begins at `start_s` for the genre `about`, or else its strongest, by all of `models`."""
        if heard is None:
            return panel_answer({"error": "The track is not kept any more: give it once more."})
        names = [name for name in self._offered.models if name in set(event.models)]
        try:
            heard = self._with_tracks(heard, names)
            said = self._said(heard, names, float(event.start_s))
            about = str(event.about) or max(said, key=lambda label: said[label], default="")
            found = [self._of(heard, name, about, float(event.start_s)) for name in names]
        except FluxBeatError as error:
            return panel_answer({**self.waiting(heard), "error": str(error)})
        return panel_answer(explain_view(heard, found, said, self._offered.paints))

    def waiting(self, heard: Heard) -> dict[str, Any]:
        """What the tab shows before anything was asked."""
        there = self._offered.models  # those that a visitor fetches are that visitor's alone
        names = dict.fromkeys([*self._offered.own, *heard.analyses])
        return opening_view(heard, [there[name] for name in names if name in there], self._offered.paints)

    def explain_whole(self, heard: Heard | None, model: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        """What carried each segment of the chosen model's timeline."""
        analysis = heard.by(model) if heard else None
        if heard is None or analysis is None:
            return panel_answer({"error": "This model is still listening: try again in a moment."})
        try:
            track, asked = self._ready(heard, model)
            found = explain_whole_track(
                track, asked, analysis, progress=lambda share, label: progress(share, desc=label)
            )
        except FluxBeatError as error:
            return panel_answer({"error": str(error)})
        paints = self._offered.paints
        figure = track_heat_figure(found, analysis.duration_s, paints)
        return panel_answer(whole_view(heard.key, analysis, found.segments, figure, paints))

    def sound(self, served: gr.HTML, heard: Heard | None, event: gr.EventData) -> dict[str, Any]:
        """The sound of a window, of what a model attended to in it, or of the rest, as a file for the browser."""
        if heard is None or event.part not in PARTS:
            return {"error": "The track is not kept any more: give it once more."}
        try:
            found = self._of(heard, str(event.model), str(event.about), float(event.start_s), measure=False)
            parts = heard_parts(found, heard.path)
        except FluxBeatError as error:
            return {"error": str(error)}
        samples = {"window": parts.attended + parts.rest, "attended": parts.attended, "rest": parts.rest}[event.part]
        written = folder_to_serve(served, "heard-") / f"{event.part}.wav"
        soundfile.write(written, samples, parts.sample_rate_hz, subtype="PCM_16")
        return {
            "url": served_url(served, written),
            "part": event.part,
            "model": event.model,
            "start_s": round(found.start_s, 3),
            "ticket": event.ticket,
        }

    def _of(self, heard: Heard, name: str, about: str, start_s: float, measure: bool = True) -> Explanation:
        track, model = self._ready(heard, name)
        start_s = min(max(0.0, start_s), last_start_s(track, model.network))
        if about == TEMPO:
            analysis = heard.by(name)
            bpm = analysis.tempo.bpm if analysis else None
            return explain_track_tempo(track, model, bpm, start_s)
        return explain_track(track, model, about, start_s, measure=measure, steps=FAITHFULNESS_STEPS)

    def _ready(self, heard: Heard, name: str) -> tuple[Track, ZooModel]:
        model = self._offered[name]
        return heard.track(model.network.config.features), model

    def _with_tracks(self, heard: Heard, names: Sequence[str]) -> Heard:
        """With what these models hear: an analysis that was kept comes without, and is decoded once for all."""
        for name in names:
            track, model = self._ready(heard, name)
            heard = replace(heard, tracks={**heard.tracks, model.network.config.features: track})
        return heard

    def _said(self, heard: Heard, names: Sequence[str], start_s: float) -> dict[str, float]:
        """Probability of every genre in the window, mean over the models: what there is to ask for."""
        said: dict[str, list[float]] = {}
        for name in names:
            for label, probability in _probabilities(*self._ready(heard, name), start_s).items():
                said.setdefault(label, []).append(probability)
        return {label: float(np.mean(values)) for label, values in said.items()}


def opening_view(heard: Heard, models: Sequence[ZooModel], paints: Mapping[str, Paint]) -> dict[str, Any]:
    """The tab with a new track: what can be asked, nothing explained yet."""
    genres = [genre.label for genre in heard.any.genres]
    return {
        "key": heard.key,
        "file": heard.any.file,
        "duration_s": round(heard.any.duration_s, 3),
        "window_s": models[0].network.config.window_s,
        "models": [{"name": model.info.name, "title": model_title(model.info.name)} for model in models],
        "choices": [{"label": label, "colour": paints[label].fill} for label in genres],
        "first": genres[0],
        "river": river_figure(heard.any, paints, genres, river_rise([heard.any])),
        "rows": [],
    }


def explain_view(
    heard: Heard, found: Sequence[Explanation], said: dict[str, float], paints: Mapping[str, Paint]
) -> dict[str, Any]:
    """What the tab shows of one window, by one or several models."""
    ordered = sorted(said, key=lambda label: -said[label])
    view: dict[str, Any] = {
        "key": heard.key,
        "file": heard.any.file,
        "duration_s": round(heard.any.duration_s, 3),
        "choices": [
            {"label": label, "percent": percent(said[label]), "colour": paints[label].fill} for label in ordered
        ],
        "rows": [_row(one, paints) for one in found],
    }
    if found:
        first = found[0]
        bands = np.interp(TICKS_HZ, first.band_hz, np.arange(len(first.band_hz)))
        view |= {
            "about": first.about if first.kind == "genre" else TEMPO,
            "start_s": round(first.start_s, 3),
            "window_s": round(first.window_s, 3),
            "frame_rate_hz": first.frame_rate_hz,
            "bands": len(first.band_hz),
            "frames": first.log_mel.shape[1],
            "band_hz": [round(float(hz)) for hz in first.band_hz],
            "ticks": [[round(float(band), 2), f"{hz:,}"] for band, hz in zip(bands, TICKS_HZ, strict=True)],
            "level": _bytes((first.log_mel - QUIET) / (LOUD - QUIET)),
        }
    return view


def _row(found: Explanation, paints: Mapping[str, Paint]) -> dict[str, Any]:
    colour = paints[found.about].fill if found.about in paints else "#e88519"
    return {
        "model": found.model.name,
        "title": model_title(found.model.name),
        "about": found.about,
        "percent": percent(found.probability),
        "colour": colour,
        "map": _bytes(strength(found)),
        "most": float(found.map.max()),
        "sums": [round(float(found.map.sum()), 3), round(float(-found.evidence.clip(max=0).sum()), 3)],
        "trust": _trust(found),
        "regions": [
            {
                "words": region.words(),
                "share": percent(region.share),
                "start_s": round(region.start_s, 2),
                "clock": clock(region.start_s),
            }
            for region in found.regions
        ],
    }


def _trust(found: Explanation) -> dict[str, str] | None:
    measured = found.faithfulness
    if measured is None:
        return None
    return {
        "words": measured.in_words(),
        "why": f"Take away the most marked fifth and {found.about} goes from {percent(found.probability)} to "
        f"{percent(measured.map.without_marked)}; a random fifth: {percent(measured.random.without_marked)}. "
        f"The most marked fifth alone: {percent(measured.map.marked_alone)}.",
    }


def whole_view(
    key: str,
    analysis: TrackAnalysis,
    found: Sequence[SegmentEvidence],
    figure: dict[str, Any],
    paints: Mapping[str, Paint],
) -> dict[str, Any]:
    """What carried each segment."""
    return {
        "key": key,
        "model": model_title(analysis.model.name),
        "duration_s": round(analysis.duration_s, 3),
        "figure": figure,
        "segments": [
            {
                "when": f"{clock(one.segment.start_s)} to {clock(one.segment.end_s)}",
                "label": one.label,
                "sure": one.label in one.segment.labels,
                "colour": paints[one.label].fill,
                "regions": [
                    {"words": region.words(), "start_s": round(region.start_s, 2)}
                    for region in one.regions[:REGIONS_OF_SEGMENT]
                ],
            }
            for one in found
        ],
    }


def _probabilities(track: Track, model: ZooModel, start_s: float) -> dict[str, float]:
    cut = cut_window(track, model.network, min(max(0.0, start_s), last_start_s(track, model.network)))
    with torch.inference_mode():
        said = model.network.probabilities(model.network(cut.log_mel[None]).genre_logits)[0]
    return dict(zip(model.network.config.labels, said.tolist(), strict=True))


def _bytes(values: np.ndarray) -> str:
    """Values in 0..1 as one byte each, row by row, in base64."""
    return base64.b64encode(np.round(values.clip(0, 1) * 255).astype(np.uint8).tobytes()).decode("ascii")
