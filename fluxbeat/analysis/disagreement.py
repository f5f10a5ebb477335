"""Where models of one track disagree: how far at each window, and the passages worth playing, with who says what."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fluxbeat.analysis.presence import PRESENT
from fluxbeat.analysis.result import Genre, Timeline, TrackAnalysis
from fluxbeat.analysis.track_warnings import ONLY_STRONGEST
from fluxbeat.models.common_genres import common_genre
from fluxbeat.models.registry import CONSENSUS

LEAST_APART = 0.12
"""Mean distance from which models that name different genres disagree: one of three that is alone by 0.36."""
LEAST_S = 4.0
"""No passage is shorter: less could not be judged by ear."""
MOST_PASSAGES = 8
MOST_GENRES = 3
"""So many genres of a model are told of a passage."""


@dataclass(frozen=True)
class Statement:
    """What one model says of a passage.

    Attributes
    ----------
    model : str
        Its name.
    genres : tuple of Genre
        Those that are present, and those that are a trace where another model names them, by the model's own labels,
        most probable first; none where nothing is sure.
    unknown : tuple of str
        Genres that are present here for another model and that this one has no label for, by their common names.
    """

    model: str
    genres: tuple[Genre, ...]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class DisputedPassage:
    """A part of a track in which models name different genres.

    Attributes
    ----------
    start_s, end_s : float
    apart : float
        Half the mean absolute difference, pairwise, summed over the genres that some name and others do not.
    statements : tuple of Statement
        One for each model, in the order of the analyses; a consensus is among them though it does not take part.
    """

    start_s: float
    end_s: float
    apart: float
    statements: tuple[Statement, ...]


def disagreement(analyses: Sequence[TrackAnalysis]) -> np.ndarray:
    """How far models differ at each window: half the mean absolute difference summed over labels, pairwise; (windows,).

    0 where all give the same, 1 where each is sure of another genre. Of labels those count that all models know, be it
    by another name (`common_genre`). The consensus, which lies between its members, counts only where it stands beside
    a single other model. The windows are those of the first analysis; of others with other windows the nearest count.

    Raises
    ------
    ValueError
        If the analyses have no label in common, or there are fewer than two.
    """
    compared, known, common = _side_by_side(analyses)
    at_s, values = analyses[0].timeline.centre_s, list[np.ndarray]()
    for one, genres in zip(compared, known, strict=True):
        centre_s = one.timeline.centre_s
        nearest = np.interp(at_s, centre_s, np.arange(len(centre_s))).round().astype(int)
        weak = np.zeros(len(centre_s))
        values.append(np.column_stack([genres.get(genre, weak) for genre in common])[nearest])
    pairs = itertools.combinations(values, 2)
    return np.mean([np.abs(one - other).sum(axis=1) / 2 for one, other in pairs], axis=0).clip(0.0, 1.0)


def comparable(analyses: Sequence[TrackAnalysis]) -> list[TrackAnalysis]:
    """The largest group of analyses whose models have genres in common, in their order; fewer than two where none have.

    A consensus belongs to it where its labels do.
    """
    groups = [_comparable_with(first, analyses) for first in analyses]
    return max(groups, key=len, default=[])


def disputed_passages(analyses: Sequence[TrackAnalysis]) -> tuple[DisputedPassage, ...]:
    """The passages in which models name different genres, those first that weigh most by distance and length.

    A track is cut where a segment of any model begins, and where a genre becomes present for one of them. Models
    disagree in a part where the genres that are present (clear or likely) are not the same for all, of those that all
    know, and they are at least `LEAST_APART` apart there. Parts side by side in which each says the same are one.

    Parameters
    ----------
    analyses : sequence of TrackAnalysis
        Of one track, by models that have genres in common.

    Raises
    ------
    ValueError
        As `disagreement`.
    """
    compared, known, common = _side_by_side(analyses)
    found: list[tuple[float, float, list[frozenset[str]]]] = []
    for start_s, end_s in itertools.pairwise(_borders_s(compared, known, common)):
        by_model = _shares(compared, known, common, start_s, end_s)
        named = [frozenset(np.array(common)[shares >= PRESENT].tolist()) for shares in by_model]
        if found and found[-1][1] == start_s and found[-1][2] == named:
            found[-1] = (found[-1][0], end_s, named)
        else:
            found.append((start_s, end_s, named))
    passages = []
    for start_s, end_s, named in found:
        disputed = sorted(frozenset().union(*named) - frozenset.intersection(*named))
        by_model = _shares(compared, known, disputed, start_s, end_s)
        apart = float(np.mean([np.abs(a - b).sum() / 2 for a, b in itertools.combinations(by_model, 2)]))
        if apart >= LEAST_APART:
            statements = _statements(analyses, start_s, end_s, frozenset().union(*named))
            passages.append(DisputedPassage(start_s, end_s, apart, statements))
    return tuple(sorted(passages, key=lambda one: one.apart * (one.start_s - one.end_s))[:MOST_PASSAGES])


def _side_by_side(
    analyses: Sequence[TrackAnalysis],
) -> tuple[Sequence[TrackAnalysis], list[dict[str, np.ndarray]], list[str]]:
    """Those that take part, each one's genres by their common names, and the genres that all of them know.

    Raises
    ------
    ValueError
        As `disagreement`.
    """
    if len(analyses) < 2:
        raise ValueError("disagreement needs at least two analyses")
    compared = _parties(analyses)
    known = [_by_common_genre(one.timeline) for one in compared]
    common = _common_genres(compared, known)
    if not common:
        raise ValueError(f"{', '.join(one.model.name for one in compared)} have no label in common")
    return compared, known, common


def _parties(analyses: Sequence[TrackAnalysis]) -> Sequence[TrackAnalysis]:
    """Those that take part in a comparison: not the consensus, where there are two others."""
    singles = [analysis for analysis in analyses if analysis.model.name != CONSENSUS]
    return singles if len(singles) > 1 else analyses


def _comparable_with(first: TrackAnalysis, analyses: Sequence[TrackAnalysis]) -> list[TrackAnalysis]:
    """`first`, and of the others all that leave them a genre in common."""
    group = [first]
    for one in analyses:
        if one is first:
            continue
        together = [*group, one]
        if _common_genres(together, [_by_common_genre(each.timeline) for each in together]):
            group.append(one)
    return [one for one in analyses if any(one is kept for kept in group)]


def _common_genres(analyses: Sequence[TrackAnalysis], known: Sequence[dict[str, np.ndarray]]) -> list[str]:
    """Common names of the genres that all models know; none where one of the models knows none of them."""
    # a model of which only the strongest labels are given says little of the others: that they are weak
    whole = [
        genres for one, genres in zip(analyses, known, strict=True) if not one.warned(ONLY_STRONGEST.code)
    ] or known
    common = [genre for genre in whole[0] if all(genre in genres for genres in whole)]
    return common if all(set(common) & set(genres) for genres in known) else []


def _by_common_genre(timeline: Timeline) -> dict[str, np.ndarray]:
    """Probability of each genre by its common name, (windows,); of several labels of one name the most probable."""
    found: dict[str, np.ndarray] = {}
    for label, probability in zip(timeline.labels, timeline.probability.T, strict=True):
        genre = common_genre(label)
        found[genre] = np.maximum(found[genre], probability) if genre in found else probability
    return found


def _borders_s(
    compared: Sequence[TrackAnalysis], known: Sequence[dict[str, np.ndarray]], common: Sequence[str]
) -> list[float]:
    """Begin, end, and between them where something changes, none nearer than `LEAST_S` to another.

    Segments come before the moments at which a genre's mean over `LEAST_S` becomes present, or ceases to be.
    """
    end_s = compared[0].duration_s
    changes = [segment.start_s for one in compared for segment in one.segments[1:]]
    for one, genres in zip(compared, known, strict=True):
        centre_s = one.timeline.centre_s
        wide = max(1, round(LEAST_S / one.timeline.hop_s))
        for genre in common:
            if genre not in genres or len(centre_s) <= wide:
                continue
            padded = np.pad(genres[genre], (wide // 2, wide - 1 - wide // 2), mode="edge")
            present = np.convolve(padded, np.ones(wide) / wide, "valid") >= PRESENT
            changes += [float(centre_s[at] + centre_s[at + 1]) / 2 for at in np.flatnonzero(np.diff(present))]
    borders = [0.0, end_s]
    for at_s in changes:
        place = bisect.bisect(borders, at_s)
        near = borders[max(0, place - 1) : place + 1]
        if all(abs(at_s - border_s) >= LEAST_S for border_s in near):
            borders.insert(place, at_s)
    return borders


def _inside(timeline: Timeline, start_s: float, end_s: float) -> np.ndarray:
    """Indices of the windows whose middles lie in a part, or of the nearest one."""
    centre_s = timeline.centre_s
    inside = np.flatnonzero((centre_s >= start_s) & (centre_s < end_s))
    return inside if len(inside) else np.array([int(np.abs(centre_s - (start_s + end_s) / 2).argmin())])


def _shares(
    compared: Sequence[TrackAnalysis],
    known: Sequence[dict[str, np.ndarray]],
    common: Sequence[str],
    start_s: float,
    end_s: float,
) -> list[np.ndarray]:
    """Mean probability of each of these genres in a part, as each model has it: arrays of shape (genres,)."""
    found = []
    for one, genres in zip(compared, known, strict=True):
        inside = _inside(one.timeline, start_s, end_s)
        found.append(np.array([genres[genre][inside].mean() if genre in genres else 0.0 for genre in common]))
    return found


def _statements(
    analyses: Sequence[TrackAnalysis], start_s: float, end_s: float, named: frozenset[str]
) -> tuple[Statement, ...]:
    """What each model says of a part, and which genres that are present for another it does not know."""
    named_by: list[tuple[Genre, ...]] = []
    for one in analyses:
        mean = one.timeline.probability[_inside(one.timeline, start_s, end_s)].mean(axis=0)
        genres = [Genre(label, float(share)) for label, share in zip(one.timeline.labels, mean, strict=True)]
        told = [
            genre
            for genre in genres
            if genre.active or (genre.presence != "none" and common_genre(genre.label) in named)
        ]
        named_by.append(tuple(sorted(told, key=lambda genre: -genre.probability)[:MOST_GENRES]))
    everybodys = {common_genre(genre.label) for genres in named_by for genre in genres if genre.active}
    return tuple(
        Statement(one.model.name, genres, tuple(sorted(everybodys - _vocabulary(one, everybodys))))
        for one, genres in zip(analyses, named_by, strict=True)
    )


def _vocabulary(analysis: TrackAnalysis, asked: set[str]) -> set[str]:
    """Which of these genres a model knows: of one whose strongest labels alone are given nobody can tell."""
    if analysis.warned(ONLY_STRONGEST.code):
        return asked
    return {common_genre(label) for label in analysis.timeline.labels}
