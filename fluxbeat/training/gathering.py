"""All the music that a recipe names, as items, kept so that the next run starts at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from fluxbeat.audio import load_audio
from fluxbeat.features import FeatureConfig
from fluxbeat.training.corpus import read_corpus
from fluxbeat.training.corpus.label_map import read_label_map
from fluxbeat.training.corpus.teacher import Teacher, load_teacher
from fluxbeat.training.data_state import data_state
from fluxbeat.training.items import RECORDING, Item
from fluxbeat.training.picture_simulation import RATE_HZ
from fluxbeat.training.pictures import alignment, archive_recordings, read_archive
from fluxbeat.training.recipe import DataConfig, Recipe
from fluxbeat.training.recordings import read_table, recording_items
from fluxbeat.training.synthetic import synthetic_items
from fluxbeat.training.teacher_labels import soft_labels, usual_probabilities
from fluxbeat.training.unlabelled import hear, unlabelled_excerpts
from fluxbeat.training.whole_file import whole_file

SYNTHETIC_S = 20.0
ARRAYS = ("log_mel", "picture", "teacher", "teacher_start_s")


def read_items(data: DataConfig, features: FeatureConfig, root: Path, seed: int) -> Iterator[Item]:
    """All items that a recipe names, one by one."""
    teacher = load_teacher(root / data.teacher) if data.teacher else None
    if data.gtzan_archive:
        yield from _gtzan_items(data, features, root, teacher)
    if data.recordings:
        yield from recording_items(read_table(root / data.recordings), features)
    if data.corpus:
        yield from read_corpus(root / data.corpus, features)
    if data.unlabelled:
        yield from unlabelled_excerpts(root / data.unlabelled, features, teacher)
    yield from synthetic_items(data.synthetic, SYNTHETIC_S, features, seed)


def _gtzan_items(data: DataConfig, features: FeatureConfig, root: Path, teacher: Teacher | None) -> Iterator[Item]:
    """Pictures and recordings: they speak about GTZAN's genres, and about further labels where the label map does."""
    stem = root / data.gtzan_archive
    recordings = root / data.gtzan_recordings if data.gtzan_recordings else None
    paths = {found.path.stem: found.path for found in archive_recordings(stem, recordings)} if recordings else {}
    items = list(read_archive(stem, features, recordings))
    genres = {label for item in items for label in item.labels or ()}
    for item in items:
        said = read_label_map().genres(word.replace("hiphop", "hip hop") for word in item.labels or ())
        known = tuple(sorted(genres | set(said.known))) if said else None
        answers = None
        if teacher and item.source == RECORDING:
            answers = hear(teacher, load_audio(paths[item.item_id], sample_rate_hz=RATE_HZ).samples)
        yield replace(item, known=known, teacher=answers)


def with_soft_labels(items: Sequence[Item]) -> list[Item]:
    """The items, with the labels that the teacher hears in them."""
    usual = usual_probabilities(items)
    return [item if item.teacher is None else replace(item, soft=soft_labels(item.teacher, usual)) for item in items]


def items_file(recipe: Recipe, root: Path, cache: Path) -> Path:
    """Where a recipe's items are kept: another name for other or changed data, other features or alignment."""
    aligned = [values.tolist() for values in alignment(recipe.features)]
    decided_by = [asdict(recipe.data), data_state(recipe.data, root), recipe.features.to_dict(), SYNTHETIC_S, aligned]
    key = json.dumps(decided_by, sort_keys=True)
    return cache / f"items-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"


def cached_items(recipe: Recipe, root: Path, cache: Path) -> list[Item]:
    """The recipe's items, with their spectrograms kept in `cache` as float16."""
    path = items_file(recipe, root, cache)
    if not path.is_file():
        _keep(list(read_items(recipe.data, recipe.features, root, seed=0)), path)
    with np.load(path) as arrays:
        facts = json.loads(str(arrays["facts"]))
        items = []
        for row, fact in enumerate(facts):
            tuples = {name: tuple(fact[name]) if fact[name] is not None else None for name in ("labels", "known")}
            found = {name: arrays[f"{name}/{row}"] for name in ARRAYS if f"{name}/{row}" in arrays.files}
            items.append(Item(**{**fact, **tuples, **found}))
    return with_soft_labels(items)


def _keep(items: Sequence[Item], path: Path) -> None:
    facts = [{name: value for name, value in vars(item).items() if name not in ARRAYS} for item in items]
    arrays = {
        f"{name}/{row}": np.asarray(getattr(item, name), np.float16)
        for row, item in enumerate(items)
        for name in ARRAYS
        if getattr(item, name) is not None
    }
    with whole_file(path) as partial, open(partial, "wb") as handle:
        np.savez(handle, facts=np.array(json.dumps(facts)), **arrays)  # type: ignore[arg-type]
