"""Where models of one track disagree: how far at each window, and the passages worth playing, with who says what."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import uniform_filter1d

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
    compared, _, probabilities = _side_by_side(analyses)
    at_s, nearest = analyses[0].timeline.centre_s, []
    for one, probability in zip(compared, probabilities, strict=True):
        centre_s = one.timeline.centre_s
        windows = np.interp(at_s, centre_s, np.arange(len(centre_s))).round().astype(int)
        nearest.append(probability[windows])
    return _apart(nearest).clip(0.0, 1.0)


def _apart(probabilities: Iterable[np.ndarray]) -> np.ndarray:
    """Half the mean absolute difference, pairwise, summed over the last axis, which is that of genres."""
    pairs = itertools.combinations(probabilities, 2)
    apart: np.ndarray = np.mean([np.abs(one - other).sum(axis=-1) / 2 for one, other in pairs], axis=0)
    return apart


def comparable(analyses: Sequence[TrackAnalysis]) -> list[TrackAnalysis]:
    """The largest group of analyses whose models have genres in common, in their order; fewer than two where none have.

    A consensus belongs to it where its labels do.
    """
    groups = []
    for first in analyses:
        group = [first]
        for one in analyses:
            if one is not first and _common_genres([*group, one]):
                group.append(one)
        groups.append(sorted(group, key=analyses.index))
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
    compared, common, probabilities = _side_by_side(analyses)
    parts: list[tuple[float, float, np.ndarray]] = []
    for start_s, end_s in itertools.pairwise(_borders_s(compared, probabilities)):
        named = _means(compared, probabilities, start_s, end_s) >= PRESENT
        if parts and np.array_equal(parts[-1][2], named):
            start_s, _, _ = parts.pop()
        parts.append((start_s, end_s, named))
    passages = []
    for start_s, end_s, named in parts:
        disputed = named.any(axis=0) & ~named.all(axis=0)
        apart = float(_apart(_means(compared, probabilities, start_s, end_s)[:, disputed]))
        if apart >= LEAST_APART:
            present = {common[index] for index in np.flatnonzero(named.any(axis=0))}
            passages.append(DisputedPassage(start_s, end_s, apart, _statements(analyses, start_s, end_s, present)))
    return tuple(sorted(passages, key=lambda one: one.apart * (one.start_s - one.end_s))[:MOST_PASSAGES])


def _side_by_side(
    analyses: Sequence[TrackAnalysis],
) -> tuple[Sequence[TrackAnalysis], list[str], list[np.ndarray]]:
    """Those that take part, the genres that all of them know, and each one's probability of these: (windows, genres).

    Raises
    ------
    ValueError
        As `disagreement`.
    """
    if len(analyses) < 2:
        raise ValueError("disagreement needs at least two analyses")
    singles = [analysis for analysis in analyses if analysis.model.name != CONSENSUS]
    compared = singles if len(singles) > 1 else analyses
    common = _common_genres(compared)
    if not common:
        raise ValueError(f"{', '.join(one.model.name for one in compared)} have no label in common")
    return compared, common, [_probability(one.timeline, common) for one in compared]


def _common_genres(analyses: Sequence[TrackAnalysis]) -> list[str]:
    """Common names of the genres that all models know; none where one of the models knows none of them."""
    known = [_genres(one) for one in analyses]
    # a model of which only the strongest labels are given says little of the others: that they are weak
    whole = [_genres(one) for one in analyses if not one.warned(ONLY_STRONGEST.code)] or known
    common = [genre for genre in whole[0] if all(genre in genres for genres in whole)]
    return common if all(genres.keys() & common for genres in known) else []


def _genres(analysis: TrackAnalysis) -> dict[str, None]:
    """Common names of a model's genres, in the order of its labels."""
    return _genres_of(analysis.timeline.labels)


@lru_cache
def _genres_of(labels: tuple[str, ...]) -> dict[str, None]:
    """Asked for every pair of models: of hundreds of labels it is found once."""
    return dict.fromkeys(common_genre(label) for label in labels)


def _probability(timeline: Timeline, genres: Sequence[str]) -> np.ndarray:
    """Of each genre, (windows, genres): of several labels of one common name the most probable, 0 where unknown."""
    found = np.zeros((len(timeline.start_s), len(genres)))
    columns = {genre: column for column, genre in enumerate(genres)}
    for label, probability in zip(timeline.labels, timeline.probability.T, strict=True):
        column = columns.get(common_genre(label))
        if column is not None:
            found[:, column] = np.maximum(found[:, column], probability)
    return found


def _borders_s(compared: Sequence[TrackAnalysis], probabilities: Sequence[np.ndarray]) -> list[float]:
    """Begin, end, and between them where something changes, none nearer than `LEAST_S` to another.

    Segments come before the moments at which a genre's mean over `LEAST_S` becomes present, or ceases to be.
    """
    changes = [segment.start_s for one in compared for segment in one.segments[1:]]
    for one, probability in zip(compared, probabilities, strict=True):
        centre_s = one.timeline.centre_s
        size = max(1, round(LEAST_S / one.timeline.hop_s))
        present = uniform_filter1d(probability, size, axis=0, mode="nearest") >= PRESENT
        _, windows = np.nonzero(np.diff(present, axis=0).T)
        changes += ((centre_s[windows] + centre_s[windows + 1]) / 2).tolist()
    borders = [0.0, compared[0].duration_s]
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


def _means(
    compared: Sequence[TrackAnalysis], probabilities: Sequence[np.ndarray], start_s: float, end_s: float
) -> np.ndarray:
    """Mean probability of each genre in a part, as each model has it: (models, genres)."""
    pairs = zip(compared, probabilities, strict=True)
    return np.stack([probability[_inside(one.timeline, start_s, end_s)].mean(axis=0) for one, probability in pairs])


def _statements(
    analyses: Sequence[TrackAnalysis], start_s: float, end_s: float, present: set[str]
) -> tuple[Statement, ...]:
    """What each model says of a part, and which genres that are present for another it does not know."""
    named_by: list[list[Genre]] = []
    for one in analyses:
        mean = one.timeline.probability[_inside(one.timeline, start_s, end_s)].mean(axis=0)
        genres = [Genre(label, float(share)) for label, share in zip(one.timeline.labels, mean, strict=True)]
        traces = [genre for genre in genres if genre.presence == "trace" and common_genre(genre.label) in present]
        named = [genre for genre in genres if genre.active] + traces
        named_by.append(sorted(named, key=lambda genre: -genre.probability)[:MOST_GENRES])
    everybodys = {common_genre(genre.label) for genres in named_by for genre in genres if genre.active}
    statements = []
    for one, genres in zip(analyses, named_by, strict=True):
        # of a model whose strongest labels alone are given nobody can tell what it does not know
        unknown = set[str]() if one.warned(ONLY_STRONGEST.code) else everybodys - _genres(one).keys()
        statements.append(Statement(one.model.name, tuple(genres), tuple(sorted(unknown))))
    return tuple(statements)
