"""A checkpoint of one's own genres: from a folder of music to what `fluxbeat analyze --model` takes.

The shipped model of the family is the start: it has heard music, and only which genre is which is new to it. Artists
set aside give the checkpoint its accuracy and, where there are enough of them, its calibration.
"""

from __future__ import annotations

import datetime
import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np

from fluxbeat.analysis import DEFAULT_MODEL, analyze_track
from fluxbeat.errors import FluxBeatError
from fluxbeat.models import GenreTempoModel, build_model, load_checkpoint, save_checkpoint
from fluxbeat.training.artist_split import apply_split, artist_of, split_by_artist, write_split
from fluxbeat.training.calibration import calibrate, fit_tempo_threshold
from fluxbeat.training.datasets import read_dataset
from fluxbeat.training.evaluate import Answer, ask, item_cases, summarise, track_of
from fluxbeat.training.items import Item
from fluxbeat.training.machine import Machine
from fluxbeat.training.own_card import write_own_card
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.recordings import Recording, readable_items
from fluxbeat.training.run import fit
from fluxbeat.training.split_check import check_split, without_repeats
from fluxbeat.training.supervised import SupervisedTask
from fluxbeat.training.synthetic import synthetic_items
from fluxbeat.zoo import ModelInfo, ZooModel, load

