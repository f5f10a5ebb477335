"""The Compare tab: the passages in which models disagree, with who says what, and each model's river."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fluxbeat.analysis.disagreement import DisputedPassage, Statement, comparable, disputed_passages
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.charts.colours import Paint
from fluxbeat.charts.plots import river_figure, river_rise
from fluxbeat.charts.wording import clock, model_title, no_tempo, tempo_choice
from fluxbeat.models.common_genres import common_genre
from fluxbeat.models.registry import CONSENSUS, LoadedModel
from fluxbeat.web.ui.model_facts import accuracy
from fluxbeat.web.ui.timeline_tab import genre_view

TOP_GENRES = 3
SAME_TEMPO = 0.04
"""Tempi as near as this are one, as the measures of tempo have it."""


def compare_view(
    key: str,
    analyses: Sequence[TrackAnalysis],
    waiting: Sequence[str],
    paints: Mapping[str, Paint],
    models: Mapping[str, LoadedModel],
) -> dict[str, Any]:
    """What the Compare tab shows: `analyses` from top to bottom, `waiting` for models whose answer is still to come.

    `models` by name, for how often each is right.
    """
    view: dict[str, Any] = {"key": key, "rows": [], "waiting": [model_title(name) for name in waiting]}
    if not analyses:
        return view
    paints = _paints_in_common(analyses, paints)
    order, rise = _common_order(analyses), river_rise(analyses)
    view["duration_s"] = round(analyses[0].duration_s, 3)
    view["rows"] = [_row(analysis, paints, order, rise, models.get(analysis.model.name)) for analysis in analyses]
    if len(analyses) > 1:
        view["debate"] = _debate(analyses, paints)
    return view


def _row(
    analysis: TrackAnalysis, paints: Mapping[str, Paint], order: Sequence[str], rise: float, model: LoadedModel | None
) -> dict[str, Any]:
    return {
        "model": analysis.model.name,
        "title": model_title(analysis.model.name),
        "accuracy": accuracy(model.network.config.metrics) if model else None,
        "tempo": tempo_choice(analysis.tempo) or no_tempo(analysis),
        "genres": [genre_view(genre, paints) for genre in analysis.genres[:TOP_GENRES] if genre.presence != "none"],
        "figure": river_figure(analysis, paints, [label for label in order if label in analysis.timeline.labels], rise),
    }


def _debate(analyses: Sequence[TrackAnalysis], paints: Mapping[str, Paint]) -> dict[str, Any]:
    compared = comparable(analyses)
    alone = [model_title(each.model.name) for each in analyses if not any(each is other for other in compared)]
    notes = [_tempo_words(analyses)]
    if len(compared) < 2:
        return {"words": "These models know different genres: none can contradict another.", "notes": notes}
    if alone:
        notes.insert(0, f"{_listed(alone)} knows none of the others’ genres: its river stands below, by itself.")
    common = set.intersection(*({common_genre(label) for label in each.timeline.labels} for each in compared))
    if any(len(common) < len(each.timeline.labels) for each in compared):
        which = "one genre" if len(common) == 1 else f"{len(common)} genres"
        notes.insert(0, f"Compared by the {which} that all of them know: {_listed(sorted(common))}.")
    passages = disputed_passages(compared)
    return {
        "words": _verdict(compared, passages),
        "notes": notes,
        "passages": [_passage(passage, paints) for passage in passages],
    }


def _verdict(compared: Sequence[TrackAnalysis], passages: Sequence[DisputedPassage]) -> str:
    """The debate in a sentence."""
    if not passages:
        named = list(dict.fromkeys(label for segment in compared[0].segments for label in segment.labels[:1]))
        return f"They agree from beginning to end{f': {_listed(named)}' if named else ', that no genre is sure'}."
    total_s = sum(passage.end_s - passage.start_s for passage in passages)
    where = "in one passage" if len(passages) == 1 else f"in {len(passages)} passages"
    first = "" if len(passages) == 1 else ", the most disputed first"
    return f"They disagree {where}, {clock(total_s)} of {clock(compared[0].duration_s)} in all{first}."


def _passage(passage: DisputedPassage, paints: Mapping[str, Paint]) -> dict[str, Any]:
    return {
        "start_s": round(passage.start_s, 2),
        "end_s": round(passage.end_s, 2),
        "when": f"{clock(passage.start_s)} to {clock(passage.end_s)}",
        "statements": [_statement(statement, paints) for statement in passage.statements],
    }


def _statement(statement: Statement, paints: Mapping[str, Paint]) -> dict[str, Any]:
    return {
        "title": model_title(statement.model),
        "consensus": statement.model == CONSENSUS,
        "genres": [genre_view(genre, paints) for genre in statement.genres],
        "unknown": f"does not know {_listed(statement.unknown)}" if statement.unknown else "",
    }


def _tempo_words(analyses: Sequence[TrackAnalysis]) -> str:
    """Whether they agree on the tempo."""
    single = [analysis for analysis in analyses if analysis.model.name != CONSENSUS]
    steady = [each for each in (single if len(single) > 1 else analyses) if each.tempo.bpm is not None]
    bpm = [analysis.tempo.bpm or 0.0 for analysis in steady]
    if not bpm:
        return "None of them finds a steady beat."
    if max(bpm) <= min(bpm) * (1 + SAME_TEMPO):
        return f"On the tempo they agree: {tempo_choice(steady[0].tempo)}."
    named = ", ".join(f"{model_title(each.model.name)} {tempo_choice(each.tempo)}" for each in steady)
    return f"On the tempo they differ: {named}."


def _listed(names: Sequence[str]) -> str:
    """`one`, `one and two`, `one, two and three`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _paints_in_common(analyses: Sequence[TrackAnalysis], paints: Mapping[str, Paint]) -> dict[str, Paint]:
    """What models call by different names in one colour: that of the first of them."""
    common: dict[str, Paint] = {}
    for analysis in analyses:
        for label in analysis.timeline.labels:
            common.setdefault(common_genre(label), paints[label])
    return {label: common[common_genre(label)] for analysis in analyses for label in analysis.timeline.labels}


def _common_order(analyses: Sequence[TrackAnalysis]) -> list[str]:
    """Labels by the mean probability of what they have in common, so that every river is layered alike."""
    shares: dict[str, list[float]] = {}
    for analysis in analyses:
        for genre in analysis.genres:
            shares.setdefault(common_genre(genre.label), []).append(genre.probability)
    labels = dict.fromkeys(genre.label for analysis in analyses for genre in analysis.genres)
    return sorted(labels, key=lambda label: (-float(np.mean(shares[common_genre(label)])), common_genre(label)))
