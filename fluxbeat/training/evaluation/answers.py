"""What a model says of test music: asked once, kept, and read by every measure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fluxbeat.analysis import TrackAnalysis, analyze_track
from fluxbeat.training.evaluation.cases import Case
from fluxbeat.zoo import ZooModel


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model said of a case."""

    case: Case
    analysis: TrackAnalysis


@dataclass(frozen=True, eq=False)
class GenreScores:
    """Answers as arrays.

    Attributes
    ----------
    labels : tuple of str
        The model's.
    probability : float array, shape (tracks, labels), 0..1
    truth : bool array, shape (tracks, labels)
    known : bool array, shape (tracks, labels)
        Where the source says whether the label is present: everything else is neither right nor wrong.
    artists : tuple of str
        One per track, as `measures.resamples` takes them.
    """

    labels: tuple[str, ...]
    probability: np.ndarray
    truth: np.ndarray
    known: np.ndarray
    artists: tuple[str, ...]

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> GenreScores:
        """The answers' genres over whole tracks, in the order of the answers."""
        labels = answers[0].analysis.timeline.labels if answers else ()
        shape = (len(answers), len(labels))
        probability, truth, known = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
        for row, answer in enumerate(answers):
            case = answer.case
            said = {genre.label: genre.probability for genre in answer.analysis.genres}
            probability[row] = [said[label] for label in labels]
            truth[row] = [label in (case.labels or ()) for label in labels]
            known[row] = [
                case.labels is not None and (case.known is None or label in case.known or label in case.labels)
                for label in labels
            ]
        return cls(labels, probability, truth, known, tuple(answer.case.artist for answer in answers))

    def first(self, count: int) -> np.ndarray:
        """Which labels are the `count` most probable of those whose truth is known: bool (tracks, labels)."""
        shown = np.where(self.known, self.probability, -1.0)
        best = np.argsort(-shown, axis=1, kind="stable")[:, :count]
        chosen = np.zeros_like(self.known)
        np.put_along_axis(chosen, best, True, axis=1)
        return chosen & self.known

    @property
    def first_of_all(self) -> np.ndarray:
        """Which label is the most probable, whether or not its truth is known: bool (tracks, labels)."""
        return replace(self, known=np.ones_like(self.known)).first(1)


def ask(model: ZooModel, cases: Iterable[Case]) -> list[Answer]:
    """The model's answer to every case."""
    return [Answer(case, analyze_track(case.track, model)) for case in cases]


def write_answers(answers: Sequence[Answer], path: str | Path) -> None:
    """One line per track: name, truth, answer; for a person who wants to see the misses."""
    peers = list(dict.fromkeys(peer for answer in answers for peer in answer.case.peer_bpm))
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(
            ["file", "labels", "first", "second", "third", "bpm", "said_bpm", *[f"{peer}_bpm" for peer in peers]]
        )
        for answer in answers:
            best = [genre.label for genre in answer.analysis.genres[:3]]
            best += [""] * (3 - len(best))
            case = answer.case
            writer.writerow(
                [case.track.file, ";".join(case.labels or ()), *best, case.tempo_bpm, answer.analysis.tempo.bpm,
                 *[case.peer_bpm.get(peer) for peer in peers]]
            )  # fmt: skip
