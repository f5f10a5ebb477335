"""Test music whose genre changes: pieces of recordings of different genres, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from fluxbeat.analysis import read_track
from fluxbeat.audio import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.training.evaluation.cases import Case, track_of
from fluxbeat.training.evaluation.mixtures import Music, apart
from fluxbeat.training.items import Item
from fluxbeat.training.loudness import equally_loud
from fluxbeat.training.recordings import Recording

PIECES = (2, 3, 4)
PIECE_S = (12.0, 25.0)
CROSSFADE_S = 0.25


def splice_cases(recordings: Sequence[Recording], features: FeatureConfig, count: int, seed: int = 0) -> Iterator[Case]:
    """Tracks of 2 to 4 pieces of recordings of different genres, each 12 to 25 s (or all of a shorter one).

    The pieces are equally loud and fade into each other within 0.25 s, so that a border is heard in the music and not
    in its level or a gap. A border is the middle of its crossfade.

    Parameters
    ----------
    recordings : sequence of Recording
        Unseen ones; those without labels are left out.
    features : FeatureConfig
    count : int
        Number of tracks.
    seed : int
        The same recordings and seed make the same tracks.

    Raises
    ------
    FluxBeatError
        If there are not two genres among the recordings.
    """
    rng, rate_hz = np.random.default_rng(seed), features.sample_rate_hz
    for chosen in _draw(recordings, count, rng):
        pieces = []
        for recording in chosen:
            samples = load_audio(recording.path, sample_rate_hz=rate_hz).samples
            first, end = _cut(len(samples), rate_hz, rng)
            pieces.append(equally_loud(samples[first:end]))
        samples, borders = crossfaded(pieces, round(CROSSFADE_S * rate_hz))
        track = read_track((samples, rate_hz), features, " | ".join(recording.path.name for recording in chosen))
        yield Case(track, _labels(chosen), None, borders_s=tuple(border / rate_hz for border in borders))


def splice_items(items: Sequence[Item], features: FeatureConfig, count: int, seed: int = 0) -> Iterator[Case]:
    """The same of spectrograms, which are joined without a crossfade; parameters and errors as in `splice_cases`."""
    rng, rate_hz = np.random.default_rng(seed), features.frame_rate_hz
    for chosen in _draw(items, count, rng):
        pieces = []
        for item in chosen:
            first, end = _cut(item.log_mel.shape[1], rate_hz, rng)
            pieces.append(item.log_mel[:, first:end])
        lengths = [piece.shape[1] for piece in pieces]
        name = " | ".join(item.item_id for item in chosen)
        spliced = replace(chosen[0], item_id=name, log_mel=np.concatenate(pieces, axis=1))
        borders_s = tuple(float(border) / rate_hz for border in np.cumsum(lengths)[:-1])
        yield Case(track_of(spliced, features), _labels(chosen), None, borders_s=borders_s)


def crossfaded(pieces: Sequence[np.ndarray], overlap: int) -> tuple[np.ndarray, list[int]]:
    """Pieces one after the other, each fading into the next at constant power over `overlap` samples.

    Returns
    -------
    samples : float32 array, shape (samples,)
    borders : list of int
        Middle of each crossfade, in samples.
    """
    rising = np.sin(np.linspace(0, np.pi / 2, overlap, dtype=np.float32))
    samples = np.zeros(sum(map(len, pieces)) - overlap * (len(pieces) - 1), np.float32)
    borders, start = [], 0
    for number, piece in enumerate(pieces):
        faded = piece.astype(np.float32, copy=True)
        if number:
            faded[:overlap] *= rising
            borders.append(start + overlap // 2)
        if number < len(pieces) - 1:
            faded[len(faded) - overlap :] *= rising[::-1]
        samples[start : start + len(piece)] += faded
        start += len(piece) - overlap
    return samples, borders


def _draw(music: Sequence[Music], count: int, rng: np.random.Generator) -> Iterator[list[Music]]:
    """`count` times 2 to 4 clips, all of different genres."""
    labelled = [entry for entry in music if entry.labels]
    for _ in range(count):
        wanted = int(rng.choice(PIECES))
        chosen: list[Music] = []
        for index in rng.permutation(len(labelled)).tolist():
            if len(chosen) < wanted and all(apart(entry, labelled[index]) for entry in chosen):
                chosen.append(labelled[index])
        if len(chosen) < min(PIECES):
            raise FluxBeatError("mixes and splices need music of at least two genres, with labels")
        yield chosen


def _cut(length: int, rate_hz: float, rng: np.random.Generator) -> tuple[int, int]:
    """First and end of a random piece of `length` steps."""
    wanted = min(round(rng.uniform(*PIECE_S) * rate_hz), length)
    first = int(rng.integers(0, length - wanted + 1))
    return first, first + wanted


def _labels(music: Sequence[Music]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(itertools.chain.from_iterable(entry.labels or () for entry in music)))
