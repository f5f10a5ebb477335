"""Several models as one: the weighted mean of their answers for a window, calibrated like a model of its own.

A consensus has no weights file. Its folder holds a config.json that names its members, which are the folders beside it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from fluxbeat.errors import ConfigMismatchError, ModelLoadError
from fluxbeat.models.base import Calibration, GenreTempoModel, ModelConfig, ModelOutput, WindowModel
from fluxbeat.models.config_file import CONFIG_FILE, LARGEST_CONFIG_BYTES, MOST_LABELS, Metric, fault_of

FAMILY = "consensus"
LEAST_SHARE = 1e-12
"""Shares below this count as this where their logarithm is taken."""

PerLabel = float | list[float]


class _CalibrationEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    scale: PerLabel
    bias: PerLabel


class ConsensusConfig(BaseModel):
    """What config.json of a consensus holds.

    Attributes
    ----------
    members : dict of str to float
        Weight, above 0, of each member by the name of its folder, beside the consensus' own.
    labels : list of str
        The members' labels, in their order.
    thresholds : list of float
        Calibrated probability from which a label counts as present; one per label.
    tempo_threshold : float
        As in `ModelConfig`.
    calibration : {"scale": .., "bias": ..}
        Mean logit to the logit of a probability; a number for all labels, or one per label.
    default : bool
        Whether this is what answers where no model is named.
    metrics : list of Metric
        As in `ModelConfig`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_: Literal[2] = Field(2, alias="schema")
    family: Literal["consensus"] = "consensus"
    members: dict[str, float] = Field(min_length=2, max_length=8)
    labels: list[str] = Field(min_length=1, max_length=MOST_LABELS)
    thresholds: list[float]
    tempo_threshold: float
    calibration: _CalibrationEntry
    default: bool = False
    metrics: list[Metric] = Field(default_factory=list, max_length=MOST_LABELS)


