"""The Compare tab: the same track by each model, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fluxbeat.analysis import TrackAnalysis, disagreement
from fluxbeat.charts.colours import Paint
from fluxbeat.charts.plots import difference_figure, river_figure, river_rise
from fluxbeat.charts.wording import clock, model_title, no_tempo, percent, tempo_choice, took

TOP_GENRES = 3
NEAR, FAR = 0.15, 0.4
"""Mean disagreement up to which models hear nearly the same, and from which they hear different things."""


def compare_view(
    key: str, analyses: Sequence[TrackAnalysis], waiting: Sequence[str], paints: Mapping[str, Paint]
) -> dict[str, Any]:
    """What the Compare tab shows: `analyses` from top to bottom, `waiting` for models whose answer is still to come."""
    view: dict[str, Any] = {"key": key, "rows": [], "waiting": [model_title(name) for name in waiting]}
    if not analyses:
        return view
    order = _common_order(analyses)
    rise = river_rise(analyses)
    view["duration_s"] = round(analyses[0].duration_s, 3)
    view["rows"] = [_row(analysis, paints, order, rise) for analysis in analyses]
    if len(analyses) > 1:
        view["difference"] = _difference(analyses)
    return view


def _row(analysis: TrackAnalysis, paints: Mapping[str, Paint], order: Sequence[str], rise: float) -> dict[str, Any]:
    own = [label for label in order if label in analysis.timeline.labels]
    return {
        "model": analysis.model.name,
        "title": model_title(analysis.model.name),
        "took": took(analysis.elapsed_s),
        "tempo": tempo_choice(analysis.tempo) or no_tempo(analysis),
        "genres": [
            {"label": genre.label, "percent": percent(genre.probability), "colour": paints[genre.label].fill}
            for genre in analysis.genres[:TOP_GENRES]
        ],
        "figure": river_figure(analysis, paints, own, rise),
    }


def _difference(analyses: Sequence[TrackAnalysis]) -> dict[str, Any]:
    try:
        apart = disagreement(analyses)
    except ValueError:
        return {"words": "These models know different genres and cannot be laid side by side.", "figure": None}
    centre_s = analyses[0].timeline.centre_s
    mean, worst = float(apart.mean()), int(np.argmax(apart))
    verdict = "hear nearly the same" if mean < NEAR else "differ in places" if mean < FAR else "hear different things"
    most = f"most at {clock(float(centre_s[worst]))} ({percent(float(apart[worst]))})"
    words = f"They {verdict}: {percent(mean)} apart on average, {most}."
    return {"words": words, "figure": difference_figure(centre_s, apart, analyses[0].duration_s)}


def _common_order(analyses: Sequence[TrackAnalysis]) -> list[str]:
    """Labels by their mean probability over all models, so that every river is layered alike."""
    shares: dict[str, list[float]] = {}
    for analysis in analyses:
        for genre in analysis.genres:
            shares.setdefault(genre.label, []).append(genre.probability)
    return sorted(shares, key=lambda label: -float(np.mean(shares[label])))
