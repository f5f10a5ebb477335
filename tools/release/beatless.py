"""The least beat salience that counts as a beat: more than in nearly all sound that has none."""

from __future__ import annotations

import numpy as np

from fluxbeat.analysis.tempo import beat_salience, softmax
from fluxbeat.analysis.windows import slide
from fluxbeat.features.log_mel import LogMel
from fluxbeat.models.base import WindowModel
from tools.recordings.drawn import beatless

CASES, SECONDS, QUANTILE = 100, 15.0, 0.99
"""One drawn sound in a hundred has a beat by chance: the most salient of all would say more of it than of the model."""


def fit_tempo_threshold(network: WindowModel, seed: int = 1000) -> float:
    """More beat salience than in 99 of 100 drones, noises and babbles, drawn with this seed."""
    config, rng = network.config, np.random.default_rng(seed)
    front_end, saliences = LogMel(config.features), []
    for _ in range(CASES):
        log_mel = front_end(beatless(SECONDS, rng, config.features.sample_rate_hz))
        found = softmax(slide(network, log_mel, config.window_s / 2).tempo_logits.astype(np.float64))
        saliences.append(beat_salience(found.mean(axis=0), config.tempo_grid))
    return round(float(np.quantile(saliences, QUANTILE)), 4)