class Consensus(WindowModel):
    """The weighted mean of several models with the same labels, features, windows and tempo classes.

    Logits of genres are averaged after each member's own calibration; kind, unfamiliarity and the distribution of tempo
    are averaged as they are.

    Parameters
    ----------
    members : mapping of str to GenreTempoModel
        By name.
    found : ConsensusConfig
        Names the same members.

    Raises
    ------
    ConfigMismatchError
        If the members do not fit each other, or the configuration does not fit them.
    """

    scale: Tensor
    bias: Tensor

    def __init__(self, members: Mapping[str, GenreTempoModel], found: ConsensusConfig):
        super().__init__(_shared_config(members, found))
        self.names = tuple(members)
        self.networks = list(members.values())
        self.members = torch.nn.ModuleList(self.networks)
        total = sum(found.members.values())
        self.weights = tuple(found.members[name] / total for name in members)
        self.time_stride = math.lcm(*(member.time_stride for member in members.values()))
        for name, value in (("scale", found.calibration.scale), ("bias", found.calibration.bias)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    def mean(self, values: Sequence[Tensor]) -> Tensor:
        """Weighted mean of one tensor per member, all of one shape."""
        return torch.stack([weight * value for weight, value in zip(self.weights, values, strict=True)]).sum(0)

    def mean_logits(self, logits: Sequence[Tensor]) -> Tensor:
        """Logarithm of the weighted mean of the members' distributions, each (batch, n) -> (batch, n)."""
        return self.mean([torch.softmax(member_logits, -1) for member_logits in logits]).clamp(min=LEAST_SHARE).log()

    def forward(self, log_mel: Tensor) -> ModelOutput:
        """log_mel (batch, mels, window_frames) -> ModelOutput; its embedding is that of all members, side by side."""
        outputs = [member(log_mel) for member in self.networks]
        pairs = list(zip(self.networks, outputs, strict=True))
        return ModelOutput(
            self.mean([member.calibrated(output.genre_logits) for member, output in pairs]),
            self.mean_logits([output.tempo_logits for output in outputs]),
            torch.cat([output.embedding for output in outputs], 1),
            self.mean([member.kinds(output.kind_logits) for member, output in pairs]).clamp(min=LEAST_SHARE).log(),
        )

    def calibrated(self, genre_logits: Tensor) -> Tensor:
        return genre_logits * self.scale + self.bias

    def unfamiliarity(self, embedding: Tensor) -> Tensor:
        parts = embedding.split([member.embedding_size for member in self.networks], 1)
        return self.mean([member.unfamiliarity(part) for member, part in zip(self.networks, parts, strict=True)])


def _shared_config(members: Mapping[str, GenreTempoModel], found: ConsensusConfig) -> ModelConfig:
    """What the members agree on, with what the consensus decides itself."""
    first_name, first = next(iter(members.items()))
    for name, member in members.items():
        for setting in ("labels", "features", "window_s", "tempo_grid"):
            mine, theirs = getattr(first.config, setting), getattr(member.config, setting)
            if mine != theirs:
                raise ConfigMismatchError(
                    f"a consensus needs members that agree: {setting} is {mine!s:.200} in {first_name}, "
                    f"{theirs!s:.200} in {name}"
                )
    if tuple(found.labels) != first.config.labels:
        raise ConfigMismatchError(
            f"the consensus has the labels {found.labels!s:.200}, its members {list(first.config.labels)!s:.200}: "
            "calibrate it anew"
        )
    for name, value in found.calibration:
        if isinstance(value, list) and len(value) != len(found.labels):
            raise ConfigMismatchError(f"calibration: {len(found.labels)} labels need as many {name}s, got {len(value)}")
    Calibration(scale=float(np.min(found.calibration.scale)))  # refuses what is not above 0
    return replace(
        first.config,
        family=FAMILY,
        thresholds=tuple(found.thresholds),
        tempo_threshold=found.tempo_threshold,
        tempo_taught=all(member.config.tempo_taught for member in members.values()),
        kind_taught=any(member.config.kind_taught for member in members.values()),
        familiarity=None,
        calibration=Calibration(),
        architecture={"members": dict(found.members)},
        metrics=tuple(metric.model_dump(exclude_unset=True) for metric in found.metrics),
    )


def read_consensus(folder: Path) -> ConsensusConfig | None:
    """The config.json of a consensus; None where the folder holds something else.

    Raises
    ------
    ModelLoadError
        If it says that it is a consensus and is none that can be read.
    """
    path = folder / CONFIG_FILE
    if not path.is_file() or path.stat().st_size > LARGEST_CONFIG_BYTES:
        return None
    content = path.read_bytes()
    if f'"{FAMILY}"'.encode() not in content:
        return None
    try:
        found = ConsensusConfig.model_validate_json(content)
    except ValidationError as error:
        raise ModelLoadError(f"{path} {fault_of(error)}") from error
    wrong = [name for name, weight in found.members.items() if not 0 < weight < math.inf or Path(name).name != name]
    if wrong:
        raise ModelLoadError(
            f"{path} is incomplete or damaged: a member is the name of a folder with a weight above 0, got "
            f"{wrong[0][:60]!r}"
        )
    return found


def load_consensus(
    folder: Path, found: ConsensusConfig, members: Mapping[str, tuple[WindowModel, str]]
) -> tuple[Consensus, str]:
    """A consensus of members that are loaded already, each given with its revision by its name.

    Returns
    -------
    model : Consensus
        In evaluation mode.
    revision : str
        First 12 hexadecimal digits of the SHA-256 of config.json and of the members' revisions.

    Raises
    ------
    ConfigMismatchError
        If the members do not fit each other, or the configuration does not fit them.
    """
    networks = {name: network for name, (network, _) in members.items() if isinstance(network, GenreTempoModel)}
    digest = hashlib.sha256((folder / CONFIG_FILE).read_bytes())
    for name, (_, revision) in members.items():
        digest.update(f"\n{name} {revision}".encode())
    if networks.keys() != members.keys():
        raise ConfigMismatchError(f"{folder / CONFIG_FILE}: only models of the families can be members of a consensus")
    try:
        model = Consensus(networks, found)
    except ConfigMismatchError as error:
        raise ConfigMismatchError(f"{folder / CONFIG_FILE}: {error}") from error
    return model.eval(), digest.hexdigest()[:12]
