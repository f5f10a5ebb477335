"""From any audio to a TrackAnalysis: decode, spectrogram, windows, genres, segments, tempo."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fluxbeat.analysis.result import Envelope, Genre, Timeline, TrackAnalysis
from fluxbeat.analysis.segments import find_segments, sharpen
from fluxbeat.analysis.tempo import find_tempo, pulse
from fluxbeat.analysis.windows import slide
from fluxbeat.audio import MAX_DURATION_S, AudioSource, AudioStream, open_audio
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.zoo import ZooModel, load

DEFAULT_MODEL = "crnn"
DEFAULT_HOP_S = 1.0
ENVELOPE_STEPS = 2000
LEAST_AUDIBLE_SHARE = 0.02
SHORTEST_TEMPO_S = 2.0
NOT_TAUGHT_TEMPO = "this model was not taught tempo: none given"
"""Among the warnings where it is so."""
TEMPO_CHANGES = "the tempo changes on the way: the one number is what is heard most"
"""Likewise."""

Progress = Callable[[float, str], None]
"""Called with the finished share (0..1) and what is being done. What it raises ends the work: raise
`fluxbeat.errors.AnalysisCancelled` from it to cancel."""


@dataclass(frozen=True, eq=False)
class Track:
    """A recording as the models see it: decoded once, analysed by as many models as share the features."""

    file: str
    duration_s: float
    features: FeatureConfig
    log_mel: np.ndarray
    active: np.ndarray
    envelope: Envelope
    warnings: tuple[str, ...]


def read_track(
    source: AudioSource,
    features: FeatureConfig,
    name: str | None = None,
    progress: Progress | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> Track:
    """Decode a recording block by block into the spectrogram that a model needs.

    Parameters
    ----------
    source : path, bytes, or (array, sample rate)
        As `fluxbeat.audio.open_audio` takes it.
    features : FeatureConfig
        The model's.
    name : str, optional
        Name shown to a person; the file's name where not given.
    progress : Progress, optional
    max_duration_s : float
        Longest recording accepted.

    Raises
    ------
    AudioDecodeError
        If there is nothing to analyse in `source` or it is too long; the message says why.
    """
    front_end = LogMel(features)
    peaks: list[np.ndarray] = []
    rate_hz = features.sample_rate_hz
    with open_audio(source, name=name, sample_rate_hz=rate_hz, max_duration_s=max_duration_s) as stream:
        counter = _Counter()
        expected_s = min(stream.expected_duration_s or 0.0, max_duration_s)
        log_mel_db = front_end.from_blocks(_watched(stream, counter, peaks, progress), expected_s)
        warnings, name = list(stream.warnings), stream.name
    active = front_end.active(log_mel_db)
    if not active.any():
        warnings.append("silent: there is nothing to hear in this file")
    fine = np.concatenate(peaks)
    step_s = _Counter.peak_samples / features.sample_rate_hz
    group = -(-len(fine) // ENVELOPE_STEPS)
    padded = np.pad(fine, (0, -len(fine) % group))
    envelope = Envelope(padded.reshape(-1, group).max(axis=1), step_s * group)
    return Track(
        file=name,
        duration_s=counter.samples / features.sample_rate_hz,
        features=features,
        log_mel=front_end.normalise(log_mel_db, out=log_mel_db),
        active=active,
        envelope=envelope,
        warnings=tuple(warnings),
    )


class _Counter:
    peak_samples = 441  # 20 ms at 22,050 Hz

    def __init__(self) -> None:
        self.samples = 0


def _watched(
    stream: AudioStream, counter: _Counter, peaks: list[np.ndarray], progress: Progress | None
) -> Iterator[np.ndarray]:
    """Pass the blocks on, while counting, collecting the envelope and reporting."""
    rest = np.zeros(0, np.float32)
    for block in stream:
        counter.samples += len(block)
        rest = np.concatenate([rest, np.abs(block)])
        whole = len(rest) // _Counter.peak_samples * _Counter.peak_samples
        peaks.append(rest[:whole].reshape(-1, _Counter.peak_samples).max(axis=1))
        rest = rest[whole:]
        if progress:
            expected_s = stream.expected_duration_s or 0.0
            done_s = counter.samples / stream.sample_rate_hz
            progress(min(1.0, done_s / expected_s) if expected_s else 0.5, "listening")
        yield block
    if len(rest):
        peaks.append(rest.max(keepdims=True))


def analyze_track(
    track: Track, model: ZooModel, hop_s: float = DEFAULT_HOP_S, progress: Progress | None = None
) -> TrackAnalysis:
    """Run one model over a track that was read with the model's features.

    Raises
    ------
    ValueError
        If the track was read with other features than the model's.
    """
    network = model.network
    config = network.config
    if track.features != config.features:
        raise ValueError(f"track has features {track.features.hash}, {model.info.name} needs {config.features.hash}")
    began = time.perf_counter()
    said = f"asking the {model.info.name} model"
    windows = slide(network, track.log_mel, hop_s, (lambda share: progress(share, said)) if progress else None)
    probability = network.probabilities(torch.from_numpy(windows.genre_logits)).numpy().astype(np.float64)
    audible = audible_windows(track, windows.start_s, config.window_s)
    probability[~audible] = 0.0
    warnings = list(track.warnings)
    if windows.padded:
        warnings.append("shorter than one window: padded")
    whole = probability[audible].mean(axis=0) if audible.any() else np.zeros(len(config.labels))
    genres = [
        Genre(label, float(value), bool(value >= threshold))
        for label, value, threshold in zip(config.labels, whole, config.thresholds, strict=True)
    ]
    # less than two slow beats: what would be heard is the repetition that fills the window
    beats_fit = audible & (config.tempo_taught and track.duration_s >= SHORTEST_TEMPO_S)
    overlap = max(1.0, config.window_s / hop_s)
    tempo, bpm = find_tempo(windows.tempo_logits, beats_fit, config.tempo_grid, config.tempo_threshold, overlap)
    if tempo.bpm is None and audible.any():
        warnings.append("no steady beat: no tempo given" if config.tempo_taught else NOT_TAUGHT_TEMPO)
    elif tempo.bpm is not None and pulse(tempo.distribution, config.tempo_grid) < config.tempo_threshold:
        warnings.append(TEMPO_CHANGES)
    timeline = Timeline(config.window_s, hop_s, windows.start_s, config.labels, probability, bpm)
    coarse = find_segments(timeline.centre_s, probability, network.thresholds, config.labels, track.duration_s)
    segments = sharpen(coarse, track.log_mel, config.features.frame_rate_hz, config.window_s / 2 + hop_s)
    return TrackAnalysis(
        file=track.file,
        duration_s=track.duration_s,
        model=model.info,
        genres=tuple(sorted(genres, key=lambda genre: -genre.probability)),
        tempo=tempo,
        timeline=timeline,
        segments=segments,
        warnings=tuple(warnings),
        envelope=track.envelope,
        elapsed_s=time.perf_counter() - began,
    )


def audible_windows(track: Track, start_s: np.ndarray, window_s: float) -> np.ndarray:
    """Which windows hold music for at least a fiftieth of their time: bool (windows,)."""
    rate_hz = track.features.frame_rate_hz
    total = np.concatenate([[0], np.cumsum(track.active)])
    first = np.minimum(np.round(start_s * rate_hz).astype(int), len(track.active) - 1)
    end = np.minimum(np.round((start_s + window_s) * rate_hz).astype(int), len(track.active))
    return (total[end] - total[first]) / np.maximum(end - first, 1) >= LEAST_AUDIBLE_SHARE


def analyze(
    source: AudioSource,
    model: str | Path | ZooModel = DEFAULT_MODEL,
    *,
    name: str | None = None,
    hop_s: float = DEFAULT_HOP_S,
    progress: Progress | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> TrackAnalysis:
    """Genres and tempo of a recording, along its whole length.

    Parameters
    ----------
    source : path, bytes, or (array, sample rate)
        Any audio; arrays are (samples,) or have channels as second axis.
    model : str, path or ZooModel
        As `fluxbeat.load` takes it.
    name : str, optional
        Name shown to a person.
    hop_s : float
        Distance of windows in seconds.
    progress : Progress, optional
        Called with the finished share and a few words; raise `AnalysisCancelled` from it to cancel.
    max_duration_s : float
        Longest recording accepted.

    Raises
    ------
    AudioDecodeError
        If there is nothing to analyse in `source` or it is too long.
    ModelLoadError
        If the model cannot be loaded.
    """
    return compare(source, [model], name=name, hop_s=hop_s, progress=progress, max_duration_s=max_duration_s)[0]


def compare(
    source: AudioSource,
    models: Iterable[str | Path | ZooModel],
    *,
    name: str | None = None,
    hop_s: float = DEFAULT_HOP_S,
    progress: Progress | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> list[TrackAnalysis]:
    """The same recording by several models, decoded once; parameters and errors as in `analyze`."""
    chosen = [model if isinstance(model, ZooModel) else load(model) for model in models]
    needed = list(dict.fromkeys(model.network.config.features for model in chosen))
    steps = len(needed) + len(chosen)
    tracks = {
        features: read_track(source, features, name, _part(progress, number, steps), max_duration_s)
        for number, features in enumerate(needed)
    }
    return [
        analyze_track(tracks[model.network.config.features], model, hop_s, _part(progress, len(needed) + number, steps))
        for number, model in enumerate(chosen)
    ]


def disagreement(analyses: Sequence[TrackAnalysis]) -> np.ndarray:
    """How far models differ at each window: half the mean absolute difference summed over labels, pairwise; (windows,).

    0 where all say the same, 1 where each is sure of another genre.

    Raises
    ------
    ValueError
        If the analyses have different windows or labels, or there are fewer than two.
    """
    if len(analyses) < 2:
        raise ValueError("disagreement needs at least two analyses")
    first = analyses[0].timeline
    for other in analyses[1:]:
        same = other.timeline.labels == first.labels and len(other.timeline.start_s) == len(first.start_s)
        if not same:
            raise ValueError(f"{other.model.name} and {analyses[0].model.name} have different windows or labels")
    values = [analysis.timeline.probability for analysis in analyses]
    pairs = [(a, b) for a in range(len(values)) for b in range(a + 1, len(values))]
    return np.mean([np.abs(values[a] - values[b]).sum(axis=1) / 2 for a, b in pairs], axis=0).clip(0.0, 1.0)


def _part(progress: Progress | None, number: int, of: int) -> Progress | None:
    if progress is None:
        return None
    return lambda share, doing: progress((number + share) / of, doing)
