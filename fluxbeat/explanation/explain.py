"""Why a model gives a window a genre, or a track its tempo."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fluxbeat.analysis.engine import DEFAULT_HOP_S
from fluxbeat.analysis.presence import own_scale
from fluxbeat.analysis.sound_windows import SoundWindows
from fluxbeat.analysis.track import Progress, Track, audible_windows, part_of, read_track
from fluxbeat.analysis.windows import slide
from fluxbeat.audio.decoding import AudioSource
from fluxbeat.errors import ExplanationError
from fluxbeat.explanation.attribution import Cam, attribute, chosen_cam, shown_probability
from fluxbeat.explanation.faithfulness import STEPS, curves, energy_map, random_map
from fluxbeat.explanation.occlusion import OCCLUSION, asker, on_bands, sound_evidence
from fluxbeat.explanation.regions import strongest_regions
from fluxbeat.explanation.result import Explanation, Faithfulness
from fluxbeat.explanation.tempo_evidence import TEMPO_CAM, tempo_evidence
from fluxbeat.explanation.windows import (
    CutWindow,
    band_centres_hz,
    band_edges_hz,
    cut_window,
    strongest_start_s,
    window_sound,
)
from fluxbeat.models.base import WindowModel
from fluxbeat.models.classifier import HubClassifier
from fluxbeat.models.registry import LoadedModel, load


def explain(
    source: AudioSource,
    model: str | Path | LoadedModel | None = None,
    label: str | None = None,
    start_s: float | None = None,
    *,
    name: str | None = None,
    cam: Cam | None = None,
    measure: bool = True,
    progress: Progress | None = None,
) -> Explanation:
    """What in one window of a recording speaks for a genre.

    Parameters
    ----------
    source : path, bytes, or (array, sample rate)
        Any audio, as `fluxbeat.analyze` takes it.
    model : str, path or LoadedModel, optional
        As `fluxbeat.load` takes it; the default model where not given.
    label : str, optional
        Genre to explain; by default the most probable one of the window, or of the track.
    start_s : float, optional
        Where the window begins; by default where the label is most probable.
    name : str, optional
        Name shown to a person.
    cam : Cam, optional
        Where and how the network is explained; as `fluxbeat.explanation.attribution.CHOSEN` says, where not given.
    measure : bool
        Whether to measure how faithful the map is, which takes longer than the map.
    progress : Progress, optional
        Called with the finished share (0..1) and what is being done, of a classifier of transformers between all the
        questions that are put to it. What it raises ends the work.

    Raises
    ------
    AudioDecodeError
        If there is nothing to analyse in `source`.
    ExplanationError
        If the model does not know the label, the window does not lie within the track or is silent, or the model has
        no such layer.
    """
    chosen = model if isinstance(model, LoadedModel) else load(model)
    track = read_track(source, chosen.network.config.features, name, part_of(progress, 0, 2))
    progress = part_of(progress, 1, 2)
    return explain_track(track, chosen, label, start_s, cam=cam, measure=measure, sound=source, progress=progress)


def explain_track(
    track: Track,
    model: LoadedModel,
    label: str | None = None,
    start_s: float | None = None,
    *,
    cam: Cam | None = None,
    measure: bool = True,
    steps: int = STEPS,
    sound: AudioSource | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """As `explain`, of a track that was read with the model's features; `steps` of measuring how faithful it is.

    `sound` is the recording that was read: a classifier of transformers is explained by it alone, and tells `progress`.
    """
    network = model.network
    if network.takes_sound and cam is None and sound is not None:
        cam = OCCLUSION
    elif network.takes_sound or cam is None:
        cam = chosen_cam(network)  # which says why there is none
    if label is not None:
        label_index(network, label)
    if start_s is None:
        start_s, label = _strongest(track, network, label, sound, part_of(progress, 0, 2))
        progress = part_of(progress, 1, 2)
    cut = _audible_window(track, network, start_s)
    given = cut.log_mel
    if isinstance(network, HubClassifier) and sound is not None:
        given = _samples(track, network, cut.start_s, sound)
    with torch.inference_mode():
        logits = network(given[None]).genre_logits
    shown = shown_probability(network, logits)[0]
    label = label or network.config.labels[int(shown.argmax())]
    index = label_index(network, label)
    logit, faithfulness = float(logits[0, index]), None
    if isinstance(network, HubClassifier):
        parts, logit = sound_evidence(asker(network, index), given.numpy(), network.rate_hz, progress)
        evidence = torch.from_numpy(on_bands(parts, band_centres_hz(track.features), cut.log_mel.shape[1]))
    else:
        evidence = attribute(network, cut.log_mel[None], index, cam)[0]
        faithfulness = measured(network, cut.log_mel, index, evidence, steps) if measure else None
    return _explanation(track, model, cut, evidence, cam, label, "genre", logit, float(shown[index]), faithfulness)


def _samples(track: Track, network: HubClassifier, start_s: float, sound: AudioSource) -> Tensor:
    """The sound of one window as `SoundWindows` cuts it, (window_samples,)."""
    samples = window_sound(sound, start_s, network.window_samples / network.rate_hz, network.rate_hz)
    if track.log_mel.shape[1] < network.config.window_frames:
        samples = np.resize(samples, network.window_samples)
    return torch.from_numpy(np.pad(samples, (0, network.window_samples - len(samples))))


def explain_tempo(
    source: AudioSource,
    model: str | Path | LoadedModel | None = None,
    bpm: float | None = None,
    start_s: float | None = None,
    *,
    name: str | None = None,
) -> Explanation:
    """What in one window of a recording speaks for a tempo.

    Parameters
    ----------
    bpm : float, optional
        Tempo to explain; by default the most probable one of the window.

    Others and errors as in `explain`; also if `bpm` lies outside the model's tempo grid, or the model was not taught
    tempo.
    """
    chosen = model if isinstance(model, LoadedModel) else load(model)
    track = read_track(source, chosen.network.config.features, name)
    return explain_track_tempo(track, chosen, bpm, start_s)


def explain_track_tempo(
    track: Track, model: LoadedModel, bpm: float | None = None, start_s: float | None = None
) -> Explanation:
    """As `explain_tempo`, of a track that was read with the model's features."""
    network = model.network
    grid = network.config.tempo_grid
    if not network.config.tempo_taught:
        raise ExplanationError(f"{model.info.name} was not taught tempo: there is nothing to explain")
    if bpm is not None and not grid.min_bpm <= bpm <= grid.max_bpm:
        raise ExplanationError(
            f"{bpm:g} BPM cannot be explained: this model knows {grid.min_bpm:g} to {grid.max_bpm:g} BPM"
        )
    if start_s is None:
        start_s, _ = _strongest(track, network)
    cut = _audible_window(track, network, start_s)
    evidence, bpm, probability = tempo_evidence(network, cut.log_mel, bpm)
    logit = math.log(max(probability, 1e-9))
    return _explanation(track, model, cut, evidence, TEMPO_CAM, f"{bpm:.1f} BPM", "tempo", logit, probability)


