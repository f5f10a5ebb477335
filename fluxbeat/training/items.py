"""Training items: a spectrogram with what is known about its music."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

PICTURE, RECORDING, FREE, BLEND, GROOVE, SYNTHETIC = "picture", "recording", "free", "blend", "groove", "synthetic"
"""Kinds of sources: pictures of spectrograms, recordings, the free-music corpus, blends that only the teacher answers,
rendered accompaniments, drawn rhythms."""
TEMPO_ONLY = (GROOVE, SYNTHETIC)

SOFT_WEIGHT, BLEND_WEIGHT = 2.0, 0.5
"""Of a label that only the teacher hears, in music and in blends, beside 1 of a label that a person gave."""
SOFT_SHARE = 0.3
"""The teacher's say about labels of the free-music corpus, which rest on tags, titles and guesses."""


@dataclass(frozen=True)
class Item:
    """One clip of music.

    Attributes
    ----------
    item_id : str
        Name that errors and reports show.
    log_mel : float32 array, shape (mels, frames)
        Normalised as `fluxbeat.features.LogMel` does.
    labels : tuple of str or None
        Genres that are present; None where the source says nothing about genre.
    tempo_bpm : float or None
        Annotated tempo; None where the source says nothing about it.
    has_beat : bool
        False only for sound made to have no beat: its tempo distribution should be flat.
    artist : str
        Same string, same artist: never on both sides of a split.
    fold : int
        1 or 2 where the source has folds, else 0.
    source : str
        Kind of source: 'picture', 'recording', 'free', 'blend', 'groove' or 'synthetic'.
    known : tuple of str or None
        Labels that the source speaks about; None where it speaks about all.
    picture : float32 array, shape (mels, frames), or None
        The same music as a picture of its spectrogram would show it: a second view of it.
    teacher : float32 array, shape (segments, answers), or None
        What another model hears in segments of the clip: logits of its tags, and its embedding.
    teacher_start_s : float32 array, shape (segments,), or None
        Where those segments start.
    soft : mapping of str to float, or None
        Probability of labels, as the teacher hears them: stands in where nobody said whether a label is present.
    """

    item_id: str
    log_mel: np.ndarray
    labels: tuple[str, ...] | None
    tempo_bpm: float | None
    artist: str = ""
    fold: int = 0
    source: str = RECORDING
    has_beat: bool = True
    known: tuple[str, ...] | None = None
    picture: np.ndarray | None = None
    teacher: np.ndarray | None = None
    teacher_start_s: np.ndarray | None = None
    soft: Mapping[str, float] | None = None


def label_targets(items: Sequence[Item], labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Multi-hot targets and mask, float32, both of shape (items, labels); the mask is 0 where nothing is known.

    A kind of source teaches a label only if it shows music with it and music without it: from recordings without a
    single blues a model learns that a recording is never blues.
    """
    targets = np.zeros((len(items), len(labels)), np.float32)
    mask = np.zeros_like(targets)
    sources = np.array([item.source for item in items])
    for row, item in enumerate(items):
        if item.labels is None:
            continue
        for column, label in enumerate(labels):
            mask[row, column] = float(item.known is None or label in item.known)
            targets[row, column] = float(label in item.labels)
    for source in set(sources.tolist()):
        rows = sources == source
        present = (targets[rows] * mask[rows]).any(axis=0)
        absent = ((1 - targets[rows]) * mask[rows]).any(axis=0)
        mask[rows] *= present & absent
    for row, item in enumerate(items):
        for column, label in enumerate(labels):
            if item.soft is None or label not in item.soft:
                continue
            if not mask[row, column]:
                weight = BLEND_WEIGHT if item.source == BLEND else SOFT_WEIGHT
                targets[row, column], mask[row, column] = item.soft[label], weight
            elif item.source == FREE:
                targets[row, column] += SOFT_SHARE * (item.soft[label] - targets[row, column])
    return targets * (mask > 0), mask
