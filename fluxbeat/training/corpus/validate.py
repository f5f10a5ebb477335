"""What may be wrong with a built corpus: missing, silent, short or repeated music, broken numbers, a leaking split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from fluxbeat.features import FeatureConfig
from fluxbeat.training.corpus.excerpts import SHORTEST_S
from fluxbeat.training.corpus.shards import IndexRow, read_arrays, read_index, read_unread
from fluxbeat.training.corpus.splits import check_splits
from fluxbeat.training.fingerprint import BLOCK, FLAT, unit_rows
from fluxbeat.training.items import FREE

KINDS = ("missing", "silent", "short", "not a number", "duplicate", "leak")
BANDS, STEP_S, STEPS, SMOOTH_S = 40, 0.25, 120, 1.0
LARGEST_SHIFT_S = 10.0
SAME = 0.75
"""Correlation from which two excerpts hold the same music.

Of 1,835 excerpts of 104 packages, eight pairs of tracks reach 0.79 to 1.00, and all are two files of one piece; the
next pair, which is not, reaches 0.72.
"""
SILENT_SPREAD = 0.3


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: its kind (one of KINDS), what it is about, and what was found."""

    kind: str
    item: str
    found: str


def validate_corpus(folder: Path, features: FeatureConfig) -> tuple[list[Fault], int]:
    """All faults of a corpus, and how many excerpts it has.

    Tracks that could not be read count as missing; the same music twice counts as a duplicate within a split and as
    a leak between training and test, as a shared artist or package does.

    Raises
    ------
    FluxBeatError
        If the folder is no corpus, or was made with other features.
    """
    rows = read_index(folder)
    faults = [Fault(_reading_fault(reason), path, reason) for path, reason in read_unread(folder).items()]
    prints: list[np.ndarray] = []
    printed: list[IndexRow] = []
    ordered = sorted(rows, key=lambda row: row.shard)
    for shard, of_shard in groupby(ordered, key=lambda row: row.shard):
        path = folder / f"{shard}.npz"
        arrays = read_arrays(path, features) if path.is_file() else {}
        for row in of_shard:
            found = list(_item_faults(row, arrays))
            faults += found
            if not found and shard.startswith(f"{FREE}-"):
                prints.append(outline(arrays[f"log_mel/{row.item_id}"], features.frame_rate_hz))
                printed.append(row)
    same = [
        (printed[first], printed[second])
        for first, second in same_music(prints)
        if printed[first].path != printed[second].path
    ]
    tracks = {tuple(sorted((a.path, b.path))): (a, b) for a, b in same}
    for one, other in tracks.values():
        if one.split == other.split and one.split != "out":
            faults.append(Fault("duplicate", one.path, f"the same music as {other.path}"))
    pairs = [(one.item_id, other.item_id) for one, other in tracks.values()]
    faults += [Fault("leak", "splits", problem) for problem in check_splits(rows, pairs)]
    return faults, len(rows)


def outline(log_mel: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """How forty bands of an excerpt move, every quarter second, float32 (bands, 120); 0 beyond its end.

    Each value is a mean over the second around it, so that no beat is seen, and the mean of all bands is taken away,
    so that no level is: two pieces with one rhythm, or that both stop, are not alike.
    """
    window = np.hanning(round(SMOOTH_S * frame_rate_hz) + 2)[1:-1]
    bands = np.stack([part.mean(axis=0) for part in np.array_split(log_mel.astype(np.float32), BANDS)])
    smooth = np.stack([np.convolve(band, window / window.sum(), mode="full") for band in bands])
    frames = np.round(np.arange(STEPS) * STEP_S * frame_rate_hz).astype(int)
    frames = frames[frames < log_mel.shape[1]]
    moving = smooth[:, len(window) // 2 + frames]
    moving -= moving.mean(axis=0)
    # where all bands are at the floor there is no music, and every end would look like every other
    spread = moving.std(axis=0)
    music = spread > SILENT_SPREAD * np.median(spread)
    found = np.zeros((BANDS, STEPS), np.float32)
    if music.any():
        found[:, : len(frames)] = (moving - moving[:, music].mean(axis=1, keepdims=True)) * music
    return found


def same_music(outlines: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Pairs of excerpts that hold the same music, at a shift of up to 10 s; indices, the lower first.

    It finds a recording in another format, at another level or with another beginning; not one that is played faster.
    """
    if not outlines:
        return []
    all_bands = np.stack(outlines)
    largest = round(LARGEST_SHIFT_S / STEP_S)
    found: set[tuple[int, int]] = set()
    for shift in range(largest + 1):
        length = STEPS - shift
        late, early = unit_rows(all_bands[:, :, shift:]), unit_rows(all_bands[:, :, :length])
        for start in range(0, len(late), BLOCK):
            alike = np.argwhere(late[start : start + BLOCK] @ early.T > SAME)
            found.update((min(a + start, b), max(a + start, b)) for a, b in alike.tolist() if a + start != b)
    return sorted(found)


def _item_faults(row: IndexRow, arrays: dict[str, np.ndarray]) -> Iterator[Fault]:
    log_mel = arrays.get(f"log_mel/{row.item_id}")
    if log_mel is None:
        yield Fault("missing", row.item_id, f"not in {row.shard}.npz")
        return
    if row.duration_s < SHORTEST_S:
        yield Fault("short", row.item_id, f"{row.duration_s:.1f} s")
    views = [values for name, values in arrays.items() if name.split("/", 1)[1] == row.item_id]
    if not all(np.isfinite(values).all() for values in views):
        yield Fault("not a number", row.item_id, "features that are not finite")
    elif log_mel.astype(np.float32).std() < FLAT:
        yield Fault("silent", row.item_id, "nothing moves in it")


def _reading_fault(reason: str) -> str:
    return next((kind for kind in ("silent", "short") if reason.startswith(kind)), "missing")
