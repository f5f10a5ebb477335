"""A model slid over a whole track; the convolutions that overlapping windows share are computed once."""

from __future__ import annotations

import copy
import itertools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fluxbeat.errors import FluxBeatError
from fluxbeat.features.log_mel import fill_window
from fluxbeat.features.torch_threads import shared_threads
from fluxbeat.models.base import TAKES_SOUND, FrameFeatures, GenreTempoModel, ModelOutput, WindowModel
from fluxbeat.models.classifier import HubClassifier
from fluxbeat.models.consensus import Consensus

if os.environ.get("SPACES_ZERO_GPU"):
    # such a Space has a GPU for functions alone that are marked so, and calls them in another process
    from spaces import GPU as in_gpu_process  # noqa: N811
else:

    def in_gpu_process(function: Callable[..., list[np.ndarray]]) -> Callable[..., list[np.ndarray]]:
        """Return the function itself: only a Space on ZeroGPU lends the GPU call by call."""
        return function


MOST_WINDOWS, FEWEST_WINDOWS = 64, 8
"""Windows that share their convolutions and are decided at a time, and below which a part is not shared out to threads:
bounds memory and overhead, not the result."""

Found = TypeVar("Found")
_log = logging.getLogger("fluxbeat")


@dataclass(frozen=True, eq=False)
class WindowPredictions:
    """What a model says of each window of a track.

    Attributes
    ----------
    start_s : float64 array, shape (windows,)
        Where each window begins; the last ends with the track.
    hop_s : float
        From one window to the next, but for the last.
    genre_logits : float32 array, shape (windows, labels)
    tempo_logits : float32 array, shape (windows, tempo_bins)
    embedding : float32 array, shape (windows, d)
    kind : float32 array, shape (windows, 3)
        Probability of each of `fluxbeat.models.base.KINDS`.
    unfamiliarity : float32 array, shape (windows,)
        How far the sound is from what the model learned, 0..1.
    probability : float64 array, shape (windows, labels)
        Of each genre; no genre is present where there is no music, and less where the sound is unfamiliar.
    padded : bool
        True if the track is shorter than one window and was repeated to fill it.
    """

    start_s: np.ndarray
    hop_s: float
    genre_logits: np.ndarray
    tempo_logits: np.ndarray
    embedding: np.ndarray
    kind: np.ndarray
    unfamiliarity: np.ndarray
    probability: np.ndarray
    padded: bool


KnownWindows = dict[tuple[int, int], WindowPredictions]
"""What single models found in one track, by the network's `id` and the hop in frames."""


def hop_frames(hop_s: float, model: WindowModel) -> int:
    """The hop that a model can do: the multiple of its stride nearest to `hop_s`, in frames, at least one.

    Raises
    ------
    FluxBeatError
        If `hop_s` is not above 0.
    """
    if not hop_s > 0:
        raise FluxBeatError(f"hop_s must be above 0, got {hop_s:g}: it is the distance of windows in seconds")
    stride = model.time_stride
    return max(1, round(hop_s * model.config.features.frame_rate_hz / stride)) * stride


def window_starts(n_frames: int, window_frames: int, hop: int) -> np.ndarray:
    """First frame of each window: every `hop` frames, and a last one that ends with the track.

    Parameters
    ----------
    n_frames : int
        Frames of the track, at least `window_frames`.
    window_frames, hop : int
        Length and distance of windows in frames.

    Returns
    -------
    int64 array, shape (windows,)
        Rising; together the windows cover every frame.
    """
    return np.unique(np.append(np.arange(0, n_frames - window_frames + 1, hop), n_frames - window_frames))


