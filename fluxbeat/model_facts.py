"""The key facts of a model's card, for whoever lists models."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fluxbeat.zoo import ModelInfo, ZooModel, bundled_names, checkpoints_folder

CARD_FILE = "README.md"


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
        What the card says of the weights; None if there is no card.
    accuracy, tempo_accuracy : dict or None
        The first measurement of each in the checkpoint: measure, value, n, interval_95, split, seed, date.
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
        return next((dict(metric) for metric in config.metrics if metric["measure"] == measure), None)

    return ModelFacts(
        name=model.info.name,
        family=config.family,
        parameters=model.network.n_parameters,
        window_s=config.window_s,
        labels=config.labels,
        source=model.info.source,
        revision=model.info.revision,
        licence=_licence(model.info),
        accuracy=first("accuracy"),
        tempo_accuracy=first("tempo_accuracy1"),
    )


def _licence(info: ModelInfo) -> str | None:
    from huggingface_hub import ModelCard

    bundled = info.source == f"checkpoints/{info.name}" and info.name in bundled_names()
    card = (checkpoints_folder() / info.name if bundled else Path(info.source)) / CARD_FILE
    if not card.is_file():
        return None
    licence = ModelCard.load(card).data.license
    return licence if isinstance(licence, str) else None
