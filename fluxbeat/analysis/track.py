"""A recording, decoded once and read into the spectrogram that models take."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from fluxbeat.analysis.hearing import Hearing
from fluxbeat.analysis.onsets import OnsetStream, OnsetStrength
from fluxbeat.analysis.result import Envelope
from fluxbeat.audio import MAX_DURATION_S, AudioSource, AudioStream, open_audio
from fluxbeat.audio.tags import Tags, read_tags
from fluxbeat.errors import TrackWarning
from fluxbeat.features import FeatureConfig, LogMel

ENVELOPE_STEPS = 2000
LEAST_AUDIBLE_SHARE = 0.02
SILENT = TrackWarning("silent", "silent: there is nothing to hear in this file")

Progress = Callable[[float, str], None]
"""Called with the finished share (0..1) and what is being done. What it raises ends the work: raise
`fluxbeat.errors.AnalysisCancelled` from it to cancel."""


def part_of(progress: Progress | None, number: int, of: int) -> Progress | None:
    """What part `number` of `of` equal parts of a work reports to, so that `progress` counts for the whole."""
    if progress is None:
        return None
    return lambda share, doing: progress((number + share) / of, doing)


@dataclass(frozen=True, eq=False)
class Track:
    """A recording as the models see it: decoded once, analysed by as many models as share the features."""

    file: str
    duration_s: float
    features: FeatureConfig
    log_mel: np.ndarray
    active: np.ndarray
    envelope: Envelope
    warnings: tuple[TrackWarning, ...]
    onsets: OnsetStrength | None = None
    tags: Tags = field(default_factory=Tags)
    upper_edge_hz: float | None = None
    """Where the sound ends towards the treble; None where nothing is missing."""


def read_track(
    source: AudioSource,
    features: FeatureConfig,
    name: str | None = None,
    progress: Progress | None = None,
    max_duration_s: float = MAX_DURATION_S,
    hearing: Hearing | None = None,
) -> Track:
    """Decode a recording block by block into the spectrogram that a model needs.

    Parameters are those of `fluxbeat.analyze`, with the model's features, and `hearing`: a classifier that takes the
    sound while it is decoded.

    Raises
    ------
    AudioDecodeError
        If there is nothing to analyse in `source` or it is too long; the message says why.
    """
    rate_hz = features.sample_rate_hz
    with open_audio(source, name=name, sample_rate_hz=rate_hz, max_duration_s=max_duration_s) as stream:
        expected_s = min(stream.expected_duration_s or 0.0, max_duration_s)
        return read_blocks(stream, stream, source, features, expected_s, progress, hearing)


def read_blocks(
    stream: AudioStream,
    blocks: Iterable[np.ndarray],
    source: AudioSource,
    features: FeatureConfig,
    expected_s: float,
    progress: Progress | None = None,
    hearing: Hearing | None = None,
) -> Track:
    """The track that these blocks of a stream are; `expected_s` is how long they probably are."""
    front_end, onsets = LogMel(features), OnsetStream(features.sample_rate_hz)
    peaks: list[np.ndarray] = []
    counter = _Counter()

    def report() -> None:
        if progress:
            done_s = counter.samples / features.sample_rate_hz
            progress(min(1.0, done_s / expected_s) if expected_s else 0.5, "listening")

    if hearing:
        stream.listen(hearing.model.rate_hz, lambda samples: hearing.hear(samples, report))
    log_mel_db = front_end.from_blocks(onsets.watch(_watched(blocks, counter, peaks, report)))
    warnings = list(stream.warnings)
    # the last frame is centred on the end: with it, the last window would end after the track
    log_mel_db = log_mel_db[:, : max(1, counter.samples // features.hop_samples)]
    active = front_end.active(log_mel_db)
    if not active.any():
        warnings.append(SILENT)
    fine = np.concatenate(peaks)
    step_s = _Counter.peak_samples / features.sample_rate_hz
    group = -(-len(fine) // ENVELOPE_STEPS)
    padded = np.pad(fine, (0, -len(fine) % group))
    envelope = Envelope(padded.reshape(-1, group).max(axis=1), step_s * group)
    return Track(
        file=stream.name,
        duration_s=counter.samples / features.sample_rate_hz,
        features=features,
        log_mel=front_end.normalise(log_mel_db, in_place=True),
        active=active,
        envelope=envelope,
        warnings=tuple(warnings),
        onsets=onsets.finish(),
        tags=read_tags(source) if isinstance(source, str | bytes | os.PathLike) else Tags(),
        upper_edge_hz=stream.upper_edge_hz,
    )


def track_of(log_mel_db: np.ndarray, features: FeatureConfig, name: str) -> Track:
    """Mel power in dB, float32 (mels, frames), as the engine takes a recording."""
    duration_s = log_mel_db.shape[1] / features.frame_rate_hz
    front_end = LogMel(features)
    active, nothing = front_end.active(log_mel_db), Envelope(np.zeros(1, np.float32), duration_s)
    return Track(name, duration_s, features, front_end.normalise(log_mel_db), active, nothing, ())


class _Counter:
    peak_samples = 480  # 20 ms at 24,000 Hz

    def __init__(self) -> None:
        self.samples = 0


def _watched(
    blocks: Iterable[np.ndarray], counter: _Counter, peaks: list[np.ndarray], report: Callable[[], None]
) -> Iterator[np.ndarray]:
    """Pass the blocks on, while counting, collecting the envelope and reporting."""
    rest = np.zeros(0, np.float32)
    for block in blocks:
        counter.samples += len(block)
        rest = np.concatenate([rest, np.abs(block)])
        whole = len(rest) // _Counter.peak_samples * _Counter.peak_samples
        peaks.append(rest[:whole].reshape(-1, _Counter.peak_samples).max(axis=1))
        rest = rest[whole:]
        report()
        yield block
    if len(rest):
        peaks.append(rest.max(keepdims=True))


def sounding_share(track: Track, start_s: np.ndarray, window_s: float) -> np.ndarray:
    """How much of each window is not silent: float (windows,), 0..1; 0 where it is less than a fiftieth."""
    rate_hz = track.features.frame_rate_hz
    total = np.concatenate([[0], np.cumsum(track.active)])
    first = np.minimum(np.round(start_s * rate_hz).astype(int), len(track.active) - 1)
    end = np.minimum(np.round((start_s + window_s) * rate_hz).astype(int), len(track.active))
    share = (total[end] - total[first]) / np.maximum(end - first, 1)
    return np.where(share >= LEAST_AUDIBLE_SHARE, share, 0.0)


def audible_windows(track: Track, start_s: np.ndarray, window_s: float) -> np.ndarray:
    """Which windows hold sound for at least a fiftieth of their time: bool (windows,)."""
    return sounding_share(track, start_s, window_s) > 0
