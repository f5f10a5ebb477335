"""Recordings and what is known of them: the rows of a table, and their way to training items."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fluxbeat.audio import load_audio
from fluxbeat.errors import AudioDecodeError, FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.training.items import Item

SPLITS = ("train", "validation", "test")

_log = logging.getLogger(__name__)


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
    fold : int
        1, 2, ... where the source has folds, else 0.
    split : str
        'train', 'validation' or 'test' where the source has a split, else empty.
    track_id : str
        Name that is unique in its data set; empty: the file's name.
    """

    path: Path
    labels: tuple[str, ...] | None
    tempo_bpm: float | None
    artist: str
    fold: int
    split: str = ""
    track_id: str = ""

    @property
    def name(self) -> str:
        """What errors, reports and split files call it."""
        return self.track_id or self.path.name


def read_table(path: str | Path) -> list[Recording]:
    """Read a CSV with a header: path, labels (separated by `;`), and optionally bpm, artist, fold, split.

    Paths are relative to the CSV's folder.

    Raises
    ------
    FluxBeatError
        If the file is missing, has no `path` column, a number is not a number or a split is none of train,
        validation and test; names the line.
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
            split = (row.get("split") or "").strip()
            if split and split not in SPLITS:
                raise FluxBeatError(f"{path}, line {line}: split must be {', '.join(SPLITS)} or empty, got {split!r}")
            artist = row.get("artist") or ""
            recordings.append(
                Recording(path.parent / row["path"], labels or None, tempo_bpm, artist, fold, split, row["path"])
            )
    if not recordings:
        raise FluxBeatError(f"{path}: the table has no rows")
    return recordings


def recording_items(recordings: list[Recording], config: FeatureConfig) -> Iterator[Item]:
    """The recordings as training items, one by one.

    Raises
    ------
    AudioDecodeError
        If one of them cannot be read.
    """
    front_end = LogMel(config)
    for recording in recordings:
        yield recording_item(recording, front_end)


def recording_item(recording: Recording, front_end: LogMel) -> Item:
    """One recording, read whole, as a training item."""
    audio = load_audio(recording.path, sample_rate_hz=front_end.config.sample_rate_hz)
    return Item(
        recording.name,
        front_end(audio.samples),
        recording.labels,
        recording.tempo_bpm,
        artist=recording.artist,
        fold=recording.fold,
    )


def readable_items(
    recordings: Iterable[Recording], config: FeatureConfig, least_s: float, most_s: float
) -> Iterator[tuple[Recording, Item]]:
    """The recordings that can be read and are long enough; the others are left out, each with a warning that names it.

    Published collections hold files that are broken (GTZAN's jazz.00054) or nearly empty (FMA's 098565, 098567,
    098569, 099134, 108925, 133297): one of them must not stop the others.

    Parameters
    ----------
    recordings : iterable of Recording
    config : FeatureConfig
        Features of the items.
    least_s : float
        Shorter recordings are left out, seconds.
    most_s : float
        Of longer recordings the middle is kept, this long, seconds; an hour of spectrogram is 12 MB.
    """
    front_end = LogMel(config)
    least, most = round(least_s * config.frame_rate_hz), round(most_s * config.frame_rate_hz)
    for recording in recordings:
        try:
            item = recording_item(recording, front_end)
        except AudioDecodeError as error:
            _log.warning("left out: %s", error)
            continue
        frames = item.log_mel.shape[1]
        if frames < least:
            duration_s = frames / config.frame_rate_hz
            _log.warning("left out: %s lasts %.1f s, at least %g s are needed", recording.path, duration_s, least_s)
            continue
        if frames > most:
            begin = (frames - most) // 2
            item = replace(item, log_mel=item.log_mel[:, begin : begin + most].copy())
        yield recording, item
