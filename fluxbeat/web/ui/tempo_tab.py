"""The Tempo tab: one number, how sure it is, what else it could be, and how to settle it by ear."""

from __future__ import annotations

from typing import Any

from fluxbeat.analysis.correction import as_found
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.charts.plots import tempo_spread_figure
from fluxbeat.charts.wording import confidence, model_title, no_tempo_sentence, percent, tempo_choice


def tempo_view(key: str, analysis: TrackAnalysis) -> dict[str, Any]:
    """What the Tempo tab shows of one model's analysis, and of what was found where a person corrected it."""
    tempo, found = analysis.tempo, as_found(analysis).tempo
    view: dict[str, Any] = {
        "key": key,
        "bpm": None if tempo.bpm is None else round(tempo.bpm, 2),
        "found": None if found.bpm is None else round(found.bpm, 2),
        "spread": tempo_spread_figure(found),
    }
    if tempo.bpm is None:
        return view | {"why": no_tempo_sentence(analysis)}
    title = model_title(analysis.model.name)
    sure = f"{title} is {confidence(found.confidence)}: {tempo_choice(found)}."
    return view | {
        "words": sure if found.bpm is not None else f"{title} found no steady beat.",
        "changes": "" if tempo.stable else "The tempo changes on the way: the timeline shows how.",
        "candidates": [
            {"bpm": round(candidate.bpm, 2), "percent": percent(candidate.probability)}
            for candidate in (found.candidates if found.bpm is not None else ())
        ],
    }
