"""config.json of a checkpoint: what it must hold and within which bounds, as a pydantic model.

A checkpoint may come from anybody. What is refused here, before anything is built, would otherwise fill memory (a file
of some bytes can promise a network of terabytes), or fail much later in words that nobody understands.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from fluxbeat.errors import ConfigMismatchError, ModelLoadError

CONFIG_FILE = "config.json"
SCHEMA = 2
LARGEST_CONFIG_BYTES = 1_000_000
"""The bundled ones have less than 20,000."""
MOST_LAYERS = 64
MOST_WINDOW_FRAMES = 4096
MOST_LABELS, LONGEST_LABEL = 1000, 100
MOST_CHARACTERS_SHOWN = 40


def require_printable(text: str) -> str:
    """The text itself.

    Raises
    ------
    ValueError
        If it holds line breaks or other characters that are not shown.
    """
    if not text.isprintable():
        raise ValueError("should hold printable characters only")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(require_printable)]
LARGEST_NUMBER = 2**63 - 1
"""No measurement, count or seed is larger."""
Number = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
Whole = Annotated[int, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
Count = Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]


class Metric(BaseModel):
    """One measurement of a model; other keys are kept, and read by nobody.

    Attributes
    ----------
    measure : str
        What was measured: `accuracy`, `tempo_accuracy1` ...
    value : float
    n : int
        Tracks (or labels) that were measured on.
    split : str
        Which they are.
    interval_95 : list of two floats, optional
        95 % confidence interval of the value.
    sd, seeds : float, int, optional
        Standard deviation between training runs, and their number.
    seed, date : int, str, optional
        The run's seed, and the day.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)
    measure: Name
    value: Number
    n: Count
    split: Name
    interval_95: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    sd: Number | None = None
    seeds: Count | None = None
    seed: Whole | None = None
    date: Name | None = None


def _refuse_large(value: Any, name: str = "architecture", depth: int = 0) -> Any:
    """Refuse numbers and lists that only fill memory; whether they make a network, the family says."""
    if isinstance(value, list | dict):
        if len(value) > MOST_LAYERS or depth > 3:
            raise PydanticCustomError(
                "size", f"asks for {len(value)} values of {name}: at most {MOST_LAYERS}, in lists"
            )
        for key, part in value.items() if isinstance(value, dict) else ((name, part) for part in value):
            _refuse_large(part, key, depth + 1)
    elif isinstance(value, int | float):
        most = MOST_LAYERS if name in ("depth", "heads", "lstm_layers") else 4096
        if not abs(value) <= most:  # not a number is not less either
            raise PydanticCustomError("size", f"asks for {name} of {_shown(value)}: at most {most} makes sense")
    return value


