"""No track, artist or recording on two sides of a split; and no recording twice on one."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fluxbeat.errors import FluxBeatError
from fluxbeat.features.fingerprint import Fingerprint, originals, same_recordings
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
        if prints:
            same = same_recordings(
                [prints[recording.name] for recording in part], [prints[recording.name] for recording in other]
            )
            pairs = {f"{part[row].name} = {other[column].name}" for row, column in same}
            _refuse(f"{where} share recordings", pairs, "remove one of each two")


def _refuse(fault: str, shared: set[str], cure: str) -> None:
    if shared:
        named = ", ".join(sorted(shared)[:3])
        raise FluxBeatError(f"{fault} ({len(shared)}): {named}: what is tested on must not be learned from; {cure}")


def distinct_recordings(recordings: Sequence[Recording], prints: Prints) -> list[Recording]:
    """Each recording once, with the labels of all its copies; every copy left out is named in a warning."""
    kept: dict[int, Recording] = {}
    places = originals([prints[recording.name] for recording in recordings])
    for recording, place in zip(recordings, places, strict=True):
        first = kept.setdefault(place, recording)
        if first is not recording:
            _log.warning("left out: %s is the same recording as %s", recording.path, first.path)
            labels = dict.fromkeys([*(first.labels or ()), *(recording.labels or ())])
            kept[place] = replace(first, labels=tuple(labels) or None)
    return list(kept.values())
