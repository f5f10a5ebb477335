"""The full training of `fluxbeat train --data --full`: the whole network learns a person's own genres.

A shipped model is the start: it has learned music, and only which genre is which is new to it. Artists set aside give
the checkpoint its accuracy and, where there are enough of them, its calibration.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fluxbeat.analysis.windows import slide
from fluxbeat.errors import FluxBeatError
from fluxbeat.features.fingerprint import Fingerprint
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.base import KINDS, GenreTempoModel, ModelConfig
from fluxbeat.models.checkpoint import load_checkpoint, save_checkpoint
from fluxbeat.models.fingerprint_file import write_fingerprints
from fluxbeat.models.label_calibration import LabelCalibration, LabelledWindows, fit_labels, fit_thresholds
from fluxbeat.models.quick_head import fold, with_labels
from fluxbeat.models.registry import load
from fluxbeat.training.card import CardFacts, table, write_card
from fluxbeat.training.data.extraction import CountReport
from fluxbeat.training.data.recordings import Recording
from fluxbeat.training.data.store import FeatureStore
from fluxbeat.training.evaluation.answers import ask
from fluxbeat.training.evaluation.catalogue import tracks
from fluxbeat.training.evaluation.rankings import Measure, among_first, label_average_precision, share_of
from fluxbeat.training.machine import ONE_PROCESS, Machine
from fluxbeat.training.own_stores import LEAST_HELD_OUT_PER_LABEL, labelled_store
from fluxbeat.training.quick import label_counts
from fluxbeat.training.recipe import DataConfig, Recipe
from fluxbeat.training.run import new_model, train
from fluxbeat.training.tasks.supervised import KIND_OUTPUT, TEMPO_OUTPUT

NOTHING, DEFAULT_FAMILY = "none", "cnn"
SPLIT_FILE, TRAINING_FOLDER = "split.txt", "training"
OWN_SPLIT = "own recordings, artists apart"
STEPS, STEPS_FROM_NOTHING = 300, 2000
LEAST_EPOCH_STEPS = 25
"""After each epoch the state is kept, which takes as long as a few steps."""
LEARNING_RATE, LEARNING_RATE_FROM_NOTHING = 5e-4, 2.5e-3


@dataclass(frozen=True)
class OwnTraining:
    """What was made of a user's data.

    Attributes
    ----------
    labels : tuple of str
        Its genres, in order.
    trained, held_out : dict from label to int
        Recordings learned from, and recordings of artists set aside.
    measures : tuple of Measure
        Of those set aside; empty where there are none.
    kept_apart : str
        What those set aside have nothing in common in with the others, as words after their number.
    calibrated : bool
        Whether probabilities and thresholds were fitted on those set aside.
    """

    labels: tuple[str, ...]
    trained: dict[str, int]
    held_out: dict[str, int]
    measures: tuple[Measure, ...]
    kept_apart: str
    calibrated: bool


@dataclass(frozen=True)
class OwnPlan:
    """What to train on, and how.

    Attributes
    ----------
    data : Path
        Folder or CSV that `fluxbeat.training.data.datasets.read_dataset` reads.
    output : Path
        Folder of the checkpoint. A run that was cut off goes on where it was.
    family : str
        'cnn', 'crnn' or 'vit'; empty: that of `start`, or the CNN.
    start : str
        A model as `fluxbeat.models.registry.load` names it; empty: the bundled one of the family; 'none': random
        weights.
    epochs : int
        An epoch draws about one window from every excerpt; 0: as many as make 300 steps (2,000 from nothing).
    seed : int
        Of everything random.
    cache : Path, optional
        Where features are kept; by default in the program's cache.
    machine : Machine
        What to compute on.
    """

    data: Path
    output: Path
    family: str = ""
    start: str = ""
    epochs: int = 0
    seed: int = 0
    cache: Path | None = None
    machine: Machine = ONE_PROCESS

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise FluxBeatError(f"epochs must be 1 or more, or 0 for as many as are needed, got {self.epochs}")


def train_own_data(
    plan: OwnPlan,
    report: CountReport | None = None,
    prints: Mapping[str, Fingerprint] | None = None,
    groups: Mapping[str, int] | None = None,
) -> OwnTraining:
    """Train the whole network on a user's data set.

    The split is that of `labelled_store`, with OUTPUT/split.txt, which a person may have left there. Where nothing is
    set aside everything is learned from, and thresholds and probabilities stay as they are.

    Parameters
    ----------
    plan : OwnPlan
    report, groups
        As in `labelled_store`.
    prints : mapping of str to Fingerprint, optional
        Of the beginnings of recordings by their names: those learned from go into the checkpoint.

    Raises
    ------
    FluxBeatError
        If the data holds fewer than two genres or fewer than two readable recordings of one, the split shares artists
        or recordings, or family and start do not fit each other.
    """
    start, network = _start(plan)
    features = network.config.features if network else FeatureConfig()
    split_file = plan.output / SPLIT_FILE
    store, recordings = labelled_store(plan.data, features, plan.cache, plan.seed, split_file, report, groups)
    recipe = _recipe(plan, network, tuple(sorted(label_counts(recordings))), len(store.rows("train")))
    model = _trained(recipe, store, network, plan)
    outcome = _evaluated(model, store, recordings, recipe, plan.output)
    learned = [one.name for one in recordings if one.split == "train"]
    write_fingerprints(plan.output, [prints[name] for name in learned if prints and name in prints])
    origin = f"It started from {start}. {recipe.epochs * recipe.epoch_steps} steps, seed {recipe.seed}."
    write_card(plan.output, model.config, _card_facts(plan.output, model, origin, outcome))
    return outcome


def single_network(name: str) -> GenreTempoModel:
    """The network of a model as `fluxbeat.models.registry.load` names it.

    Raises
    ------
    FluxBeatError
        If it is no single network.
    """
    network = load(name).network
    if not isinstance(network, GenreTempoModel):
        raise FluxBeatError(f"{name} is several networks together: name one of its members")
    return network


def _start(plan: OwnPlan) -> tuple[str, GenreTempoModel | None]:
    """Source and revision of the network to start from, and itself; None for random weights."""
    if plan.start == NOTHING:
        return "random weights", None
    name = plan.start or plan.family or DEFAULT_FAMILY
    network, info = single_network(name), load(name).info
    family = network.config.family
    if plan.family and family != plan.family:
        raise FluxBeatError(
            f"--model {plan.family} cannot start from {plan.start}, which is a {family}: name the same family"
        )
    return f"{info.source}, revision {info.revision}", network


def _recipe(plan: OwnPlan, start: GenreTempoModel | None, labels: tuple[str, ...], rows: int) -> Recipe:
    config = start.config if start else ModelConfig(plan.family or DEFAULT_FAMILY, labels, (0.5,) * len(labels))
    recipe = Recipe(
        family=config.family,
        labels=labels,
        data=DataConfig(stores=("own",)),
        features=config.features,
        tempo_grid=config.tempo_grid,
        architecture=config.architecture,
        window_s=config.window_s,
        learning_rate=LEARNING_RATE if start else LEARNING_RATE_FROM_NOTHING,
        genre_weight=1.0,
        teacher_weight=0.0,
        seed=plan.seed,
    )
    per_epoch = max(rows // recipe.batch_size, 1)
    if plan.epochs:
        epochs = plan.epochs
    else:
        per_epoch = max(per_epoch, LEAST_EPOCH_STEPS)
        epochs = math.ceil((STEPS if start else STEPS_FROM_NOTHING) / per_epoch)
    # the moving average forgets where it began well before the run ends
    ema_decay = min(recipe.ema_decay, 1 - 5 / (epochs * per_epoch + 5))
    return replace(recipe, epochs=epochs, epoch_steps=per_epoch, ema_decay=ema_decay)


def _trained(recipe: Recipe, store: FeatureStore, start: GenreTempoModel | None, plan: OwnPlan) -> GenreTempoModel:
    """A trained model. Where its start knows no tempo, it takes over the tempo head of the bundled one."""
    torch.manual_seed(recipe.seed)
    model = with_labels(start, recipe.labels) if start else new_model(recipe)
    teacher = start if start and start.config.tempo_taught else single_network(recipe.family)
    tempo_taught = teacher.config.tempo_taught and _fit_together(model, teacher)
    if tempo_taught:
        model.tempo_head.load_state_dict(teacher.tempo_head.state_dict())
        store.outputs = _outputs(teacher, store)
    folder = plan.output / TRAINING_FOLDER
    train(recipe, [store], folder, model, machine=plan.machine)
    model = load_checkpoint(folder)[0]
    kind_taught = tempo_taught and teacher is start and teacher.config.kind_taught
    model.config = replace(model.config, tempo_taught=tempo_taught, kind_taught=kind_taught)
    return model


def _fit_together(model: GenreTempoModel, other: GenreTempoModel) -> bool:
    """Whether a tempo head of one can take the place of the other's."""
    one, two = model.config, other.config
    same = (one.features, one.tempo_grid, one.window_s) == (two.features, two.tempo_grid, two.window_s)
    return same and model.embedding_size == other.embedding_size


