"""The Tempo tab: one number, how sure it is, what else it could be, how it moves, and how to settle it by ear."""

from __future__ import annotations

from typing import Any

import numpy as np

from fluxbeat.analysis import BPM_RANGE, TrackAnalysis, as_found
from fluxbeat.charts.plots import tempo_curve_figure, tempo_spread_figure
from fluxbeat.charts.wording import confidence, model_title, no_tempo_sentence, percent, tempo_choice


def tempo_view(key: str, analysis: TrackAnalysis) -> dict[str, Any]:
    """What the Tempo tab shows of one model's analysis, and of what was found where a person corrected it."""
    tempo, timeline, found = analysis.tempo, analysis.timeline, as_found(analysis).tempo
    view: dict[str, Any] = {
        "key": key,
        "file": analysis.file,
        "duration_s": round(analysis.duration_s, 3),
        "model": model_title(analysis.model.name),
        "bpm": None if tempo.bpm is None else round(tempo.bpm, 2),
        "found": None if found.bpm is None else round(found.bpm, 2),
        "corrected": tempo.corrected,
        "range": list(BPM_RANGE),
        "beats_s": [round(float(beat_s), 3) for beat_s in tempo.beats_s],
        "downbeats_s": [round(float(beat_s), 3) for beat_s in tempo.downbeats_s],
        "spread": tempo_spread_figure(found),
    }
    if tempo.bpm is None:
        return view | {"why": no_tempo_sentence(analysis)}
    steady = timeline.bpm[~np.isnan(timeline.bpm)]
    title = model_title(analysis.model.name)
    sure = f"{title} is {confidence(found.confidence)}: {tempo_choice(found)}."
    return view | {
        "words": sure if found.bpm is not None else f"{title} found no steady beat.",
        "changes": "" if tempo.stable else "The tempo changes on the way: the segments have their own.",
        "candidates": [
            {"bpm": round(candidate.bpm, 2), "percent": percent(candidate.probability)}
            for candidate in (found.candidates if found.bpm is not None else ())
        ],
        "span": [round(float(steady.min()), 1), round(float(steady.max()), 1)] if len(steady) else None,
        "curve": tempo_curve_figure(analysis) if len(steady) else None,
    }
