"""SimCLR: a model learns from music without labels which windows belong together.

Chen, Kornblith, Norouzi & Hinton, "A simple framework for contrastive learning of visual representations", ICML 2020;
for music Spijkervet & Burgoyne, "Contrastive learning of musical representations", ISMIR 2021.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fluxbeat.errors import FluxBeatError
from fluxbeat.models import GenreTempoModel, save_checkpoint
from fluxbeat.models.base import TEXTURE_SIZE
from fluxbeat.training.augment import mask_stripes
from fluxbeat.training.corpus import read_corpus
from fluxbeat.training.gathering import read_items
from fluxbeat.training.items import BLEND, TEMPO_ONLY, Item
from fluxbeat.training.machine import ONE_PROCESS, Machine, latest_state, trainer_for
from fluxbeat.training.optimizer import adamw_one_cycle
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.run import claim_folder, is_finished
from fluxbeat.training.sampling import EpochBatches, EpochSeeds, rank_and_processes
from fluxbeat.training.supervised import new_model
from fluxbeat.training.views import ViewDataset

WARM_UP_SHARE = 0.1
NOT_FOR_USE = "pretrained by SimCLR, not for use: its heads are untrained"


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
    all_first, all_second = _everyones(first), _everyones(second)
    row = torch.arange(len(first), device=first.device) + rank_and_processes()[0] * len(first)
    itself, partner = torch.cat([row, row + len(all_first)]), torch.cat([row + len(all_first), row])
    views, candidates = torch.cat([first, second]), torch.cat([all_first, all_second])
    similarity = views @ candidates.T / temperature  # (2n, 2n times processes)
    return F.cross_entropy(similarity.scatter(1, itself[:, None], -torch.inf), partner)


def _everyones(embedding: Tensor) -> Tensor:
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
    """Timbre and texture, each with a projection and a loss of its own: both must learn, for both are used apart.

    Parameters
    ----------
    recipe : Recipe
        Its `simclr` says how views are made and compared.
    model : GenreTempoModel, optional
        To start from; by default a new one with random weights.
    """

    def __init__(self, recipe: Recipe, model: GenreTempoModel | None = None):
        super().__init__()
        self.recipe = recipe
        self.model = model if model is not None else new_model(recipe)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # nothing here teaches the heads, and several processes wait for the gradient of whatever wants one
        self.model.genre_head.requires_grad_(False)
        self.model.tempo_head.requires_grad_(False)
        size = recipe.simclr.projection_size
        self.project_timbre = projection(self.model.embedding_size - TEXTURE_SIZE, size)
        self.project_texture = projection(TEXTURE_SIZE, size)
        # a model that comes from a checkpoint comes ready to answer, not to learn
        self.train()

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """Both views, (batch, mels, frames) each, through the model together, so that they share its statistics."""
        model, views = self.model, torch.cat(list(batch))
        # as in supervised training, the network alone hears stripes masked: they would be most of a texture
        timbre = model.embed(model.timbre_frames(mask_stripes(views, self.recipe.augment.mask)))
        # only the network takes long and bears half precision: texture is spectra and their powers
        with torch.autocast(self.device.type, enabled=False):
            texture = model.texture_embedding(model.texture(views))
            projected = {"timbre": self.project_timbre(timbre.float()), "texture": self.project_texture(texture)}
            loss, report = torch.zeros((), device=self.device), {}
            for name, embedding in projected.items():
                first, second = embedding.chunk(2)
                report[f"{name}_loss"] = nt_xent(first, second, self.recipe.simclr.temperature)
                report[f"{name}_recognised"] = recognised(first.detach(), second.detach())
                loss = loss + report[f"{name}_loss"]
        self.log_dict(report, prog_bar=True, on_epoch=True, on_step=False, batch_size=len(batch[0]), sync_dist=True)
        return loss

    def configure_optimizers(self) -> Any:
        return adamw_one_cycle(
            (value for value in self.parameters() if value.requires_grad),
            self.recipe.learning_rate,
            self.recipe.weight_decay,
            int(self.trainer.estimated_stepping_batches),
            WARM_UP_SHARE,
            cycle_momentum=False,
        )


class LoaderGenerator(torch.Generator):
    """Keeps a loader from drawing on torch's generator, which the model draws on; always in the same state.

    A plain generator's state travels to another process as a tensor that is gone before it arrives.
    """

    def __reduce__(self) -> Any:
        return LoaderGenerator, ()


def projection(size: int, projection_size: int) -> nn.Sequential:
    """The head in whose space views are compared: (batch, size) -> (batch, projection_size)."""
    return nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, projection_size))


def unlabelled_items(recipe: Recipe, data_root: Path, corpus: Path | None = None) -> list[Item]:
    """The music that a pretraining recipe names, and the train split of a corpus; drawn rhythms are no music, and
    blends are none that anybody made.

    Parameters
    ----------
    recipe : Recipe
    data_root : Path
        Folder that the recipe's paths start from.
    corpus : Path, optional
        Folder that `fluxbeat corpus` built; by default the recipe's, where it names one.

    Raises
    ------
    FluxBeatError
        If there is no music, or the corpus was built for other features.
    """
    data = replace(recipe.data, synthetic=0)
    folder = corpus or (data_root / data.corpus if data.corpus else None)
    items = [*read_items(replace(data, corpus=""), recipe.features, data_root, recipe.seed)]
    if folder is not None:
        # a blend repeats what other items hold, and may hold music that a probe is tested on
        items += [
            item for item in read_corpus(folder, recipe.features, "train") if item.source not in (*TEMPO_ONLY, BLEND)
        ]
    if not items:
        raise FluxBeatError("there is no music to pretrain on: give --corpus FOLDER, or name data in the recipe")
    # hours of music are held at once, and half precision is finer than a view's noise
    return [
        replace(
            item,
            log_mel=item.log_mel.astype(np.float16, copy=False),
            picture=None if item.picture is None else item.picture.astype(np.float16, copy=False),
        )
        for item in items
    ]


def pretrain(
    recipe: Recipe, items: Sequence[Item], output: Path, progress: bool = True, machine: Machine = ONE_PROCESS
) -> Path:
    """Pretrain a model on music without labels; a run that was cut off goes on where it was, as `run.fit` does.

    Parameters
    ----------
    recipe : Recipe
        An epoch takes two views of every item.
    items : sequence of Item
        At least 2; labels play no part.
    output : Path
        Folder for the checkpoint; its `state/` holds what a cut-off run goes on from.
    progress : bool
        Whether to draw a progress bar where standard error is a terminal.
    machine : Machine
        What to compute on; its processes share each batch, and each view is told apart from those of all of them.

    Returns
    -------
    Path
        The checkpoint, to start supervised training from. Its heads are untrained, and its metrics say so.

    Raises
    ------
    FluxBeatError
        If there are fewer than 2 items, or batches of fewer: there is nothing to tell apart. If processes cannot
        share batches evenly, or the folder holds another run.
    """
    batch_size = min(len(items), recipe.batch_size)
    if batch_size < 2:
        raise FluxBeatError(
            "SimCLR tells pieces of music apart and needs at least 2 of them in a batch, "
            f"got {len(items)} in batches of {recipe.batch_size}"
        )
    if batch_size % machine.processes:
        raise FluxBeatError(
            f"{machine.processes} processes cannot share batches of {batch_size} evenly: "
            f"set batch_size to a multiple of {machine.processes}, at most the {len(items)} items"
        )
    claim_folder(output, recipe, [replace(item, labels=None) for item in items])
    if is_finished(output):
        return output
    lightning.seed_everything(recipe.seed, verbose=False)
    task = SimclrTask(recipe)
    config = task.model.config
    views = ViewDataset(items, recipe.augment, recipe.simclr, config.window_frames, config.features.frame_rate_hz)
    batches = EpochBatches(len(items), recipe.batch_size, (recipe.seed, 0))
    loader = DataLoader(
        views,
        batch_sampler=batches,
        num_workers=machine.workers,
        persistent_workers=machine.workers > 0,
        generator=LoaderGenerator(),
    )
    seeds = EpochSeeds(recipe.seed, [batches])
    trainer = trainer_for(machine, output, recipe.epochs, len(batches), [seeds], progress)
    latest = latest_state(output)
    trainer.fit(task, loader, ckpt_path=str(latest) if latest else None)
    if trainer.is_global_zero:
        model = task.model.cpu().eval()
        said = {"measure": "epochs of SimCLR", "value": recipe.epochs, "n": len(items), "split": NOT_FOR_USE}
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        model.config = replace(config, tempo_taught=False, metrics=({**said, "seed": recipe.seed, "date": date},))
        save_checkpoint(model, output)
    trainer.strategy.barrier()
    return output
