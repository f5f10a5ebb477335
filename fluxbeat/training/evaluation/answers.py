"""What models say of recordings, window by window and over the whole: asked once, read by every measure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fluxbeat.analysis.engine import DEFAULT_HOP_S
from fluxbeat.analysis.track import Track, audible_windows
from fluxbeat.analysis.windows import WindowPredictions, slide
from fluxbeat.models.base import WindowModel


@dataclass(frozen=True, eq=False)
class WindowAnswers:
    """What a network says of every audible window of some recordings.

    Attributes
    ----------
    labels : tuple of str
    recordings : int
        How many there are.
    row : int64 array, shape (windows,)
        Which recording each window belongs to, rising.
    genre_logits : float32 array, shape (windows, labels)
    embedding : float32 array, shape (windows, d)
    kind : float32 array, shape (windows, 3)
        Probability of each of `fluxbeat.models.base.KINDS`.
    unfamiliarity : float32 array, shape (windows,)
    probability : float64 array, shape (windows, labels)
        Of each genre, as an analysis shows it.
    """

    labels: tuple[str, ...]
    recordings: int
    row: np.ndarray
    genre_logits: np.ndarray
    embedding: np.ndarray
    kind: np.ndarray
    unfamiliarity: np.ndarray
    probability: np.ndarray

    def whole(self, values: np.ndarray) -> np.ndarray:
        """Mean of each recording's windows, (windows, ...) -> float64 (recordings, ...); 0 where nothing is audible."""
        total = np.zeros((self.recordings, *values.shape[1:]))
        np.add.at(total, self.row, values)
        count = np.bincount(self.row, minlength=self.recordings).clip(1)
        return total / count.reshape(-1, *[1] * (values.ndim - 1))

    def answer(self, name: str) -> RecordingAnswers:
        """The answers over whole recordings."""
        return RecordingAnswers(name, self.labels, self.whole(self.probability))


@dataclass(frozen=True, eq=False)
class RecordingAnswers:
    """What a model, or a peer, says of whole recordings.

    Attributes
    ----------
    name : str
    labels : tuple of str
    probability : float64 array, shape (recordings, labels)
        0..1.
    """

    name: str
    labels: tuple[str, ...]
    probability: np.ndarray


def ask(
    networks: Mapping[str, WindowModel], tracks: Iterable[Track], hop_s: float = DEFAULT_HOP_S
) -> dict[str, WindowAnswers]:
    """Slide networks that share the tracks' features over all tracks: each network's answers, by its name.

    Windows and which of them count are those of `fluxbeat.analysis.engine.analyze_track`.
    """
    parts: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in networks}
    count = 0
    for number, track in enumerate(tracks):
        count += 1
        known: dict[tuple[int, int], WindowPredictions] = {}  # a consensus and its members share their work
        for name, network in networks.items():
            found = slide(network, track.log_mel, hop_s, known=known)
            kept = audible_windows(track, found.start_s, network.config.window_s)
            values = (found.genre_logits, found.embedding, found.kind, found.unfamiliarity, found.probability)
            parts[name].append((np.full(int(kept.sum()), number), *(value[kept] for value in values)))
    return {
        name: WindowAnswers(
            networks[name].config.labels, count, *(np.concatenate(columns) for columns in zip(*rows, strict=True))
        )
        for name, rows in parts.items()
    }
