"""A model slid over a whole track; what overlapping windows share is computed once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fluxbeat.models import FrameFeatures, GenreTempoModel
from fluxbeat.models.base import TEXTURE_SIZE
from fluxbeat.models.texture import STRETCH_FRAMES, STRETCH_HOP
from fluxbeat.torch_threads import threads_that_compute_alone

BATCH_WINDOWS, PART_WINDOWS = 32, 128
"""Windows decided at a time, and at most taken by one thread; bounds memory, not the result."""


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
    sizes = len(config.labels), config.tempo_grid.bins, model.embedding_size
    # made before the work begins: what is kept would pin the memory that every batch takes and gives back
    genre, tempo, embedding = (np.empty((len(starts), size), np.float32) for size in sizes)

    @torch.inference_mode()
    def decide(part: slice) -> int:
        shared = _SharedFeatures(model, log_mel)
        for first in range(part.start, part.stop, BATCH_WINDOWS):
            batch = slice(first, min(first + BATCH_WINDOWS, part.stop))
            output = model.decide(shared.of_windows(starts[batch]))
            genre[batch], tempo[batch], embedding[batch] = (found.float().numpy() for found in output)
        return part.stop - part.start

    done = 0
    for count in _each(decide, _parts(len(starts))):
        done += count
        if progress:
            progress(done / len(starts))
    return WindowPredictions(starts / rate_hz, genre, tempo, embedding, padded)


def _parts(n_windows: int) -> list[slice]:
    """Consecutive windows that one thread takes: as even as possible, and each long enough to share convolutions."""
    count = max(-(-n_windows // PART_WINDOWS), min(torch.get_num_threads(), n_windows // BATCH_WINDOWS), 1)
    edges = np.linspace(0, n_windows, count + 1).round().astype(int).tolist()
    return [slice(begin, end) for begin, end in itertools.pairwise(edges)]


def _each(work: Callable[[slice], int], parts: list[slice]) -> Iterator[int]:
    """`work` on all parts, in threads that compute alone where there are several; what it returned, as it comes."""
    pool = threads_that_compute_alone() if len(parts) > 1 else None
    if pool is None:
        yield from map(work, parts)
        return
    waiting = iter(parts)
    # a few at a time: whoever asks meanwhile need not wait for all of a long track
    running = {pool.submit(work, part) for part in itertools.islice(waiting, torch.get_num_threads() + 1)}
    try:
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(work, part) for part in itertools.islice(waiting, len(finished))}
            for one in finished:
                yield one.result()
    finally:
        for one in running:
            one.cancel()
        wait(running)


def last_window(model: GenreTempoModel, log_mel: np.ndarray) -> WindowPredictions:
    """What `slide` says of the last window, without the windows before it; parameters as there."""
    window, stride = model.config.window_frames, model.time_stride
    begin = max(-(-(log_mel.shape[1] - window) // stride) * stride, 0)
    newest = log_mel[:, begin:]
    if begin:
        newest = np.pad(newest, ((0, 0), (0, window - newest.shape[1])), mode="edge")
    found = slide(model, newest)
    return replace(found, start_s=found.start_s + begin / model.config.features.frame_rate_hz)


class _SharedFeatures:
    """What overlapping windows share, computed once along a track and kept only as long as a window needs it.

    Parameters
    ----------
    model : GenreTempoModel
    log_mel : float32 array, shape (mels, frames)
        The whole track; beyond its end the last frame goes on.
    """

    def __init__(self, model: GenreTempoModel, log_mel: np.ndarray):
        self._model, self._log_mel = model, log_mel
        self._timbre_from = self._novelty_from = 0
        self._timbre: Tensor | None = None
        self._novelty: Tensor | None = None
        self._stretches = np.zeros(0, np.int64)  # their first frames, rising
        self._texture = torch.zeros(0, TEXTURE_SIZE)

    def of_windows(self, starts: np.ndarray) -> FrameFeatures:
        """Features of the windows that begin at these frames, as a batch; later calls ask for later windows."""
        model, window = self._model, self._model.config.window_frames
        steps = starts // model.time_stride
        self._go_on(int(starts[0]), int(starts[-1]) + window)
        assert self._timbre is not None
        assert self._novelty is not None
        timbre = [self._timbre[0, :, step - self._timbre_from :][:, : model.window_steps] for step in steps]
        novelty = [
            self._novelty[0, :, start - self._novelty_from :][:, : model.window_novelty_frames] for start in starts
        ]
        return FrameFeatures(torch.stack(timbre), torch.stack(novelty), self._texture_of(starts))

    def _texture_of(self, starts: np.ndarray) -> Tensor:
        """What the stretches of the windows that begin at these frames say, (windows, stretches, TEXTURE_SIZE)."""
        model = self._model
        wanted = starts[:, None] + STRETCH_HOP * np.arange(model.texture.stretches(model.config.window_frames))
        kept = self._stretches >= starts[0]
        new = np.setdiff1d(wanted, self._stretches)
        stretches, texture = self._stretches[kept], self._texture[torch.from_numpy(kept)]
        if len(new):
            heard = self._frames(int(new[0]), int(new[-1]) + STRETCH_FRAMES).unfold(1, STRETCH_FRAMES, 1)
            cut = heard[:, torch.from_numpy(new - new[0])].transpose(0, 1)
            stretches = np.concatenate([stretches, new])
            texture = torch.cat([texture, model.hear_stretches(cut[None])[0]])
        order = np.argsort(stretches)
        self._stretches, self._texture = stretches[order], texture[torch.from_numpy(order)]
        return self._texture[torch.from_numpy(np.searchsorted(self._stretches, wanted))]

    def _go_on(self, begin: int, end: int) -> None:
        """Forget what lies before frame `begin`, compute what is missing up to frame `end`."""
        model = self._model
        stride, context, novelty_context = model.time_stride, model.time_context, model.tempo_head.context_frames
        step, last_step = begin // stride, (end - context) // stride + 1
        self._timbre = _without(self._timbre, step - self._timbre_from)
        self._novelty = _without(self._novelty, begin - self._novelty_from)
        self._timbre_from, self._novelty_from = step, begin
        new = step + _length(self._timbre)
        if new < last_step:
            heard = self._frames(new * stride, (last_step - 1) * stride + context)
            self._timbre = _joined(self._timbre, model.timbre_frames(heard[None]))
        new = begin + _length(self._novelty)
        if new + novelty_context <= end:
            self._novelty = _joined(self._novelty, model.tempo_head.frames(self._frames(new, end)[None]))

    def _frames(self, begin: int, end: int) -> Tensor:
        """Frames `begin` to `end` of the track, which goes on beyond its end as it ended."""
        found = self._log_mel[:, begin:end]
        missing = end - begin - found.shape[1]
        if missing:
            found = np.concatenate([found, np.repeat(self._log_mel[:, -1:], missing, axis=1)], axis=1)
        return torch.from_numpy(np.ascontiguousarray(found))


def _length(kept: Tensor | None) -> int:
    return 0 if kept is None else kept.shape[-1]


def _without(kept: Tensor | None, count: int) -> Tensor | None:
    return kept if kept is None or count <= 0 else kept[..., count:]


def _joined(kept: Tensor | None, new: Tensor) -> Tensor:
    return new if kept is None else torch.cat([kept, new], -1)
