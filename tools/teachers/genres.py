"""Genres by teachers: from their classes by a map that people can read, and from labels fitted on their outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.store import Excerpt, label_shares

GENRE_MAP = Path(__file__).with_name("genre_map.yaml")
LEAST_PROBABILITY = 1e-4
STRENGTH, FOLDS = 0.01, 5
"""Of the regularisation (inverse, chosen on `dev`), and how many models each leave a part of the artists out."""

GenreMap = Mapping[str, Mapping[str, Sequence[str]]]
"""Teacher to genre to classes."""


@lru_cache(maxsize=2)
def read_genre_map(path: Path = GENRE_MAP) -> GenreMap:
    """Which classes of each teacher speak of each genre.

    Raises
    ------
    FluxBeatError
        If a genre has no classes or a class is named for two genres.
    """
    found: GenreMap = yaml.safe_load(path.read_text(encoding="utf-8"))
    for teacher, genres in found.items():
        named: dict[str, str] = {}
        for genre, classes in genres.items():
            if not classes:
                raise FluxBeatError(f"{path.name}: {genre} has no class of {teacher}: name one, or take it out")
            for name in classes:
                if name in named:
                    raise FluxBeatError(f"{path.name}: {teacher}'s {name} speaks of {named[name]} and of {genre}")
                named[name] = genre
    return found


def genre_shares(
    probability: np.ndarray, names: Sequence[str], labels: Sequence[str], genres: Mapping[str, Sequence[str]]
) -> np.ndarray:
    """A teacher's class probabilities as shares of genres: the likeliest class of each, scaled to sum 1.

    Parameters
    ----------
    probability : float array, shape (rows, classes)
    names : sequence of str
        Of the classes.
    labels : sequence of str
        Genres, in the order of the result; those that the teacher does not know get 0.
    genres : mapping of str to sequence of str
        One teacher's part of `read_genre_map`.

    Returns
    -------
    float64 array, shape (rows, labels)

    Raises
    ------
    FluxBeatError
        If the map names a class that the teacher does not have.
    """
    place = {name: number for number, name in enumerate(names)}
    unknown = sorted({name for classes in genres.values() for name in classes} - set(place))
    if unknown:
        raise FluxBeatError(f"the genre map names {unknown[0]!r}, which is no class of this teacher")
    shares = np.zeros((len(probability), len(labels)))
    for column, label in enumerate(labels):
        classes = [place[name] for name in genres.get(label, ())]
        if classes:
            shares[:, column] = probability[:, classes].max(axis=1)
    return shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-6)


class LabelsOnTeachers:
    """What people's labels say about teachers' outputs: logistic regression, whose rows never judge their own artist.

    Parameters
    ----------
    outputs : mapping of str to float array
        'audioset' (rows, windows, classes), 'msd' (rows, classes) and 'embedding' (rows, windows, size) of all rows.
    excerpts : sequence of Excerpt
        One per row; `train` rows with a label are learned from.
    labels : sequence of str
        Genres, in the order of the results.

    Raises
    ------
    FluxBeatError
        If fewer than `FOLDS` artists have a label.
    """

    def __init__(self, outputs: Mapping[str, np.ndarray], excerpts: Sequence[Excerpt], labels: Sequence[str]):
        self.labels = tuple(labels)
        train = np.array([excerpt.split == "train" for excerpt in excerpts])
        found = teacher_features(outputs)
        self.mean, self.scale = found[train].mean(axis=0), found[train].std(axis=0) + 1e-3
        shares, _ = label_shares(excerpts, labels)
        artists = np.array([excerpt.artist for excerpt in excerpts])
        rows = np.flatnonzero(train & shares.any(axis=1))
        if len(set(artists[rows])) < FOLDS:
            raise FluxBeatError(f"labels on teachers need labelled music of at least {FOLDS} artists")
        scaled = (found - self.mean) / self.scale
        self.fold_of = dict[str, int]()
        self.models = []
        for fold, (kept, left_out) in enumerate(GroupKFold(FOLDS).split(rows, groups=artists[rows])):
            self.fold_of.update(dict.fromkeys(artists[rows[left_out]].tolist(), fold))
            self.models.append(_fitted(scaled[rows[kept]], shares[rows[kept]]))
        self.models.append(_fitted(scaled[rows], shares[rows]))

    def __call__(self, outputs: Mapping[str, np.ndarray], artists: Sequence[str]) -> np.ndarray:
        """Probability of each genre, float64 (rows, labels), summing to 1; rows as in `outputs`, their artists."""
        scaled = (teacher_features(outputs) - self.mean) / self.scale
        found = np.zeros((len(scaled), len(self.labels)))
        for row, artist in enumerate(artists):
            model = self.models[self.fold_of.get(artist, FOLDS)]
            found[row, model.classes_] = model.predict_proba(scaled[row : row + 1])[0]
        return found


def teacher_features(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Log odds of both teachers' classes and mn04's embedding, each the mean over an excerpt: float32 (rows, size)."""
    audioset = outputs["audioset"].astype(np.float32).mean(axis=1)
    embedding = outputs["embedding"].astype(np.float32).mean(axis=1)
    return np.concatenate([_log_odds(audioset), _log_odds(outputs["msd"].astype(np.float32)), embedding], axis=1)


def _log_odds(probability: np.ndarray) -> np.ndarray:
    bounded = probability.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    odds: np.ndarray = np.log(bounded / (1 - bounded))
    return odds


def _fitted(features: np.ndarray, shares: np.ndarray) -> LogisticRegression:
    """Rows of several labels count once for each, by its share; rare labels count more, up to three times."""
    rows, columns = np.nonzero(shares)
    per_label = np.bincount(columns, minlength=shares.shape[1])
    rarity = np.clip((np.median(per_label) / np.maximum(per_label, 1)) ** 0.5, 0.5, 3.0)
    weight = shares[rows, columns] * rarity[columns]
    return LogisticRegression(C=STRENGTH, max_iter=300).fit(features[rows], columns, sample_weight=weight)
