"""The built corpus on disk: shards of spectrograms, and one table that says what is in them.

    FOLDER/index.csv               one line per excerpt
    FOLDER/free-0007.npz           log-mel and picture view of about 64 excerpts of recorded music, float16
    FOLDER/teacher-free-0007.npz   what the teacher hears in them
    FOLDER/groove-0002.npz         rendered accompaniments
    FOLDER/blend-0003.npz          blends of two pieces each, and what the teacher hears in them
    FOLDER/unread.csv              tracks that could not be read, and why

A shard comes into being whole or not at all, so that a build can be killed and go on.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from fluxbeat.errors import ConfigMismatchError, FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.training.whole_file import whole_file

SHARD_EXCERPTS = 64
INDEX = "index.csv"
UNREAD = "unread.csv"

Report = Callable[[str], None]
"""Takes one line of progress."""
Made = tuple[list[dict[str, Any]], dict[str, np.ndarray]]
"""A fact for each item of a shard, and their arrays as in `Shard`."""


@dataclass(frozen=True)
class IndexRow:
    """One excerpt.

    Attributes
    ----------
    item_id : str
        PATH@START, or the name of a groove or blend.
    package, path, artist, title, licence : str
        As the catalogue has them.
    labels, known : tuple of str
        Present labels, and all that something is known of; both empty where nothing is known of the genre.
    label_basis : str
        What the labels rest on.
    tempo_bpm : float or None
        Where one tempo holds throughout the excerpt and is known.
    start_s, duration_s : float
        Which part of the track it is.
    split : str
        'train', 'test' or 'out'.
    shard : str
        Name of its shard, without ending.
    """

    item_id: str
    package: str
    path: str
    artist: str
    title: str
    licence: str
    labels: tuple[str, ...]
    known: tuple[str, ...]
    label_basis: str
    tempo_bpm: float | None
    start_s: float
    duration_s: float
    split: str
    shard: str

    def cut(self, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """The excerpt out of its whole track, both mono (samples,)."""
        first = round(self.start_s * sample_rate_hz)
        return samples[first : first + round(self.duration_s * sample_rate_hz)]


@dataclass(frozen=True, eq=False)
class Shard:
    """Excerpts that lie in one file.

    Attributes
    ----------
    made_of : str
        Says from what and with which settings it was made: equal text, nothing to do again.
    features : str
        Hash of the `FeatureConfig`; empty where a teacher's answers have none.
    facts : dict
        Whatever the maker needs to write index lines; JSON.
    arrays : dict of str to array
        KIND/ITEM_ID, of the kinds log_mel, picture, logits, embedding, start_s and fold.
    """

    made_of: str
    features: str
    facts: dict[str, Any]
    arrays: Mapping[str, np.ndarray]


def write_shard(path: Path, shard: Shard) -> None:
    """Write a shard, whole or not at all."""
    described = json.dumps({"made_of": shard.made_of, "features": shard.features, "facts": shard.facts})
    with whole_file(path) as partial, open(partial, "wb") as handle:
        np.savez(handle, described=np.array(described), **shard.arrays)  # type: ignore[arg-type]


def describe_shard(path: Path) -> Shard | None:
    """A shard without its arrays; None where there is none, or what is there is not whole."""
    try:
        with np.load(path) as arrays:
            return Shard(**json.loads(str(arrays["described"])), arrays={})
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        return None


def read_arrays(path: Path, features: FeatureConfig | None = None) -> dict[str, np.ndarray]:
    """The arrays of a shard.

    Raises
    ------
    ConfigMismatchError
        If it was made with other features than those given.
    FluxBeatError
        If it is missing or damaged.
    """
    try:
        with np.load(path) as arrays:
            made_with = json.loads(str(arrays["described"]))["features"]
            if features is not None and made_with != features.hash:
                raise ConfigMismatchError(
                    f"{path.name} holds features {made_with}, expected {features.hash}: build the corpus again with "
                    "`fluxbeat corpus read`"
                )
            return {name: arrays[name] for name in arrays.files if name != "described"}
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise FluxBeatError(f"{path}: shard missing or damaged ({error}); build it again") from error


def build_numbered(
    kind: str,
    count: int,
    corpus: Path,
    decided_by: Sequence[Any],
    make: Callable[[int, Sequence[int]], Made],
    row: Callable[[Mapping[str, Any], str], IndexRow],
    report: Report,
) -> list[IndexRow]:
    """Make `count` numbered items in shards and their index lines; what is done already is not done again.

    Shards beyond are removed.

    Parameters
    ----------
    kind : str
        Their source, 'groove' or 'blend'.
    count : int
    corpus : Path
        Folder of the corpus.
    decided_by : sequence
        Hash of the features, seed, and whatever else the items depend on beside their numbers; JSON.
    make : callable
        Takes the number of a shard and those of its items.
    row : callable
        Makes a fact and the name of its shard into an index line.
    report : callable
        Takes a line for each shard that is made.
    """
    rows: list[IndexRow] = []
    starts = range(0, count, SHARD_EXCERPTS)
    features, seed, *rest = decided_by
    for number, start in enumerate(starts):
        path = corpus / f"{kind}-{number:04d}.npz"
        numbers = range(start, min(start + SHARD_EXCERPTS, count))
        parts = [features, seed, list(numbers), *rest]
        made_of = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        shard = describe_shard(path)
        if shard is None or shard.made_of != made_of:
            facts, arrays = make(number, numbers)
            shard = Shard(made_of, features, {f"{kind}s": facts}, arrays)
            write_shard(path, shard)
            report(f"{path.name}: {len(numbers)} {kind}s, {number + 1} of {len(starts)} shards")
        rows += [row(fact, path.stem) for fact in shard.facts[f"{kind}s"]]
    for left in sorted(corpus.glob(f"{kind}-*.npz"))[len(starts) :]:
        left.unlink()
    write_index(corpus, kind, rows)
    return rows


def write_index(folder: Path, kind: str, rows: Iterable[IndexRow]) -> None:
    """Set the index lines of one kind of shard ('free', 'groove' or 'blend'); lines of other kinds stay."""
    kept = [row for row in read_index(folder, must_exist=False) if not row.shard.startswith(f"{kind}-")]
    ordered = sorted([*kept, *rows], key=lambda row: (row.shard, row.item_id))
    with whole_file(folder / INDEX) as partial, open(partial, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([field.name for field in fields(IndexRow)])
        for row in ordered:
            writer.writerow([_to_text(value) for value in vars(row).values()])


def read_index(folder: Path, must_exist: bool = True) -> list[IndexRow]:
    """All excerpts of a corpus.

    Raises
    ------
    FluxBeatError
        If there is no index, or it is not one.
    """
    path = folder / INDEX
    if not path.is_file():
        if must_exist:
            raise FluxBeatError(f"{folder} is not a corpus: {INDEX} is missing; build it with `fluxbeat corpus read`")
        return []
    with open(path, newline="", encoding="utf-8") as handle:
        try:
            return [_from_text(row) for row in csv.DictReader(handle)]
        except (KeyError, TypeError, ValueError) as error:
            raise FluxBeatError(f"{path}: a line is damaged ({error}); delete the file and build it again") from error


def write_unread(folder: Path, unread: Mapping[str, str]) -> None:
    """Keep which tracks could not be read, path to reason."""
    with whole_file(folder / UNREAD) as partial, open(partial, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerows([("path", "reason"), *sorted(unread.items())])


def read_unread(folder: Path) -> dict[str, str]:
    """What `write_unread` kept."""
    path = folder / UNREAD
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8") as handle:
        return {row["path"]: row["reason"] for row in csv.DictReader(handle)}


def _to_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ";".join(value)
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _from_text(row: Mapping[str, str]) -> IndexRow:
    values: dict[str, Any] = {field.name: row[field.name] for field in fields(IndexRow)}
    for name in ("labels", "known"):
        values[name] = tuple(label for label in values[name].split(";") if label)
    values["tempo_bpm"] = float(values["tempo_bpm"]) if values["tempo_bpm"] else None
    for name in ("start_s", "duration_s"):
        values[name] = float(values[name])
    return IndexRow(**values)
