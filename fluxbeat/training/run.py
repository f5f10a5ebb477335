"""From a recipe to a checkpoint; a run that was cut off goes on where it was."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import lightning
import numpy as np
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, RandomSampler

from fluxbeat.features import FeatureConfig
from fluxbeat.models import GenreTempoModel, load_checkpoint, save_checkpoint
from fluxbeat.training.items import Item
from fluxbeat.training.pictures import alignment, read_archive
from fluxbeat.training.recipe import DataConfig, Recipe
from fluxbeat.training.recordings import read_table, recording_items
from fluxbeat.training.supervised import SupervisedTask, Window, WindowDataset
from fluxbeat.training.synthetic import synthetic_items
from fluxbeat.training.teacher_scale import TeacherScale

SYNTHETIC_S = 20.0
DRAWN = ("synthetic", "groove")
"""Sources that teach tempo only."""


def read_items(data: DataConfig, features: FeatureConfig, root: Path, seed: int) -> Iterator[Item]:
    """All items that a recipe names, one by one."""
    if data.gtzan_archive:
        recordings = root / data.gtzan_recordings if data.gtzan_recordings else None
        yield from read_archive(root / data.gtzan_archive, features, recordings)
    if data.recordings:
        yield from recording_items(read_table(root / data.recordings), features)
    yield from synthetic_items(data.synthetic, SYNTHETIC_S, features, seed)


def cached_items(recipe: Recipe, root: Path, cache: Path) -> list[Item]:
    """The recipe's items, with their spectrograms kept in `cache` so that the next run starts at once."""
    aligned = [values.tolist() for values in alignment(recipe.features)]
    key = json.dumps([asdict(recipe.data), recipe.features.to_dict(), SYNTHETIC_S, aligned], sort_keys=True)
    path = cache / f"items-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"
    if path.is_file():
        with np.load(path) as arrays:
            facts = json.loads(str(arrays["facts"]))
            return [
                Item(
                    log_mel=arrays[f"m{row}"],
                    **{**fact, "labels": tuple(fact["labels"]) if fact["labels"] else None},
                )
                for row, fact in enumerate(facts)
            ]
    items = list(read_items(recipe.data, recipe.features, root, seed=0))
    facts = [{name: value for name, value in vars(item).items() if name != "log_mel"} for item in items]
    cache.mkdir(parents=True, exist_ok=True)
    arrays = {f"m{row}": item.log_mel.astype(np.float16) for row, item in enumerate(items)}
    np.savez(path, facts=np.array(json.dumps(facts)), **arrays)
    return [Item(**{**vars(item), "log_mel": arrays[f"m{row}"]}) for row, item in enumerate(items)]


def _loaders(items: list[Item], recipe: Recipe, window_frames: int) -> dict[str, DataLoader[Window]]:
    """Music in batches that make up an epoch, and beside each the corpus's music and drawn rhythms.

    Where there is no other music, the corpus is the music.
    """
    drawn = [item for item in items if item.source in DRAWN]
    free = [item for item in items if item.source == "free"]
    music = [item for item in items if item.source not in (*DRAWN, "free")]
    if not music:
        music, free = free, []
    scale = TeacherScale.of(items)
    batch_size = recipe.batch_size

    def windows(chosen: list[Item]) -> WindowDataset:
        return WindowDataset(chosen, recipe, window_frames, scale)

    loaders = {"music": DataLoader(windows(music), batch_size, shuffle=True, drop_last=len(music) > batch_size)}
    beside = {"free": (free, round(batch_size * recipe.data.corpus_share)), "drawn": (drawn, batch_size // 2)}
    for name, (chosen, wanted) in beside.items():
        count = min(wanted, len(chosen))
        if count:
            # as many batches as there are of music, drawn with replacement
            sampler = RandomSampler(chosen, replacement=True, num_samples=count * len(loaders["music"]))
            loaders[name] = DataLoader(windows(chosen), count, sampler=sampler)
    return loaders


def train(
    recipe: Recipe,
    data_root: Path,
    output: Path,
    held_out_fold: int = 0,
    cache: Path | None = None,
    progress: bool = True,
) -> SupervisedTask:
    """Train one model and write its checkpoint into `output`.

    Parameters
    ----------
    recipe : Recipe
        What to train, on what.
    data_root : Path
        Folder that the recipe's paths start from.
    output : Path
        Folder for the checkpoint; its `state/` holds what a cut-off run goes on from.
    held_out_fold : int
        Items of this fold are left out, to be tested on; 0 trains on everything.
    cache : Path, optional
        Folder for spectrograms and for what the corpus alone has taught; `output` where not given.
    progress : bool
        Whether to draw a progress bar.
    """
    lightning.seed_everything(recipe.seed, verbose=False)
    cache = cache or output
    items = cached_items(recipe, data_root, cache)
    corpus = [item for item in items if item.source == "free"]
    model = None
    if recipe.pretrain_epochs and corpus:
        model = pretrained(recipe, [item for item in items if item.source in (*DRAWN, "free")], cache, progress)
    items = [item for item in items if not held_out_fold or item.fold != held_out_fold]
    task = SupervisedTask(recipe, model, TeacherScale.of(items).size)
    return fit(task, items, output, progress)


def pretrained(recipe: Recipe, items: list[Item], cache: Path, progress: bool = True) -> GenreTempoModel:
    """A model that has heard the corpus alone; kept in `cache`, for every fold and run that starts from it."""
    first = replace(
        recipe, epochs=recipe.pretrain_epochs, pretrain_epochs=0, data=DataConfig(corpus=recipe.data.corpus)
    )
    key = json.dumps([asdict(first), len(items)], sort_keys=True, default=list)
    folder = cache / f"pretrained-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if not (folder / "model.safetensors").is_file():
        fit(SupervisedTask(first, teacher_size=TeacherScale.of(items).size), items, folder, progress)
    return load_checkpoint(folder)[0]


def fit(task: SupervisedTask, items: list[Item], output: Path, progress: bool = True) -> SupervisedTask:
    """Train a task on items and write its checkpoint into `output`; a run that was cut off goes on where it was."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    recipe = task.recipe
    lightning.seed_everything(recipe.seed, verbose=False)
    loader = CombinedLoader(_loaders(items, recipe, task.model.config.window_frames), "max_size_cycle")
    keep_state = ModelCheckpoint(
        output / "state", "latest", every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        accelerator="auto",
        devices=1,
        default_root_dir=output,
        logger=False,
        callbacks=[keep_state, *([TQDMProgressBar()] if progress else [])],
        enable_progress_bar=progress,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    latest = output / "state" / "latest.ckpt"
    trainer.fit(task, loader, ckpt_path=str(latest) if latest.is_file() else None)
    save_checkpoint(task.averaged.cpu(), output)
    return task
