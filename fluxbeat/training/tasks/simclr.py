"""SimCLR: a model learns from music without labels which windows belong together.

Chen, Kornblith, Norouzi & Hinton, "A simple framework for contrastive learning of visual representations", ICML 2020;
for music Spijkervet & Burgoyne, "Contrastive learning of musical representations", ISMIR 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fluxbeat.errors import FluxBeatError
from fluxbeat.models.base import GenreTempoModel
from fluxbeat.training.data.store import EXCERPT_S
from fluxbeat.training.data.windows import WindowBatches, masked
from fluxbeat.training.machine import rank_and_processes
from fluxbeat.training.optimizer import adamw_one_cycle

NOT_MIXED_DB = -200.0


@dataclass(frozen=True)
class SimclrConfig:
    """How two views of the same music are made and compared.

    Attributes
    ----------
    temperature : float
        What cosine similarities are divided by, above 0; small ones make the most similar strangers count most.
    projection_size : int
        Size of the space in which views are compared; it is thrown away after training.
    max_distance_s : float
        Largest distance between the starts of two views of the same music.
    overlay_db : tuple of (float, float)
        By how much another piece that sounds under a view is softer: least and most.
    """

    temperature: float = 0.2
    projection_size: int = 64
    max_distance_s: float = 16.0
    overlay_db: tuple[float, float] = (6.0, 20.0)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise FluxBeatError(f"simclr.temperature must be above 0, got {self.temperature}: 0.1 to 0.5 are usual")
        if not self.max_distance_s >= 0:
            raise FluxBeatError(f"simclr.max_distance_s must be 0 or more, got {self.max_distance_s}")


class ViewBatches(WindowBatches):
    """Batch number n: two windows of each of `batch_size` recordings, each changed in its own way.

    A place gives 'first' and 'second', Tensors of shape (batch, mels, window_frames). Parameters as in
    `WindowBatches`, and `config`. Another piece sounds under a view as often as `augment.mix_probability` says.

    Raises
    ------
    FluxBeatError
        If there are fewer recordings than a batch takes: two views of one recording must not count as strangers.
    """

    def __init__(self, *args: Any, config: SimclrConfig, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.config = config
        by_name: dict[str, list[int]] = {}
        for item, (store, row) in enumerate(self.places):
            by_name.setdefault(self.stores[store].excerpts[row].name, []).append(item)
        self.recordings = [np.array(items) for items in by_name.values()]
        if not 2 <= self.batch_size <= len(self.recordings):
            raise FluxBeatError(
                f"SimCLR tells recordings apart and needs 2 or more of them in a batch: got {len(self.recordings)} "
                f"recordings for batches of {self.batch_size}; set batch_size"
            )

    def __getitem__(self, number: int) -> dict[str, object]:
        rng = np.random.default_rng((self.seed, number))
        chosen = rng.choice(len(self.recordings), self.batch_size, replace=False)
        items = np.array([rng.choice(self.recordings[one]) for one in chosen])
        rate_hz = self.features.frame_rate_hz
        last = round(EXCERPT_S * rate_hz) - self.window_frames
        first = rng.integers(0, last + 1, self.batch_size)
        reach = round(self.config.max_distance_s * rate_hz)
        second = np.clip(first + rng.integers(-reach, reach + 1, self.batch_size), 0, last)
        return {"first": self._view(items, first, last, rng), "second": self._view(items, second, last, rng)}

    def _view(self, items: np.ndarray, start: np.ndarray, last: int, rng: np.random.Generator) -> Tensor:
        overlay = rng.integers(0, len(self.places), len(items))
        gain_db = -rng.uniform(*self.config.overlay_db, len(items))
        gain_db[rng.random(len(items)) >= self.augment.mix_probability] = NOT_MIXED_DB
        starts = np.stack([start, rng.integers(0, last + 1, len(items))])
        return masked(self._mixed(items, overlay, starts, gain_db, rng), self.augment, rng)


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al. 2020, Algorithm 1).

    Each of the 2n views is asked which of the other 2n - 1 shows the same music. Where several processes train
    together, the views of all of them are candidates, gradients flow back to every one, and the mean over the
    processes is what one process would give on all views at once.

    Parameters
    ----------
    first, second : Tensor, shape (n, d)
        Row i of both shows the same music; their lengths do not matter. Each process must bring as many rows.
    temperature : float
        Above 0.

    Returns
    -------
    Tensor, scalar
        At least 0; log(2n - 1) where all views look the same.

    Raises
    ------
    FluxBeatError
        If the shapes differ or the temperature is not above 0.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise FluxBeatError(
            f"both views need the same shape (n, d), got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if not temperature > 0:
        raise FluxBeatError(f"temperature must be above 0, got {temperature}: 0.1 to 0.5 are usual")
    first, second = F.normalize(first.float(), dim=1), F.normalize(second.float(), dim=1)
    all_first, all_second = _of_all_processes(first), _of_all_processes(second)
    row = torch.arange(len(first), device=first.device) + rank_and_processes()[0] * len(first)
    itself, partner = torch.cat([row, row + len(all_first)]), torch.cat([row + len(all_first), row])
    views, candidates = torch.cat([first, second]), torch.cat([all_first, all_second])
    similarity = views @ candidates.T / temperature  # (2n, 2n times processes)
    return F.cross_entropy(similarity.scatter(1, itself[:, None], -torch.inf), partner)


def _of_all_processes(embedding: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks; gradients flow back to where they came from."""
    if rank_and_processes()[1] == 1:
        return embedding
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(embedding))


def recognised(first: Tensor, second: Tensor) -> Tensor:
    """Share of the first views whose nearest second view shows the same music; both (n, d); scalar in 0..1."""
    similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    return (similarity.argmax(1) == torch.arange(len(first), device=first.device)).float().mean()


class SimclrTask(lightning.LightningModule):
    """The encoding of a window, projected, must tell its music from that of all other windows.

    Parameters
    ----------
    model : GenreTempoModel
        To start from; its heads stay as they are.
    config : SimclrConfig
    learning_rate, weight_decay : float
    """

    def __init__(self, model: GenreTempoModel, config: SimclrConfig, learning_rate: float, weight_decay: float):
        super().__init__()
        self.model, self.config = model, config
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # nothing here teaches the heads, and several processes wait for the gradient of whatever wants one
        for head in (self.model.genre_head, self.model.kind_head, self.model.tempo_head):
            head.requires_grad_(False)
        size = self.model.embedding_size
        self.project = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, config.projection_size))
        self.train()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Both views, (batch, mels, frames) each, through the model together, so that they share its statistics."""
        views = torch.cat([batch["first"], batch["second"]])
        embedding = self.model.embed(self.model.encode(views))
        # only the network takes long and bears half precision
        with torch.autocast(self.device.type, enabled=False):
            first, second = self.project(embedding.float()).chunk(2)
            loss = nt_xent(first, second, self.config.temperature)
        report = {"contrastive": loss, "recognised": recognised(first.detach(), second.detach())}
        self.log_dict(report, on_epoch=True, on_step=False, batch_size=len(first), sync_dist=True)
        return loss

    def configure_optimizers(self) -> Any:
        trained = [value for value in self.parameters() if value.requires_grad]
        steps = int(self.trainer.estimated_stepping_batches)
        return adamw_one_cycle(trained, self.learning_rate, self.weight_decay, steps, cycle_momentum=False)
