"""One run from stores to a checkpoint: what was cut off goes on where it was, a finished one is not done again."""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset

from fluxbeat.atomic_write import atomic_write
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.base import GenreTempoModel, ModelConfig
from fluxbeat.models.checkpoint import WEIGHTS_FILE, build_model, load_checkpoint, save_checkpoint
from fluxbeat.training.data.store import FeatureStore
from fluxbeat.training.data.windows import BatchSettings, StepSampler, WindowBatches
from fluxbeat.training.machine import ONE_PROCESS, Machine
from fluxbeat.training.progress import progress_callback
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
    frames = model.config.window_frames
    return stores, recipe.labels, recipe.tempo_grid, frames, recipe.batch_size, recipe.augment, recipe.seed


def train(
    recipe: Recipe,
    stores: Sequence[FeatureStore],
    output: Path,
    model: GenreTempoModel | None = None,
    machine: Machine = ONE_PROCESS,
) -> None:
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
    machine : Machine
        What to compute on.

    Raises
    ------
    FluxBeatError
        If the folder holds a run of another recipe, there is no music to learn from, or this machine does not have what
        `machine` asks for.
    """
    claim_folder(output, recipe, stores)
    if is_finished(output):
        return
    lightning.seed_everything(recipe.seed, verbose=False)
    if model is None:
        model = load_checkpoint(output.parent / recipe.start_from)[0] if recipe.start_from else new_model(recipe)
    teachers = None
    if recipe.teacher_weight and stores[0].outputs and not recipe.frozen:
        teachers = TeacherHeads.of(stores, model.embedding_size)
    task = SupervisedTask(recipe, model, teachers)
    batches = WindowBatches(*batch_settings(recipe, stores, model), balance=recipe.data.balance)
    trainer = _fit(task, batches, recipe, output, machine)
    if trainer.is_global_zero:
        if task.teacher_average is not None:
            heads = {name: value.contiguous() for name, value in task.teacher_average.module.state_dict().items()}
            save_file(heads, output / HEADS_FILE)
        save_checkpoint(task.averaged.cpu(), output)
    trainer.strategy.barrier()


def pretrain(recipe: Recipe, stores: Sequence[FeatureStore], output: Path, machine: Machine = ONE_PROCESS) -> None:
    """Pretrain a model by SimCLR on the `train` rows of stores, without labels; goes on and ends as `train` does.

    The checkpoint is to start supervised training from: its heads are untrained, and its metrics say so. Parameters and
    errors as there.
    """
    claim_folder(output, recipe, stores)
    if is_finished(output):
        return
    lightning.seed_everything(recipe.seed, verbose=False)
    model = new_model(recipe)
    task = SimclrTask(model, recipe.simclr, recipe.learning_rate, recipe.weight_decay)
    batches = ViewBatches(*batch_settings(recipe, stores, model), config=recipe.simclr)
    trainer = _fit(task, batches, recipe, output, machine)
    if trainer.is_global_zero:
        model = task.model.cpu().eval()
        metric = {
            "measure": "epochs of SimCLR",
            "value": recipe.epochs,
            "n": len(batches.recordings),
            "split": NOT_FOR_USE,
            "seed": recipe.seed,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        model.config = replace(model.config, tempo_taught=False, kind_taught=False, metrics=(metric,))
        save_checkpoint(model, output)
    trainer.strategy.barrier()


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


def _fit(
    task: lightning.LightningModule,
    batches: Dataset[dict[str, object]],
    recipe: Recipe,
    output: Path,
    machine: Machine,
) -> lightning.Trainer:
    """Fit with the state kept in `output`/state after every epoch, from where it stands; curves go to `output`/logs."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    sampler = StepSampler(recipe.epoch_steps)
    loader = DataLoader(batches, batch_size=None, sampler=sampler, num_workers=machine.workers)
    keep_state = ModelCheckpoint(
        output / "state", "latest", every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    several = machine.processes > 1
    if several:
        # by descriptors, two tensors of one storage would be handed to a new process twice, which it refuses
        torch.multiprocessing.set_sharing_strategy("file_system")
    try:
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs,
            accelerator=machine.accelerator,
            devices=machine.devices,
            num_nodes=machine.nodes,
            strategy="ddp_spawn" if several and machine.strategy == "auto" else machine.strategy,
            precision=machine.precision,  # type: ignore[arg-type]
            # `StepSampler` gives each process its own batches
            use_distributed_sampler=False,
            sync_batchnorm=several and machine.has_gpu,
            # on a CPU nothing here depends on chance; on a GPU what cannot be exact says so
            deterministic="warn" if machine.has_gpu else None,
            default_root_dir=output,
            logger=TensorBoardLogger(output, name="logs", version=""),
            log_every_n_steps=max(recipe.epoch_steps // machine.processes // 10, 1),
            callbacks=[ExactResume(recipe.seed, sampler), progress_callback(), keep_state],
            enable_progress_bar=sys.stderr.isatty(),
            enable_model_summary=False,
            gradient_clip_val=5.0,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise FluxBeatError(f"cannot train on this machine in this way: {error}") from error
    state = output / "state" / "latest.ckpt"
    trainer.fit(task, loader, ckpt_path=str(state) if state.is_file() else None)
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