def _outputs(teacher: GenreTempoModel, store: FeatureStore) -> dict[str, np.ndarray]:
    """What a model says of tempo and kind: without it, learning genres would let them drift away."""
    kind = np.zeros((len(store), len(KINDS)), np.float16)
    tempo = np.zeros((len(store), teacher.config.tempo_grid.bins), np.float16)
    rows = store.rows("train").tolist()
    for row, track in zip(rows, tracks(store, rows), strict=True):
        windows = slide(teacher, track.log_mel, teacher.config.window_s)
        kind[row] = windows.kind.mean(axis=0)
        tempo[row] = torch.softmax(torch.from_numpy(windows.tempo_logits), -1).mean(0).numpy()
    return {KIND_OUTPUT: kind, TEMPO_OUTPUT: tempo}


def _windows_of(model: GenreTempoModel, store: FeatureStore, split: str) -> tuple[LabelledWindows, list[str]]:
    """What a model says of the recordings of a split, and who their artists are."""
    rows = store.rows(split).tolist()
    excerpts = {store.excerpts[row].name: store.excerpts[row] for row in rows}
    answers = ask({"own": model}, tracks(store, rows), model.config.window_s / 2)["own"]
    place = {name: number for number, name in enumerate(excerpts)}
    recording = np.array([place[store.excerpts[row].name] for row in rows])
    truth = np.array([[label in (one.labels or ()) for label in model.config.labels] for one in excerpts.values()])
    windows = LabelledWindows(recording[answers.row], answers.genre_logits, answers.kind[:, 0], truth)
    return windows, [one.artist for one in excerpts.values()]


