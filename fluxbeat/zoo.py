"""Where models come from: a bundled name, a folder, or a repository on the Hugging Face Hub."""

from __future__ import annotations

import json
import logging
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from fluxbeat.errors import ConfigMismatchError, FluxBeatError, ModelLoadError
from fluxbeat.hub import HubAddress, fetch, models_in
from fluxbeat.hub.address import SCHEME
from fluxbeat.hub.fetching import checksum
from fluxbeat.models import FAMILIES, GenreTempoModel, load_checkpoint
from fluxbeat.models.checkpoint import CONFIG_FILE, WEIGHTS_FILE

CHECKPOINTS_VARIABLE = "FLUXBEAT_CHECKPOINTS"
HUB_REPO_VARIABLE = "FLUXBEAT_HUB_REPO"
_PACKAGE = Path(__file__).resolve().parent
_log = logging.getLogger("fluxbeat")
_loaded: dict[tuple[str, str, int, int], ZooModel] = {}
_lock = threading.Lock()
_choosing = threading.Lock()


@dataclass(frozen=True)
class ModelInfo:
    """Which weights gave an answer.

    Attributes
    ----------
    name : str
        Short name shown to a person.
    source : str
        Where the checkpoint was found: `checkpoints/crnn`, a folder, or `hf://owner/repo/folder@commit`.
    revision : str
        First 12 hexadecimal digits of the SHA-256 of the weights.
    """

    name: str
    source: str
    revision: str


@dataclass(frozen=True, eq=False)
class ZooModel:
    """A loaded, verified model and where it came from."""

    info: ModelInfo
    network: GenreTempoModel


def checkpoints_folder() -> Path:
    """Folder of the bundled checkpoints: $FLUXBEAT_CHECKPOINTS, beside the package, or inside it when installed."""
    chosen = os.environ.get(CHECKPOINTS_VARIABLE)
    if chosen:
        return Path(chosen)
    beside = _PACKAGE.parent / "checkpoints"
    return beside if beside.is_dir() else _PACKAGE / "checkpoints"


def bundled_names() -> list[str]:
    """Names of the checkpoints that came with the program, in the order CNN, CRNN, ViT, then others."""
    folder = checkpoints_folder()
    found = {path.parent.name for path in folder.glob(f"*/{CONFIG_FILE}")} if folder.is_dir() else set()
    return [name for name in FAMILIES if name in found] + sorted(found - set(FAMILIES))


@dataclass(eq=False)
class HubChoice:
    """The weights that $FLUXBEAT_HUB_REPO asks for.

    Attributes
    ----------
    wanted : str
        What the variable says.
    models : dict of str to HubAddress
        By the name under which each is offered.
    failures : dict of str to str
        What could not be had, in one sentence, by the model's name; by an empty name what concerns all of them.
    """

    wanted: str
    models: dict[str, HubAddress] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


_choice = HubChoice("")


def hub_choice() -> HubChoice:
    """What $FLUXBEAT_HUB_REPO names: `owner/repo[/folder]@revision`, of one model or with a folder for each.

    A folder is offered under its own name, in place of a bundled model of that name; a single model in place of the
    bundled one of its family. The Hub is asked once per process; where it fails, the bundled checkpoints are used, and
    the reason is logged as a warning and kept in `failures`.
    """
    global _choice
    wanted = os.environ.get(HUB_REPO_VARIABLE, "").strip()
    with _choosing:
        if _choice.wanted == wanted:
            return _choice
        _choice = HubChoice(wanted)
        if wanted:
            try:
                address = HubAddress.parse(wanted)
                found = models_in(address)
                _choice.models = {_name_of(one, address): one for one in found}
            except FluxBeatError as error:
                _fail(_choice, "", error)
        return _choice


def _name_of(one: HubAddress, asked: HubAddress) -> str:
    """The folder's name, or the family's where there is one model and no folder."""
    if one.folder != asked.folder:
        return one.folder.split("/")[-1]
    return _family_of(fetch(one).folder)


def _family_of(folder: Path) -> str:
    """Which family's name stands in a verified config.json."""
    return str(json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["family"])


def _fail(choice: HubChoice, name: str, error: FluxBeatError, instead: str = "the bundled weights are used") -> None:
    choice.failures[name] = f"{error}; {instead}"
    _log.warning("%s: %s", HUB_REPO_VARIABLE, choice.failures[name])