Label = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL), AfterValidator(require_printable)]
Threshold = Annotated[float, Field(gt=0, lt=1)]
Architecture = Annotated[dict[str, Any], AfterValidator(_refuse_large)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class TempoGridPart(_Part):
    """`TempoGrid`."""

    min_bpm: float = Field(ge=1, le=1000)
    max_bpm: float = Field(ge=1, le=1000)
    bins: int = Field(ge=2, le=512)


class FeaturesPart(_Part):
    """`FeatureConfig`, in bounds that can be computed in little memory."""

    sample_rate_hz: int = Field(ge=4000, le=192_000)
    n_fft: int = Field(ge=64, le=65_536)
    window_samples: int = Field(ge=16, le=65_536)
    hop_samples: int = Field(ge=16, le=65_536)
    n_mels: int = Field(ge=4, le=1024)
    f_min_hz: float = Field(ge=0, le=96_000)
    f_max_hz: float = Field(ge=1, le=96_000)
    floor_db: float = Field(ge=-1000, le=1000)
    dynamic_range_db: float = Field(ge=1, le=1000)
    norm_window_s: float = Field(ge=0.1, le=3600)
    hash: Name


class CalibrationPart(_Part):
    """`Calibration`."""

    scale: float = Field(ge=1e-3, le=1e3)
    bias: float = Field(ge=-1e3, le=1e3)


class FamiliarityPart(_Part):
    """`Familiarity`."""

    middle: float = Field(ge=-1e3, le=1e3)
    width: float = Field(ge=1e-3, le=1e3)


class ConfigFile(_Part):
    """Everything that config.json holds; see `ModelConfig` for what it means.

    Attributes
    ----------
    weights_sha256 : str or None
        SHA-256 of the weights that belong to it; None in files that were written before this was.
    """

    schema_version: Literal[2] = Field(alias="schema")
    family: Name
    labels: tuple[Label, ...] = Field(max_length=MOST_LABELS)
    thresholds: tuple[Threshold, ...] = Field(max_length=MOST_LABELS)
    tempo_grid: TempoGridPart
    tempo_threshold: float = Field(ge=-1e3, le=1e3)
    tempo_taught: bool
    features: FeaturesPart
    window_s: float = Field(ge=0.5, le=120)
    kind_taught: bool
    familiarity: FamiliarityPart | None
    calibration: CalibrationPart
    architecture: Architecture
    metrics: tuple[Metric, ...] = Field(max_length=MOST_LABELS)
    weights_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _refuse_long_windows(self) -> ConfigFile:
        frames = round(self.window_s * self.features.sample_rate_hz / self.features.hop_samples)
        if frames > MOST_WINDOW_FRAMES:  # a short clip is padded to one
            words = f"asks for windows of {frames:,} frames: at most {MOST_WINDOW_FRAMES:,} make sense"
            raise PydanticCustomError("window", words)
        return self


def read_config(path: Path) -> tuple[ConfigFile, bytes]:
    """What a config.json holds, and its bytes.

    Raises
    ------
    ModelLoadError
        If it is too large, no JSON object, incomplete, or asks for what no model of FluxBeat needs; names the first
        setting that is wrong.
    ConfigMismatchError
        If it is of another schema.
    """
    size_bytes = path.stat().st_size
    if size_bytes > LARGEST_CONFIG_BYTES:
        raise ModelLoadError(
            f"{CONFIG_FILE} has {size_bytes / 1e6:,.1f} MB: at most {LARGEST_CONFIG_BYTES / 1e6:g} MB makes sense"
        )
    content = path.read_bytes()
    try:
        return ConfigFile.model_validate_json(content), content
    except ValidationError as error:
        for wrong in error.errors(include_url=False):
            if wrong["loc"] == ("schema",):
                found = "none" if wrong["type"] == "missing" else _shown(wrong["input"])
                raise ConfigMismatchError(f"{CONFIG_FILE} has schema {found}, this program reads {SCHEMA}") from error
        raise ModelLoadError(f"{CONFIG_FILE} {fault_of(error)}") from error


def fault_of(error: ValidationError) -> str:
    """What is wrong with a config.json, as the words after its name: first wrong setting, rule, and what was found."""
    wrong = error.errors(include_url=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in wrong["loc"]).lstrip(".")
    if wrong["type"] == "json_invalid":
        return f"is not JSON that can be read: {wrong['ctx']['error']}"
    if wrong["type"] == "missing":
        return f"is incomplete or damaged: it has no {place}"
    if wrong["type"] == "extra_forbidden":
        return f"is of another version: {place[:MOST_CHARACTERS_SHOWN]} is no setting of this program"
    if not place or wrong["type"] == "size":
        return wrong["msg"][:1].lower() + wrong["msg"][1:]
    rule = re.sub("^(Input|String|List|Tuple|Value error,) ", "", wrong["msg"])
    return f"is incomplete or damaged: {place} {rule}, got {_shown(wrong['input'])}"


def _shown(value: Any) -> str:
    """A value in few characters, also where it is an integer of a thousand digits."""
    if isinstance(value, int | float):
        try:
            return f"{value:g}"
        except OverflowError:
            return f"a number of {len(str(abs(value)))} digits"
    text = repr(value)
    return text if len(text) <= MOST_CHARACTERS_SHOWN else f"{text[:MOST_CHARACTERS_SHOWN]}…"
