"""GTZAN clips kept as spectrogram pictures, and their way to the models' log-mel.

A picture archive is STEM.npz (arrays `clip_id` and `spectrogram`, uint8 (clips, 129, columns): linear bins from
0 Hz to 11,025 Hz, 0..255 from the clip's lowest to its highest log power, 496 columns for 30 s, each a snapshot of
11.6 ms) and STEM.csv (clip_id, genre, bpm, artist_group, fold). Genres and artists are those of Tzanetakis & Cook
(IEEE TSAP 2002) and Sturm ("The GTZAN dataset", 2013).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from fluxbeat.audio import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.training.items import Item

BINS = 129
NYQUIST_HZ = 11_025.0
COLUMNS_PER_SECOND = 496 / 30.0
# 0..255 spans about this much: measured on clips of which picture and recording are both at hand (24 +- 4 nepers
# of power); the local normalisation takes up what a single clip differs from it
PICTURE_RANGE_DB = 104.0


@lru_cache(maxsize=8)
def mel_weights(config: FeatureConfig) -> np.ndarray:
    """Weights from linear bins to mel bands, float32 (mels, 129), rows summing to 1.

    A band that is narrower than the distance of two bins interpolates between its neighbours.
    """
    import librosa

    edges_hz = librosa.mel_frequencies(config.n_mels + 2, fmin=config.f_min_hz, fmax=config.f_max_hz)
    bins_hz = np.linspace(0.0, NYQUIST_HZ, BINS)
    spacing_hz = bins_hz[1]
    weights = np.zeros((config.n_mels, BINS), np.float32)
    for band, (low, centre, high) in enumerate(zip(edges_hz, edges_hz[1:], edges_hz[2:], strict=False)):
        if high - low < 2 * spacing_hz:
            low, high = centre - spacing_hz, centre + spacing_hz
        rising, falling = (bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)
        weights[band] = np.clip(np.minimum(rising, falling), 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


def picture_to_log_mel(spectrogram: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """Picture, uint8 (129, columns) -> log-mel at the models' frame rate, float32 (mels, frames), normalised."""
    level_db = (spectrogram.astype(np.float32) / 255.0 - 1.0) * PICTURE_RANGE_DB
    power = mel_weights(config) @ np.power(10.0, level_db / 10.0)
    bands_db = 10.0 * np.log10(np.maximum(power, 1e-12))
    duration_s = spectrogram.shape[1] / COLUMNS_PER_SECOND
    column_s = (np.arange(spectrogram.shape[1]) + 0.5) / COLUMNS_PER_SECOND
    frame_s = np.arange(0.0, duration_s, 1.0 / config.frame_rate_hz)
    at_frames = np.stack([np.interp(frame_s, column_s, band) for band in bands_db]).astype(np.float32)
    return LogMel(config).normalise(at_frames)


def read_archive(
    stem: str | Path, config: FeatureConfig, recordings: str | Path | None = None
) -> Iterator[Item]:
    """The clips of an archive as items, one by one.

    Parameters
    ----------
    stem : path
        Path of the archive without its endings .npz and .csv.
    config : FeatureConfig
        Features of the model.
    recordings : path, optional
        Folder with the audio of some clips (CLIP_ID.flac or .wav): those follow as items of their own.

    Raises
    ------
    FluxBeatError
        If the archive is incomplete.
    """
    arrays_path, table_path = Path(f"{stem}.npz"), Path(f"{stem}.csv")
    for path in (arrays_path, table_path):
        if not path.is_file():
            raise FluxBeatError(f"picture archive {stem}: {path.name} is missing; it needs STEM.npz and STEM.csv")
    with np.load(arrays_path) as arrays:
        pictures = dict(zip(arrays["clip_id"].tolist(), arrays["spectrogram"], strict=True))
    with open(table_path, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    front_end = LogMel(config)
    for row in rows:
        clip_id = row["clip_id"]
        known = dict(
            labels=(row["genre"],),
            tempo_bpm=float(row["bpm"]) if row.get("bpm") else None,
            artist=f"{row['genre']}/{row['artist_group']}",
            fold=int(row.get("fold") or 0),
        )
        yield Item(clip_id, picture_to_log_mel(pictures[clip_id], config), source="picture", **known)
        if recordings is None:
            continue
        for ending in (".flac", ".wav"):
            path = Path(recordings, clip_id + ending)
            if path.is_file():
                audio = load_audio(path, sample_rate_hz=config.sample_rate_hz)
                yield Item(clip_id, front_end(audio.samples), source="recording", **known)
