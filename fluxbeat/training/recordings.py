"""Recordings listed in a table: path, labels, and what else is known of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fluxbeat.audio import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.training.items import Item


@dataclass(frozen=True)
class Recording:
    """One row: where the audio is, which genres it has (None: not known), its tempo (None: not known), its artist."""

    path: Path
    labels: tuple[str, ...] | None
    tempo_bpm: float | None
    artist: str
    fold: int


def read_table(path: str | Path) -> list[Recording]:
    """Read a CSV with a header: path, labels (separated by `;`), and optionally bpm, artist, fold.

    Paths are relative to the CSV's folder.

    Raises
    ------
    FluxBeatError
        If the file is missing, has no `path` column, or a number is not a number; names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise FluxBeatError(f"{path}: no such file; expected a CSV with the columns path, labels and optionally bpm")
    recordings = []
    with open(path, newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        if "path" not in (reader.fieldnames or []):
            raise FluxBeatError(
                f"{path}: the first line must name the columns, path among them, got {reader.fieldnames}"
            )
        for line, row in enumerate(reader, start=2):
            labels = tuple(label.strip() for label in (row.get("labels") or "").split(";") if label.strip())
            try:
                tempo_bpm = float(row["bpm"]) if row.get("bpm") else None
                fold = int(row.get("fold") or 0)
            except ValueError as error:
                raise FluxBeatError(f"{path}, line {line}: {error}") from error
            recordings.append(
                Recording(path.parent / row["path"], labels or None, tempo_bpm, row.get("artist") or "", fold)
            )
    if not recordings:
        raise FluxBeatError(f"{path}: the table has no rows")
    return recordings


def recording_items(recordings: list[Recording], config: FeatureConfig) -> Iterator[Item]:
    """The recordings as training items, one by one."""
    front_end = LogMel(config)
    for recording in recordings:
        audio = load_audio(recording.path, sample_rate_hz=config.sample_rate_hz)
        yield Item(
            str(recording.path.name),
            front_end(audio.samples),
            recording.labels,
            recording.tempo_bpm,
            artist=recording.artist,
            fold=recording.fold,
        )
