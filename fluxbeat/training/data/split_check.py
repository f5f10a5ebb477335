"""No track, artist or recording on two sides of a split; and no recording twice on one."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fluxbeat.errors import FluxBeatError
from fluxbeat.features.fingerprint import Fingerprint, same_recordings
from fluxbeat.training.data.artist_split import artist_of
from fluxbeat.training.data.recordings import Recording

_log = logging.getLogger(__name__)

Prints = Mapping[str, Fingerprint]
"""Fingerprints by a recording's name."""


def check_split(recordings: Sequence[Recording], prints: Prints | None = None) -> None:
    """Compare the splits that the recordings carry, each with each other.

    Parameters
    ----------
    recordings : sequence of Recording
        Those without a split are passed over.
    prints : mapping from str to Fingerprint, optional
        To look for the same music under two names, in any format; without it only names, files and artists are
        compared.

    Raises
    ------
    FluxBeatError
        If two splits share a track, an artist or a recording; names up to three of them.
    """
    parts: dict[str, list[Recording]] = {}
    for recording in recordings:
        if recording.split:
            parts.setdefault(recording.split, []).append(recording)
    for (name, part), (other_name, other) in itertools.combinations(parts.items(), 2):
        where = f"{name} and {other_name}"
        _refuse(
            f"{where} share tracks",
            {recording.name for recording in part} & {recording.name for recording in other}
            or {str(recording.path) for recording in part} & {str(recording.path) for recording in other},
            "name each in one split only",
        )
        _refuse(
            f"{where} share artists",
            {artist_of(recording) for recording in part} & {artist_of(recording) for recording in other},
            "move all recordings of an artist into one split",
        )
        same = _same(part, other, prints) if prints else []
        pairs = {f"{first.name} = {second.name}" for first, second in same}
        _refuse(f"{where} share recordings", pairs, "remove one of each two")


def _refuse(fault: str, shared: set[str], cure: str) -> None:
    if shared:
        named = ", ".join(sorted(shared)[:3])
        raise FluxBeatError(f"{fault} ({len(shared)}): {named}: what is tested on must not be learned from; {cure}")


def without_repeats(recordings: Sequence[Recording], prints: Prints) -> list[Recording]:
    """Each recording once, with the labels of all its copies; every copy left out is named in a warning."""
    kept = {recording.name: recording for recording in recordings}
    for first, second in _same(recordings, recordings, prints):
        if first.name in kept and second.name in kept:
            copy, original = kept.pop(second.name), kept[first.name]
            _log.warning("left out: %s is the same recording as %s", copy.path, original.path)
            labels = dict.fromkeys([*(original.labels or ()), *(copy.labels or ())])
            kept[first.name] = replace(original, labels=tuple(labels) or None)
    return list(kept.values())


def _same(first: Sequence[Recording], second: Sequence[Recording], prints: Prints) -> list[tuple[Recording, Recording]]:
    """Pairs that hold the same recording; of a list with itself, each pair once, the earlier first."""
    one = [prints[recording.name] for recording in first]
    other = one if first is second else [prints[recording.name] for recording in second]
    return [(first[row], second[column]) for row, column in same_recordings(one, other)]
