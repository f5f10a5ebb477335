"""From tracks to excerpts: decoded, cut, and kept as FLAC beside a table of what is known of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fluxbeat.errors import FluxBeatError
from tools.corpus.catalogue import Track
from tools.corpus.label_map import LabelMap, read_label_map
from tools.corpus.splits import split_of
from tools.corpus.table import RATE_HZ, LineReport, Row, write_excerpt, write_rows
from tools.corpus.track_audio import read_track, song_tempo_bpm, source_of

EXCERPT_S = 30.0
SHORTEST_S = 6.0
MOST_EXCERPTS = 3
TRACK_S_PER_EXCERPT = 60.0
SILENT_RMS = 1e-3
DONE = "done.jsonl"
"""One line for each track that was read, and what was found in it."""


@dataclass(frozen=True)
class Cut:
    """A part of a track: where it starts, and its samples, float32 (samples,)."""

    start_s: float
    samples: np.ndarray


def cut_excerpts(samples: np.ndarray, sample_rate_hz: int) -> list[Cut]:
    """Up to three excerpts of 30 s, spread evenly over a track; the whole track where it is shorter than 30 s.

    A track of 6 minutes gives three of its moments, one of a minute one: what repeats is not worth more. Silent parts
    are left out.

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
    found = [Cut(start / sample_rate_hz, samples[start : start + length]) for start in starts]
    found = [one for one in found if np.sqrt(np.mean(np.square(one.samples, dtype=np.float64))) >= SILENT_RMS]
    if not found:
        raise FluxBeatError("silent")
    return found


def build_excerpts(
    tracks: Sequence[Track],
    corpus: Path,
    splits: Mapping[str, str],
    labels: LabelMap | None = None,
    report: LineReport = print,
) -> dict[str, str]:
    """Cut all tracks and write the table; tracks that are done already are not done again.

    Parameters
    ----------
    tracks : sequence of Track
    corpus : Path
        Folder with the fetched packages; excerpts and table go there too.
    splits : mapping from str to str
        As `tools.corpus.splits.read_splits` gives it.
    labels : LabelMap, optional
        Our own where not given.
    report : callable
        Takes a line for each track that cannot be read, and for every hundredth.

    Returns
    -------
    dict
        Paths that could not be read, and why; they do not stop the others.

    Raises
    ------
    FluxBeatError
        If a package is in no split or a genre's word is not in the label map.
    """
    labels = labels or read_label_map()
    about = {track.path: (split_of(track, splits), labels.genres(track.words)) for track in tracks}
    done = _read_done(corpus)
    rows: list[Row] = []
    unread: dict[str, str] = {}
    for number, track in enumerate(tracks):
        try:
            size = source_of(track, corpus).stat().st_size
            facts = done.get(f"{track.path} {size}")
            if facts is None:
                facts = _cut_track(track, corpus)
                _append_done(corpus, f"{track.path} {size}", facts)
        except FluxBeatError as error:
            unread[track.path] = str(error)
            report(f"{track.path}: {error}")
            continue
        split, genres = about[track.path]
        rows += [
            Row(
                file=fact["file"],
                split=split,
                labels=";".join(genres),
                artist=track.package,
                dataset="free",
                seconds=fact["seconds"],
                licence=track.licence,
                source=track.path,
                bpm=track.tempo_bpm or fact["bpm"],
            )
            for fact in facts
        ]
        if number % 100 == 99:
            report(f"{number + 1} of {len(tracks)} tracks")
    write_rows(corpus, "free", rows)
    return unread


def _cut_track(track: Track, corpus: Path) -> list[dict[str, Any]]:
    digest = hashlib.sha256(track.path.encode()).hexdigest()[:12]
    facts = []
    for cut in cut_excerpts(read_track(track, corpus, RATE_HZ), RATE_HZ):
        seconds = len(cut.samples) / RATE_HZ
        file = f"excerpts/{digest}_{cut.start_s:.0f}.flac"
        write_excerpt(corpus / file, cut.samples)
        bpm = song_tempo_bpm(track, corpus, cut.start_s, cut.start_s + seconds)
        facts.append({"file": file, "seconds": round(seconds, 3), "bpm": bpm})
    return facts


def _read_done(corpus: Path) -> dict[str, list[dict[str, Any]]]:
    path = corpus / DONE
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    found = {}
    for number, line in enumerate(lines, start=1):
        try:
            key, facts = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break  # cut off while it was written: that track is done again
            raise FluxBeatError(f"{path}, line {number}: damaged; delete the file and cut the tracks again") from error
        found[key] = facts
    return found


def _append_done(corpus: Path, key: str, facts: list[dict[str, Any]]) -> None:
    with open(corpus / DONE, "a", encoding="utf-8") as handle:
        handle.write(json.dumps([key, facts]) + "\n")
