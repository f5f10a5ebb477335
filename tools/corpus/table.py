"""The table of a folder of excerpts, `recordings.csv`, as `tools.recordings` reads it; one kind of rows at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from fluxbeat.atomic_write import atomic_write

TABLE = "recordings.csv"
RATE_HZ = 32_000
"""Of the excerpts: the highest rate that a teacher takes."""

LineReport = Callable[[str], None]
"""Takes one line of progress."""


@dataclass(frozen=True)
class Row:
    """One excerpt.

    Attributes
    ----------
    file : str
        Below the folder.
    split : str
        'train', 'test' or 'out'.
    labels : str
        Genres, separated by `;`; empty where nobody named any.
    artist : str
        Artists of one package are often not told apart: the package.
    dataset : str
        'free' for recorded music, 'groove' for rendered accompaniments.
    seconds : float
    licence, source : str
    bpm : float or None
        Where one tempo holds throughout and is known.
    """

    file: str
    split: str
    labels: str
    artist: str
    dataset: str
    seconds: float
    licence: str
    source: str
    bpm: float | None = None

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Row:
        """A row as `read_rows` gives it."""
        known: dict[str, Any] = dict(values)
        return cls(
            **{**known, "seconds": float(known["seconds"]), "bpm": float(known["bpm"]) if known["bpm"] else None}
        )


def write_excerpt(path: Path, samples: np.ndarray) -> None:
    """Keep mono float32 samples at `RATE_HZ` as FLAC, whole or not at all; what exceeds full scale is scaled down."""
    peak = max(float(np.abs(samples).max()), 1.0)
    with atomic_write(path, parents=True) as partial:
        soundfile.write(partial, samples / peak, RATE_HZ, format="FLAC", subtype="PCM_16")


def write_rows(folder: Path, dataset: str, rows: Iterable[Row]) -> None:
    """Set the rows of one data set; those of others stay."""
    kept = [row for row in read_rows(folder) if row["dataset"] != dataset]
    new = [{name: "" if value is None else str(value) for name, value in vars(row).items()} for row in rows]
    with (
        atomic_write(folder / TABLE, parents=True) as partial,
        open(partial, "w", newline="", encoding="utf-8") as handle,
    ):
        writer = csv.DictWriter(handle, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([*kept, *new], key=lambda row: row["file"]))


def read_rows(folder: Path) -> list[Mapping[str, str]]:
    """The rows of a folder's table; none where there is no table."""
    path = folder / TABLE
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))
