"""Models of a few thousand values, so that a test about the engine does not wait for a network."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from fluxbeat.models.base import GenreTempoModel, ModelConfig
from fluxbeat.models.checkpoint import build_model, save_checkpoint
from fluxbeat.models.registry import LoadedModel, ModelInfo

LABELS = ("calm", "loud", "odd")
ARCHITECTURES = {
    "cnn": {"channels": (4, 4), "strides": ((2, 4),), "hidden": 8, "embedding_size": 6},
    "crnn": {"bands": 24, "first": 4, "blocks": ((8, 4, 3, 3, 2, 4, 2, 1), (8, 4, 3, 3, 1, 1, 0, 0)), "last": 8,
             "lstm_size": 4, "lstm_layers": 1, "embedding_size": 7},
    "vit": {"bands": 24, "first": 4, "blocks": ((8, 4, 3, 3, 2, 2, 0, 1),), "last": 8, "patch": (2, 3),
            "width": 8, "depth": 1, "heads": 2, "embedding_size": 5},
}  # fmt: skip


def tiny(family: str, seed: int = 0, labels: tuple[str, ...] = LABELS, **settings: object) -> GenreTempoModel:
    """A model with weights of chance, in evaluation mode."""
    torch.manual_seed(seed)
    config = ModelConfig(
        family, labels, settings.pop("thresholds", (0.5,) * len(labels)), architecture=ARCHITECTURES[family], **settings
    )
    return build_model(config).eval()


def loaded(network: torch.nn.Module, name: str = "tiny") -> LoadedModel:
    """As the registry gives it."""
    return LoadedModel(ModelInfo(name, f"checkpoints/{name}", name[:12]), network)


def write_three(folder: Path, labels: tuple[str, ...] = LABELS) -> None:
    """A checkpoint of each family."""
    for seed, family in enumerate(ARCHITECTURES):
        save_checkpoint(tiny(family, seed, labels), folder / family)


def write_consensus(folder: Path, labels: tuple[str, ...] = LABELS, **changes: object) -> None:
    """Their consensus, in the folder `all` beside them."""
    values = {
        "schema": 2,
        "family": "consensus",
        "members": {"cnn": 1.0, "crnn": 2.0, "vit": 1.0},
        "labels": list(labels),
        "thresholds": [0.5] * len(labels),
        "tempo_threshold": 0.12,
        "calibration": {"scale": [1.5] * len(labels), "bias": [0.25] * len(labels)},
        "default": True,
        "metrics": [],
    }
    (folder / "all").mkdir(parents=True, exist_ok=True)
    (folder / "all" / "config.json").write_text(json.dumps(values | changes))
