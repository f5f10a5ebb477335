"""Test music with two genres at once: clips of different genres that sound together, equally loud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from fluxbeat.analysis import read_track
from fluxbeat.audio import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.training.augment import mix
from fluxbeat.training.evaluation.cases import Case, track_of
from fluxbeat.training.items import Item
from fluxbeat.training.loudness import equally_loud
from fluxbeat.training.recordings import Recording

Music = TypeVar("Music", Recording, Item)


def mix_cases(
    recordings: Sequence[Recording],
    features: FeatureConfig,
    count: int,
    seed: int = 0,
    known: tuple[str, ...] | None = None,
) -> Iterator[Case]:
    """Pairs of recordings of different genres, mixed at equal RMS over the length of the shorter, then heard as any.

    Parameters
    ----------
    recordings : sequence of Recording
        Unseen ones; those without labels are left out.
    features : FeatureConfig
    count : int
        Number of mixes; fewer where there are not as many pairs.
    seed : int
        The same recordings and seed make the same mixes.
    known : tuple of str, optional
        Labels that the recordings' source speaks about (None: all).

    Raises
    ------
    FluxBeatError
        If no two recordings have different genres.
    """
    rate_hz = features.sample_rate_hz
    for first, second in pairs(recordings, count, seed):
        one, other = (load_audio(recording.path, sample_rate_hz=rate_hz).samples for recording in (first, second))
        length = min(len(one), len(other))
        together = equally_loud(one[:length]) + equally_loud(other[:length])
        name = f"{first.path.name} + {second.path.name}"
        yield Case(read_track((together, rate_hz), features, name), _union(first, second), None, known=known)


def mix_items(items: Sequence[Item], features: FeatureConfig, count: int, seed: int = 0) -> Iterator[Case]:
    """Pairs of spectrograms of different genres, mixed at equal level; parameters and errors as in `mix_cases`."""
    for first, second in pairs(items, count, seed):
        frames = min(first.log_mel.shape[1], second.log_mel.shape[1])
        log_mel, _ = mix(first.log_mel[:, :frames], second.log_mel[:, :frames], gain_db=0.0)
        together = replace(first, item_id=f"{first.item_id} + {second.item_id}", log_mel=log_mel)
        yield Case(track_of(together, features), _union(first, second), None, known=known_to_all((first, second)))


def pairs(music: Sequence[Music], count: int, seed: int) -> list[tuple[Music, Music]]:
    """Up to `count` different pairs of different genres, each clip about as often as any other.

    Raises
    ------
    FluxBeatError
        If there is no such pair.
    """
    labelled = [entry for entry in music if entry.labels]
    rng = np.random.default_rng(seed)
    chosen: dict[frozenset[int], tuple[int, int]] = {}
    used = np.zeros(len(labelled), int)
    fruitless = 0
    while len(chosen) < count and fruitless < 20:
        before = len(chosen)
        # taken from the end: clips that were used least, in random order
        waiting = sorted(rng.permutation(len(labelled)).tolist(), key=lambda index: -used[index])
        while waiting and len(chosen) < count:
            first = waiting.pop()
            for second in reversed(waiting):
                pair = frozenset((first, second))
                if pair not in chosen and apart(labelled[first], labelled[second]):
                    chosen[pair] = (first, second)
                    waiting.remove(second)
                    used[[first, second]] += 1
                    break
        fruitless = fruitless + 1 if len(chosen) == before else 0
    if not chosen:
        raise FluxBeatError("mixes and splices need music of at least two genres, with labels")
    return [(labelled[first], labelled[second]) for first, second in chosen.values()]


def apart(first: Music, second: Music) -> bool:
    """Whether two clips surely are of different genres: each lacks every genre of the other, and its source says so."""
    return all(
        not set(one.labels or ()) & set(other.labels or ())
        and (not isinstance(other, Item) or other.known is None or set(one.labels or ()) <= set(other.known))
        for one, other in ((first, second), (second, first))
    )


def known_to_all(items: Sequence[Item]) -> tuple[str, ...] | None:
    """Labels that the sources of all items speak about; None where that is all labels."""
    spoken = [set(item.known) for item in items if item.known is not None]
    return tuple(sorted(set.intersection(*spoken))) if spoken else None


def _union(*music: Music) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for entry in music for label in entry.labels or ()))
