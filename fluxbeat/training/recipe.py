"""A recipe: everything that decides a training run, in one YAML file named as the run is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.models import TempoGrid
from fluxbeat.training.augment import AugmentConfig
from fluxbeat.training.views import SimclrConfig

T = TypeVar("T")


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
    simclr : SimclrConfig
        Only for pretraining without labels.
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
        If the file is missing or a name is not known.
    """
    path = Path(path)
    if not path.is_file():
        raise FluxBeatError(f"{path}: no such recipe")
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise FluxBeatError(f"--set needs name=value, got {change!r}")
        *parts, last = name.split(".")
        target = values
        for part in parts:
            target = target.setdefault(part, {})
        target[last] = yaml.safe_load(text)
    return _build(Recipe, values, str(path))


def _build(kind: type[T], values: dict[str, Any], where: str) -> T:
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    unknown = set(values) - known
    if unknown:
        raise FluxBeatError(f"{where}: unknown setting {sorted(unknown)[0]!r}; known are {', '.join(sorted(known))}")
    hints = get_type_hints(kind)
    built = {}
    for name, value in values.items():
        if is_dataclass(hints[name]):
            value = _build(hints[name], value or {}, f"{where}: {name}")
        elif isinstance(value, list):
            value = tuple(value)
        elif hints[name] is float:
            value = float(value)
        built[name] = value
    return kind(**built)
