"""From a recipe to a shipped checkpoint: cross-validate, train on everything, calibrate, write the model card."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fluxbeat.explanation.report import pooled_report
from fluxbeat.models import GenreTempoModel, load_checkpoint, save_checkpoint
from fluxbeat.models.metrics import measured
from fluxbeat.training.calibration import calibrate, crossed_calibration, excess, lower
from fluxbeat.training.card import write_card
from fluxbeat.training.evaluation.answers import Answer, ask
from fluxbeat.training.evaluation.cases import (
    archive_genres,
    archive_recording_cases,
    item_cases,
    picture_cases,
)
from fluxbeat.training.evaluation.corpus_music import corpus_items, corpus_sounds
from fluxbeat.training.evaluation.mixtures import mix_cases
from fluxbeat.training.evaluation.peers import ask_peers
from fluxbeat.training.evaluation.splices import splice_cases
from fluxbeat.training.evaluation.summary import (
    over_seeds,
    paired_gap,
    summarise,
    summarise_borders,
    summarise_mixes,
)
from fluxbeat.training.machine import ONE_PROCESS, Machine
from fluxbeat.training.pictures import archive_recordings
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.run import is_finished, train
from fluxbeat.zoo import ModelInfo, ZooModel

FOLDS = (1, 2)
MIXES, SPLICES = 60, 30
"""Made of the unseen recordings of each fold."""
GTZAN = "GTZAN {}, artists apart"
LOWERED_SHARE = 0.5
"""Of what `excess` finds: what people play is neither the free music nor a collection without a label."""


@dataclass(frozen=True)
class Release:
    """What a checkpoint is made of, and how it is judged.

    Attributes
    ----------
    recipe : Recipe
        Must name a picture archive with two folds.
    data_root : Path
        Folder that the recipe's paths start from.
    work : Path
        Folder for the runs; what is finished there is not done again.
    output : Path
        Folder of the checkpoint.
    seeds : int
        How many seeds the two folds are trained with; the checkpoint is that of the first.
    peers : tuple of str
        Tempo estimators to ask as well.
    machine : Machine
        What to train on.
    progress : bool
        Whether to draw progress bars.
    """

    recipe: Recipe
    data_root: Path
    work: Path
    output: Path
    seeds: int = 1
    peers: tuple[str, ...] = ("librosa",)
    machine: Machine = ONE_PROCESS
    progress: bool = True


@dataclass(eq=False)
class FoldAnswers:
    """What the models of both folds said of the fold that they did not see."""

    judged: list[tuple[GenreTempoModel, list[Answer]]] = field(default_factory=list)
    pictures: list[Answer] = field(default_factory=list)
    recordings: list[Answer] = field(default_factory=list)
    lowered: list[np.ndarray] = field(default_factory=list)
    mixes: list[Answer] = field(default_factory=list)
    splices: list[Answer] = field(default_factory=list)


def release(plan: Release) -> dict[str, Any]:
    """Make the checkpoint that is shipped, with the numbers of models that did not see what they are tested on.

    Two models are trained on one fold each and asked about the other; a third is trained on both and gets its
    calibration and its numbers from the two. Of the corpus none of the three saw the packages set aside for tests.

    Returns
    -------
    dict
        By split, what `fluxbeat.training.evaluation.summary` says.
    """
    recipe = plan.recipe
    answers = _cross_validate(plan)
    report: dict[str, Any] = {"pictures": summarise(answers.pictures)}
    for fold, (_, said) in zip(FOLDS, answers.judged, strict=True):
        report[f"pictures, fold {3 - fold} -> {fold}"] = summarise(
            [answer for answer in said if answer.case.sound is None]
        )
    if plan.seeds > 1:
        others = [_pictures(plan, seed) for seed in range(recipe.seed + 1, recipe.seed + plan.seeds)]
        seeds = over_seeds([report["pictures"], *[summarise(said) for said in others]])
        report["pictures, over seeds"] = {"tracks": report["pictures"]["tracks"], "accuracy": seeds["accuracy"]}
    report["pictures"]["calibration"] = crossed_calibration(answers.judged)
    if answers.recordings:
        named = {Path(answer.case.track.file).stem for answer in answers.recordings}
        of_recordings = [answer for answer in answers.pictures if answer.case.track.file in named]
        report["recordings"] = summarise(answers.recordings)
        report["pictures of the recordings"] = summarise(of_recordings)
        report["gap"] = paired_gap(answers.recordings, of_recordings)
        report["mixes"] = summarise_mixes(answers.mixes)
        report["splices"] = summarise_borders(answers.splices)
    shipped = _model(plan, recipe, 0)
    model = shipped.network
    lowered = np.mean(answers.lowered, axis=0)
    lower(model, lowered)
    report["lowered"] = {label: float(by) for label, by in zip(recipe.labels, lowered, strict=True) if by > 0}
    free = _free_music(plan, shipped)
    if free:
        report["free music"] = summarise(free)
    calibrate(model, answers.judged, only_for_thresholds=[(model, free)] if free else [])
    if answers.recordings:
        report["explanations"] = _explanations(plan, answers, model)
    model.config = replace(model.config, metrics=flat_metrics(report, recipe.seed))
    with torch.no_grad():
        save_checkpoint(model, plan.output)
    write_card(model, report, recipe, plan.output)
    return report


def _cross_validate(plan: Release) -> FoldAnswers:
    recipe, answers = plan.recipe, FoldAnswers()
    stem, features = plan.data_root / recipe.data.gtzan_archive, recipe.features
    for fold in FOLDS:
        judge = _model(plan, recipe, fold)
        shown = list(picture_cases(stem, features, fold))
        too_likely = excess(judge.network, (case.track.log_mel for case in shown), archive_genres(stem))
        answers.lowered.append(LOWERED_SHARE * too_likely)
        lower(judge.network, answers.lowered[-1])
        pictures = ask(judge, shown)
        recordings: list[Answer] = []
        if recipe.data.gtzan_recordings:
            folder = plan.data_root / recipe.data.gtzan_recordings
            cases = archive_recording_cases(stem, folder, features, fold)
            recordings = ask(judge, ask_peers(cases, plan.peers))
        answers.pictures += pictures
        answers.recordings += recordings
        answers.judged.append((judge.network, [*pictures, *recordings]))
    if recipe.data.gtzan_recordings:
        _ask_made_music(plan, answers)
    return answers


def _ask_made_music(plan: Release, answers: FoldAnswers) -> None:
    """Mixes and splices of each fold's recordings, by the model that did not see them.

    Where a segment ends depends on the labels' thresholds: each model gets those that the other fold's answers give.
    """
    recipe = plan.recipe
    stem, folder = plan.data_root / recipe.data.gtzan_archive, plan.data_root / recipe.data.gtzan_recordings
    for fold, (network, _), other in zip(FOLDS, answers.judged, reversed(answers.judged), strict=True):
        judge, own = _as_candidate(network), network.config
        calibrate(network, [other])
        unseen = [found for found in archive_recordings(stem, folder) if found.fold == fold]
        answers.mixes += ask(judge, mix_cases(unseen, recipe.features, MIXES, fold, archive_genres(stem)))
        answers.splices += ask(judge, splice_cases(unseen, recipe.features, SPLICES, fold))
        # its answers on pictures are read with the calibration that they were given with
        network.config = own


def _pictures(plan: Release, seed: int) -> list[Answer]:
    """What the models of another seed say of the pictures that they did not see."""
    recipe = replace(plan.recipe, seed=seed)
    stem = plan.data_root / recipe.data.gtzan_archive
    return [
        answer
        for fold in FOLDS
        for answer in ask(_model(plan, recipe, fold), picture_cases(stem, recipe.features, fold))
    ]


def _explanations(plan: Release, answers: FoldAnswers, shipped: GenreTempoModel) -> dict[str, Any]:
    """How far maps may be trusted, on the recordings that each fold's model did not see; thresholds as shipped."""
    recipe, judged = plan.recipe, []
    stem, folder = plan.data_root / recipe.data.gtzan_archive, plan.data_root / recipe.data.gtzan_recordings
    for fold, (network, _) in zip(FOLDS, answers.judged, strict=True):
        network.config = replace(
            network.config, thresholds=shipped.config.thresholds, calibration=shipped.config.calibration
        )
        unseen = [found.path for found in archive_recordings(stem, folder) if found.fold == fold]
        judged.append((_as_candidate(network), unseen))
    return pooled_report(judged, seed=recipe.seed)