def slide(
    model: WindowModel,
    log_mel: np.ndarray,
    hop_s: float = 1.0,
    progress: Callable[[float], None] | None = None,
    known: KnownWindows | None = None,
) -> WindowPredictions:
    """Run a model over all windows of a track.

    Parameters
    ----------
    model : WindowModel
        In evaluation mode.
    log_mel : float32 array, shape (mels, frames)
        The whole track, normalised by `LogMel`.
    hop_s : float
        Distance of windows in seconds; the nearest that the model's convolutions can do is done, and told.
    progress : callable, optional
        Called with the finished share, 0..1; whatever it raises ends the work.
    known : KnownWindows, optional
        What models found in this track before. It is used, and filled for whoever comes next, so that a consensus and
        its members share their work.

    Raises
    ------
    FluxBeatError
        If `hop_s` is not above 0, or the model takes sound and is not among `known` (`SoundWindows` asks it).
    """
    hop = hop_frames(hop_s, model)
    if isinstance(model, Consensus):
        exactly_s, count = hop / model.config.features.frame_rate_hz, len(model.networks)
        found = [
            slide(member, log_mel, exactly_s, _part(progress, number, count), known)
            for number, member in enumerate(model.networks)
        ]
        return _agreed(model, found)
    known = {} if known is None else known
    if (id(model), hop) not in known:
        if not isinstance(model, GenreTempoModel):
            raise FluxBeatError(TAKES_SOUND)
        known[id(model), hop] = _slide(model, log_mel, hop, progress)
    if progress:
        progress(1.0)
    return known[id(model), hop]


def _part(progress: Callable[[float], None] | None, number: int, of: int) -> Callable[[float], None] | None:
    return (lambda share: progress((number + share) / of)) if progress else None


@torch.inference_mode()
def _agreed(model: Consensus, found: Sequence[WindowPredictions]) -> WindowPredictions:
    """What the members found, as one; float arithmetic as in `Consensus.forward`."""

    def each(name: str) -> list[Tensor]:
        return [torch.from_numpy(getattr(one, name)) for one in found]

    logits = zip(model.networks, each("genre_logits"), strict=True)
    genre_logits = model.mean([member.calibrated(one) for member, one in logits])
    kind, unfamiliarity = model.mean(each("kind")), model.mean(each("unfamiliarity"))
    return replace(
        found[0],
        genre_logits=genre_logits.numpy(),
        tempo_logits=model.mean_logits(each("tempo_logits")).numpy(),
        embedding=np.concatenate([one.embedding for one in found], axis=1),
        kind=kind.numpy(),
        unfamiliarity=unfamiliarity.numpy(),
        probability=present(model, genre_logits, kind, unfamiliarity).double().numpy(),
    )


def present(model: WindowModel, genre_logits: Tensor, kind: Tensor, unfamiliarity: Tensor) -> Tensor:
    """Probability that a genre is there: none where there is no music, less where the sound is unfamiliar."""
    return model.probabilities(genre_logits) * kind[:, :1] * (1 - unfamiliarity)[:, None]


def _slide(
    model: GenreTempoModel, log_mel: np.ndarray, hop: int, progress: Callable[[float], None] | None
) -> WindowPredictions:
    """One network over all windows, every `hop` frames."""
    config = model.config
    rate_hz, window = config.features.frame_rate_hz, config.window_frames
    padded = log_mel.shape[1] < window
    if padded:
        log_mel = fill_window(log_mel, window, config.features)
    starts = window_starts(log_mel.shape[1], window, hop)
    sizes = len(config.labels), config.tempo_grid.bins, model.embedding_size, 3, 1, len(config.labels)
    # made before the work begins: what is kept would pin the memory that every batch takes and gives back
    found = [np.empty((len(starts), size), np.float32) for size in sizes]

    def decide(part: slice) -> int:
        for array, values in zip(found, _values(model, log_mel, starts[part]), strict=True):
            array[part] = values
        return part.stop

    parts = _parts(starts, hop)
    by_gpu = _by_gpu(lambda: _in_gpu(model, log_mel, [starts[part] for part in parts]))
    if by_gpu is None:
        for done in _each(decide, parts):
            if progress:
                progress(done / len(starts))
    genre, tempo, embedding, kinds, unfamiliar, probability = by_gpu or found
    return WindowPredictions(
        starts / rate_hz,
        hop / rate_hz,
        genre,
        tempo,
        embedding,
        kinds,
        unfamiliar[:, 0],
        probability.astype(float),
        padded,
    )


