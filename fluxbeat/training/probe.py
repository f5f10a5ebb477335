"""What pretraining is worth: a checkpoint probed with few labels, beside random weights and a plain control.

The probe is a linear classifier on the frozen embedding, as in Chen et al. (ICML 2020), with a share of the labels of
`train`, tested on other artists. The control is a support vector machine on the means and deviations of cepstral
coefficients (Tzanetakis & Cook, IEEE TSAP 2002; Mandel & Ellis, ISMIR 2005), which any pretraining must beat to be
worth its while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.fft import dct
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch.optim.swa_utils import update_bn

from fluxbeat.errors import ConfigMismatchError, FluxBeatError
from fluxbeat.models.base import GenreTempoModel
from fluxbeat.models.checkpoint import build_model
from fluxbeat.training.data.store import FeatureStore
from fluxbeat.training.data.windows import AugmentConfig, WindowBatches
from fluxbeat.training.evaluation.answers import ask
from fluxbeat.training.evaluation.catalogue import tracks

CEPSTRA = 20
SHARES = (0.01, 0.1, 1.0)
SETTLING_BATCHES, BATCH_WINDOWS = 10, 32
CONTROL = "MFCC"


@dataclass(frozen=True)
class Score:
    """How well one probe names genres.

    Attributes
    ----------
    start : str
        Name of the checkpoint, 'random FAMILY', or 'MFCC'.
    probe : str
        'linear' or 'SVM'.
    share : float
        Share of the labels that was asked for.
    labelled : int
        Excerpts that show their label: never fewer than there are genres.
    tested : int
        Excerpts tested on.
    accuracy : tuple of float
        Share of them that is named right, 0..1, one for each seed.
    """

    start: str
    probe: str
    share: float
    labelled: int
    tested: int
    accuracy: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean accuracy over the seeds."""
        return float(np.mean(self.accuracy))

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds (of a sample); 0 for a single seed."""
        return float(np.std(self.accuracy, ddof=1)) if len(self.accuracy) > 1 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """All values, with mean and spread."""
        return {**asdict(self), "mean": round(self.mean, 4), "spread": round(self.spread, 4)}


def draw_labels(labels: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Which excerpts may show their label.

    Parameters
    ----------
    labels : sequence of str
        One for each excerpt.
    share : float
        0..1, of the excerpts.
    seed : int
        With the same seed, a smaller share is part of a larger one.

    Returns
    -------
    int64 array, shape (excerpts,), rising
        One excerpt of each genre at the least: `share` is exceeded where it is too small for that.

    Raises
    ------
    FluxBeatError
        If `share` is not within 0..1.
    """
    if not 0 < share <= 1:
        raise FluxBeatError(f"a share of the labels must be above 0 and at most 1, got {share}")
    order = np.random.default_rng(seed).permutation(len(labels))
    shown = np.asarray(labels)[order]
    first = np.sort(np.unique(shown, return_index=True)[1])
    order = np.concatenate([order[first], np.delete(order, first)])
    return np.sort(order[: max(len(first), round(share * len(labels)))])


def cepstra(log_mel: np.ndarray) -> np.ndarray:
    """Means and deviations over an excerpt of its cepstral coefficients: (mels, frames) -> float64 (2 * CEPSTRA,)."""
    found = dct(log_mel.astype(np.float64), axis=0, norm="ortho")[:CEPSTRA]
    return np.concatenate([found.mean(axis=1), found.std(axis=1)])


