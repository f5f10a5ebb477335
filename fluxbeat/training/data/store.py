"""Features and teachers' outputs of many excerpts in memory-mapped files: one reader, constant memory.

A store is a folder: `excerpts.json` says what each row is, `log_mel.npy` holds its spectrogram, and one array per
teacher output (`audioset.npy`, ...) that teacher's output. Rows have one length; a shorter recording is repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fluxbeat.atomic_write import atomic_write
from fluxbeat.errors import FluxBeatError
from fluxbeat.features.log_mel import FeatureConfig

INDEX_FILE, FEATURES_FILE, LOG_FILE = "excerpts.json", "log_mel.npy", "rows.jsonl"
EXCERPT_S = 30.0
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Excerpt:
    """What is known of one row of a store.

    Attributes
    ----------
    name : str
        Names the recording it was cut from: rows of one name count as one recording.
    artist : str
        Artists never lie in two splits.
    split : str
        'train', 'dev' or 'test'; anything else takes no part.
    labels : dict of str to float
        Genres that a person named, each with its share, 0..1; empty where nobody named one.
    kind : str
        'music', 'speech' or 'neither'.
    dataset : str
        Where it came from.
    duration_s : float
        Of the recording, before it was repeated.
    tempo_bpm : float or None
        Where it is exactly known.
    beatless : bool
        Whether it is known to have no beat.
    """

    name: str
    artist: str
    split: str = "train"
    labels: Mapping[str, float] | None = None
    kind: str = "music"
    dataset: str = ""
    duration_s: float = EXCERPT_S
    tempo_bpm: float | None = None
    beatless: bool = False


class FeatureStore:
    """Reads a store; nothing of it is held in memory but the index.

    Attributes
    ----------
    excerpts : list of Excerpt
    features : FeatureConfig
        What `log_mel` was computed with.
    log_mel : float16 array, shape (rows, mels, frames)
        Mel power in dB, memory-mapped, not normalised.
    outputs : dict of str to float16 array, shape (rows, ...)
        Teachers' outputs by name, memory-mapped.

    Raises
    ------
    FluxBeatError
        If the folder holds no store, or one whose arrays do not have a row for each excerpt.
    """

    # an array may be longer than the index: its maker did not know beforehand how many excerpts there are

    def __init__(self, folder: Path):
        index = folder / INDEX_FILE
        if not index.is_file():
            raise FluxBeatError(f"{folder} holds no features: it has no {INDEX_FILE}")
        content: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
        self.folder = folder
        self.features = FeatureConfig.from_dict(content["features"])
        self.excerpts = [Excerpt(**values) for values in content["excerpts"]]
        self.log_mel: np.ndarray = self._array(folder / FEATURES_FILE)
        self.outputs: dict[str, np.ndarray] = {
            path.stem: self._array(path) for path in sorted(folder.glob("*.npy")) if path.name != FEATURES_FILE
        }

    def _array(self, path: Path) -> np.ndarray:
        array: np.ndarray = np.load(path, mmap_mode="r")
        if len(array) < len(self.excerpts):
            raise FluxBeatError(f"{self.folder}: {path.stem} has {len(array)} rows for {len(self.excerpts)} excerpts")
        return array[: len(self.excerpts)]

    def __len__(self) -> int:
        return len(self.excerpts)

    def sound(self, row: int) -> np.ndarray:
        """Mel power of a row in dB without its repeats, float16 (mels, frames)."""
        frames = round(self.excerpts[row].duration_s * self.features.frame_rate_hz)
        log_mel_db: np.ndarray = self.log_mel[row, :, : max(frames, 1)]
        return log_mel_db

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of one split."""
        return np.array([row for row, excerpt in enumerate(self.excerpts) if excerpt.split == split], np.int64)