NOTHING = "none"
HELD_OUT_SHARE = 0.2
LEAST_PER_LABEL = 2
LEAST_HELD_OUT_PER_LABEL = 4
LEAST_S, MOST_S = 2.0, 120.0
SPLIT_FILE, TRAINING_FOLDER = "split.txt", "training"
STEPS, STEPS_FROM_NOTHING = 300, 1500
LEARNING_RATE, LEARNING_RATE_FROM_NOTHING = 5e-4, 2.5e-3
DRAWN_RHYTHMS, DRAWN_S = 150, 20.0
"""Rhythms that teach tempo where there is no start that knows it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnTraining:
    """What was made of a user's data.

    Attributes
    ----------
    folder : Path
        The checkpoint, with its card README.md and the split in split.txt.
    labels : tuple of str
        Its genres, in order.
    start : str
        Source and revision of the checkpoint it started from, or 'none'.
    trained, held_out : dict from label to int
        Recordings learned from, and recordings of artists set aside.
    report : dict
        What `fluxbeat.training.evaluate.summarise` says of those set aside; empty where there are none.
    calibrated : bool
        Whether probabilities and thresholds were fitted on those set aside.
    recipe : Recipe
        How it was trained.
    """

    folder: Path
    labels: tuple[str, ...]
    start: str
    trained: dict[str, int]
    held_out: dict[str, int]
    report: dict[str, Any]
    calibrated: bool
    recipe: Recipe


def train_own_data(
    data: str | Path,
    output: Path,
    family: str = "",
    start: str = "",
    epochs: int = 0,
    seed: int = 0,
    progress: bool = True,
    machine: Machine | None = None,
) -> OwnTraining:
    """Train a checkpoint on a data set that `fluxbeat.training.datasets.read_dataset` reads.

    The split is the data set's own, or that of OUTPUT/split.txt where a person has left one there, or one by artist.
    Where fewer than 4 recordings of some genre could be set aside, none are: everything is learned from, and
    thresholds and probabilities stay as they are. Recordings that are there twice count once.

    Parameters
    ----------
    data : path
        Folder or CSV.
    output : Path
        Folder of the checkpoint. A run that was cut off goes on where it was.
    family : str
        'cnn', 'crnn' or 'vit'; empty: that of `start`, or the program's default model.
    start : str
        A model as `fluxbeat.zoo.load` names it; empty: the bundled one of the family; 'none': random weights.
    epochs : int
        An epoch draws one window from every recording; 0: as many as make 300 steps (1,500 from nothing).
    seed : int
        Of everything random.
    progress : bool
        Whether to draw a progress bar.
    machine : Machine, optional
        What to compute on.

    Raises
    ------
    FluxBeatError
        If the data holds fewer than two genres or fewer than two readable recordings of one, the split shares artists,
        or family and start do not fit each other.
    """
    if epochs < 0:
        raise FluxBeatError(f"epochs must be 1 or more, or 0 for as many as are needed, got {epochs}")
    begin = _start_model(family, start)
    recordings = _divided(_labelled(data), output, seed)
    template = begin.network.config if begin else None
    knows_tempo = _knows_tempo(begin)
    recipe = Recipe(
        family=template.family if template else family or DEFAULT_MODEL,
        labels=tuple(sorted({label for recording in recordings for label in recording.labels or ()})),
        learning_rate=LEARNING_RATE if begin else LEARNING_RATE_FROM_NOTHING,
        freeze_norm=knows_tempo,  # a head that is to be taught needs them
        seed=seed,
    )
    if template:
        recipe = replace(
            recipe,
            features=template.features,
            tempo_grid=template.tempo_grid,
            window_s=template.window_s,
            architecture=template.architecture,
        )
    learned, unheard = _items(recordings, recipe, begin)
    batches = max(len(learned) // recipe.batch_size, 1)
    recipe = replace(recipe, epochs=epochs or math.ceil((STEPS if begin else STEPS_FROM_NOTHING) / batches))
    # the moving average forgets where it began well before the run ends
    recipe = replace(recipe, ema_decay=min(recipe.ema_decay, 1 - 5 / (recipe.epochs * batches + 5)))
    model = _trained(recipe, learned, begin, output / TRAINING_FOLDER, progress, machine or Machine())
    outcome = _judged(model, unheard, _counts(learned), begin, recipe, output)
    write_own_card(model, outcome)
    return outcome


def _knows_tempo(begin: ZooModel | None) -> bool:
    return begin is not None and begin.network.config.tempo_taught


def _start_model(family: str, start: str) -> ZooModel | None:
    if start == NOTHING:
        return None
    begin = load(start or family or DEFAULT_MODEL)
    found = begin.network.config.family
    if family and found != family:
        raise FluxBeatError(f"--model {family} cannot start from {start}, which is a {found}: name the same family")
    return begin


def _labelled(data: str | Path) -> list[Recording]:
    """The recordings whose genre is known, each once."""
    recordings = [recording for recording in read_dataset(data) if recording.labels]
    if not any(recording.split for recording in recordings):
        recordings = without_repeats(recordings)
    _check_counts(data, Counter(label for recording in recordings for label in recording.labels or ()))
    return recordings


def _check_counts(data: str | Path, counts: Counter[str]) -> None:
    if len(counts) < 2:
        found = f"only {next(iter(counts))!r}" if counts else "none"
        raise FluxBeatError(f"{data}: at least two genres are needed to tell apart, found {found}")
    rare, count = min(counts.items(), key=lambda entry: entry[1])
    if count < LEAST_PER_LABEL:
        raise FluxBeatError(
            f"{data}: {rare!r} has {count} recording, every genre needs at least {LEAST_PER_LABEL}: "
            "add music to it or take it out"
        )


def _divided(recordings: list[Recording], output: Path, seed: int) -> list[Recording]:
    """The recordings with their splits, which are also written to OUTPUT/split.txt."""
    path = output / SPLIT_FILE
    if path.is_file():
        recordings = apply_split(recordings, path)
    elif not any(recording.split for recording in recordings):
        train, test = split_by_artist(recordings, HELD_OUT_SHARE, seed)
        labels = {label for recording in recordings for label in recording.labels or ()}
        held_out = Counter(label for recording in test for label in recording.labels or ())
        if min(held_out[label] for label in labels) < LEAST_HELD_OUT_PER_LABEL:
            train, test = [replace(recording, split="train") for recording in recordings], []
        recordings = train + test
    recordings = [replace(recording, split=recording.split or "train") for recording in recordings]
    check_split(recordings, audio=False)
    output.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        write_split(recordings, path)
    return recordings


def _items(
    recordings: list[Recording], recipe: Recipe, begin: ZooModel | None
) -> tuple[list[Item], dict[str, list[Item]]]:
    """What is learned from, and what was set aside by its split.

    Tempi that nobody gives are what `begin` hears; where it does not know tempo, drawn rhythms teach it.
    """
    learned: list[Item] = []
    unheard: dict[str, list[Item]] = {}
    for recording, item in readable_items(recordings, recipe.features, LEAST_S, MOST_S):
        item = replace(item, artist=artist_of(recording))
        if recording.split in ("validation", "test"):
            unheard.setdefault(recording.split, []).append(item)
            continue
        if begin and begin.network.config.tempo_taught and item.tempo_bpm is None:
            # without it, learning genres would let the tempo drift away
            heard = analyze_track(track_of(item, recipe.features), begin)
            item = replace(item, tempo_bpm=heard.tempo.bpm)
        learned.append(replace(item, log_mel=item.log_mel.astype(np.float16)))
    _check_counts("what can be read and is learned from", _counts(learned, recipe.labels))
    if not _knows_tempo(begin):
        learned += synthetic_items(DRAWN_RHYTHMS, DRAWN_S, recipe.features, recipe.seed)
    return learned, unheard


def _counts(items: Sequence[Item], labels: Sequence[str] = ()) -> Counter[str]:
    counts = Counter(dict.fromkeys(labels, 0))
    counts.update(label for item in items for label in item.labels or ())
    return counts


def with_labels(model: GenreTempoModel, labels: tuple[str, ...]) -> GenreTempoModel:
    """A model that has all weights of another but for its genre head, which is new, for other labels."""
    config = replace(model.config, labels=labels, thresholds=(0.5,) * len(labels), metrics=())
    fresh = build_model(replace(config, calibration=type(config.calibration)()))
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith("genre_head.")}
    fresh.load_state_dict({**fresh.state_dict(), **kept})
    return fresh


def _trained(
    recipe: Recipe, learned: list[Item], begin: ZooModel | None, folder: Path, progress: bool, machine: Machine
) -> GenreTempoModel:
    lightning.seed_everything(recipe.seed, verbose=False)
    task = SupervisedTask(recipe, with_labels(begin.network, recipe.labels) if begin else None)
    fit(task, learned, folder, progress, machine)
    model = load_checkpoint(folder)[0]
    model.config = replace(model.config, tempo_taught=True)
    return model


def _judged(
    model: GenreTempoModel,
    unheard: dict[str, list[Item]],
    trained: Counter[str],
    begin: ZooModel | None,
    recipe: Recipe,
    output: Path,
) -> OwnTraining:
    """Ask about what was set aside, calibrate where there is enough of it, and write the checkpoint."""
    judge = ZooModel(ModelInfo(output.name, str(output), ""), model)
    answers = {split: ask(judge, item_cases(items, recipe.features)) for split, items in unheard.items()}
    fitted_on = answers.get("validation") or answers.get("test") or []
    held_out = _counts([item for items in unheard.values() for item in items])
    calibrated = _enough(fitted_on, recipe.labels)
    if calibrated:
        calibrate(model, [(model, fitted_on)])
    elif not _knows_tempo(begin):
        model.config = replace(model.config, tempo_threshold=fit_tempo_threshold(model))
    tested_on = answers.get("test") or answers.get("validation") or []
    report = summarise(tested_on) if tested_on else {}
    model.config = replace(model.config, metrics=_metrics(report, recipe.seed))
    save_checkpoint(model, output)
    start = f"{begin.info.source}, revision {begin.info.revision}" if begin else NOTHING
    return OwnTraining(output, recipe.labels, start, dict(trained), dict(held_out), report, calibrated, recipe)


def _enough(answers: list[Answer], labels: Sequence[str]) -> bool:
    found = Counter(label for answer in answers for label in answer.case.labels or ())
    return all(found[label] >= LEAST_HELD_OUT_PER_LABEL for label in labels)


def _metrics(report: dict[str, Any], seed: int) -> tuple[dict[str, Any], ...]:
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    split = {"split": "own recordings of unheard artists", "seed": seed, "date": today}
    return tuple({"measure": name, **report[name], **split} for name in ("accuracy", "top3") if name in report)
