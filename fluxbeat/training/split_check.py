"""No track, artist or recording on two sides of a split; and no recording twice on one."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fluxbeat.errors import AudioDecodeError, FluxBeatError
from fluxbeat.training.artist_split import artist_of
from fluxbeat.training.fingerprint import Fingerprint, fingerprint, same_recordings
from fluxbeat.training.recordings import Recording

_log = logging.getLogger(__name__)


def check_split(recordings: Sequence[Recording], audio: bool = True) -> None:
    """Compare the splits that the recordings carry, each with each other.

    Parameters
    ----------
    recordings : sequence of Recording
        Those without a split are passed over.
    audio : bool
        Whether to read the recordings and look for the same music under two names, in any format; without it
        only names, files and artists are compared.

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
    if audio and len(parts) > 1:
        prints = {name: _fingerprints(part) for name, part in parts.items()}
        for name, other_name in itertools.combinations(parts, 2):
            same = _same(prints[name], prints[other_name])
            pairs = {f"{first.name} = {second.name}" for first, second in same}
            _refuse(f"{name} and {other_name} share recordings", pairs, "remove one of each two")


def _refuse(fault: str, shared: set[str], cure: str) -> None:
    if shared:
        named = ", ".join(sorted(shared)[:3])
        raise FluxBeatError(f"{fault} ({len(shared)}): {named}: what is tested on must be unheard; {cure}")


def without_repeats(recordings: Sequence[Recording]) -> list[Recording]:
    """Each recording once, with the labels of all its copies; every copy left out is named in a warning.

    Recordings that cannot be read are kept: whoever reads them says so.
    """
    prints = _fingerprints(recordings)
    kept = {id(recording): recording for recording in recordings}
    first_of: dict[int, int] = {}
    for first, second in _same(prints, prints):
        original = first_of.get(id(first), id(first))
        if id(second) in first_of or id(second) == original:
            continue
        first_of[id(second)] = original
        _log.warning("left out: %s is the same recording as %s", second.path, kept[original].path)
        labels = dict.fromkeys([*(kept[original].labels or ()), *(second.labels or ())])
        kept[original] = replace(kept[original], labels=tuple(labels) or None)
    return [kept[id(recording)] for recording in recordings if id(recording) not in first_of]


def _fingerprints(recordings: Iterable[Recording]) -> list[tuple[Recording, Fingerprint]]:
    found = []
    for recording in recordings:
        try:
            found.append((recording, fingerprint(recording.path)))
        except AudioDecodeError as error:
            _log.info("not compared: %s", error)
    return found


def _same(
    first: list[tuple[Recording, Fingerprint]], second: list[tuple[Recording, Fingerprint]]
) -> list[tuple[Recording, Recording]]:
    """Pairs that hold the same recording; of a list with itself, each pair once, the earlier first."""
    heard = [one for _, one in first]
    pairs = same_recordings(heard, heard if first is second else [one for _, one in second])
    return [(first[row][0], second[column][0]) for row, column in pairs]
