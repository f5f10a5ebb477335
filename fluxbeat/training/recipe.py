"""A recipe: everything that decides a training run, in one YAML file named as the run is."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from fluxbeat.errors import FluxBeatError
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.tempo import TempoGrid
from fluxbeat.training.data.windows import AugmentConfig
from fluxbeat.training.tasks.simclr import SimclrConfig


@dataclass(frozen=True)
class DataConfig:
    """Where the music comes from; paths are relative to `--data-root`.

    Attributes
    ----------
    stores : tuple of str
        Folders of features and teachers' outputs, as `fluxbeat.training.data.store` describes them.
    balance : float
        How much more often rare genres are drawn: 0 draws every excerpt equally often, 1 every genre.
    """

    stores: tuple[str, ...] = ()
    balance: float = 0.5


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Attributes
    ----------
    family : str
        'cnn', 'crnn' or 'vit'.
    labels : tuple of str
        Genres, in order.
    data : DataConfig
        Where the music comes from.
    features : FeatureConfig
        The spectrogram that the model takes.
    tempo_grid : TempoGrid
        The tempi that it can tell apart.
    augment : AugmentConfig
        How strongly windows are changed before they are learned from.
    simclr : SimclrConfig
        Only for pretraining without labels.
    architecture : dict
        Settings of the family's network that differ from its defaults, by their names in its class.
    window_s : float
        Length of one window.
    epochs, epoch_steps, batch_size : int
        A run draws epochs * epoch_steps batches; its state is kept after every epoch.
    learning_rate, weight_decay : float
        AdamW, one-cycle schedule.
    genre_weight, kind_weight, tempo_weight, teacher_weight : float
        Weights of the losses.
    tempo_share : float
        Share of each batch that the tempo head learns from, above 0 to 1.
    ema_decay : float
        The shipped weights are a moving average with this decay per step.
    start_from : str
        Run whose weights to start from, beside the output folder; empty for random ones.
    frozen : bool
        Leave the network as it is and teach its kind and tempo heads only.
    seed : int
        Of everything random.
    """

    family: str
    labels: tuple[str, ...]
    data: DataConfig = field(default_factory=DataConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    tempo_grid: TempoGrid = field(default_factory=TempoGrid)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    simclr: SimclrConfig = field(default_factory=SimclrConfig)
    architecture: dict[str, Any] = field(default_factory=dict)
    window_s: float = 10.0
    epochs: int = 40
    epoch_steps: int = 250
    batch_size: int = 48
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    genre_weight: float = 0.5
    kind_weight: float = 0.3
    tempo_weight: float = 0.2
    teacher_weight: float = 1.0
    tempo_share: float = 0.5
    ema_decay: float = 0.999
    start_from: str = ""
    frozen: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.tempo_share <= 1:
            raise FluxBeatError(f"tempo_share must be above 0 and at most 1, got {self.tempo_share:g}")


def recipes_folder() -> Path:
    """Where the recipes of the shipped weights lie: beside the package, or inside it when installed."""
    package = Path(__file__).resolve().parents[1]
    beside = package.parent / "recipes"
    return beside if beside.is_dir() else package / "recipes"


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe, with single values changed by `name=value` or `part.name=value` (value in YAML).

    Parameters
    ----------
    path : path
        A file, or the name of a recipe that comes with the program: `cnn`.
    changes : sequence of str

    Raises
    ------
    FluxBeatError
        If the file is missing or is no YAML mapping, or a setting is unknown, missing or of the wrong type.
    """
    path = Path(path)
    shipped = {file.stem: file for file in recipes_folder().glob("*.yaml")}
    path = shipped.get(str(path), path)
    if not path.is_file():
        raise FluxBeatError(f"{path}: no such recipe; expected a file, or one of {', '.join(sorted(shipped))}")
    values = _yaml(path.read_bytes(), str(path))
    if not isinstance(values, dict):
        raise FluxBeatError(f"{path}: a recipe is a YAML mapping of settings to values, got {reprlib.repr(values)}")
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise FluxBeatError(f"--set needs name=value, got {change!r}")
        *parts, last = name.split(".")
        target = values
        for part in parts:
            if target.get(part) is None:
                target[part] = {}
            target = target[part]
            if not isinstance(target, dict):
                raise FluxBeatError(f"--set {change}: {part} is one value and has no settings of its own")
        target[last] = _yaml(text, f"--set {change}")
    return _build(values, str(path))


def _yaml(text: str | bytes, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise FluxBeatError(f"{where}: not YAML ({' '.join(str(error).split())})") from error


def _build(values: dict[Any, Any], where: str) -> Recipe:
    sections = {setting.name for setting in fields(Recipe) if setting.default_factory is not MISSING}
    # a section of which every setting is commented out is None in YAML
    given = {name: {} if value is None and name in sections else value for name, value in values.items()}
    try:
        return TypeAdapter(Recipe).validate_python(given, extra="forbid")
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        setting = ".".join(map(str, wrong["loc"]))
        raise FluxBeatError(f"{where}: {setting}: {wrong['msg']}, got {reprlib.repr(wrong['input'])}") from error