def label_index(network: WindowModel, label: str) -> int:
    """Place of a label among the model's.

    Raises
    ------
    ExplanationError
        If the model does not know it.
    """
    if label not in network.config.labels:
        raise ExplanationError(f"this model knows no genre {label!r}: it knows {', '.join(network.config.labels)}")
    return network.config.labels.index(label)


def measured(network: WindowModel, log_mel: Tensor, label: int, evidence: Tensor, steps: int = STEPS) -> Faithfulness:
    """How faithful a map of one window is, beside a random one and the energy; both shapes (mels, frames)."""
    beside = [random_map(tuple(log_mel.shape), seed=0), energy_map(network, log_mel)]
    return Faithfulness(*curves(network, log_mel, label, torch.stack([evidence, *beside]), steps))


def _strongest(
    track: Track,
    network: WindowModel,
    label: str | None = None,
    sound: AudioSource | None = None,
    progress: Progress | None = None,
) -> tuple[float, str]:
    """Where a label, or the track's most probable one, is most probable: start of the window, label."""
    hop_s, known = DEFAULT_HOP_S, None
    if isinstance(network, HubClassifier) and sound is not None:
        hop_s = network.config.window_s / 2
        sound_windows = SoundWindows(network, hop_s)
        track = read_track(sound, track.features, track.file, progress, sound_windows=sound_windows)
        known = sound_windows.finish(track.log_mel.shape[1])
    windows = slide(network, track.log_mel, hop_s, known=known)
    audible = audible_windows(track, windows.start_s, network.config.window_s)
    probability = own_scale(windows.probability, network.thresholds) * audible[:, None]
    column = label_index(network, label) if label else int(probability.mean(axis=0).argmax())
    return strongest_start_s(track, network, windows.start_s, probability[:, column]), network.config.labels[column]


def _audible_window(track: Track, network: WindowModel, start_s: float) -> CutWindow:
    """As `cut_window`; models name genres for silence, too, and what is not there cannot be explained."""
    cut = cut_window(track, network, start_s)
    if not audible_windows(track, np.array([cut.start_s]), network.config.window_s).any():
        raise ExplanationError(f"{track.file}: the window from {cut.start_s:.1f} s is silent: choose another moment")
    return cut


def _explanation(
    track: Track,
    model: LoadedModel,
    cut: CutWindow,
    evidence: Tensor,
    cam: Cam,
    about: str,
    kind: str,
    logit: float,
    probability: float,
    faithfulness: Faithfulness | None = None,
) -> Explanation:
    features = track.features
    values = evidence.numpy().astype(np.float32)
    return Explanation(
        file=track.file,
        model=model.info,
        about=about,
        kind=kind,
        layer=cam.layer,
        method=cam.method,
        start_s=cut.start_s,
        window_s=model.network.config.window_s,
        logit=logit,
        probability=probability,
        evidence=values,
        log_mel=cut.log_mel.numpy(),
        band_hz=band_centres_hz(features),
        frame_rate_hz=features.frame_rate_hz,
        faithfulness=faithfulness,
        regions=strongest_regions(values.clip(min=0), cut.start_s, features.frame_rate_hz, band_edges_hz(features)),
    )
