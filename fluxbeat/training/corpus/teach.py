"""What the teacher hears in every excerpt of recorded music, in shards beside those of the music."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.corpus.catalogue import Track
from fluxbeat.training.corpus.shards import IndexRow, Report, Shard, describe_shard, read_index, write_shard
from fluxbeat.training.corpus.teacher import RATE_HZ, Teacher
from fluxbeat.training.corpus.track_audio import read_track, source_of
from fluxbeat.training.items import FREE

SEGMENTS = 5


def teach_corpus(tracks: Sequence[Track], corpus: Path, teacher: Teacher, report: Report = print) -> None:
    """Let the teacher hear five segments of 3 s of every excerpt; shards that are done already are not done again.

    Parameters
    ----------
    tracks : sequence of Track
        Of the catalogue that the corpus was built from.
    corpus : Path
        With packages and index.
    teacher : Teacher
    report : callable
        Takes a line for each shard.

    Raises
    ------
    FluxBeatError
        If a track of the index is not in the catalogue, or can no longer be read.
    """
    by_path = {track.path: track for track in tracks}
    rows = sorted(
        (row for row in read_index(corpus) if row.shard.startswith(f"{FREE}-")),
        key=lambda row: (row.shard, row.path, row.start_s),
    )
    for shard, grouped in groupby(rows, key=lambda row: row.shard):
        of_shard = list(grouped)
        for row in of_shard:
            if row.path not in by_path:
                raise FluxBeatError(
                    f"{row.path} is in the corpus but not in the catalogue: give the one it was made of"
                )
        path = corpus / f"teacher-{shard}.npz"
        made_of = _made_of(of_shard, by_path, corpus)
        done = describe_shard(path)
        if done is None or done.made_of != made_of:
            write_shard(path, Shard(made_of, "", {}, _answers(of_shard, by_path, corpus, teacher)))
            report(f"{path.name}: {len(of_shard)} excerpts heard")


def _made_of(rows: Sequence[IndexRow], by_path: dict[str, Track], corpus: Path) -> str:
    sizes = {path: source_of(by_path[path], corpus).stat().st_size for path in {row.path for row in rows}}
    parts = [SEGMENTS, [[row.item_id, row.start_s, row.duration_s, sizes[row.path]] for row in rows]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _answers(
    rows: Sequence[IndexRow], by_path: dict[str, Track], corpus: Path, teacher: Teacher
) -> dict[str, np.ndarray]:
    arrays = {}
    for path, of_track in groupby(rows, key=lambda row: row.path):
        samples = read_track(by_path[path], corpus, RATE_HZ)
        for row in of_track:
            logits, embedding, start_s = teacher.listen_here_and_there(row.cut(samples, RATE_HZ), RATE_HZ, SEGMENTS)
            arrays[f"logits/{row.item_id}"] = logits.astype(np.float16)
            arrays[f"embedding/{row.item_id}"] = embedding.astype(np.float16)
            arrays[f"start_s/{row.item_id}"] = start_s
    return arrays
