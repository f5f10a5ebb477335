"""From answers on unseen music to calibrated probabilities, thresholds and the least confidence of a beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from fluxbeat.analysis import analyze_track
from fluxbeat.analysis.tempo import pulse
from fluxbeat.features import LogMel
from fluxbeat.models import Calibration, GenreTempoModel
from fluxbeat.training.evaluate import Answer, track_of
from fluxbeat.training.items import Item
from fluxbeat.training.synthetic import beatless
from fluxbeat.zoo import ModelInfo, ZooModel

THRESHOLD_RANGE = (0.15, 0.6)
BEATLESS_CASES = 60
THRESHOLD_MARGIN = 1.08


def fit_calibration(logits: np.ndarray, targets: np.ndarray) -> Calibration:
    """Scale and bias that make sigmoid(scale * logit + bias) a probability (Platt 1999).

    Parameters
    ----------
    logits : float array, shape (windows, labels)
        Of music the model did not see.
    targets : float array, shape (windows, labels)
        1 where the label is true, else 0.
    """
    x = torch.from_numpy(logits.astype(np.float64)).flatten()
    y = torch.from_numpy(targets.astype(np.float64)).flatten()
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


def fit_thresholds(probability: np.ndarray, targets: np.ndarray) -> tuple[float, ...]:
    """Threshold per label with the best F1, half-way drawn to the best common one: few tracks stand behind each.

    Both arrays have the shape (tracks, labels).
    """
    steps = np.linspace(*THRESHOLD_RANGE, 46)

    def f1(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
        said = scores[None] >= steps.reshape(-1, *[1] * scores.ndim)
        axes = tuple(range(1, said.ndim))
        hits = (said & (truth[None] > 0)).sum(axis=axes)
        return 2 * hits / np.maximum(said.sum(axis=axes) + truth.sum(), 1)

    common = steps[f1(probability, targets).argmax()]
    own = [steps[f1(probability[:, k], targets[:, k]).argmax()] for k in range(probability.shape[1])]
    return tuple(round(float(common + value) / 2, 3) for value in own)


def fit_tempo_threshold(model: GenreTempoModel, seed: int = 1000) -> float:
    """A little more than the strongest pulse heard in beatless sounds: drones, noise and babble, drawn afresh."""
    features = model.config.features
    front_end, rng = LogMel(features), np.random.default_rng(seed)
    zoo_model = ZooModel(ModelInfo("candidate", "", ""), model)
    pulses = []
    for number in range(BEATLESS_CASES):
        log_mel = front_end(beatless(20.0, rng, features.sample_rate_hz))
        track = track_of(Item(f"beatless {number}", log_mel, labels=None, tempo_bpm=None), features)
        pulses.append(pulse(analyze_track(track, zoo_model).tempo.distribution, model.config.tempo_grid))
    return round(THRESHOLD_MARGIN * max(pulses), 4)


def calibrate(model: GenreTempoModel, unseen: list[tuple[GenreTempoModel, list[Answer]]]) -> None:
    """Give a model the calibration, the thresholds and the tempo threshold that fit answers on unseen music.

    Parameters
    ----------
    model : GenreTempoModel
        The model to be shipped; its configuration is replaced.
    unseen : list of (model, answers)
        Models of the same recipe, each with its answers on music it did not see.
    """
    labels = model.config.labels
    window_logits, window_targets, track_rows = [], [], []
    for judge, answers in unseen:
        earlier = judge.config.calibration
        for answer in answers:
            if not answer.case.labels:
                continue
            target = np.array([label in answer.case.labels for label in labels], np.float64)
            probability = answer.analysis.timeline.probability.clip(1e-6, 1 - 1e-6)
            logits = (np.log(probability / (1 - probability)) - earlier.bias) / earlier.scale
            window_logits.append(logits)
            window_targets.append(np.broadcast_to(target, logits.shape))
            track_rows.append((logits, target))
    calibration = fit_calibration(np.concatenate(window_logits), np.concatenate(window_targets))
    means = [
        (1 / (1 + np.exp(-(logits * calibration.scale + calibration.bias)))).mean(axis=0) for logits, _ in track_rows
    ]
    thresholds = fit_thresholds(np.stack(means), np.stack([target for _, target in track_rows]))
    model.config = replace(
        model.config,
        calibration=calibration,
        thresholds=thresholds,
        tempo_threshold=fit_tempo_threshold(model),
    )