def _free_music(plan: Release, model: Any) -> list[Answer]:
    """What the shipped model says of the corpus's test packages, which no model saw."""
    if not plan.recipe.data.corpus:
        return []
    folder, features = plan.data_root / plan.recipe.data.corpus, plan.recipe.features
    cases = item_cases(corpus_items(folder, features), features, corpus_sounds(folder))
    return ask(model, ask_peers(cases, plan.peers))


def _model(plan: Release, recipe: Recipe, held_out_fold: int) -> ZooModel:
    """A trained model that nothing else in this process uses: it is changed here."""
    return _as_candidate(load_checkpoint(_trained(plan, recipe, held_out_fold))[0])


def _as_candidate(network: GenreTempoModel) -> ZooModel:
    return ZooModel(ModelInfo(network.config.family, "", ""), network)


def _trained(plan: Release, recipe: Recipe, held_out_fold: int) -> Path:
    place = plan.work if recipe.seed == plan.recipe.seed else plan.work / f"seed-{recipe.seed}"
    folder = place / (f"without-fold-{held_out_fold}" if held_out_fold else "all")
    if not is_finished(folder):
        train(recipe, plan.data_root, folder, held_out_fold, plan.work / "cache", plan.progress, plan.machine)
    return folder


def flat_metrics(report: Mapping[str, Any], seed: int) -> tuple[dict[str, Any], ...]:
    """The report as the flat list that config.json holds: measure, value, n, interval, split, seed, date.

    What could not be measured is left out.
    """
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    rows = []
    for name, split, entry in _entries(report):
        kept = measured(entry, "value", "n", "interval_95", "sd", "seeds")
        if "value" in kept and kept["n"]:
            rows.append({"measure": name, **kept, "split": split, "seed": seed, "date": today})
    return tuple(rows)


def _entries(report: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for name, values in report.items():
        free = name == "free music"
        split = "free music, packages apart" if free else GTZAN.format(name)
        if name == "gap":
            yield "pictures_minus_recordings", split, values
        measures: Sequence[str] = (
            "accuracy",
            "accuracy_all_labels",
            "top3",
            "both_in_top3",
            "f1",
            "precision",
            "recall",
        )
        for measure in (*measures, *(("macro_average_precision", "macro_roc_auc") if free else ())):
            if isinstance(values.get(measure), Mapping):
                yield measure, split, values[measure]
        if "calibration" in values:
            yield "ece", split, values["calibration"]["ece"]
        for who in [key for key in values if key == "tempo" or key.endswith("_tempo")]:
            for measure, entry in values[who].items():
                yield f"{who}_{measure}", split, entry
        if "musicnn" in values:
            yield "musicnn_macro_average_precision", split, values["musicnn"]["macro"]
            yield "macro_average_precision_beside_musicnn", split, values["musicnn"]["own_macro"]
