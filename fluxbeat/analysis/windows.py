"""A model slid over a whole track, with the convolutions of overlapping windows computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fluxbeat.models import FrameFeatures, GenreTempoModel

CHUNK_STEPS = 512
"""Steps of the shared convolutions computed at a time; bounds memory, does not change the result."""
BATCH_WINDOWS = 32


@dataclass(frozen=True)
class WindowPredictions:
    """What a model says of each window of a track.

    Attributes
    ----------
    start_s : float64 array, shape (windows,)
        Where each window begins; the last ends with the track.
    genre_logits : float32 array, shape (windows, labels)
    tempo_logits : float32 array, shape (windows, tempo_bins)
    embedding : float32 array, shape (windows, d)
    padded : bool
        True if the track is shorter than one window and was repeated to fill it.
    """

    start_s: np.ndarray
    genre_logits: np.ndarray
    tempo_logits: np.ndarray
    embedding: np.ndarray
    padded: bool


def window_starts(n_frames: int, window_frames: int, hop_frames: float, stride: int) -> np.ndarray:
    """First frame of each window: every `hop_frames`, moved to a multiple of `stride`, and a last one at the end.

    Parameters
    ----------
    n_frames : int
        Frames of the track, at least `window_frames`.
    window_frames, hop_frames : int, float
        Length and distance of windows in frames.
    stride : int
        Windows can only begin where the shared convolutions have a step.

    Returns
    -------
    int64 array, shape (windows,)
        Rising; together the windows cover every frame up to less than one `stride` past the end.
    """
    last = int(np.ceil((n_frames - window_frames) / stride))
    regular = np.round(np.arange(0, last * stride + 1e-9, hop_frames) / stride)
    return np.unique(np.append(regular[regular <= last], last)).astype(np.int64) * stride


@torch.inference_mode()
def slide(
    model: GenreTempoModel,
    log_mel: np.ndarray,
    hop_s: float = 1.0,
    progress: Callable[[float], None] | None = None,
) -> WindowPredictions:
    """Run a model over all windows of a track.

    Parameters
    ----------
    model : GenreTempoModel
        In evaluation mode.
    log_mel : float32 array, shape (mels, frames)
        The whole track, normalised by `LogMel`.
    hop_s : float
        Distance of windows in seconds; moved to the grid that the model's convolutions have.
    progress : callable, optional
        Called with the finished share, 0..1; whatever it raises ends the work.

    Raises
    ------
    ValueError
        If `hop_s` is not positive.
    """
    if not hop_s > 0:
        raise ValueError(f"hop_s must be above 0, got {hop_s}")
    config = model.config
    rate_hz, window = config.features.frame_rate_hz, config.window_frames
    padded = log_mel.shape[1] < window
    if padded:
        log_mel = np.tile(log_mel, (1, -(-window // log_mel.shape[1])))[:, :window]
    starts = window_starts(log_mel.shape[1], window, hop_s * rate_hz, model.time_stride)
    missing = starts[-1] + window - log_mel.shape[1]
    if missing > 0:
        log_mel = np.pad(log_mel, ((0, 0), (0, missing)), mode="edge")
    shared = _encode(model, torch.from_numpy(log_mel), progress)
    outputs = []
    for first in range(0, len(starts), BATCH_WINDOWS):
        outputs.append(model.decide(_cut(model, shared, starts[first : first + BATCH_WINDOWS])))
        if progress:
            progress(0.5 + 0.5 * min(1.0, (first + BATCH_WINDOWS) / len(starts)))
    genre, tempo, embedding = (torch.cat(part).float().numpy() for part in zip(*outputs, strict=True))
    return WindowPredictions(starts / rate_hz, genre, tempo, embedding, padded)


def last_window(model: GenreTempoModel, log_mel: np.ndarray) -> WindowPredictions:
    """What `slide` says of the last window, without the windows before it; parameters as there."""
    window, stride = model.config.window_frames, model.time_stride
    begin = max(-(-(log_mel.shape[1] - window) // stride) * stride, 0)
    newest = log_mel[:, begin:]
    if begin:
        newest = np.pad(newest, ((0, 0), (0, window - newest.shape[1])), mode="edge")
    found = slide(model, newest)
    return replace(found, start_s=found.start_s + begin / model.config.features.frame_rate_hz)


def _encode(model: GenreTempoModel, log_mel: Tensor, progress: Callable[[float], None] | None) -> FrameFeatures:
    """The shared part over a whole track, chunk by chunk: log_mel (mels, frames) -> FrameFeatures of batch 1."""
    stride, context = model.time_stride, model.time_context
    novelty_context = model.tempo_head.context_frames
    steps = (log_mel.shape[1] - context) // stride + 1
    timbre, novelty = [], []
    for first in range(0, steps, CHUNK_STEPS):
        count = min(CHUNK_STEPS, steps - first)
        begin, end = first * stride, (first + count - 1) * stride + context
        chunk = log_mel[None, :, begin:end]
        timbre.append(model.timbre_frames(chunk))
        last = first + count == steps
        until = log_mel.shape[1] if last else (first + count) * stride + novelty_context - 1
        novelty.append(model.tempo_head.frames(log_mel[None, :, begin:until]))
        if progress:
            progress(0.5 * (first + count) / steps)
    return FrameFeatures(torch.cat(timbre, -1), torch.cat(novelty, -1), log_mel[None])


def _cut(model: GenreTempoModel, shared: FrameFeatures, starts: np.ndarray) -> FrameFeatures:
    """The features of the windows that begin at the given frames, as a batch."""
    timbre = [shared.timbre[0, :, s // model.time_stride :][:, : model.window_steps] for s in starts]
    novelty = [shared.novelty[0, :, s:][:, : model.window_novelty_frames] for s in starts]
    log_mel = [shared.log_mel[0, :, s:][:, : model.config.window_frames] for s in starts]
    return FrameFeatures(torch.stack(timbre), torch.stack(novelty), torch.stack(log_mel))
