"""The river of a track in a few characters, for a row of a table: what leads where, from its timeline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fluxbeat.analysis.result import TrackAnalysis

COLUMNS = 48
MOST_GENRES = 4
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
"""Shares 0..1 in steps of a 35th: finer than a row of a table could show."""
LEAST = 0.1
"""A genre that is nowhere as present as this is not drawn."""


@dataclass(frozen=True)
class SmallRiver:
    """Genres over a track, in equal parts of its length.

    Attributes
    ----------
    labels : tuple of str
        At most four, in the order of the track's genres; none where nothing is there to draw.
    shares : tuple of str
        For each label one digit of `DIGITS` per part, of 48 at most: its mean probability on its own scale there.
    """

    labels: tuple[str, ...]
    shares: tuple[str, ...]


def small_river(analysis: TrackAnalysis, columns: int = COLUMNS, most: int = MOST_GENRES) -> SmallRiver:
    """The genres that a track is made of, small: at most `most` of them in `columns` equal parts.

    Parameters
    ----------
    analysis : TrackAnalysis
    columns : int
        How many parts; a part without a window of its own takes the nearest one.
    most : int
        Those genres are kept that are strongest anywhere.
    """
    timeline = analysis.timeline
    edges_s = np.linspace(0.0, analysis.duration_s, columns + 1)
    part = np.searchsorted(edges_s, timeline.centre_s, side="right").clip(1, columns) - 1
    windows = np.bincount(part, minlength=columns)
    sums = np.zeros((columns, len(timeline.labels)))
    np.add.at(sums, part, timeline.probability)
    middle_s = (edges_s[:-1] + edges_s[1:]) / 2
    nearest = np.abs(middle_s[:, None] - timeline.centre_s).argmin(axis=1)
    mean = np.where(windows[:, None] > 0, sums / np.maximum(windows, 1)[:, None], timeline.probability[nearest])
    strongest = np.argsort(-mean.max(axis=0), kind="stable")[:most]
    kept = {timeline.labels[index]: mean[:, index] for index in strongest if mean[:, index].max() >= LEAST}
    labels = tuple(genre.label for genre in analysis.genres if genre.label in kept)
    steps = len(DIGITS) - 1
    shares = tuple("".join(DIGITS[round(float(share) * steps)] for share in kept[label].clip(0, 1)) for label in labels)
    return SmallRiver(labels, shares)
