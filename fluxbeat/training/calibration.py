"""From answers on unseen music to calibrated probabilities, thresholds and the least confidence of a beat."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq

from fluxbeat.analysis import analyze_track
from fluxbeat.analysis.tempo import pulse
from fluxbeat.analysis.windows import slide
from fluxbeat.features import LogMel
from fluxbeat.models import Calibration, GenreTempoModel
from fluxbeat.training.evaluate import Answer, track_of
from fluxbeat.training.evaluation.answers import GenreScores
from fluxbeat.training.evaluation.summary import calibration as calibration_measures
from fluxbeat.training.items import Item
from fluxbeat.training.synthetic import beatless
from fluxbeat.training.teacher_labels import USUAL_SHARE
from fluxbeat.zoo import ModelInfo, ZooModel

THRESHOLD_RANGE = (0.15, 0.6)
BEATLESS_CASES, BEATLESS_QUANTILE = 200, 0.99
"""One drawn sound in a hundred happens to have a pulse: the strongest of all would say more of it than of the model."""
MOST_EXCESS = 20.0


@dataclass(frozen=True, eq=False)
class Heard:
    """What a model said of one track it did not see, and the truth.

    Attributes
    ----------
    logits : float array, shape (windows, labels)
        Without any calibration.
    truth, known : bool array, shape (labels,)
    """

    logits: np.ndarray
    truth: np.ndarray
    known: np.ndarray


def heard(judge: GenreTempoModel, answers: Sequence[Answer]) -> list[Heard]:
    """A model's answers on labelled tracks, with its own calibration taken off again."""
    labelled = [answer for answer in answers if answer.case.labels]
    scores, calibration = GenreScores.of(labelled), judge.config.calibration
    tracks = []
    for answer, truth, known in zip(labelled, scores.truth, scores.known, strict=True):
        probability = answer.analysis.timeline.probability.clip(1e-6, 1 - 1e-6)
        logits = (np.log(probability / (1 - probability)) - calibration.bias) / calibration.scale
        tracks.append(Heard(logits, truth, known))
    return tracks