@torch.inference_mode()
def _values(model: GenreTempoModel, log_mel: np.ndarray, starts: np.ndarray) -> list[np.ndarray]:
    """What `WindowPredictions` keeps of the windows that begin at these frames, from `genre_logits` on."""
    output = _output(model, log_mel, starts)
    kind, unfamiliarity = model.kinds(output.kind_logits), model.unfamiliarity(output.embedding)
    shown = present(model, output.genre_logits, kind, unfamiliarity)
    values = (output.genre_logits, output.tempo_logits, output.embedding, kind, unfamiliarity[:, None], shown)
    return [value.float().cpu().numpy() for value in values]


def _by_gpu(ask: Callable[[], Found]) -> Found | None:
    """What the GPU answers; None where there is no GPU, or none just now."""
    if not torch.cuda.is_available():
        return None
    try:
        return ask()
    except Exception as error:  # whatever CUDA, or a Space whose visitor has used up their share of GPU, raises
        _log.warning("the GPU did not answer (%s): the CPU does", error)
        return None


@in_gpu_process
def _in_gpu(model: GenreTempoModel, log_mel: np.ndarray, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """`_values` of all parts."""
    there: GenreTempoModel = _on_gpu(model)
    each = [_values(there, log_mel, part) for part in parts]
    return [np.concatenate(values) for values in zip(*each, strict=True)]


@torch.inference_mode()
def sound_logits(model: HubClassifier, sounds: Tensor) -> Tensor:
    """Genre logits of a classifier that takes sound, (batch, labels), by the GPU where there is one.

    On a Space that shares its GPU the CPU answers: the model would be sent to another process with every question.
    `sounds` has the shape (batch, window_samples); the answer is on the CPU.
    """
    shared = bool(os.environ.get("SPACES_ZERO_GPU"))
    by_gpu = None if shared else _by_gpu(lambda: _on_gpu(model)(sounds).genre_logits.cpu())
    logits: Tensor = model(sounds).genre_logits if by_gpu is None else by_gpu
    return logits.float()


@lru_cache(maxsize=8)
def _on_gpu(model: GenreTempoModel | HubClassifier) -> Any:
    """A copy: what explains or listens live goes on with the one on the CPU."""
    return copy.deepcopy(model).to("cuda")


def free_gpu() -> None:
    """Hold no copies of models on the GPU; those that are asked again are copied anew."""
    _on_gpu.cache_clear()


def last_window(model: WindowModel, log_mel: np.ndarray) -> WindowPredictions:
    """What `slide` says of the last window, without the windows before it; parameters as there."""
    return slide(model, log_mel[:, -model.config.window_frames :])


def _parts(starts: np.ndarray, hop: int) -> list[slice]:
    """Consecutive windows that share convolutions, as many for each thread.

    The last window stands alone where it is off the others' grid.
    """
    regular = len(starts) - 1 if len(starts) > 1 and (starts[-1] - starts[-2]) % hop else len(starts)
    threads = torch.get_num_threads()
    count = max(1, min(threads * -(-regular // (threads * MOST_WINDOWS)), regular // FEWEST_WINDOWS))
    edges = [*np.linspace(0, regular, count + 1).round().astype(int).tolist(), len(starts)]
    return [slice(begin, end) for begin, end in itertools.pairwise(edges) if begin < end]


def _each(work: Callable[[slice], int], parts: Sequence[slice]) -> Iterator[int]:
    """What `work` returns for each part; threads that compute alone take one each, then others have a turn."""
    cores = torch.get_num_threads()
    if cores < 2 or len(parts) < 2:
        yield from map(work, parts)
        return
    for first in range(0, len(parts), cores):
        yield from shared_threads(cores).map(work, parts[first : first + cores])


def _output(model: GenreTempoModel, log_mel: np.ndarray, starts: np.ndarray) -> ModelOutput:
    """The model's output for the windows that begin at these frames."""
    first, last = int(starts[0]), int(starts[-1])
    frames = torch.from_numpy(np.ascontiguousarray(log_mel[:, first : last + model.config.window_frames]))
    shared = model.encode_frames(frames[None].to(model.genre_head.weight.device))
    offsets = starts - first
    steps = offsets // model.time_stride
    encoding = torch.stack([shared.encoding[0, ..., step : step + model.window_steps] for step in steps])
    onsets = torch.stack([shared.onsets[0, :, at : at + model.window_onset_frames] for at in offsets])
    return model.decide(FrameFeatures(encoding, onsets))
