"""From a recipe to a checkpoint; a run that was cut off goes on where it was, a finished one is not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import lightning
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader

from fluxbeat.errors import FluxBeatError
from fluxbeat.models import GenreTempoModel, load_checkpoint, save_checkpoint
from fluxbeat.models.checkpoint import WEIGHTS_FILE
from fluxbeat.training.augment import AugmentConfig
from fluxbeat.training.gathering import cached_items
from fluxbeat.training.items import BLEND, FREE, TEMPO_ONLY, Item
from fluxbeat.training.machine import ONE_PROCESS, Machine, latest_state, trainer_for
from fluxbeat.training.picture_step import picture_steps
from fluxbeat.training.recipe import DataConfig, Recipe
from fluxbeat.training.sampling import Draw, EpochBatches, EpochSeeds
from fluxbeat.training.supervised import SupervisedTask, Window, WindowDataset, new_model
from fluxbeat.training.teacher_scale import TeacherScale
from fluxbeat.training.validation import split_artists
from fluxbeat.training.whole_file import whole_file

RUN_FILE = "run.json"
VALIDATION_WINDOWS = 3
"""Windows of each item that an epoch is judged by."""
LOADERS = ("music", FREE, "drawn", "validation", BLEND)


def _kinds(items: Sequence[Item]) -> dict[str, list[Item]]:
    """The music that makes up an epoch, and what stands beside it: the corpus's music, drawn rhythms and blends.

    Where there is no other music, the corpus is the music.
    """
    drawn = [item for item in items if item.source in TEMPO_ONLY]
    free = [item for item in items if item.source == FREE]
    blends = [item for item in items if item.source == BLEND]
    music = [item for item in items if item.source not in (*TEMPO_ONLY, FREE, BLEND)]
    beside = {"drawn": drawn, BLEND: blends}
    return {"music": music, FREE: free, **beside} if music else {"music": free, FREE: [], **beside}


def _batches(kinds: dict[str, list[Item]], recipe: Recipe, processes: int) -> dict[str, EpochBatches]:
    """Batches of each kind, as many of what stands beside the music as of the music, drawn with replacement."""
    size = recipe.batch_size
    music = EpochBatches(len(kinds["music"]), size, (recipe.seed, LOADERS.index("music")))
    if not len(music):
        raise FluxBeatError("there is no music to learn from: the data holds none, or none outside the held-out fold")
    batches = {"music": music}
    shares = {FREE: recipe.data.corpus_share, "drawn": 0.5, BLEND: recipe.data.blend_share}
    for name, wanted in ((name, round(size * share)) for name, share in shares.items()):
        count = min(wanted, len(kinds[name]))
        if count:
            entropy = (recipe.seed, LOADERS.index(name))
            batches[name] = EpochBatches(len(kinds[name]), max(count, processes), entropy, len(music))
    return batches


def _loader(windows: WindowDataset, batches: EpochBatches | list[list[Draw]], workers: int) -> DataLoader[Window]:
    return DataLoader(windows, batch_sampler=batches, num_workers=workers, persistent_workers=workers > 0)


def _validation_loader(items: Sequence[Item], recipe: Recipe, window_frames: int, workers: int) -> DataLoader[Window]:
    """The same windows after every epoch, as they are."""
    unchanged = AugmentConfig(**dict.fromkeys((setting.name for setting in fields(AugmentConfig)), 0.0))
    kind, size = LOADERS.index("validation"), recipe.batch_size
    draws = [
        Draw(row, (recipe.seed, kind, row, window)) for row in range(len(items)) for window in range(VALIDATION_WINDOWS)
    ]
    windows = WindowDataset(items, replace(recipe, augment=unchanged), window_frames)
    return _loader(windows, [draws[start : start + size] for start in range(0, len(draws), size)], workers)


def train(
    recipe: Recipe,
    data_root: Path,
    output: Path,
    held_out_fold: int = 0,
    cache: Path | None = None,
    progress: bool = True,
    machine: Machine = ONE_PROCESS,
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
        Whether to draw a progress bar where standard error is a terminal.
    machine : Machine
        What to compute on.
    """
    cache = cache or output
    items = cached_items(recipe, data_root, cache)
    corpus = [item for item in items if item.source == FREE]
    model = None
    if recipe.pretrain_epochs and corpus:
        apart = [item for item in items if item.source in (*TEMPO_ONLY, FREE, BLEND) and not item.fold]
        model = pretrained(recipe, apart, cache, progress, machine)
    items = [item for item in items if not held_out_fold or item.fold != held_out_fold]
    lightning.seed_everything(recipe.seed, verbose=False)
    return fit(_task(recipe, items, model or new_model(recipe)), items, output, progress, machine)


