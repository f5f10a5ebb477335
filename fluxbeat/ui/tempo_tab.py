"""The Tempo tab: one number, how sure it is, what else it could be, and how it moves through the track."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from fluxbeat.analysis import TrackAnalysis
from fluxbeat.charts.plots import tempo_curve_figure, tempo_spread_figure
from fluxbeat.charts.wording import confidence, model_title, no_tempo_sentence, percent, tempo_choice
from fluxbeat.ui.panel import panel


def tempo_panel() -> gr.HTML:
    """The content of the tab."""
    return panel("tempo")


def tempo_view(key: str, analysis: TrackAnalysis) -> dict[str, Any]:
    """What the Tempo tab shows of one model's analysis."""
    tempo, timeline = analysis.tempo, analysis.timeline
    view: dict[str, Any] = {
        "key": key,
        "file": analysis.file,
        "duration_s": round(analysis.duration_s, 3),
        "model": model_title(analysis.model.name),
        "bpm": None if tempo.bpm is None else round(tempo.bpm, 1),
        "spread": tempo_spread_figure(tempo),
    }
    if tempo.bpm is None:
        return view | {"why": no_tempo_sentence(analysis)}
    steady = timeline.bpm[~np.isnan(timeline.bpm)]
    return view | {
        "said": f"{model_title(analysis.model.name)} is {confidence(tempo.confidence)}: {tempo_choice(tempo)}.",
        "candidates": [
            {"bpm": round(candidate.bpm, 1), "percent": percent(candidate.probability)}
            for candidate in tempo.candidates
        ],
        "span": [round(float(steady.min()), 1), round(float(steady.max()), 1)] if len(steady) else None,
        "curve": tempo_curve_figure(analysis) if len(steady) else None,
    }
