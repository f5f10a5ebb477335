"""A new genre head on a network that stays as it is: linear, and taught within a second.

One logistic regression for each genre, on the embedding that the network's own heads see; genres do not exclude each
other. Of a handful of songs a whole network would only learn by heart (Alain & Bengio, "Understanding intermediate
layers using linear classifier probes", ICLR workshop 2017, is the same on frozen layers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from fluxbeat.models.base import GenreTempoModel
from fluxbeat.models.checkpoint import build_model
from fluxbeat.models.label_calibration import LabelCalibration, mean_of_rows

STRENGTH = 0.001
"""Of the regression, C. Right of about 27 new songs by new artists, 16 draws of 5 genres x 10 songs of the maintainers'
`dev`: the CRNN's embedding 0.692, 0.697, 0.683, 0.684 and 0.661 with 0.0003, 0.001, 0.003, 0.01 and 0.1."""
FOLDS = 20
"""Up to so many groups each is left out alone; of more groups several together."""


@dataclass(frozen=True, eq=False)
class Head:
    """Weights of a genre head: logits = embedding @ weight.T + bias.

    Attributes
    ----------
    weight : float64 array, shape (labels, d)
    bias : float64 array, shape (labels,)
    """

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, embedding: np.ndarray) -> np.ndarray:
        """(windows, d) -> (windows, labels)."""
        return np.asarray(embedding @ self.weight.T + self.bias)


def fit_head(embedding: np.ndarray, row: np.ndarray, truth: np.ndarray) -> Head:
    """The head that tells these songs' genres best.

    Parameters
    ----------
    embedding : float array, shape (windows, d)
    row : int array, shape (windows,)
        Song of each window; every song counts alike, whatever its length.
    truth : bool array, shape (songs, labels)
        A label that no song has, or every one, gets no weight: nothing is known of what sets it apart.
    """
    kept = np.unique(row)
    songs, truth = mean_of_rows(embedding, row, len(truth))[kept], truth[kept]
    centre, spread = songs.mean(axis=0), songs.std(axis=0) + 1e-6
    # as many axes as songs span: the answer is the same, the work a fraction
    axes, sizes, turned = np.linalg.svd((songs - centre) / spread, full_matrices=False)
    seen = axes * sizes
    weight, bias = np.zeros((truth.shape[1], embedding.shape[1])), np.zeros(truth.shape[1])
    for label, true in enumerate(truth.T):
        share = (true.sum() + 0.5) / (len(true) + 1)
        bias[label] = np.log(share / (1 - share))
        if 0 < true.sum() < len(true):
            fitted = LogisticRegression(C=STRENGTH, class_weight="balanced", solver="newton-cholesky").fit(seen, true)
            weight[label] = fitted.coef_[0] @ turned / spread
            bias[label] = fitted.intercept_[0] - weight[label] @ centre
    return Head(weight, bias)


def crossed_logits(
    embedding: np.ndarray,
    row: np.ndarray,
    truth: np.ndarray,
    group: Sequence[int],
    before_each: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Logits of every window by a head that did not learn from the window's group, (windows, labels).

    Parameters as in `fit_head`, and:

    Parameters
    ----------
    group : sequence of int
        Of each song; songs of one group are never on both sides.
    before_each : callable, optional
        Called before each head is fitted.
    """
    found = np.zeros((len(row), truth.shape[1]))
    folds = GroupKFold(min(FOLDS, len(set(group))))
    for _, left_out in folds.split(truth, groups=group):
        before_each()
        asked = np.isin(row, left_out)
        head = fit_head(embedding[~asked], row[~asked], truth)
        found[asked] = head.logits(embedding[asked])
    return found


def with_labels(model: GenreTempoModel, labels: tuple[str, ...]) -> GenreTempoModel:
    """A model that has all weights of another but for its genre head, which is new, for other labels."""
    config = replace(model.config, labels=labels, thresholds=(0.5,) * len(labels), metrics=(), familiarity=None)
    fresh = build_model(replace(config, calibration=type(config.calibration)()))
    new = ("genre_head.", "known_centres", "whitening")
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith(new)}
    fresh.load_state_dict({**fresh.state_dict(), **kept})
    return fresh


@torch.no_grad()
def with_head(
    model: GenreTempoModel, labels: tuple[str, ...], head: Head, calibration: LabelCalibration | None = None
) -> GenreTempoModel:
    """The network with this head in place of its own, in evaluation mode; a calibration becomes part of the head."""
    fresh = with_labels(model, labels)
    fresh.genre_head.weight.copy_(torch.from_numpy(head.weight))
    fresh.genre_head.bias.copy_(torch.from_numpy(head.bias))
    if calibration:
        fold(fresh, calibration)
    return fresh.eval()


@torch.no_grad()
def fold(model: GenreTempoModel, calibration: LabelCalibration) -> None:
    """Make scale and bias of each label part of the genre head, whose logits are then calibrated."""
    scale, bias = (torch.from_numpy(values).float() for values in (calibration.scale, calibration.bias))
    model.genre_head.weight.mul_(scale[:, None])
    model.genre_head.bias.mul_(scale).add_(bias)
