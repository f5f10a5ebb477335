"""A person's own music as a store of features: each recording once, divided so that no artist lies on two sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fluxbeat.errors import FluxBeatError
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.library.cache import cache_folder
from fluxbeat.training.data.artist_split import apply_split, split_by_artist, write_split
from fluxbeat.training.data.datasets import read_dataset
from fluxbeat.training.data.extraction import CountReport, describe, extract, fingerprints
from fluxbeat.training.data.folder_data import audio_files
from fluxbeat.training.data.recordings import Recording
from fluxbeat.training.data.split_check import Prints, check_split, distinct_recordings
from fluxbeat.training.data.store import FeatureStore
from fluxbeat.training.quick import check_counts, label_counts

LEAST_HELD_OUT_PER_LABEL = 4


def labelled_store(
    data: Path,
    features: FeatureConfig,
    cache: Path | None = None,
    seed: int = 0,
    split_file: Path | None = None,
    report: CountReport | None = None,
    groups: Mapping[str, int] | None = None,
) -> tuple[FeatureStore, list[Recording]]:
    """Features of a data set's labelled recordings, each once, with its split, and these recordings.

    The split is the data set's own, or that of `split_file` where it is there, or one by artist. Where fewer than 4
    recordings of some genre could be set aside, none are.

    Parameters
    ----------
    data : Path
        Folder or CSV that `read_dataset` reads.
    features : FeatureConfig
    cache : Path, optional
        Where features are kept; by default in the program's cache.
    seed : int
        Of the split by artist.
    split_file : Path, optional
        What the split is taken from and, where it is missing, written to.
    report : callable, optional
        Called as recordings are read, with how many are done and how many there are.
    groups : mapping of str to int, optional
        Recordings of one number, by their names, are pieces of one recording or by one artist: where the data set has
        no split of its own they are never parted.

    Raises
    ------
    FluxBeatError
        If the data hold fewer than two genres or fewer than two readable recordings of one, or the split shares
        artists or recordings.
    """
    recordings = [recording for recording in read_dataset(data) if recording.labels]
    check_counts(data, label_counts(recordings))
    store = extract(recordings, cache or cache_folder(), features, report)
    if groups and not any(recording.split for recording in recordings):
        recordings = _one_artist_per_group(recordings, groups)
    recordings = _with_splits(recordings, fingerprints(store), seed, split_file)
    describe(store, recordings)
    return store, recordings


def unlabelled_store(
    folder: Path, features: FeatureConfig, cache: Path | None = None, report: CountReport | None = None
) -> FeatureStore:
    """Features of all recordings of a folder, to pretrain on.

    Raises
    ------
    FluxBeatError
        If there is no audio in it.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in audio_files(folder)}
    if not paths:
        raise FluxBeatError(f"{folder}: no audio files (MP3, FLAC, WAV, OGG, M4A ...)")
    recordings = [Recording(path, None, None, "", "train", name) for name, path in paths.items()]
    return extract(recordings, cache or cache_folder(), features, report)


def _one_artist_per_group(recordings: list[Recording], groups: Mapping[str, int]) -> list[Recording]:
    """The recordings, those of one group under one artist; where nobody names one, under the name of the first."""
    artist_of_group: dict[int, str] = {}
    for recording in sorted(recordings, key=lambda one: not one.artist):
        if recording.name in groups:
            artist_of_group.setdefault(groups[recording.name], recording.artist or recording.name)
    return [
        replace(recording, artist=artist_of_group[groups[recording.name]]) if recording.name in groups else recording
        for recording in recordings
    ]


def _with_splits(recordings: list[Recording], prints: Prints, seed: int, path: Path | None) -> list[Recording]:
    """The readable recordings, each once, with their splits, which are also written to `path`."""
    labels = dict.fromkeys(label_counts(recordings), 0)
    readable = [recording for recording in recordings if recording.name in prints]
    if path is not None and path.is_file():
        readable = apply_split(readable, path)
    elif not any(recording.split for recording in recordings):
        readable = distinct_recordings(readable, prints)
        train_part, dev = split_by_artist(readable, seed=seed)
        held_out = label_counts(dev)
        if min(held_out[label] for label in labels) < LEAST_HELD_OUT_PER_LABEL:
            train_part, dev = [replace(recording, split="train") for recording in readable], []
        readable = train_part + dev
    readable = [replace(recording, split=recording.split or "train") for recording in readable]
    check_split(readable, prints)
    check_counts("what can be read and is learned from", Counter({**labels, **label_counts(readable, "train")}))
    if path is not None and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_split(readable, path)
    return readable