class StoreWriter:
    """Writes a store row by row; what was cut off goes on after its last `commit`, and is no store before `close`.

    Parameters
    ----------
    folder : Path
    features : FeatureConfig
    count : int
        Rows that will be written at most.

    Attributes
    ----------
    excerpts : list of Excerpt
        The rows so far; those of an earlier writer that was cut off are among them.
    done : list of str
        What `commit` was told, in order.
    """

    def __init__(self, folder: Path, features: FeatureConfig, count: int):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.features, self.count = folder, features, count
        self.excerpts, self.done = list[Excerpt](), list[str]()
        self._frames = round(EXCERPT_S * features.frame_rate_hz)
        self._arrays: dict[str, np.ndarray] = {}
        self._noted = 0
        self._read_log()
        self._array("log_mel", (features.n_mels, self._frames))

    def add(self, excerpt: Excerpt, log_mel_db: np.ndarray, outputs: Mapping[str, np.ndarray] | None = None) -> None:
        """Append one row: log_mel_db (mels, frames), repeated or cut to 30 s, and each teacher output's array."""
        row = len(self.excerpts)
        whole = log_mel_db.take(np.arange(self._frames), axis=1, mode="wrap")
        for name, values in {"log_mel": whole, **(outputs or {})}.items():
            self._array(name, values.shape)[row] = values
        self.excerpts.append(excerpt)

    def commit(self, done: str) -> None:
        """Note that the rows so far are whole, and what they, or their absence, finish."""
        rows = [asdict(excerpt) for excerpt in self.excerpts[self._noted :]]
        with open(self.folder / LOG_FILE, "a", encoding="utf-8") as handle:
            handle.write(json.dumps({"done": done, "excerpts": rows}) + "\n")
        self._noted = len(self.excerpts)
        self.done.append(done)

    def close(self) -> FeatureStore:
        """Write the index, and read the store."""
        for array in self._arrays.values():
            array.flush()  # type: ignore[attr-defined]
        content = {"features": self.features.to_dict(), "excerpts": [asdict(excerpt) for excerpt in self.excerpts]}
        with atomic_write(self.folder / INDEX_FILE) as partial:
            partial.write_text(json.dumps(content), encoding="utf-8")
        (self.folder / LOG_FILE).unlink(missing_ok=True)
        return FeatureStore(self.folder)

    def _read_log(self) -> None:
        """Take over what an earlier writer of the same features and count committed; begin anew after any other."""
        log = self.folder / LOG_FILE
        plan = {"features": self.features.hash, "count": self.count}
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.is_file() else []
        whole = [line for line in lines if line.endswith("\n")]  # the last may be cut off
        if not whole or json.loads(whole[0]) != plan:
            whole = [json.dumps(plan) + "\n"]
        for entry in map(json.loads, whole[1:]):
            self.done.append(entry["done"])
            self.excerpts += [Excerpt(**values) for values in entry["excerpts"]]
        log.write_text("".join(whole), encoding="utf-8")
        self._noted = len(self.excerpts)

    def _array(self, name: str, shape: Sequence[int]) -> np.ndarray:
        if name not in self._arrays:
            path = self.folder / f"{name}.npy"
            if self.excerpts and path.is_file():
                self._arrays[name] = np.lib.format.open_memmap(path, mode="r+")
            else:
                self._arrays[name] = np.lib.format.open_memmap(
                    path, mode="w+", dtype=np.float16, shape=(max(self.count, 1), *shape)
                )
        return self._arrays[name]


def label_shares(excerpts: Sequence[Excerpt], labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What people named: shares (excerpts, labels), summing to 1 or 0, and whether anybody named any, (excerpts,).

    Sound that is no music has no genre, and that is known.
    """
    shares = np.zeros((len(excerpts), len(labels)), np.float32)
    known = np.zeros(len(excerpts), bool)
    for row, excerpt in enumerate(excerpts):
        for label, share in (excerpt.labels or {}).items():
            if label in labels:
                shares[row, labels.index(label)] = share
        known[row] = shares[row].any() or excerpt.kind != "music"
    total = shares.sum(1, keepdims=True)
    return shares / np.maximum(total, 1e-9) * (total > 0), known
