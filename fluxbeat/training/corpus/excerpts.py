"""From tracks to excerpts in shards: decoded, cut, and seen by the front end and as a picture."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.training.corpus.catalogue import Track
from fluxbeat.training.corpus.label_map import LabelMap, read_label_map
from fluxbeat.training.corpus.shards import (
    SHARD_EXCERPTS,
    IndexRow,
    Report,
    Shard,
    describe_shard,
    write_index,
    write_shard,
    write_unread,
)
from fluxbeat.training.corpus.splits import split_of
from fluxbeat.training.corpus.track_audio import RENDERER, read_track, song_tempo_bpm, source_of
from fluxbeat.training.items import FREE
from fluxbeat.training.picture_simulation import RATE_HZ, simulate_picture
from fluxbeat.training.pictures import picture_to_log_mel

EXCERPT_S = 30.0
SHORTEST_S = 6.0
MOST_EXCERPTS = 3
TRACK_S_PER_EXCERPT = 60.0
SILENT_RMS = 1e-3
SHARD_TRACKS = SHARD_EXCERPTS // MOST_EXCERPTS


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a track: where it starts, and its samples, float32 (samples,)."""

    start_s: float
    samples: np.ndarray


def cut_excerpts(samples: np.ndarray, sample_rate_hz: int) -> list[Excerpt]:
    """Up to three excerpts of 30 s, spread evenly over a track; the whole track where it is shorter than 30 s.

    A track of 6 minutes gives three of its moments, one of a minute one: what repeats is not worth more. Silent
    stretches are left out.

    Raises
    ------
    FluxBeatError
        If the track is shorter than 6 s or all silent.
    """
    if len(samples) < SHORTEST_S * sample_rate_hz:
        raise FluxBeatError(
            f"short: {len(samples) / sample_rate_hz:.1f} s, an excerpt needs at least {SHORTEST_S:.0f} s"
        )
    length = round(EXCERPT_S * sample_rate_hz)
    spare = len(samples) - length
    count = int(np.clip(round(len(samples) / sample_rate_hz / TRACK_S_PER_EXCERPT), 1, MOST_EXCERPTS))
    starts = [0] if spare <= 0 else np.linspace(0, spare, count + 2)[1:-1].astype(int).tolist()
    found = [Excerpt(start / sample_rate_hz, samples[start : start + length]) for start in starts]
    found = [one for one in found if np.sqrt(np.mean(np.square(one.samples, dtype=np.float64))) >= SILENT_RMS]
    if not found:
        raise FluxBeatError("silent")
    return found


def build_shards(
    tracks: Sequence[Track],
    corpus: Path,
    features: FeatureConfig,
    splits: Mapping[str, str],
    labels: LabelMap | None = None,
    report: Report = print,
) -> dict[str, str]:
    """Read all tracks into shards and write the index; shards that are done already are not done again.

    Parameters
    ----------
    tracks : sequence of Track
    corpus : Path
        Folder with the fetched packages; shards and index go there too.
    features : FeatureConfig
        At 22,050 Hz: a picture has no other rate.
    splits : mapping from str to str
        As `fluxbeat.training.corpus.splits.read_splits` gives it.
    labels : LabelMap, optional
        The package's own where not given.
    report : callable
        Takes a line for each shard and each track that cannot be read.

    Returns
    -------
    dict
        Paths that could not be read, and why; they do not stop the others.

    Raises
    ------
    FluxBeatError
        If the rate is another, a package is in no split or a genre's word is not in the label map.
    """
    if features.sample_rate_hz != RATE_HZ:
        raise FluxBeatError(f"a corpus needs features at {RATE_HZ} Hz, got {features.sample_rate_hz} Hz")
    labels = labels or read_label_map()
    about = {track.path: (track, split_of(track, splits), labels.genres(track.words)) for track in tracks}
    rows: list[IndexRow] = []
    unread: dict[str, str] = {}
    groups = list(_groups(tracks))
    for number, group in enumerate(groups):
        path = corpus / f"{FREE}-{number:04d}.npz"
        made_of = _made_of(group, corpus, features)
        shard = describe_shard(path)
        if shard is None or shard.made_of != made_of:
            shard = _make_shard(group, corpus, features, made_of)
            write_shard(path, shard)
            for name, reason in shard.facts["unread"].items():
                report(f"{name}: {reason}")
            report(f"{path.name}: {len(shard.facts['excerpts'])} excerpts, {number + 1} of {len(groups)} shards")
        unread.update(shard.facts["unread"])
        for fact in shard.facts["excerpts"]:
            track, split, genres = about[fact["path"]]
            rows.append(
                IndexRow(
                    item_id=fact["item_id"],
                    package=track.package,
                    path=track.path,
                    artist=track.artist,
                    title=track.title,
                    licence=track.licence,
                    labels=genres.present if genres else (),
                    known=genres.known if genres else (),
                    label_basis=track.label_basis,
                    tempo_bpm=track.tempo_bpm or fact["tempo_bpm"],
                    start_s=fact["start_s"],
                    duration_s=fact["duration_s"],
                    split=split,
                    shard=path.stem,
                )
            )
    write_index(corpus, FREE, rows)
    write_unread(corpus, unread)
    return unread


def _groups(tracks: Sequence[Track]) -> Iterator[list[Track]]:
    """Tracks of one shard each, mixed so that every shard holds some of everything."""
    mixed = sorted(tracks, key=lambda track: hashlib.sha256(track.path.encode()).digest())
    for start in range(0, len(mixed), SHARD_TRACKS):
        yield mixed[start : start + SHARD_TRACKS]


def _made_of(group: Sequence[Track], corpus: Path, features: FeatureConfig) -> str:
    parts: list[Any] = [features.hash, EXCERPT_S, SHORTEST_S, MOST_EXCERPTS, TRACK_S_PER_EXCERPT]
    for track in group:
        try:
            size = source_of(track, corpus).stat().st_size
        except FluxBeatError:
            size = -1
        parts.append([track.path, size, shutil.which(RENDERER) is not None if track.is_tracker else True])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _make_shard(group: Sequence[Track], corpus: Path, features: FeatureConfig, made_of: str) -> Shard:
    front_end = LogMel(features)
    facts: dict[str, Any] = {"excerpts": [], "unread": {}}
    arrays: dict[str, np.ndarray] = {}
    for track in group:
        try:
            excerpts = cut_excerpts(read_track(track, corpus, RATE_HZ), RATE_HZ)
        except FluxBeatError as error:
            facts["unread"][track.path] = str(error)
            continue
        for excerpt in excerpts:
            duration_s = len(excerpt.samples) / RATE_HZ
            item_id = f"{track.path}@{excerpt.start_s:.0f}"
            arrays[f"log_mel/{item_id}"] = front_end(excerpt.samples).astype(np.float16)
            picture = picture_to_log_mel(simulate_picture(excerpt.samples), features)
            arrays[f"picture/{item_id}"] = picture.astype(np.float16)
            facts["excerpts"].append(
                {
                    "item_id": item_id,
                    "path": track.path,
                    "start_s": round(excerpt.start_s, 3),
                    "duration_s": round(duration_s, 3),
                    "tempo_bpm": song_tempo_bpm(track, corpus, excerpt.start_s, excerpt.start_s + duration_s),
                }
            )
    return Shard(made_of, features.hash, facts, arrays)
