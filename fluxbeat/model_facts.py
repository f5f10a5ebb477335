"""The key facts of a model's card, for whoever lists models."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from fluxbeat.errors import FluxBeatError
from fluxbeat.hub.model_card import read_card
from fluxbeat.models.metrics import measured
from fluxbeat.zoo import ZooModel, checkpoint_folder

_SAID = ("measure", "value", "n", "interval_95", "split", "seed", "date")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFacts:
    """What a person wants to know before choosing a model.

    Attributes
    ----------
    name, family : str
    parameters : int
    window_s : float
        Length of the window that one answer is about.
    labels : tuple of str
    source, revision : str
        As in `ModelInfo`.
    licence : str or None
        What the card says of the weights; None where there is no card, or none that can be read or names one.
    accuracy, tempo_accuracy : dict or None
        The first measurement of each in the checkpoint: measure, value, n, split, and where they are known
        interval_95, seed and date.
    """

    name: str
    family: str
    parameters: int
    window_s: float
    labels: tuple[str, ...]
    source: str
    revision: str
    licence: str | None
    accuracy: dict[str, Any] | None
    tempo_accuracy: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "labels": list(self.labels)}


def facts_of(model: ZooModel) -> ModelFacts:
    """The facts of a loaded model, from its configuration and its card."""
    config = model.network.config

    def first(measure: str) -> dict[str, Any] | None:
        return next((measured(metric, *_SAID) for metric in config.metrics if metric["measure"] == measure), None)

    return ModelFacts(
        name=model.info.name,
        family=config.family,
        parameters=model.network.n_parameters,
        window_s=config.window_s,
        labels=config.labels,
        source=model.info.source,
        revision=model.info.revision,
        licence=_licence(model),
        accuracy=first("accuracy"),
        tempo_accuracy=first("tempo_accuracy1"),
    )


def _licence(model: ZooModel) -> str | None:
    try:
        card = read_card(checkpoint_folder(model))
    except FluxBeatError as error:
        _log.debug("the card of %s cannot be read: %s", model.info.source, error)
        return None
    return (card.licence or None) if card else None