def model_names() -> list[str]:
    """Names that `load` takes: the bundled ones in their order, then what else $FLUXBEAT_HUB_REPO brings."""
    bundled = bundled_names()
    return bundled + sorted(set(hub_choice().models) - set(bundled))


def load(name: str | Path) -> ZooModel:
    """A model by name, loaded once per process.

    Parameters
    ----------
    name : str or path
        A name (`cnn`, `crnn`, `vit`; bundled, or from $FLUXBEAT_HUB_REPO), the folder of a checkpoint, or
        `hf://owner/repo[/folder]@revision`.

    Raises
    ------
    ModelLoadError
        If there is no such model or it cannot be fetched or is damaged.
    ConfigMismatchError
        If the checkpoint's features are not what this program computes.
    """
    name = str(name)
    if name.startswith(SCHEME):
        return _from_hub(HubAddress.parse(name))
    choice, bundled = hub_choice(), name in bundled_names()
    if name in choice.models and not (bundled and name in choice.failures):
        try:
            return _from_hub(choice.models[name], name)
        except FluxBeatError as error:
            if not bundled:
                raise
            _fail(choice, name, error)
    if bundled:
        return _from_folder(checkpoints_folder() / name, name, f"checkpoints/{name}")
    if Path(name).is_dir():
        return _from_folder(Path(name), Path(name).resolve().name, name)
    raise ModelLoadError(
        f"no model {name!r}: expected one of {', '.join(model_names()) or '(no bundled checkpoints found)'}, "
        "the folder of a checkpoint, or hf://owner/repo@revision"
    )


def load_all() -> list[ZooModel]:
    """Every model of `model_names`, but for those that only the Hub has and that cannot be had.

    Raises
    ------
    ModelLoadError, ConfigMismatchError
        If a bundled model is damaged.
    """
    models, bundled = [], bundled_names()
    for name in model_names():
        try:
            models.append(load(name))
        except FluxBeatError as error:
            if name in bundled:
                raise
            _fail(hub_choice(), name, error, "it is left out")
    return models


def checkpoint_folder(model: ZooModel) -> Path:
    """The folder that a model was loaded from.

    Raises
    ------
    ModelLoadError
        If it came from the Hub and has left the cache since.
    """
    source = model.info.source
    if source.startswith(SCHEME):
        return fetch(HubAddress.parse(source)).folder
    return checkpoints_folder() / model.info.name if source == f"checkpoints/{model.info.name}" else Path(source)


def verify(model: ZooModel) -> str:
    """Read a model's files once more and compare them with what was loaded, and with what the Hub listed.

    Returns
    -------
    str
        SHA-256 of the weights, 64 hexadecimal digits.

    Raises
    ------
    ModelLoadError
        If a file is missing, damaged, or not the one that was loaded.
    ConfigMismatchError
        If config.json is not one of this version any more.
    """
    folder = checkpoint_folder(model)
    _, revision = load_checkpoint(folder)
    if revision != model.info.revision:
        raise ModelLoadError(
            f"{model.info.source}: the weights on the disk are {revision}, loaded were {model.info.revision}; "
            "start FluxBeat again to use the new ones"
        )
    return checksum(folder / WEIGHTS_FILE, 64)


def forget(model: ZooModel) -> None:
    """Let go of a loaded model; it lives on only where somebody still uses it."""
    with _lock:
        for key in [key for key, kept in _loaded.items() if kept is model]:
            del _loaded[key]


def _from_hub(address: HubAddress, short: str = "") -> ZooModel:
    fetched = fetch(address)
    try:
        return _from_folder(fetched.folder, short or fetched.address.short_name, str(fetched.address))
    except (ModelLoadError, ConfigMismatchError) as error:
        raise type(error)(f"{fetched.address}: {str(error).replace(f'{fetched.folder}{os.sep}', '')}") from error


def _from_folder(folder: Path, short: str, source: str) -> ZooModel:
    weights = folder / WEIGHTS_FILE
    state = weights.stat() if weights.is_file() else None
    key = (short, str(folder.resolve()), state.st_mtime_ns if state else 0, state.st_size if state else 0)
    with _lock:
        if key not in _loaded:
            network, revision = load_checkpoint(folder)
            _loaded[key] = ZooModel(ModelInfo(short, source, revision), network)
        return _loaded[key]
