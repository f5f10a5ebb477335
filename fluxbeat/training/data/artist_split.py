"""Splits by artist, and the text files that hold them, so that a person can see and mend what is tested on what.

A model that has learned an artist's other songs knows the artist, not the genre: in GTZAN a split that ignores artists
adds 5 to 10 points (Flexer, "A closer look on artist filters for musical genre classification", ISMIR 2007).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.recordings import OTHER_NAMES, Recording
from fluxbeat.training.data.store import SPLITS

HEADER = "# track, artist, split (train, dev or test), separated by tabs; an artist belongs to one split"


def artist_of(recording: Recording) -> str:
    """The artist, however it is spelled; where nobody names one, the recording counts as an artist of its own."""
    return " ".join(unicodedata.normalize("NFKC", recording.artist).casefold().split()) or recording.name


def split_by_artist(
    recordings: Sequence[Recording], share: float = 0.2, seed: int = 0
) -> tuple[list[Recording], list[Recording]]:
    """Set whole artists aside as `dev`, so that of every label about `share` of the recordings are set aside.

    A label keeps at least one artist in each part where it has two; the only artist of a label stays in the first.

    Parameters
    ----------
    recordings : sequence of Recording
    share : float
        Of the recordings of each label, 0 to 1.
    seed : int
        Decides which artists are chosen.

    Returns
    -------
    train, dev : list of Recording
        In their given order, `split` set.
    """
    songs: dict[str, Counter[str]] = {}
    for recording in recordings:
        songs.setdefault(artist_of(recording), Counter()).update(recording.labels or ())
    total = sum(songs.values(), Counter())
    wanted = {label: max(1, round(share * count)) for label, count in total.items()}
    artists_left = Counter(label for counts in songs.values() for label in counts)
    order = [sorted(songs)[index] for index in np.random.default_rng(seed).permutation(len(songs))]
    chosen: set[str] = set()
    taken: Counter[str] = Counter()

    def take(artist: str) -> None:
        chosen.add(artist)
        taken.update(songs[artist])
        artists_left.subtract(set(songs[artist]))

    def spared(artist: str) -> bool:
        return artist not in chosen and all(artists_left[label] > 1 for label in songs[artist])

    for label in sorted(total, key=lambda label: (total[label], label)):
        for artist in order:
            fits = all(taken[own] + count <= wanted[own] for own, count in songs[artist].items())
            if label in songs[artist] and taken[label] < wanted[label] and fits and spared(artist):
                take(artist)
        if not taken[label]:
            # every artist of this label has more songs than are wanted: the smallest is the least wrong
            able = [artist for artist in order if label in songs[artist] and spared(artist)]
            if able:
                take(min(able, key=lambda artist: songs[artist].total()))
    train = [replace(recording, split="train") for recording in recordings if artist_of(recording) not in chosen]
    dev = [replace(recording, split="dev") for recording in recordings if artist_of(recording) in chosen]
    return train, dev


def write_split(recordings: Iterable[Recording], path: Path) -> None:
    """Write one line per recording: its name, artist and split."""
    lines = [HEADER]
    lines += [f"{recording.name}\t{recording.artist or recording.name}\t{recording.split}" for recording in recordings]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_split(path: Path) -> dict[str, tuple[str, str]]:
    """Artist and split of every track that a split file names; lines that begin with # are remarks.

    Raises
    ------
    FluxBeatError
        If the file is missing, a line has not three parts, a split is unknown or a track is named twice.
    """
    if not path.is_file():
        raise FluxBeatError(f"{path}: no such split file")
    found: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split("\t")
        if len(parts) != 3:
            raise FluxBeatError(f"{path}, line {number}: expected track, artist and split between tabs, got {line!r}")
        name, artist, split = (part.strip() for part in parts)
        split = OTHER_NAMES.get(split, split)
        if split not in SPLITS:
            raise FluxBeatError(f"{path}, line {number}: split must be one of {', '.join(SPLITS)}, got {split!r}")
        if name in found:
            raise FluxBeatError(f"{path}, line {number}: {name} is named twice")
        found[name] = (artist, split)
    return found


def apply_split(recordings: Iterable[Recording], path: Path) -> list[Recording]:
    """The recordings with artist and split as a split file says.

    Raises
    ------
    FluxBeatError
        If the file is damaged or does not name exactly these recordings.
    """
    found = read_split(path)
    recordings = list(recordings)
    names = {recording.name for recording in recordings}
    wrong = sorted(names - set(found)) or sorted(set(found) - names)
    if wrong:
        fault = "does not name" if wrong[0] in names else "names a track that is not there,"
        raise FluxBeatError(f"{path} {fault} {wrong[0]}: add or remove its line, or delete the file for a new split")
    return [
        replace(recording, artist=found[recording.name][0], split=found[recording.name][1]) for recording in recordings
    ]
