"""Test sound made of two and more unseen recordings: equal mixes, and splices with known borders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fluxbeat.audio.decoding import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.store import Excerpt

MIXES, SPLICES = 80, 40
PIECES = (2, 3, 4)
PIECE_S = (12.0, 25.0)
LEAST_S = 10.0
"""A shorter recording makes no mix and no piece of a splice."""
CROSSFADE_S = 0.25
LOUDNESS_RMS = 0.1


@dataclass(frozen=True, eq=False)
class Composed:
    """Sound made of recordings.

    Attributes
    ----------
    name : str
    samples : float32 array, shape (samples,)
    labels : tuple of str
        Genres of all its recordings.
    artists : tuple of str
    borders_s : tuple of float
        Where one recording goes over into the next; empty for a mix.
    """

    name: str
    samples: np.ndarray
    labels: tuple[str, ...]
    artists: tuple[str, ...]
    borders_s: tuple[float, ...] = ()


def usable(excerpts: Sequence[Excerpt], labels: Sequence[str]) -> list[Excerpt]:
    """Music of at least 10 s whose genres are all among `labels`."""
    return [
        excerpt
        for excerpt in excerpts
        if excerpt.labels and set(excerpt.labels) <= set(labels) and excerpt.duration_s >= LEAST_S
    ]


def mixes(folder: Path, excerpts: Sequence[Excerpt], rate_hz: int, count: int, seed: int = 0) -> Iterator[Composed]:
    """Pairs of recordings of one genre each, two genres, equally loud over the length of the shorter.

    Parameters
    ----------
    folder : Path
        That the excerpts' names start from.
    excerpts : sequence of Excerpt
        As `usable` gives them.
    rate_hz : int
        Of the samples.
    count : int
        Fewer where there are not as many pairs.
    seed : int
        The same recordings and seed make the same mixes.

    Raises
    ------
    FluxBeatError
        If no two recordings have different genres.
    """
    single = [excerpt for excerpt in excerpts if len(excerpt.labels or ()) == 1]
    for first, second in pairs(single, count, seed):
        one, other = (load_audio(folder / part.name, sample_rate_hz=rate_hz).samples for part in (first, second))
        length = min(len(one), len(other))
        yield Composed(
            f"{first.name} + {second.name}",
            equally_loud(one[:length]) + equally_loud(other[:length]),
            (*(first.labels or ()), *(second.labels or ())),
            (first.artist, second.artist),
        )


def pairs(excerpts: Sequence[Excerpt], count: int, seed: int) -> list[tuple[Excerpt, Excerpt]]:
    """Up to `count` different pairs without a common genre or artist, each recording about as often as any other.

    Raises
    ------
    FluxBeatError
        If there is no such pair.
    """
    rng, used = np.random.default_rng(seed), np.zeros(len(excerpts), int)
    chosen: dict[frozenset[int], tuple[Excerpt, Excerpt]] = {}
    for _ in range(20 * count):
        if len(chosen) == count:
            break
        # the least used come first, in random order
        order = sorted(rng.permutation(len(excerpts)).tolist(), key=lambda index: used[index])
        for second in order[1:]:
            pair = frozenset((order[0], second))
            if pair not in chosen and apart(excerpts[order[0]], excerpts[second]):
                chosen[pair] = excerpts[order[0]], excerpts[second]
                used[[order[0], second]] += 1
                break
        else:
            if order:
                used[order[0]] += 1  # it fits no other any more: let another have its turn
    if not chosen:
        raise FluxBeatError("mixes and splices need music of at least two genres by two artists, with labels")
    return list(chosen.values())


def apart(first: Excerpt, second: Excerpt) -> bool:
    """Whether two recordings have neither a genre nor the artist in common."""
    return not set(first.labels or ()) & set(second.labels or ()) and first.artist != second.artist


def splices(folder: Path, excerpts: Sequence[Excerpt], rate_hz: int, count: int, seed: int = 0) -> Iterator[Composed]:
    """Tracks of 2 to 4 pieces of recordings of different genres, each 12 to 25 s (or all of a shorter one).

    The pieces are equally loud and fade into each other within 0.25 s, so that a border lies in the music and not in
    its level or a gap. A border is the middle of its crossfade. Parameters and errors as in `mixes`.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        chosen = _draw(excerpts, rng)
        pieces = []
        for excerpt in chosen:
            samples = load_audio(folder / excerpt.name, sample_rate_hz=rate_hz).samples
            wanted = min(round(rng.uniform(*PIECE_S) * rate_hz), len(samples))
            first = int(rng.integers(0, len(samples) - wanted + 1))
            pieces.append(equally_loud(samples[first : first + wanted]))
        samples, borders = crossfaded(pieces, round(CROSSFADE_S * rate_hz))
        yield Composed(
            " | ".join(excerpt.name for excerpt in chosen),
            samples,
            tuple(dict.fromkeys(label for excerpt in chosen for label in excerpt.labels or ())),
            tuple(excerpt.artist for excerpt in chosen),
            tuple(border / rate_hz for border in borders),
        )


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


def _draw(excerpts: Sequence[Excerpt], rng: np.random.Generator) -> list[Excerpt]:
    """2 to 4 recordings, all of different genres and artists."""
    wanted = int(rng.choice(PIECES))
    chosen: list[Excerpt] = []
    for index in rng.permutation(len(excerpts)).tolist():
        if len(chosen) < wanted and all(apart(one, excerpts[index]) for one in chosen):
            chosen.append(excerpts[index])
    if len(chosen) < min(PIECES):
        raise FluxBeatError("mixes and splices need music of at least two genres by two artists, with labels")
    return chosen


def equally_loud(samples: np.ndarray) -> np.ndarray:
    """Audio at an RMS of `LOUDNESS_RMS`, float32, so that of two neither hides the other; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return (samples * (LOUDNESS_RMS / max(rms, 1e-6))).astype(np.float32)
