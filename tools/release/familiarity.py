"""Where the music that a network learned lies, and how far from there is unfamiliar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fluxbeat.models.base import Familiarity

FAMILIAR_SHARE, FAMILIAR = 0.9, 0.2
"""This share of music of the known genres is to have at most this unfamiliarity."""
WHITE_DIRECTIONS = 48


@dataclass(frozen=True, eq=False)
class Known:
    """Where the music that was learned lies.

    Attributes
    ----------
    centres : float32 array, shape (labels, d)
        Whitened; labels without music lie where all music does.
    whitening : float32 array, shape (d, d)
        Only the first `WHITE_DIRECTIONS` columns are not 0.
    """

    centres: np.ndarray
    whitening: np.ndarray

    def distance(self, embedding: np.ndarray) -> np.ndarray:
        """As `GenreTempoModel.distance`: (windows, d) -> (windows,)."""
        white = embedding @ self.whitening
        away = ((white[:, None] - self.centres[None]) ** 2).sum(axis=2)
        return np.asarray(np.sqrt(away.min(axis=1) / self.whitening.shape[1]))


def fit_known(embedding: np.ndarray, shares: np.ndarray) -> Known:
    """Genres' centres, and the covariance around them as one whitening (Lee et al., NeurIPS 2018).

    Parameters
    ----------
    embedding : float array, shape (windows, d)
    shares : float array, shape (windows, labels)
        Genres of each window, summing to 1; windows without any take no part.
    """
    named = shares.any(axis=1)
    embedding, shares = embedding[named], shares[named]
    total = shares.sum(axis=0)
    mean = shares.T @ embedding / total.clip(1e-9)[:, None]
    mean[total == 0] = embedding.mean(axis=0)
    away = embedding - shares @ mean
    variance, directions = np.linalg.eigh(np.cov(away.T))
    # the strongest directions; weak ones hold noise that differs between any two recordings
    kept = np.argsort(-variance)[:WHITE_DIRECTIONS]
    whitening = np.zeros((embedding.shape[1], embedding.shape[1]))
    floor = variance[kept].mean() * 0.05
    whitening[:, : len(kept)] = directions[:, kept] / np.sqrt(variance[kept] + floor)
    return Known((mean @ whitening).astype(np.float32), whitening.astype(np.float32))


def left_out_distances(embedding: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Distance of each window from music of all other genres: what music of an unknown genre would have."""
    found = np.full(len(embedding), np.nan)
    main = np.where(shares.any(axis=1), shares.argmax(axis=1), -1)
    for label in range(shares.shape[1]):
        own = main == label
        if own.any():
            others = np.flatnonzero(~own & (shares[:, label] == 0) & (main >= 0))
            found[own] = fit_known(embedding[others], np.delete(shares[others], label, axis=1)).distance(embedding[own])
    return found


def fit_familiarity(familiar: np.ndarray, unfamiliar: np.ndarray) -> Familiarity:
    """Middle and width so that known music is familiar, and music of genres left out the less the further it lies.

    Distances of recordings: `familiar` of unseen music of known genres, `unfamiliar` of genres left out. Nine in ten
    of the familiar ones stay below an unfamiliarity of 0.2, whatever the others are; the middle is where half of those
    of the others lie that are further away than that, but no further than two quartile ranges of the familiar ones.
    """
    known = float(np.quantile(familiar, FAMILIAR_SHARE))
    further = unfamiliar[unfamiliar > known]
    spread = float(np.subtract(*np.quantile(familiar, [0.75, 0.25])))
    middle = float(np.median(further)) if len(further) >= 10 else known + spread
    middle = min(max(middle, known + 0.25 * spread), known + 2 * spread)
    width = (middle - known) / float(np.log(1 / FAMILIAR - 1))
    return Familiarity(round(middle, 4), round(max(width, 1e-3), 4))
