"""Test music: tracks as the engine takes them, with what is known of each."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from fluxbeat.analysis import Envelope, Track, read_track
from fluxbeat.audio import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.training.items import Item
from fluxbeat.training.pictures import archive_recordings, read_archive
from fluxbeat.training.recordings import Recording

Sound: TypeAlias = Callable[[int], np.ndarray]
"""Gives the audio of a track at a sample rate in Hz: mono float32 (samples,)."""


@dataclass(frozen=True, eq=False)
class Case:
    """One track with what is known of it, and what others than the model say of it.

    Attributes
    ----------
    track : Track
    labels : tuple of str or None
        Genres that are present; None where the source says nothing about genre.
    tempo_bpm : float or None
        Annotated tempo.
    sound : Sound or None
        The way to its audio, where there is audio.
    known : tuple of str or None
        Labels that the source speaks about; None where it speaks about all. Other labels are neither right nor wrong.
    artist : str
        Tracks of the same artist are drawn together in a bootstrap; empty: the track stands alone.
    borders_s : tuple of float or None
        Where its genre changes, seconds; None where that is not known.
    teacher : float array, shape (segments, tags), or None
        MusiCNN's tag logits, where a corpus holds them.
    peer_bpm : mapping from str to float
        What other estimators say of the tempo, by their name.
    peer_genres : mapping from str to float
        What MusiCNN says of those labels that it knows, 0..1; empty where it was not asked.
    """

    track: Track
    labels: tuple[str, ...] | None
    tempo_bpm: float | None
    sound: Sound | None = None
    known: tuple[str, ...] | None = None
    artist: str = ""
    borders_s: tuple[float, ...] | None = None
    teacher: np.ndarray | None = None
    peer_bpm: Mapping[str, float] = field(default_factory=dict)
    peer_genres: Mapping[str, float] = field(default_factory=dict)


def picture_cases(stem: str | Path, features: FeatureConfig, fold: int = 0) -> Iterator[Case]:
    """The clips of a picture archive; of one fold only where `fold` is given."""
    return item_cases(picture_items(stem, features, fold), features)


def picture_items(stem: str | Path, features: FeatureConfig, fold: int = 0) -> Iterator[Item]:
    """The clips of a picture archive as items; of one fold only where `fold` is given."""
    for item in read_archive(stem, features):
        if not fold or item.fold == fold:
            yield item if item.known else replace(item, known=archive_genres(stem))


def item_cases(
    items: Iterable[Item], features: FeatureConfig, sounds: Mapping[str, Sound] | None = None
) -> Iterator[Case]:
    """Items, of which there are only spectrograms; and their sound, by item_id, where there is one."""
    for item in items:
        yield Case(
            track_of(item, features),
            item.labels,
            item.tempo_bpm,
            (sounds or {}).get(item.item_id),
            known=item.known,
            artist=item.artist,
            teacher=item.teacher,
        )


def recording_cases(
    recordings: Iterable[Recording], features: FeatureConfig, known: tuple[str, ...] | None = None
) -> Iterator[Case]:
    """Recordings, decoded as the app decodes them; their source speaks about the labels `known` (None: all)."""
    for recording in recordings:
        track = read_track(recording.path, features)
        sound = partial(_decoded, recording.path)
        yield Case(track, recording.labels, recording.tempo_bpm, sound, known, recording.artist)


def _decoded(path: Path, sample_rate_hz: int) -> np.ndarray:
    return load_audio(path, sample_rate_hz=sample_rate_hz).samples


def archive_recording_cases(
    stem: str | Path, folder: str | Path, features: FeatureConfig, fold: int = 0
) -> Iterator[Case]:
    """Those clips of an archive whose audio lies in `folder`, as recordings."""
    chosen = [recording for recording in archive_recordings(stem, folder) if not fold or recording.fold == fold]
    return recording_cases(chosen, features, archive_genres(stem))


@lru_cache(maxsize=8)
def archive_genres(stem: str | Path) -> tuple[str, ...]:
    """The genres that a picture archive sorts its clips into: it says nothing about others."""
    if not Path(f"{stem}.csv").is_file():
        raise FluxBeatError(f"picture archive {stem}: {Path(stem).name}.csv is missing; it needs STEM.npz and STEM.csv")
    with open(f"{stem}.csv", newline="", encoding="utf-8") as handle:
        return tuple(sorted({row["genre"] for row in csv.DictReader(handle)}))


def track_of(item: Item, features: FeatureConfig) -> Track:
    """An item, of which there is only a spectrogram, as the engine takes a recording."""
    frames = item.log_mel.shape[1]
    duration_s = frames / features.frame_rate_hz
    nothing = Envelope(np.zeros(1, np.float32), duration_s)
    log_mel = item.log_mel.astype(np.float32, copy=False)
    return Track(item.item_id, duration_s, features, log_mel, np.ones(frames, bool), nothing, ())