def _evaluated(
    model: GenreTempoModel,
    store: FeatureStore,
    recordings: Sequence[Recording],
    recipe: Recipe,
    output: Path,
) -> OwnTraining:
    """Measure on what was set aside, calibrate where there is enough of it, and write the checkpoint and its card."""
    model.eval()
    answers = [_windows_of(model, store, split) for split in ("dev", "test") if len(store.rows(split))]
    calibration = LabelCalibration(np.ones(len(recipe.labels)), np.zeros(len(recipe.labels)))
    calibrated, measures = False, tuple[Measure, ...]()
    if answers:
        windows = answers[0][0]
        calibrated = bool((windows.truth.sum(0) >= LEAST_HELD_OUT_PER_LABEL).all())
        if calibrated:
            calibration = fit_labels(windows)
            fold(model, calibration)
            thresholds = fit_thresholds(windows.probability(calibration), windows.truth)
            model.config = replace(model.config, thresholds=thresholds)
        measures = _measures(*answers[-1], calibration, model.config.labels, output.resolve().name)
        model.config = replace(model.config, metrics=_metrics(measures, recipe.seed))
    save_checkpoint(model, output)
    trained, held_out = label_counts(recordings, "train"), label_counts(recordings, "dev", "test")
    artists_known = all(recording.artist not in ("", recording.name) for recording in recordings)
    kept_apart = (
        "by other artists" if artists_known else "others (artists not known: copies of one recording were kept apart)"
    )
    return OwnTraining(recipe.labels, dict(trained), dict(held_out), measures, kept_apart, calibrated)


def _measures(
    windows: LabelledWindows, artists: list[str], calibration: LabelCalibration, labels: Sequence[str], name: str
) -> tuple[Measure, ...]:
    probability, truth = windows.probability(calibration), windows.truth
    first = [
        share_of(measure, name, OWN_SPLIT, among_first(probability, truth, count), artists)
        for measure, count in (("accuracy", 1), ("top3", 3))
    ]
    columns = zip(labels, probability.T, truth.T, strict=True)
    each = [label_average_precision(name, label, scores, true, artists) for label, scores, true in columns]
    return (*first, *each)


def _metrics(measures: Sequence[Measure], seed: int) -> tuple[dict[str, Any], ...]:
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    named = ("measure", "split", "value", "n", "interval_95")
    rows = [measure.to_dict() for measure in measures if measure.split == OWN_SPLIT]
    return tuple({**{name: row[name] for name in named}, "seed": seed, "date": date} for row in rows)


def _card_facts(folder: Path, model: GenreTempoModel, origin: str, made: OwnTraining) -> CardFacts:
    counts = table(
        ["genre", "recordings learned from", "set aside, other artists"],
        [[label, str(made.trained.get(label, 0)), str(made.held_out.get(label, 0))] for label in made.labels],
    )
    split = f"Which recording was used for what stands in {SPLIT_FILE}."
    notes = [
        "Probabilities and thresholds were fitted on recordings set aside; where the data have no split of their own "
        "named test, on those very recordings that the numbers are of."
        if made.calibrated
        else "Too few recordings were set aside to calibrate: a genre needs about 20, by at least five artists. "
        "Probabilities are as they come, every threshold is the plain default."
    ]
    return CardFacts(
        title=folder.resolve().name,
        parameters=model.n_parameters,
        data=f"{counts}\n\nRecordings that are there twice count once. {origin} {split}",
        measures=made.measures,
        notes=notes,
        weak=("Music unlike that it was trained on: a handful of artists is not a genre.",),
    )