def fit_calibration(logits: np.ndarray, targets: np.ndarray, known: np.ndarray | None = None) -> Calibration:
    """Scale and bias that make sigmoid(scale * logit + bias) a probability (Platt 1999).

    Parameters
    ----------
    logits : float array, shape (windows, labels)
        Of music the model did not see.
    targets : float array, shape (windows, labels)
        1 where the label is true, else 0.
    known : bool array, shape (windows, labels), optional
        Where the truth is known; everywhere by default.
    """
    counted = np.ones(logits.shape, bool) if known is None else known
    x = torch.from_numpy(logits[counted].astype(np.float64))
    y = torch.from_numpy(targets[counted].astype(np.float64))
    values = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([values], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(x * values[0] + values[1], y)
        value.backward()
        return value

    optimizer.step(loss)
    scale, bias = values.detach().tolist()
    return Calibration(round(max(scale, 0.05), 4), round(bias, 4))


def calibration_of(tracks: Sequence[Heard]) -> Calibration:
    """`fit_calibration` over all windows of some tracks."""

    def windows(values: np.ndarray, like: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, like.shape)

    return fit_calibration(
        np.concatenate([track.logits for track in tracks]),
        np.concatenate([windows(track.truth, track.logits) for track in tracks]),
        np.concatenate([windows(track.known, track.logits) for track in tracks]),
    )


def calibrated(tracks: Sequence[Heard], calibration: Calibration) -> np.ndarray:
    """Probability of each label over each whole track, float (tracks, labels)."""
    return np.stack(
        [(1 / (1 + np.exp(-(t.logits * calibration.scale + calibration.bias)))).mean(axis=0) for t in tracks]
    )


def fit_thresholds(probability: np.ndarray, targets: np.ndarray, known: np.ndarray | None = None) -> tuple[float, ...]:
    """Threshold per label with the best F1, half-way drawn to the best common one: few tracks stand behind each.

    All arrays have the shape (tracks, labels); `known` says where the truth is known, by default everywhere.
    """
    steps = np.linspace(*THRESHOLD_RANGE, 46)
    counted = np.ones(probability.shape, bool) if known is None else known

    def best(scores: np.ndarray, truth: np.ndarray) -> float:
        said = scores[None] >= steps[:, None]
        hits = (said & truth[None]).sum(axis=1)
        f1 = 2 * hits / np.maximum(said.sum(axis=1) + truth.sum(), 1)
        return float(steps[f1.argmax()])

    common = best(probability[counted], targets[counted] > 0)
    own = [
        best(probability[rows, k], targets[rows, k] > 0) if (targets[rows, k] > 0).any() else common
        for k, rows in enumerate(counted.T)
    ]
    return tuple(round((common + value) / 2, 3) for value in own)


def fit_tempo_threshold(model: GenreTempoModel, seed: int = 1000) -> float:
    """A stronger pulse than in 99 of 100 beatless sounds: drones, noise and babble, drawn afresh."""
    features = model.config.features
    front_end, rng = LogMel(features), np.random.default_rng(seed)
    zoo_model = ZooModel(ModelInfo("candidate", "", ""), model)
    pulses = []
    for number in range(BEATLESS_CASES):
        log_mel = front_end(beatless(20.0, rng, features.sample_rate_hz))
        track = track_of(Item(f"beatless {number}", log_mel, labels=None, tempo_bpm=None), features)
        pulses.append(pulse(analyze_track(track, zoo_model).tempo.distribution, model.config.tempo_grid))
    return round(float(np.quantile(pulses, BEATLESS_QUANTILE)), 4)


def excess(model: GenreTempoModel, music: Iterable[np.ndarray], collected_for: Collection[str]) -> np.ndarray:
    """By how much a model takes those labels for too likely for which some music was not collected.

    Three of five pieces of the free music are electronic: who learned the label there expects it everywhere. So music
    that was collected for other genres is asked how often the label is heard in it, and what is more than
    `USUAL_SHARE` is too much. No annotation plays a part (Saerens, Latinne & Decaestecker, "Adjusting the outputs of
    a classifier to new a priori probabilities", Neural Computation 2002).

    Parameters
    ----------
    model : GenreTempoModel
    music : iterable of float32 array, shape (mels, frames)
        Spectrograms of music that the model did not see.
    collected_for : collection of str
        The genres that the music was collected for; nothing is too much of these.

    Returns
    -------
    float64 array, shape (labels,)
        What `lower` takes off the logits; at least 0.
    """
    hop_s, labels = model.config.window_s / 2, model.config.labels
    logits = np.concatenate([slide(model, log_mel, hop_s).genre_logits for log_mel in music]).astype(np.float64)

    def too_often(by: float, said: np.ndarray) -> float:
        return float((1 / (1 + np.exp(by - said))).mean() - USUAL_SHARE)

    return np.array(
        [
            0.0 if label in collected_for or too_often(0, said) <= 0 else brentq(too_often, 0, MOST_EXCESS, (said,))
            for label, said in zip(labels, logits.T, strict=True)
        ]
    )


@torch.no_grad()
def lower(model: GenreTempoModel, by: np.ndarray) -> None:
    """Take this off all genre logits of a model, shape (labels,)."""
    model.genre_head.bias.sub_(torch.from_numpy(by))


def calibrate(
    model: GenreTempoModel,
    unseen: Sequence[tuple[GenreTempoModel, list[Answer]]],
    only_for_thresholds: Sequence[tuple[GenreTempoModel, list[Answer]]] = (),
) -> None:
    """Give a model the calibration, the thresholds and the tempo threshold that fit answers on unseen music.

    Parameters
    ----------
    model : GenreTempoModel
        The model to be shipped; its configuration is replaced.
    unseen : sequence of (model, answers)
        Models of the same recipe, each with its answers on music it did not see.
    only_for_thresholds : sequence of (model, answers)
        The same on music in which some genres are far more common than elsewhere: a threshold is the best one even
        so, but a probability would be wrong elsewhere.
    """
    tracks = [track for judge, answers in unseen for track in heard(judge, answers)]
    calibration = calibration_of(tracks)
    tracks += [track for judge, answers in only_for_thresholds for track in heard(judge, answers)]
    thresholds = fit_thresholds(
        calibrated(tracks, calibration),
        np.stack([track.truth for track in tracks]),
        np.stack([track.known for track in tracks]),
    )
    model.config = replace(
        model.config,
        calibration=calibration,
        thresholds=thresholds,
        tempo_threshold=fit_tempo_threshold(model),
    )


def crossed_calibration(unseen: Sequence[tuple[GenreTempoModel, list[Answer]]]) -> dict[str, Any]:
    """How true the probabilities are on tracks that they were not calibrated on: each part by all other parts.

    Parameters
    ----------
    unseen : sequence of (model, answers)
        At least two: models of the same recipe, each with its answers on music it did not see.

    Returns
    -------
    dict
        As `fluxbeat.training.evaluation.summary.calibration` gives it.
    """
    parts = [
        (heard(judge, answers), GenreScores.of([answer for answer in answers if answer.case.labels]))
        for judge, answers in unseen
    ]
    probability = [
        calibrated(tracks, calibration_of([t for other, _ in parts if other is not tracks for t in other]))
        for tracks, _ in parts
    ]
    scores = [scores for _, scores in parts]
    return calibration_measures(
        GenreScores(
            scores[0].labels,
            np.concatenate(probability),
            np.concatenate([one.truth for one in scores]),
            np.concatenate([one.known for one in scores]),
            tuple(artist for one in scores for artist in one.artists),
        )
    )
