"""From a recipe to a checkpoint; a run that was cut off goes on where it was."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import lightning
import numpy as np
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, RandomSampler

from fluxbeat.features import FeatureConfig
from fluxbeat.models import save_checkpoint
from fluxbeat.training.items import Item
from fluxbeat.training.pictures import alignment, read_archive
from fluxbeat.training.recipe import DataConfig, Recipe
from fluxbeat.training.recordings import read_table, recording_items
from fluxbeat.training.supervised import SupervisedTask, WindowDataset, Windows
from fluxbeat.training.synthetic import synthetic_items

SYNTHETIC_S = 20.0


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


def _loaders(items: list[Item], recipe: Recipe, window_frames: int) -> dict[str, DataLoader[Windows]]:
    """Music in batches that make up an epoch, and drawn rhythms beside it, half a batch at a time."""
    music = [item for item in items if item.source != "synthetic"]
    drawn = [item for item in items if item.source == "synthetic"]
    batch_size = recipe.batch_size
    loaders = {
        "music": DataLoader(
            WindowDataset(music, recipe, window_frames), batch_size, shuffle=True, drop_last=len(music) > batch_size
        )
    }
    if drawn:
        count = max(1, min(batch_size // 2, len(drawn)))
        # as many batches as there are of music, drawn with replacement
        sampler = RandomSampler(drawn, replacement=True, num_samples=count * len(loaders["music"]))
        loaders["drawn"] = DataLoader(WindowDataset(drawn, recipe, window_frames), count, sampler=sampler)
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
        Folder for spectrograms; `output` where not given.
    progress : bool
        Whether to draw a progress bar.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    lightning.seed_everything(recipe.seed, verbose=False)
    items = [
        item
        for item in cached_items(recipe, data_root, cache or output)
        if not held_out_fold or item.fold != held_out_fold
    ]
    task = SupervisedTask(recipe)
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
