"""GTZAN clips kept as spectrogram pictures, and their way to the models' log-mel.

A picture archive is STEM.npz (arrays `clip_id` and `spectrogram`, uint8 (clips, 129, columns): linear bins from
0 Hz to 11,025 Hz, 0..255 from the clip's lowest to its highest log power, 496 columns for 30 s, each a snapshot of
11.6 ms) and STEM.csv (clip_id, genre, bpm, artist_group, fold). Genres and artists are those of Tzanetakis & Cook
(IEEE TSAP 2002) and Sturm ("The GTZAN dataset", 2013).
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.training.items import PICTURE, RECORDING, Item
from fluxbeat.training.recordings import Recording, recording_items

BINS = 129
NYQUIST_HZ = 11_025.0
COLUMNS_PER_SECOND = 496 / 30.0
# 0..255 spans about this much: measured on clips of which picture and recording are both at hand (24 +- 4 nepers
# of power); the local normalisation takes up what a single clip differs from it
PICTURE_RANGE_DB = 104.0
ALIGNMENT = Path(__file__).with_name("picture_alignment.json")


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
    for band, (low, centre, high) in enumerate(zip(edges_hz[:-2], edges_hz[1:-1], edges_hz[2:], strict=True)):
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
    normal = LogMel(config).normalise(at_frames)
    offset, scale = alignment(config)
    mean = normal.mean(axis=1, keepdims=True)
    return (mean + offset[:, None] + scale[:, None] * (normal - mean)).astype(np.float32)


@lru_cache(maxsize=8)
def alignment(config: FeatureConfig) -> tuple[np.ndarray, np.ndarray]:
    """How each band of a recording differs from that of its picture: offset and scale, float32 (mels,) each.

    Measured by `measure_alignment` and kept in picture_alignment.json by the hash of the features; no change (0, 1)
    for features it was not measured for.
    """
    known = json.loads(ALIGNMENT.read_text(encoding="utf-8")) if ALIGNMENT.is_file() else {}
    if config.hash not in known:
        return np.zeros(config.n_mels, np.float32), np.ones(config.n_mels, np.float32)
    entry = known[config.hash]
    return np.asarray(entry["offset"], np.float32), np.asarray(entry["scale"], np.float32)


def measure_alignment(stem: str | Path, recordings: str | Path, config: FeatureConfig) -> None:
    """Measure `alignment` on clips of which picture and recording are at hand, and keep it. Labels play no part.

    `python -m fluxbeat.training.pictures STEM RECORDINGS` does it for the features of the shipped models. The
    pictures' bins are wider than the models' low bands and their columns are snapshots, so that a band of a recording
    moves more than its picture shows.
    """
    known = json.loads(ALIGNMENT.read_text(encoding="utf-8")) if ALIGNMENT.is_file() else {}
    known.pop(config.hash, None)
    ALIGNMENT.write_text(json.dumps(known), encoding="utf-8")
    alignment.cache_clear()
    items = list(read_archive(stem, config, recordings))
    pictures = {item.item_id: item.log_mel for item in items if item.source == PICTURE}
    offsets, scales = [], []
    for item in items:
        if item.source == RECORDING:
            frames = min(item.log_mel.shape[1], pictures[item.item_id].shape[1])
            heard, seen = item.log_mel[:, :frames], pictures[item.item_id][:, :frames]
            offsets.append(heard.mean(axis=1) - seen.mean(axis=1))
            scales.append(np.log(heard.std(axis=1) / seen.std(axis=1)))
    known[config.hash] = {
        "offset": np.mean(offsets, axis=0).round(3).tolist(),
        "scale": np.exp(np.mean(scales, axis=0)).round(3).tolist(),
        "pairs": len(offsets),
    }
    ALIGNMENT.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    alignment.cache_clear()


def read_archive(stem: str | Path, config: FeatureConfig, recordings: str | Path | None = None) -> Iterator[Item]:
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
    rows = _read_rows(stem)
    with np.load(f"{stem}.npz") as arrays:
        pictures = dict(zip(arrays["clip_id"].tolist(), arrays["spectrogram"], strict=True))
    for row in rows:
        if row["clip_id"] not in pictures:
            raise FluxBeatError(f"picture archive {stem}: the table names {row['clip_id']}, the arrays do not hold it")
        yield Item(
            item_id=row["clip_id"],
            log_mel=picture_to_log_mel(pictures[row["clip_id"]], config),
            labels=(row["genre"],),
            tempo_bpm=float(row["bpm"]) if row.get("bpm") else None,
            artist=_artist(row),
            fold=int(row.get("fold") or 0),
            source=PICTURE,
        )
    if recordings is not None:
        for item in recording_items(archive_recordings(stem, recordings), config):
            yield replace(item, item_id=Path(item.item_id).stem)


def archive_recordings(stem: str | Path, folder: str | Path) -> list[Recording]:
    """The audio files in `folder` (CLIP_ID.flac or .wav) with what the archive's table knows of them.

    Raises
    ------
    FluxBeatError
        If the archive is incomplete, or the folder holds audio of none of its clips.
    """
    found = []
    for row in _read_rows(stem):
        for ending in (".flac", ".wav"):
            path = Path(folder, row["clip_id"] + ending)
            if path.is_file():
                tempo_bpm = float(row["bpm"]) if row.get("bpm") else None
                found.append(Recording(path, (row["genre"],), tempo_bpm, _artist(row), int(row.get("fold") or 0)))
    if not found:
        raise FluxBeatError(f"{folder}: no CLIP_ID.flac or CLIP_ID.wav of a clip that {stem}.csv names")
    return found


def _read_rows(stem: str | Path) -> list[dict[str, str]]:
    for path in (Path(f"{stem}.npz"), Path(f"{stem}.csv")):
        if not path.is_file():
            raise FluxBeatError(f"picture archive {stem}: {path.name} is missing; it needs STEM.npz and STEM.csv")
    with open(f"{stem}.csv", newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _artist(row: dict[str, str]) -> str:
    return f"{row['genre']}/{row['artist_group']}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure how recordings differ from their pictures, and keep it.")
    parser.add_argument("stem", help="a picture archive without its endings .npz and .csv")
    parser.add_argument("recordings", help="folder with the audio of some of its clips")
    given = parser.parse_args()
    measure_alignment(given.stem, given.recordings, FeatureConfig())
