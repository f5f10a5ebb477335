"""Recordings and what is known of them: the rows of a table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.store import SPLITS

OTHER_NAMES = {"training": "train", "validation": "dev"}
"""What data sets call a split that is named otherwise here."""


@dataclass(frozen=True)
class Recording:
    """One recording.

    Attributes
    ----------
    path : Path
        Where the audio is.
    labels : tuple of str or None
        Genres that it has; None where that is not known.
    tempo_bpm : float or None
        Annotated tempo; None where it is not known.
    artist : str
        Same string, same artist: never on both sides of a split.
    split : str
        'train', 'dev' or 'test' where the source has a split, else empty.
    name : str
        What errors, reports and split files call it; unique in its data set.
    """

    path: Path
    labels: tuple[str, ...] | None
    tempo_bpm: float | None
    artist: str
    split: str
    name: str


def read_table(path: Path) -> list[Recording]:
    """Read a CSV with a header: path, labels (separated by `;`), and optionally bpm, artist, split.

    Paths are relative to the CSV's folder; `validation` is another name of the split `dev`.

    Raises
    ------
    FluxBeatError
        If there is no `path` column, a number is not a number or a split is none of train, dev and test; names the
        line.
    """
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
            except ValueError as error:
                raise FluxBeatError(f"{path}, line {line}: {error}") from error
            split = (row.get("split") or "").strip()
            split = OTHER_NAMES.get(split, split)
            if split and split not in SPLITS:
                raise FluxBeatError(f"{path}, line {line}: split must be {', '.join(SPLITS)} or empty, got {split!r}")
            artist = (row.get("artist") or "").strip()
            recordings.append(
                Recording(path.parent / row["path"], labels or None, tempo_bpm, artist, split, row["path"])
            )
    if not recordings:
        raise FluxBeatError(f"{path}: the table has no rows")
    return recordings
