"""The quick head of `fluxbeat train --data`: from a folder of music to a checkpoint that is measured, in minutes."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.errors import FluxBeatError
from fluxbeat.library.cache import cache_folder
from fluxbeat.library.own_genres import (
    BASE,
    LEAST_PER_LABEL,
    Example,
    OwnGenres,
    check_genres,
    save_own_genres,
    teach,
    without_repeats,
)
from fluxbeat.library.songs import Song, SongReader
from fluxbeat.models.registry import load
from fluxbeat.training.data.datasets import read_dataset
from fluxbeat.training.data.extraction import CountReport
from fluxbeat.training.data.recordings import Recording

_log = logging.getLogger(__name__)


def teach_own_data(data: Path, output: Path, base: str, cache: Path | None, report: CountReport) -> OwnGenres:
    """Teach a head a data set's genres, and write its checkpoint.

    Recordings that are there twice count once; what cannot be read is named in a warning and left out; recordings of
    a split `test` are left alone.

    Parameters
    ----------
    data : Path
        Folder or CSV that `fluxbeat.training.data.datasets.read_dataset` reads.
    output : Path
        Folder of the checkpoint.
    base : str
        Single network that it rests on, as `fluxbeat.models.registry.load` names it; empty: the bundled `BASE`.
    cache : Path or None
        Where what was found of each song is kept; None: in the program's cache.
    report : callable

    Raises
    ------
    FluxBeatError
        If the data hold fewer than two genres or fewer than two readable recordings of one.
    """
    recordings = [one for one in read_dataset(data) if one.labels and one.split != "test"]
    check_counts(data, label_counts(recordings))
    network = load(base or BASE)
    reader = SongReader(network, cache or cache_folder())
    songs: dict[int, Song] = {}
    files = [SoundFile(one.path, one.name) for one in recordings]
    for done, (place, found) in enumerate(reader.read(files, threading.Event()), start=1):
        if isinstance(found, Song):
            songs[place] = found
        else:
            _log.warning("left out: %s", found)
        report(done, len(files))
    examples = [
        Example(songs[place], one.labels or (), one.artist) for place, one in enumerate(recordings) if place in songs
    ]
    examples, repeats = without_repeats(examples)
    for copy, original in repeats:
        _log.warning("left out: %s is the same recording as %s", copy, original)
    check_counts("what can be read and is learned from", Counter(label for one in examples for label in one.genres))
    own = teach(examples, network)
    save_own_genres(own, output)
    return own


def label_counts(recordings: Iterable[Recording], *splits: str) -> Counter[str]:
    """Recordings of each label, of some splits or of all."""
    return Counter(
        label for recording in recordings if not splits or recording.split in splits for label in recording.labels or ()
    )


def check_counts(data: str | Path, counts: Counter[str]) -> None:
    """Refuse genres that `check_genres` refuses, and a genre of fewer than two recordings.

    Raises
    ------
    FluxBeatError
    """
    try:
        check_genres(counts)
    except FluxBeatError as error:
        raise FluxBeatError(f"{data}: {error}") from error
    rare, count = min(counts.items(), key=lambda entry: entry[1])
    if count < LEAST_PER_LABEL:
        raise FluxBeatError(
            f"{data}: {rare!r} has {count} recording, every genre needs at least {LEAST_PER_LABEL}: "
            "add music to it or take it out"
        )
