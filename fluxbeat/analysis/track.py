"""A recording, decoded once and read into the spectrogram that models take."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from fluxbeat.analysis.onsets import NO_ONSETS, OnsetStream, OnsetStrength
from fluxbeat.analysis.result import Envelope
from fluxbeat.analysis.sound_windows import SoundWindows
from fluxbeat.audio.decoding import MAX_DURATION_S, AudioSource, AudioStream, open_audio
from fluxbeat.audio.tags import Tags, read_tags
from fluxbeat.errors import TrackWarning
from fluxbeat.features.log_mel import FeatureConfig, LogMel

PEAK_SAMPLES, ENVELOPE_STEPS = 480, 2000
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
    onsets: OnsetStrength = NO_ONSETS
    tags: Tags = field(default_factory=Tags)
    upper_edge_hz: float | None = None
    """Where the sound ends towards the treble; None where nothing is missing."""


def read_track(
    source: AudioSource,
    features: FeatureConfig,
    name: str | None = None,
    progress: Progress | None = None,
    max_duration_s: float = MAX_DURATION_S,
    sound_windows: SoundWindows | None = None,
) -> Track:
    """Decode a recording block by block into the spectrogram that a model needs.

    Parameters are those of `fluxbeat.analyze`, with the model's features, and `sound_windows` of a classifier that
    takes the sound while it is decoded.

    Raises
    ------
    AudioDecodeError
        If there is nothing to analyse in `source` or it is too long; the message says why.
    """
    rate_hz = features.sample_rate_hz
    with open_audio(source, name=name, sample_rate_hz=rate_hz, max_duration_s=max_duration_s) as stream:
        expected_s = min(stream.expected_duration_s or 0.0, max_duration_s)
        return read_blocks(stream, stream, source, features, expected_s, progress, sound_windows)


def read_blocks(
    stream: AudioStream,
    blocks: Iterable[np.ndarray],
    source: AudioSource,
    features: FeatureConfig,
    expected_s: float,
    progress: Progress | None = None,
    sound_windows: SoundWindows | None = None,
) -> Track:
    """The track that these blocks of a stream are; `expected_s` is how long they probably are."""
    front_end, onsets, loudness = LogMel(features), OnsetStream(features.sample_rate_hz), _Loudness()

    def report() -> None:
        if progress:
            done_s = loudness.samples / features.sample_rate_hz
            progress(min(1.0, done_s / expected_s) if expected_s else 0.5, "listening")

    def watched() -> Iterator[np.ndarray]:
        for block in blocks:
            onsets.push(block)
            loudness.push(block)
            report()
            yield block

    if sound_windows:
        stream.listen(sound_windows.model.rate_hz, lambda samples: sound_windows.push(samples, report))
    log_mel_db = front_end.from_blocks(watched())
    # the last frame is centred on the end: with it, the last window would end after the track
    log_mel_db = log_mel_db[:, : max(1, loudness.samples // features.hop_samples)]
    active = front_end.active(log_mel_db)
    return Track(
        file=stream.name,
        duration_s=loudness.samples / features.sample_rate_hz,
        features=features,
        log_mel=front_end.normalise(log_mel_db, in_place=True),
        active=active,
        envelope=loudness.envelope(features.sample_rate_hz),
        warnings=(*stream.warnings, *(() if active.any() else (SILENT,))),
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


class _Loudness:
    """The largest absolute sample of each 480 in turn (20 ms at 24,000 Hz), of blocks as they come."""

    def __init__(self) -> None:
        self.samples = 0
        self._peaks: list[np.ndarray] = []
        self._rest = np.zeros(0, np.float32)

    def push(self, block: np.ndarray) -> None:
        self.samples += len(block)
        rest = np.concatenate([self._rest, np.abs(block)])
        whole = len(rest) // PEAK_SAMPLES * PEAK_SAMPLES
        self._peaks.append(rest[:whole].reshape(-1, PEAK_SAMPLES).max(axis=1))
        self._rest = rest[whole:]

    def envelope(self, sample_rate_hz: int) -> Envelope:
        if len(self._rest):
            self._peaks.append(self._rest.max(keepdims=True))
        peaks = np.concatenate(self._peaks)
        group = -(-len(peaks) // ENVELOPE_STEPS)
        groups = np.pad(peaks, (0, -len(peaks) % group)).reshape(-1, group)
        return Envelope(groups.max(axis=1), PEAK_SAMPLES * group / sample_rate_hz)


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
