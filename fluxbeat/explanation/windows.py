"""The window that is explained, cut out of a track as the model is given it there."""

from __future__ import annotations

from dataclasses import dataclass

import librosa
import numpy as np
import torch
from torch import Tensor

from fluxbeat.analysis.track import Track
from fluxbeat.audio.decoding import AudioSource, open_audio
from fluxbeat.audio.readers import Samples
from fluxbeat.errors import ExplanationError
from fluxbeat.features.log_mel import FeatureConfig, fill_window
from fluxbeat.models.base import WindowModel


@dataclass(frozen=True, eq=False)
class CutWindow:
    """One window of a track.

    Attributes
    ----------
    log_mel : Tensor, shape (mels, window_frames)
    start_s : float
        Where it begins, moved to the frame.
    """

    log_mel: Tensor
    start_s: float


def cut_window(track: Track, model: WindowModel, start_s: float) -> CutWindow:
    """The window that begins at `start_s`; a track shorter than a window is repeated to fill it.

    Raises
    ------
    ExplanationError
        If the window does not lie within the track.
    """
    frames, rate_hz = model.config.window_frames, track.features.frame_rate_hz
    log_mel = track.log_mel
    last_s = last_start_s(track, model)
    if not -1e-6 <= start_s <= last_s + 0.5:
        raise ExplanationError(
            f"{track.file}: no window begins at {start_s:g} s: a window is {model.config.window_s:g} s long and the "
            f"track {track.duration_s:.1f} s, so it can begin at 0 to {last_s:.1f} s"
        )
    if log_mel.shape[1] < frames:
        log_mel = fill_window(log_mel, frames, track.features)
    first = min(round(start_s * rate_hz), log_mel.shape[1] - frames)
    return CutWindow(torch.from_numpy(log_mel[:, first : first + frames].copy()), first / rate_hz)


def window_sound(source: AudioSource, start_s: float, window_s: float, rate_hz: int) -> Samples:
    """Samples of one window; reading ends with it, and no more than a block is held beside it."""
    first = round(start_s * rate_hz)
    end = first + round(window_s * rate_hz)
    kept, at = [np.empty(0, np.float32)], 0
    with open_audio(source, sample_rate_hz=rate_hz) as stream:
        for block in stream:
            kept.append(block[max(0, first - at) : max(0, end - at)].copy())  # a view would hold the whole block
            at += len(block)
            if at >= end:
                break
    return np.concatenate(kept)


def last_start_s(track: Track, model: WindowModel) -> float:
    """Where the last window that lies within the track begins; 0 for a track shorter than a window."""
    return max(0.0, track.duration_s - model.config.window_s)


def strongest_start_s(track: Track, model: WindowModel, start_s: np.ndarray, probability: np.ndarray) -> float:
    """Where the window begins, of those within the track, in which a label is most probable; both shapes (windows,)."""
    # the last window may reach a little past the end
    fits = start_s <= last_start_s(track, model) + 1e-3
    return float(start_s[np.where(fits, probability, -1.0).argmax()]) if fits.any() else 0.0


def band_centres_hz(features: FeatureConfig) -> np.ndarray:
    """Centre of each mel band, shape (mels,)."""
    return _mel_points(features)[1:-1]


def band_edges_hz(features: FeatureConfig) -> np.ndarray:
    """Borders half-way between the centres of neighbouring bands, shape (mels + 1,)."""
    points = _mel_points(features)
    return (points[1:] + points[:-1]) / 2


def _mel_points(features: FeatureConfig) -> np.ndarray:
    points: np.ndarray = librosa.mel_frequencies(features.n_mels + 2, fmin=features.f_min_hz, fmax=features.f_max_hz)
    return points
