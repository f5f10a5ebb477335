"""From recordings to a store of their features: one recording in memory at a time, resumable, excerpts of long ones."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fluxbeat.errors import AudioDecodeError
from fluxbeat.features.fingerprint import Fingerprint, fingerprint
from fluxbeat.features.log_mel import FeatureConfig, LogMel
from fluxbeat.library.cache import READING_ROOMS, code_digest, file_state
from fluxbeat.library.songs import EXCERPT_S, MOST_EXCERPTS, excerpts_of, mel_power_of
from fluxbeat.training.data.artist_split import artist_of
from fluxbeat.training.data.recordings import Recording
from fluxbeat.training.data.store import INDEX_FILE, Excerpt, FeatureStore, StoreWriter

SILENT_DB = -70.0
"""An excerpt whose loudest band stays below this level is silent."""

CountReport = Callable[[int, int], None]
"""Takes how many recordings are done, and how many there are."""

_log = logging.getLogger(__name__)


def extract(
    recordings: Sequence[Recording], cache: Path, features: FeatureConfig, report: CountReport | None = None
) -> FeatureStore:
    """Features of recordings, from `cache` where they are there already; a run that was cut off goes on.

    Published collections hold files that are broken (GTZAN's jazz.00054) or nearly empty (FMA's 098565, 098567,
    098569, 099134, 108925, 133297): these are left out, each with a warning that names it. A recording of an hour
    gives four excerpts, one of a minute one; silent ones are left out.

    Parameters
    ----------
    recordings : sequence of Recording
    cache : Path
        Features of the same files, unchanged, with the same settings and the same code of the rooms that decode and
        compute them (`READING_ROOMS`), lie in one folder of it; what models and analyses are made of may change.
    features : FeatureConfig
    report : callable, optional
        Called after each recording.

    Returns
    -------
    FeatureStore
        One to four excerpts of each recording that can be read, with the recording's split.
    """
    folder = cache / f"features-{_key(recordings, features)}"
    if not (folder / INDEX_FILE).is_file():
        _write(recordings, folder, features, report)
    store = FeatureStore(folder)
    describe(store, recordings)
    return store


def describe(store: FeatureStore, recordings: Sequence[Recording]) -> None:
    """Let the excerpts say what is known of recordings now, their sound is the same; those of others take no part."""
    known = {recording.name: recording for recording in recordings}
    store.excerpts = [
        about(known[excerpt.name], excerpt.duration_s) if excerpt.name in known else replace(excerpt, split="")
        for excerpt in store.excerpts
    ]


def fingerprints(store: FeatureStore) -> dict[str, Fingerprint]:
    """Of the first excerpt of each recording, by its name; copies of one length are cut at the same places."""
    first: dict[str, int] = {}
    for row, excerpt in enumerate(store.excerpts):
        first.setdefault(excerpt.name, row)
    return {name: fingerprint(store.sound(row), store.features) for name, row in first.items()}


def about(recording: Recording, duration_s: float) -> Excerpt:
    """What a store says of an excerpt of a recording."""
    return Excerpt(
        name=recording.name,
        artist=artist_of(recording),
        split=recording.split,
        labels=dict.fromkeys(recording.labels or (), 1.0),
        dataset="own",
        duration_s=duration_s,
        tempo_bpm=recording.tempo_bpm,
    )


def _key(recordings: Sequence[Recording], features: FeatureConfig) -> str:
    parts: list[object] = [features.hash, code_digest(READING_ROOMS), MOST_EXCERPTS, EXCERPT_S]
    for recording in recordings:
        parts.append([recording.name, str(recording.path.absolute()), file_state(recording.path)])
    return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _write(recordings: Sequence[Recording], folder: Path, features: FeatureConfig, report: CountReport | None) -> None:
    writer = StoreWriter(folder, features, MOST_EXCERPTS * len(recordings))
    front_end, done = LogMel(features), set(writer.done)
    for number, recording in enumerate(recordings, start=1):
        if recording.name not in done:
            try:
                _add(writer, recording, front_end)
            except AudioDecodeError as error:
                _log.warning("left out: %s", error)
            writer.commit(recording.name)
        if report:
            report(number, len(recordings))
    writer.close()


def _add(writer: StoreWriter, recording: Recording, front_end: LogMel) -> None:
    rate_hz = front_end.config.frame_rate_hz
    log_mel_db = mel_power_of(recording.path, str(recording.path), front_end)
    parts = [part for part in excerpts_of(log_mel_db, rate_hz) if part.max() > SILENT_DB]
    if not parts:
        raise AudioDecodeError(f"{recording.path} is silent")
    for part in parts:
        writer.add(about(recording, part.shape[1] / rate_hz), part)
