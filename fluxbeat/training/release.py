"""From a recipe to a shipped checkpoint: cross-validate, train on everything, calibrate, write the model card."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fluxbeat.models import GenreTempoModel, load_checkpoint, save_checkpoint
from fluxbeat.training.calibration import calibrate
from fluxbeat.training.card import write_card
from fluxbeat.training.evaluate import Answer, archive_recording_cases, ask, picture_cases, summarise
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.run import train
from fluxbeat.zoo import load

FOLDS = (1, 2)


def release(recipe: Recipe, data_root: Path, work: Path, output: Path, progress: bool = True) -> dict[str, Any]:
    """Make the checkpoint that is shipped, with the numbers of models that did not see what they are tested on.

    Two models are trained on one fold each and asked about the other; a third is trained on both and gets its
    calibration and its numbers from the two. What is finished in `work` is not done again.

    Parameters
    ----------
    recipe : Recipe
        Must name a picture archive with two folds.
    data_root : Path
        Folder that the recipe's paths start from.
    work : Path
        Folder for the three runs.
    output : Path
        Folder of the checkpoint.
    progress : bool
        Whether to draw progress bars.

    Returns
    -------
    dict
        What `fluxbeat.training.evaluate.summarise` says of pictures and recordings.
    """
    judged: list[tuple[GenreTempoModel, list[Answer]]] = []
    pictures: list[Answer] = []
    recordings: list[Answer] = []
    by_direction = {}
    for fold in FOLDS:
        folder = _trained(recipe, data_root, work, fold, progress)
        judge = load(folder)
        stem, features = data_root / recipe.data.gtzan_archive, recipe.features
        on_pictures = ask(judge, picture_cases(stem, features, fold))
        judged.append((judge.network, on_pictures))
        pictures += on_pictures
        by_direction[f"pictures, fold {3 - fold} -> {fold}"] = summarise(on_pictures)
        if recipe.data.gtzan_recordings:
            cases = archive_recording_cases(stem, data_root / recipe.data.gtzan_recordings, features, fold)
            recordings += ask(judge, cases, librosa_too=True)
    report = {"pictures": summarise(pictures), **by_direction}
    if recordings:
        heard = {Path(answer.case.track.file).stem for answer in recordings}
        report["recordings"] = summarise(recordings)
        report["pictures of the recordings"] = summarise([a for a in pictures if a.case.track.file in heard])
    model, _ = load_checkpoint(_trained(recipe, data_root, work, 0, progress))
    calibrate(model, judged)
    model.config = replace(model.config, metrics=_metrics(report, recipe.seed))
    with torch.no_grad():
        save_checkpoint(model, output)
    write_card(model, report, recipe, output)
    return report


def _trained(recipe: Recipe, data_root: Path, work: Path, held_out_fold: int, progress: bool) -> Path:
    folder = work / (f"without-fold-{held_out_fold}" if held_out_fold else "all")
    if not (folder / "model.safetensors").is_file():
        train(recipe, data_root, folder, held_out_fold, cache=work / "cache", progress=progress)
    return folder


def _metrics(report: dict[str, Any], seed: int) -> tuple[dict[str, Any], ...]:
    """The report as the flat list that config.json holds: measure, value, n, split, seed, date."""
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    rows = []
    for split, values in report.items():
        flat = {"accuracy": values.get("accuracy"), "top3": values.get("top3")}
        for who in ("tempo", "librosa_tempo"):
            for name, value in values.get(who, {}).items():
                flat[f"{who}_{name}"] = value
        for measure, value in flat.items():
            if value:
                rows.append(
                    {
                        "measure": measure,
                        **value,
                        "split": f"GTZAN {split}, artists apart",
                        "seed": seed,
                        "date": today,
                    }
                )
    return tuple(rows)
