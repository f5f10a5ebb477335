"""From a recording to a TrackAnalysis: windows, genres, segments, tempo."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fluxbeat.analysis.correction import check_bpm, corrected
from fluxbeat.analysis.downbeats import find_downbeats
from fluxbeat.analysis.octave import freely_bpm_of
from fluxbeat.analysis.presence import own_scale
from fluxbeat.analysis.result import Genre, OtherLabel, Tempo, Timeline, TrackAnalysis, TrackKind
from fluxbeat.analysis.segments import find_segments, sharpen, with_silence, with_tempo
from fluxbeat.analysis.sound_windows import SoundWindows
from fluxbeat.analysis.tempo import find_tempo
from fluxbeat.analysis.tempo_parts import settle_tempo
from fluxbeat.analysis.track import Progress, Track, part_of, read_track, sounding_share
from fluxbeat.analysis.track_warnings import MANY_LABELS, MOSTLY, SHORTEST_GENRE_S, STRONGEST, warnings_of
from fluxbeat.analysis.windows import KnownWindows, WindowPredictions, slide
from fluxbeat.audio.decoding import MAX_DURATION_S, TELEPHONE_HZ, AudioSource
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.base import ModelConfig
from fluxbeat.models.classifier import HubClassifier
from fluxbeat.models.registry import LoadedModel, load, model_title

DEFAULT_HOP_S = 1.0
SHORTEST_TEMPO_S = 2.0
MOST_WITHOUT_TREBLE = 0.95
"""Share of its threshold that a genre reaches at most where the sound ends as low as on the telephone."""


def analyze_track(
    track: Track,
    model: LoadedModel,
    hop_s: float = DEFAULT_HOP_S,
    progress: Progress | None = None,
    known: KnownWindows | None = None,
    tempo_bpm: float | None = None,
) -> TrackAnalysis:
    """Run one model over a track that was read with the model's features.

    Parameters are those of `analyze`, and:

    Parameters
    ----------
    known : KnownWindows, optional
        What models found in this track before, as `fluxbeat.analysis.windows.slide` uses it; of a `HubClassifier` it
        must be there.

    Raises
    ------
    TempoError
        If `tempo_bpm` is out of range.
    FluxBeatError
        If the model takes sound, and what it found is not known.
    ValueError
        If the track was read with other features than the model's.
    """
    network = model.network
    config, thresholds, rate_hz = network.config, network.thresholds, track.features.frame_rate_hz
    if track.features != config.features:
        raise ValueError(f"track has features {track.features.hash}, {model.info.name} needs {config.features.hash}")
    began = time.perf_counter()
    doing = f"asking the {model_title(model.info.name)} model"
    report = (lambda share: progress(share, doing)) if progress else None
    windows = slide(network, track.log_mel, hop_s, report, known)
    sounding = sounding_share(track, windows.start_s, config.window_s)
    probability = _probability(track, windows, thresholds, sounding)
    scaled, whole = own_scale(probability, thresholds), own_scale(_over_sound(probability, sounding), thresholds)
    shown = _strongest(probability)
    labels = tuple(config.labels[index] for index in shown)
    kinds = np.where(sounding[:, None] > 0, windows.kind, 0.0)
    music, speech, _ = _over_sound(kinds, sounding).tolist()
    kind = TrackKind(music, speech, float(_over_sound(windows.unfamiliarity, sounding)))
    window_s, start_s = min(config.window_s, track.duration_s), windows.start_s.copy()
    start_s[1:][-1:] = track.duration_s - window_s  # by less than a frame, to the very end
    centre_s = start_s + window_s / 2
    beats_fit = (sounding > 0) & (kinds[:, 1] < MOSTLY)
    freely_bpm = freely_bpm_of(labels, whole[shown])
    tempo, bpm, borders_s = _tempo(track, config, windows, beats_fit, centre_s, freely_bpm, music)
    segments = find_segments(
        centre_s, probability[:, shown], thresholds[shown], labels, track.duration_s, kinds, sounding, config.window_s
    )
    segments = sharpen(segments, track.log_mel, rate_hz)
    segments = with_tempo(segments, bpm, centre_s, borders_s)
    genres = [Genre(label, float(whole[index])) for label, index in zip(labels, shown, strict=True)]
    found = TrackAnalysis(
        file=track.file,
        duration_s=track.duration_s,
        model=model.info,
        genres=tuple(sorted(genres, key=lambda genre: -genre.probability)),
        tempo=tempo,
        timeline=Timeline(
            window_s, windows.hop_s, start_s, labels, scaled[:, shown], bpm, kinds, windows.unfamiliarity
        ),
        segments=with_silence(segments, track.active, rate_hz),
        warnings=(
            *track.warnings,
            *warnings_of(track.duration_s, windows.padded, not sounding.any(), kind, tempo, config),
        ),
        envelope=track.envelope,
        elapsed_s=time.perf_counter() - began,
        onsets=track.onsets,
        title=track.tags.title,
        artist=track.tags.artist,
        kind=kind,
        others=_others(config.labels, shown, whole, scaled, centre_s),
    )
    return found if tempo_bpm is None else corrected(found, tempo_bpm)


def _tempo(
    track: Track,
    config: ModelConfig,
    windows: WindowPredictions,
    beats_fit: np.ndarray,
    centre_s: np.ndarray,
    freely_bpm: tuple[float, float],
    music: float,
) -> tuple[Tempo, np.ndarray, list[float]]:
    """The tempo of a track with its beats, in BPM along its windows (NaN where there is none), and the moments in
    seconds at which it changes; windows whose beats are not fit to be counted are left out."""
    # in less than two slow beats what would be found is the repetition that fills the window
    long_enough = config.tempo_taught and track.duration_s >= SHORTEST_TEMPO_S
    tempo, bpm = find_tempo(
        windows.tempo_logits,
        beats_fit & long_enough,
        config.tempo_grid,
        config.tempo_threshold,
        overlap=max(1.0, config.window_s / windows.hop_s),
        freely_bpm=freely_bpm,
        onsets=track.onsets,
        hop_s=windows.hop_s,
        music=music,
    )
    tempo, bpm, borders_s = settle_tempo(tempo, bpm, centre_s, track.duration_s, track.onsets)
    if tempo.stable:  # bars are counted through from the first beat
        downbeats_s = find_downbeats(tempo.beats_s, track.log_mel, track.features.frame_rate_hz)
        tempo = replace(tempo, downbeats_s=downbeats_s)
    return tempo, bpm, borders_s


def _probability(track: Track, windows: WindowPredictions, thresholds: np.ndarray, sounding: np.ndarray) -> np.ndarray:
    """Of each genre as far as the sound allows it, (windows, labels)."""
    if track.duration_s < SHORTEST_GENRE_S:
        return np.zeros_like(windows.probability)
    probability = np.where(sounding[:, None] > 0, windows.probability, 0.0)
    if track.upper_edge_hz is not None and track.upper_edge_hz < TELEPHONE_HZ:
        # models learned from music with its treble: what they say without it is at most a trace
        probability = np.minimum(probability, MOST_WITHOUT_TREBLE * thresholds)
    return probability


def _strongest(probability: np.ndarray) -> np.ndarray:
    """Which labels are shown, in their order: all, or of very many those that are strongest in some window."""
    if probability.shape[1] <= MANY_LABELS:
        return np.arange(probability.shape[1])
    return np.sort(np.argsort(-probability.max(axis=0), kind="stable")[:STRONGEST])


def _others(
    labels: Sequence[str], shown: np.ndarray, whole: np.ndarray, scaled: np.ndarray, centre_s: np.ndarray
) -> tuple[OtherLabel, ...]:
    """The labels that are not shown, the strongest first, by the whole track, (labels,), and (windows, labels)."""
    most, at_s = scaled.max(axis=0), centre_s[scaled.argmax(axis=0)]
    return tuple(
        OtherLabel(labels[index], float(whole[index]), float(most[index]), float(at_s[index]))
        for index in np.argsort(-most, kind="stable")
        if index not in shown
    )


def _over_sound(values: np.ndarray, sounding: np.ndarray) -> np.ndarray:
    """Mean over windows, (windows, ...) -> (...): silence does not count, half a window of it counts half."""
    if not sounding.any():
        return np.zeros(values.shape[1:])
    return np.average(values, axis=0, weights=sounding)


def analyze(
    source: AudioSource,
    model: str | Path | LoadedModel | None = None,
    *,
    name: str | None = None,
    hop_s: float = DEFAULT_HOP_S,
    progress: Progress | None = None,
    max_duration_s: float = MAX_DURATION_S,
    tempo_bpm: float | None = None,
) -> TrackAnalysis:
    """Genres and tempo of a recording, along its whole length.

    Parameters
    ----------
    source : path, bytes, or (array, sample rate)
        Any audio; arrays are (samples,) or have channels as second axis.
    model : str, path or LoadedModel, optional
        As `fluxbeat.load` takes it; the default model where not given.
    name : str, optional
        Name shown to a person.
    hop_s : float
        Distance of windows in seconds; the nearest that the model can do is done, and stands in the result.
    progress : Progress, optional
        Called with the finished share and a few words; raise `AnalysisCancelled` from it to cancel.
    max_duration_s : float
        Longest recording accepted.
    tempo_bpm : float, optional
        What the tempo is, if a person knows better, 20 to 400: the answer has it everywhere, as `corrected` says.

    Raises
    ------
    AudioDecodeError
        If there is nothing to analyse in `source` or it is too long.
    TempoError
        If `tempo_bpm` is out of range.
    ModelLoadError
        If the model cannot be loaded.
    FluxBeatError
        If `hop_s` is not above 0.
    """
    return compare(
        source, [model], name=name, hop_s=hop_s, progress=progress, max_duration_s=max_duration_s, tempo_bpm=tempo_bpm
    )[0]


def compare(
    source: AudioSource,
    models: Iterable[str | Path | LoadedModel | None],
    *,
    name: str | None = None,
    hop_s: float = DEFAULT_HOP_S,
    progress: Progress | None = None,
    max_duration_s: float = MAX_DURATION_S,
    tempo_bpm: float | None = None,
) -> list[TrackAnalysis]:
    """The same recording by several models, decoded once; parameters and errors as in `analyze`."""
    each = analyze_each(
        source, models, name=name, hop_s=hop_s, progress=progress, max_duration_s=max_duration_s, tempo_bpm=tempo_bpm
    )
    return [analysis for _, analysis in each]


def analyze_each(
    source: AudioSource,
    models: Iterable[str | Path | LoadedModel | None],
    *,
    name: str | None = None,
    hop_s: float = DEFAULT_HOP_S,
    progress: Progress | None = None,
    max_duration_s: float = MAX_DURATION_S,
    tracks: MutableMapping[FeatureConfig, Track] | None = None,
    tempo_bpm: float | None = None,
) -> Iterator[tuple[Track, TrackAnalysis]]:
    """The same recording by several models, each answer as soon as it is there: all whole recordings go this way.

    `analyze_track` alone is called where there is no recording to decode: the beginning of one that is still being read
    (`fluxbeat.analysis.beginning`), spectrograms that a test split is kept as, and a stage that is timed by itself.

    The recording is decoded once for all models that share their features, and what a consensus and its members have in
    common is computed once. A model that takes sound is asked while the recording is decoded, each its own time, so
    that no answer waits for a slow one. Parameters and errors are those of `analyze`, and:

    Parameters
    ----------
    models : iterable of str, path or LoadedModel
        In the order in which they answer; all are loaded before the first.
    tracks : dict of FeatureConfig to Track, optional
        The recording as it was read before; it is used, and filled.

    Yields
    ------
    track : Track
        The recording as the model needs it.
    analysis : TrackAnalysis
    """
    if tempo_bpm is not None:
        check_bpm(tempo_bpm)  # before anything is decoded
    chosen = [model if isinstance(model, LoadedModel) else load(model) for model in models]
    tracks = {} if tracks is None else tracks
    known: KnownWindows = {}
    for number, model in enumerate(chosen):
        part = part_of(progress, number, len(chosen))
        network, features = model.network, model.network.config.features
        by_sound = SoundWindows(network, hop_s) if isinstance(network, HubClassifier) else None
        if by_sound or features not in tracks:
            tracks[features] = read_track(source, features, name, part_of(part, 0, 2), max_duration_s, by_sound)
            part = part_of(part, 1, 2)
        if by_sound:
            known |= by_sound.finish(tracks[features].log_mel.shape[1])
        analysis = analyze_track(tracks[features], model, hop_s, part, known, tempo_bpm)
        if by_sound:
            analysis = replace(analysis, elapsed_s=analysis.elapsed_s + by_sound.elapsed_s)
        yield tracks[features], analysis
