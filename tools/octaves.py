"""How often the octave is the one that others agree on, and with which weight of tapped tempi it would be."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fluxbeat.analysis.octave import FALLS_OCTAVES, FREELY_BPM, tapped_weight
from fluxbeat.analysis.tempo import RELATIVES, TOLERANCE
from fluxbeat.training.evaluation.measures import tempo_hit
from tools.known_tempo import share


def agreed_bpm(estimates_bpm: Sequence[float]) -> float | None:
    """Where the first two estimates that are within 4 % of each other lie; None where no two are."""
    for one, other in itertools.combinations(estimates_bpm, 2):
        if abs(one / other - 1) <= TOLERANCE:
            return float(np.sqrt(one * other))
    return None


@dataclass(frozen=True, eq=False)
class OctaveCase:
    """What a model and others say of a recording whose tempo nobody annotated.

    Attributes
    ----------
    grid_bpm, distribution : float array, shape (bins,)
        The model's tempo distribution over the whole recording, without any weight.
    others_bpm : tuple of float
        What other estimators say.
    """

    grid_bpm: np.ndarray
    distribution: np.ndarray
    others_bpm: tuple[float, ...]


Weight = tuple[tuple[float, float], tuple[float, float]]
"""`freely_bpm` and `falls_octaves` of `analysis.octave.tapped_weight`."""
NO_WEIGHT: Weight = ((1.0, 1000.0), (1.0, 1.0))


def first_reading(case: OctaveCase, weight: Weight) -> float:
    """The tempo with most probability within 4 %, weighed by how readily it is tapped."""
    weighed = case.distribution * tapped_weight(case.grid_bpm, *weight)
    near = np.abs(case.grid_bpm[:, None] / case.grid_bpm[None, :] - 1) <= TOLERANCE
    return float(case.grid_bpm[(near @ weighed).argmax()])


def measure_octaves(cases: Iterable[OctaveCase], weights: Mapping[str, Weight] | None = None) -> dict[str, Any]:
    """For each weight, how often the first reading is in the octave that the others agree on.

    Recordings on which no two of the others agree, and those where the model means another tempo altogether, say
    nothing about octaves. Choose on `train`, report on `dev`.

    Parameters
    ----------
    cases : iterable of OctaveCase
    weights : mapping from str to Weight, optional
        By name; `none` and `shipped`, that of `analysis.octave`, where not given.

    Returns
    -------
    dict
        By name: value, count and 95 % interval.
    """
    weights = weights or {"none": NO_WEIGHT, "shipped": (FREELY_BPM, FALLS_OCTAVES)}
    judged = []
    for case in cases:
        agreed = agreed_bpm(case.others_bpm)
        if agreed is not None and tempo_hit(first_reading(case, NO_WEIGHT), agreed, RELATIVES):
            judged.append((case, agreed))
    return {
        name: share(tempo_hit(first_reading(case, weight), agreed) for case, agreed in judged)
        for name, weight in weights.items()
    }
