"""A recipe: everything that decides a training run, in one YAML file named as the run is."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.models import TempoGrid
from fluxbeat.training.augment import AugmentConfig
from fluxbeat.training.views import SimclrConfig

WANTED = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
    **dict.fromkeys(("dataclass_type", "dict_type"), "a mapping of settings to values"),
    "tuple_type": "a list",
    "too_long": "a shorter list",
    "string_type": "text",
}
"""What a setting wants, by the kind of pydantic's complaint."""


@dataclass(frozen=True)
class DataConfig:
    """Where the music comes from; paths are relative to `--data-root`.

    Attributes
    ----------
    gtzan_archive : str
        Stem of a picture archive, or empty.
    gtzan_recordings : str
        Folder with the audio of some of its clips, or empty.
    recordings : str
        CSV of further recordings, or empty.
    synthetic : int
        Number of drawn rhythms.
    corpus : str
        Folder that `fluxbeat corpus` built, or empty.
    unlabelled : str
        Folder of recordings of which nothing is known, or empty: the teacher says what is in them.
    teacher : str
        Folder with the teacher's weights, or empty. In a corpus its answers lie already.
    corpus_share : float
        Windows of the corpus beside each window of the other music.
    blend_share : float
        Windows of the corpus's blends, which only the teacher speaks about, beside each window of the other music.
    """

    gtzan_archive: str = ""
    gtzan_recordings: str = ""
    recordings: str = ""
    synthetic: int = 0
    corpus: str = ""
    unlabelled: str = ""
    teacher: str = ""
    corpus_share: float = 0.5
    blend_share: float = 0.0


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
        What the model hears of it.
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
    epochs, batch_size : int
        An epoch draws one window from every item.
    learning_rate, weight_decay : float
        AdamW, one-cycle schedule.
    tempo_weight, teacher_weight : float
        Weights of the tempo loss and of the teacher's beside the genre loss.
    pretrain_epochs : int
        Epochs over the corpus alone before everything else; no test of the other music depends on them.
    ema_decay : float
        The shipped weights are a moving average with this decay per step.
    validation_share : float
        Share of each genre's artists that is not learned from but asked after every epoch, 0 to 0.5; the weights of
        the best epoch are shipped. 0: everything is learned from, and the last epoch is shipped.
    patience_epochs : int
        Stop when that many epochs in a row were no better than the best one; 0 never stops early.
    freeze_norm : bool
        Leave the batch norms' statistics as they are: for fine-tuning on little.
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
    window_s: float = 8.0
    epochs: int = 40
    batch_size: int = 32
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.05
    tempo_weight: float = 0.3
    teacher_weight: float = 1.0
    pretrain_epochs: int = 0
    ema_decay: float = 0.98
    validation_share: float = 0.0
    patience_epochs: int = 0
    freeze_norm: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.validation_share <= 0.5:
            raise FluxBeatError(f"validation_share must be 0 to 0.5, got {self.validation_share}")
        if self.patience_epochs and not self.validation_share:
            raise FluxBeatError("patience_epochs needs a validation_share above 0: some artists to judge an epoch by")


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe, with single values changed by `name=value` or `part.name=value` (value in YAML).

    Raises
    ------
    FluxBeatError
        If the file is missing or is no YAML mapping, or a setting is unknown, missing or of the wrong type.
    """
    path = Path(path)
    if not path.is_file():
        raise FluxBeatError(f"{path}: no such recipe")
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
    hints = get_type_hints(Recipe)
    # a part of which every setting is commented out is None in YAML
    given = {
        str(name): {} if value is None and is_dataclass(hints.get(name)) else value for name, value in values.items()
    }
    try:
        return TypeAdapter(Recipe).validate_python(given, extra="forbid")
    except ValidationError as error:
        raise FluxBeatError(f"{where}: {_fault(error.errors()[0])}") from error


def _fault(error: ErrorDetails) -> str:
    """What is wrong with one setting, in one sentence."""
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"the setting {name!r} is missing"
    if error["type"] == "unexpected_keyword_argument":
        kind: Any = Recipe
        for part in error["loc"][:-1]:
            kind = get_type_hints(kind)[str(part)]
        return f"unknown setting {name!r}; known are {', '.join(sorted(item.name for item in fields(kind)))}"
    wanted = WANTED.get(error["type"], error["msg"])
    return f"{name} must be {wanted}, got {reprlib.repr(error['input'])}"