def pretrained(
    recipe: Recipe, items: list[Item], cache: Path, progress: bool = True, machine: Machine = ONE_PROCESS
) -> GenreTempoModel:
    """A model that has heard the corpus alone; kept in `cache`, for every fold and run that starts from it."""
    first = replace(
        recipe,
        epochs=recipe.pretrain_epochs,
        pretrain_epochs=0,
        validation_share=0.0,
        patience_epochs=0,
        freeze_norm=False,
        seed=0,
        data=DataConfig(corpus=recipe.data.corpus, blend_share=recipe.data.blend_share),
    )
    key = json.dumps([asdict(first), len(items)], sort_keys=True, default=list)
    folder = cache / f"pretrained-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    claim_folder(folder, first, items)
    if not is_finished(folder):
        lightning.seed_everything(recipe.seed, verbose=False)
        fit(_task(first, items, new_model(first)), items, folder, progress, machine)
    return load_checkpoint(folder)[0]


def _task(recipe: Recipe, items: list[Item], model: GenreTempoModel) -> SupervisedTask:
    """The task with all that the items say of it."""
    return SupervisedTask(recipe, model, TeacherScale.of(items).size, picture_steps(items, model.texture))


def is_finished(output: Path) -> bool:
    """Whether a run in this folder has come to its end: its checkpoint is there."""
    return (output / WEIGHTS_FILE).is_file()


def fit(
    task: SupervisedTask, items: list[Item], output: Path, progress: bool = True, machine: Machine = ONE_PROCESS
) -> SupervisedTask:
    """Train a task on items and write its checkpoint into `output`.

    A run that was cut off goes on after the last epoch that it finished, and ends as if it had not been cut off. A
    finished run is not done again: its weights become the task's.

    Parameters
    ----------
    task : SupervisedTask
    items : list of Item
        Where the recipe has a `validation_share`, it is taken from these.
    output : Path
        Folder for the checkpoint, with curves for TensorBoard in `logs/`, what a cut-off run goes on from in
        `state/`, and what is trained in `run.json`.
    progress : bool
        Whether to draw a progress bar where standard error is a terminal.
    machine : Machine
        What to compute on.

    Returns
    -------
    SupervisedTask
        The same task, trained.

    Raises
    ------
    FluxBeatError
        If the folder holds a run of another recipe or on other items, there is no music, or the machine is not what
        `machine` says.
    """
    recipe, window_frames = task.recipe, task.model.config.window_frames
    if recipe.batch_size % machine.processes:
        raise FluxBeatError(
            f"{machine.processes} processes cannot share batches of {recipe.batch_size} evenly: "
            f"set batch_size to a multiple of {machine.processes}"
        )
    claim_folder(output, recipe, items)
    if is_finished(output):
        task.average.module.load_state_dict(load_checkpoint(output)[0].state_dict())
        return task
    lightning.seed_everything(recipe.seed, verbose=False)
    learned, validation = items, None
    if recipe.validation_share:
        kinds = _kinds(items)
        kinds["music"], asked = split_artists(kinds["music"], recipe.validation_share, recipe.seed)
        learned = [item for kind in kinds.values() for item in kind]
        validation = _validation_loader(asked, recipe, window_frames, machine.workers)
    kinds, scale = _kinds(learned), TeacherScale.of(items)
    batches = _batches(kinds, recipe, machine.processes)
    loaders = {
        name: _loader(WindowDataset(kinds[name], recipe, window_frames, scale), of_kind, machine.workers)
        for name, of_kind in batches.items()
    }
    seeds = EpochSeeds(recipe.seed, list(batches.values()))
    trainer = trainer_for(machine, output, recipe.epochs, len(batches["music"]), [seeds], progress)
    latest = latest_state(output)
    trainer.fit(task, CombinedLoader(loaders, "max_size_cycle"), validation, ckpt_path=str(latest) if latest else None)
    if trainer.is_global_zero:
        save_checkpoint(task.averaged.cpu(), output)
    trainer.strategy.barrier()
    return task


def claim_folder(output: Path, recipe: Recipe, items: Sequence[Item]) -> None:
    """Note in the run's folder what is trained there; raises where it is something else already."""
    run = {
        **asdict(recipe),
        "items": len(items),
        "items_sha256": _sha256(f"{item.source} {item.item_id}" for item in items),
        "labels_sha256": _sha256(f"{item.source} {item.item_id} {sorted(item.labels or ())}" for item in items),
    }
    run = json.loads(json.dumps(run))
    path = output / RUN_FILE
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        # settings that an older version did not have are as they were without them
        other = sorted(name for name in before if name in run and before[name] != run[name])
        if other:
            raise FluxBeatError(
                f"{output} holds another run: {', '.join(other)} differ from {RUN_FILE}; choose another folder, "
                "or delete this one to train anew"
            )
    elif not is_finished(output):
        with whole_file(path) as partial:
            partial.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