def probe(
    models: Mapping[str, GenreTempoModel],
    store: FeatureStore,
    split: str = "dev",
    seeds: int = 3,
    shares: Sequence[float] = SHARES,
    report: Callable[[str], None] = lambda doing: None,
) -> list[Score]:
    """Probe models with few labels, beside the same models with random weights and beside the control.

    The spread over seeds is that of the drawn labels, and of random weights; how much pretraining would differ if it
    were done again is not in it.

    Parameters
    ----------
    models : mapping of str to GenreTempoModel
        By the name they are reported under. None may have seen the rows tested on, which cannot be checked here.
    store : FeatureStore
        With the models' features.
    split : str
        Whose rows are tested on.
    seeds : int
        How often labels are drawn.
    shares : sequence of float
        Shares of the labels, above 0 and at most 1.
    report : callable, optional
        Called with what is about to be done.

    Returns
    -------
    list of Score
        The control, then each model after its family with random weights.

    Raises
    ------
    FluxBeatError
        If there is no seed, a share is not within 0..1, a model has other features, or genres are missing.
    """
    if seeds < 1:
        raise FluxBeatError(f"at least one seed is needed, got {seeds}")
    for name, model in models.items():
        if model.config.features != store.features:
            raise ConfigMismatchError(f"{name} takes other features than {store.folder} holds: make the store anew")
    known, asked = (_single_labels(store, part) for part in ("train", split))
    genres = set(known.values()) & set(asked.values())
    if len(genres) < 2:
        raise FluxBeatError(f"{store.folder}: 'train' and {split!r} must share at least two genres to probe with")
    known, asked = ({row: label for row, label in part.items() if label in genres} for part in (known, asked))
    rows, labels, truth = [*known, *asked], np.array(list(known.values())), np.array(list(asked.values()))
    scores: list[Score] = []

    def score(start: str, kind: str, classifier: Callable[[], Any], vectors: Sequence[np.ndarray]) -> None:
        for share in shares:
            drawn = [draw_labels(labels.tolist(), share, seed) for seed in range(seeds)]
            accuracy = tuple(
                _accuracy(classifier(), of_seed, labels, shown, truth)
                for of_seed, shown in zip(vectors, drawn, strict=True)
            )
            scores.append(Score(start, kind, share, len(drawn[0]), len(truth), accuracy))

    report(f"{CONTROL}, SVM")
    score(CONTROL, "SVM", SVC, [np.stack([cepstra(track.log_mel) for track in tracks(store, rows)])] * seeds)
    linear = partial(LogisticRegression, max_iter=2000)
    for name, model in {f"random {model.config.family}": model for model in models.values()}.items():
        report(f"{name}, linear")
        score(name, "linear", linear, [_embedding(_random(model, store, seed), store, rows) for seed in range(seeds)])
    for name, model in models.items():
        report(f"{name}, linear")
        score(name, "linear", linear, [_embedding(model.eval(), store, rows)] * seeds)
    return scores


def _single_labels(store: FeatureStore, split: str) -> dict[int, str]:
    """The label of each row of music that has exactly one."""
    labels = {int(row): list(store.excerpts[row].labels or ()) for row in store.rows(split)}
    return {row: names[0] for row, names in labels.items() if len(names) == 1}


def _embedding(model: GenreTempoModel, store: FeatureStore, rows: Sequence[int]) -> np.ndarray:
    """Mean embedding of each row's windows, which overlap by half: (rows, d)."""
    answers = ask({"probed": model}, tracks(store, rows), model.config.window_s / 2)["probed"]
    return answers.whole(answers.embedding)


def _accuracy(classifier: Any, vectors: np.ndarray, labels: np.ndarray, shown: np.ndarray, truth: np.ndarray) -> float:
    """Of the last vectors, whose labels are `truth`; all of the first decide the scale, those `shown` are learned."""
    known, asked = np.split(vectors, [len(labels)])
    scale = StandardScaler().fit(known)
    classifier.fit(scale.transform(known[shown]), labels[shown])
    return float(classifier.score(scale.transform(asked), truth))


def _random(model: GenreTempoModel, store: FeatureStore, seed: int) -> GenreTempoModel:
    """A model of the same shape with random weights, whose batch norms have the statistics of the training rows."""
    config, off = model.config, AugmentConfig(0.0, 0.0, 0.0, 0.0, 0, 0)
    batches = WindowBatches([store], config.labels, config.tempo_grid, config.window_frames, BATCH_WINDOWS, off, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_model(config)
        update_bn((batches[number]["log_mel"] for number in range(SETTLING_BATCHES)), network)
    return network.eval()
