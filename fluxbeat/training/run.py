"""One run from stores to a checkpoint: what was cut off goes on where it was, a finished one is not done again."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset

from fluxbeat.atomic_write import atomic_write
from fluxbeat.errors import FluxBeatError
from fluxbeat.models import GenreTempoModel, ModelConfig, build_model, load_checkpoint, save_checkpoint
from fluxbeat.models.checkpoint import WEIGHTS_FILE
from fluxbeat.training.data.store import FeatureStore
from fluxbeat.training.data.windows import BatchSettings, StepSampler, WindowBatches
from fluxbeat.training.machine import ONE_PROCESS, Machine, latest_state, trainer_for
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.tasks.simclr import SimclrTask, ViewBatches
from fluxbeat.training.tasks.supervised import SupervisedTask
from fluxbeat.training.tasks.teaching import TeacherHeads

RUN_FILE, HEADS_FILE = "run.json", "teacher_heads.safetensors"
NOT_FOR_USE = "pretrained by SimCLR, not for use: its heads are untrained"


def new_model(recipe: Recipe) -> GenreTempoModel:
    """A model as the recipe describes it, with random weights."""
    return build_model(
        ModelConfig(
            family=recipe.family,
            labels=recipe.labels,
            thresholds=(0.5,) * len(recipe.labels),
            tempo_grid=recipe.tempo_grid,
            kind_taught=True,
            features=recipe.features,
            window_s=recipe.window_s,
            architecture=recipe.architecture,
        )
    )


def open_stores(recipe: Recipe, data_root: Path) -> list[FeatureStore]:
    """The stores that a recipe names.

    Raises
    ------
    FluxBeatError
        If one is missing, or was made with other features than the recipe's.
    """
    stores = [FeatureStore(data_root / name) for name in recipe.data.stores]
    for store in stores:
        if store.features != recipe.features:
            raise FluxBeatError(f"{store.folder} was made with other features than the recipe asks for: make it anew")
    return stores


def batch_settings(recipe: Recipe, stores: Sequence[FeatureStore], model: GenreTempoModel) -> BatchSettings:
    """What every kind of batches is drawn by, in the order that `WindowBatches` takes it."""
    frames, drawn = model.config.window_frames, (recipe.batch_size, recipe.augment, recipe.seed)
    return stores, recipe.labels, recipe.tempo_grid, frames, *drawn


def train(
    recipe: Recipe,
    stores: Sequence[FeatureStore],
    output: Path,
    model: GenreTempoModel | None = None,
    class_weights: Mapping[str, torch.Tensor] | None = None,
    progress: bool = True,
    machine: Machine = ONE_PROCESS,
) -> SupervisedTask:
    """Train one model on the `train` rows of stores and write its checkpoint into `output`.

    A run that was cut off goes on after the last epoch that it finished, and ends as if it had not been cut off. A
    finished run is not done again.

    Parameters
    ----------
    recipe : Recipe
    stores : sequence of FeatureStore
        With the recipe's features, all with the same teachers' outputs.
    output : Path
        Folder for the checkpoint and the teachers' heads, with curves for TensorBoard in `logs/`, what a cut-off run
        goes on from in `state/`, and what is trained in `run.json`.
    model : GenreTempoModel, optional
        To start from; by default what the recipe names, else a new one with random weights.
    class_weights : mapping of str to Tensor, optional
        How much each class of a teacher's output counts.
    progress : bool
        Whether to report progress.
    machine : Machine
        What to compute on.

    Raises
    ------
    FluxBeatError
        If the folder holds a run of another recipe, or there is no music to learn from.
    """
    claim_folder(output, recipe, stores)
    lightning.seed_everything(recipe.seed, verbose=False)
    if model is None:
        model = load_checkpoint(output.parent / recipe.start_from)[0] if recipe.start_from else new_model(recipe)
    teachers = None
    if recipe.teacher_weight and stores[0].outputs and not recipe.frozen:
        teachers = TeacherHeads.of(stores, model.embedding_size, class_weights)
    task = SupervisedTask(recipe, model, recipe.epochs * _epoch_steps(recipe, machine), teachers)
    if is_finished(output):
        task.average.module.load_state_dict(load_checkpoint(output)[0].state_dict())
        return task
    batches = WindowBatches(*batch_settings(recipe, stores, model), balance=recipe.data.balance)
    trainer = _fit(task, batches, recipe, output, progress, machine)
    if trainer.is_global_zero:
        if task.teacher_average is not None:
            heads = {name: value.contiguous() for name, value in task.teacher_average.module.state_dict().items()}
            save_file(heads, output / HEADS_FILE)
        save_checkpoint(task.averaged.cpu(), output)
    trainer.strategy.barrier()
    return task


def pretrain(
    recipe: Recipe,
    stores: Sequence[FeatureStore],
    output: Path,
    progress: bool = True,
    machine: Machine = ONE_PROCESS,
) -> Path:
    """Pretrain a model by SimCLR on the `train` rows of stores, without labels; goes on and ends as `train` does.

    Parameters and errors as there.

    Returns
    -------
    Path
        The checkpoint, to start supervised training from. Its heads are untrained, and its metrics say so.
    """
    claim_folder(output, recipe, stores)
    if is_finished(output):
        return output
    lightning.seed_everything(recipe.seed, verbose=False)
    model = new_model(recipe)
    steps = recipe.epochs * _epoch_steps(recipe, machine)
    task = SimclrTask(model, recipe.simclr, recipe.learning_rate, recipe.weight_decay, steps)
    batches = ViewBatches(*batch_settings(recipe, stores, model), config=recipe.simclr)
    trainer = _fit(task, batches, recipe, output, progress, machine)
    if trainer.is_global_zero:
        model = task.model.cpu().eval()
        metric = {"measure": "epochs of SimCLR", "value": recipe.epochs, "n": len(batches.recordings)}
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        metric = {**metric, "split": NOT_FOR_USE, "seed": recipe.seed, "date": date}
        model.config = replace(model.config, tempo_taught=False, kind_taught=False, metrics=(metric,))
        save_checkpoint(model, output)
    trainer.strategy.barrier()
    return output


class ExactResume(lightning.Callback):
    """Gives every step the batch and the random numbers that it has in a run that was not cut off.

    Parameters
    ----------
    seed : int
    sampler : StepSampler
        Lightning tells it the epoch, but where a run goes on only after it has fetched the first batch.
    """

    def __init__(self, seed: int, sampler: StepSampler):
        self.seed, self.sampler = seed, sampler

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, task: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.sampler.set_epoch(checkpoint["epoch"] + 1)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, task: lightning.LightningModule, batch: object, batch_idx: int
    ) -> None:
        # not once an epoch: what a loader draws from torch as it starts comes at another time where a run goes on
        entropy = np.random.SeedSequence([self.seed, trainer.current_epoch, batch_idx, trainer.global_rank])
        torch.manual_seed(int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1)))


def _epoch_steps(recipe: Recipe, machine: Machine) -> int:
    """Batches that each process takes in an epoch."""
    return recipe.epoch_steps // machine.processes


def _fit(
    task: lightning.LightningModule,
    batches: Dataset[dict[str, object]],
    recipe: Recipe,
    output: Path,
    progress: bool,
    machine: Machine,
) -> lightning.Trainer:
    sampler = StepSampler(recipe.epoch_steps)
    loader = DataLoader(batches, batch_size=None, sampler=sampler, num_workers=machine.workers)
    steps = _epoch_steps(recipe, machine)
    trainer = trainer_for(machine, output, recipe.epochs, steps, [ExactResume(recipe.seed, sampler)], progress)
    latest = latest_state(output)
    trainer.fit(task, loader, ckpt_path=str(latest) if latest else None)
    return trainer


def is_finished(output: Path) -> bool:
    """Whether a run in this folder has come to its end: its checkpoint is there."""
    return (output / WEIGHTS_FILE).is_file()


def claim_folder(output: Path, recipe: Recipe, stores: Sequence[FeatureStore]) -> None:
    """Note in the run's folder what is trained there; raises where it is something else already, or on nothing."""
    if not sum(len(store.rows("train")) for store in stores):
        raise FluxBeatError("there is no music to learn from: name stores with rows of the split 'train'")
    known = json.dumps([[asdict(excerpt) for excerpt in store.excerpts] for store in stores])
    excerpts = hashlib.sha256(known.encode()).hexdigest()[:16]
    run = {**asdict(recipe), "rows": [len(store) for store in stores], "excerpts": excerpts}
    run = json.loads(json.dumps(run))
    path = output / RUN_FILE
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        other = sorted(name for name in before if name in run and before[name] != run[name])
        if other:
            raise FluxBeatError(
                f"{output} holds another run: {', '.join(other)} differ from {RUN_FILE}; choose another folder, "
                "or delete this one to train anew"
            )
    elif not is_finished(output):
        output.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            partial.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
