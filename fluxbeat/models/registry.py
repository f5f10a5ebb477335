"""Where models come from: a bundled name, a folder, a repository on the Hugging Face Hub, or several in consensus."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from fluxbeat.errors import ConfigMismatchError, FluxBeatError, ModelLoadError
from fluxbeat.models.base import WindowModel
from fluxbeat.models.checkpoint import CONFIG_FILE, FAMILIES, WEIGHTS_FILE, load_checkpoint
from fluxbeat.models.classifier import OTHER_FILES, is_classifier, load_classifier
from fluxbeat.models.config_file import read_config
from fluxbeat.models.consensus import load_consensus, read_consensus
from fluxbeat.models.hub import HubAddress, fetch, models_in
from fluxbeat.models.hub.address import SCHEME

CHECKPOINTS_VARIABLE = "FLUXBEAT_CHECKPOINTS"
HUB_REPO_VARIABLE = "FLUXBEAT_HUB_REPO"
CONSENSUS = "all"
"""The folder of the bundled consensus, and its name."""
TITLES = {CONSENSUS: "Consensus", "cnn": "CNN", "crnn": "CRNN", "vit": "ViT"}
FIRST_CHOICE = "crnn"
"""The single model that answers where there is no consensus to do so."""
_PACKAGE = Path(__file__).resolve().parents[1]
_log = logging.getLogger("fluxbeat")
_loaded: dict[tuple[object, ...], LoadedModel] = {}
_lock = threading.RLock()
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
        First 12 hexadecimal digits of the SHA-256 of config.json and weights; of a consensus, see `load_consensus`.
    """

    name: str
    source: str
    revision: str


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A loaded, verified model and where it came from."""

    info: ModelInfo
    network: WindowModel


def checkpoints_folder() -> Path:
    """Folder of the bundled checkpoints: $FLUXBEAT_CHECKPOINTS, beside the package, or inside it when installed."""
    chosen = os.environ.get(CHECKPOINTS_VARIABLE)
    return Path(chosen) if chosen else shipped_folder()


def shipped_folder() -> Path:
    """Folder of the checkpoints that came with the program: beside the package, or inside it when installed."""
    beside = _PACKAGE.parent / "checkpoints"
    return beside if beside.is_dir() else _PACKAGE / "checkpoints"


def bundled_names() -> list[str]:
    """Names of the models in `checkpoints_folder()`: their consensus, CNN, CRNN, ViT, then others.

    A consensus is among them where all its members are.
    """
    found = _names_in(checkpoints_folder())
    first = [name for name in (CONSENSUS, *FAMILIES) if name in found]
    return first + sorted(found - set(first))


def _names_in(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob(f"*/{CONFIG_FILE}") if _has_all_members(path.parent)}


def _has_all_members(folder: Path) -> bool:
    try:
        found = read_consensus(folder)
    except ModelLoadError:
        return True  # whoever asks for it is told what is wrong with it
    return found is None or all((folder.parent / name / WEIGHTS_FILE).is_file() for name in found.members)


def model_title(name: str) -> str:
    """Name of a model as it is written for a person."""
    return TITLES.get(name, name)


def default_model(names: Sequence[str] | None = None) -> str:
    """Name of the model that answers where none is named.

    It is the consensus where there is one and its configuration says so, else `FIRST_CHOICE`, else the first there is.

    Parameters
    ----------
    names : sequence of str, optional
        Choose among these; among all on offer where not given.

    Raises
    ------
    ModelLoadError
        If there is no model at all.
    """
    names = model_names() if names is None else names
    if not names:
        raise ModelLoadError(
            f"no models found in {checkpoints_folder()}: install FluxBeat with its checkpoints, or name a folder that "
            f"holds some in {CHECKPOINTS_VARIABLE}"
        )
    if CONSENSUS in names:
        consensus = read_consensus(checkpoints_folder() / CONSENSUS)
        if consensus and consensus.default:
            return CONSENSUS
    single = [name for name in names if name != CONSENSUS]
    return FIRST_CHOICE if FIRST_CHOICE in names else (single or names)[0]


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


def hub_choice() -> HubChoice:
    """What $FLUXBEAT_HUB_REPO names: `owner/repo[/folder]@revision`, of one model or with a folder for each.

    A folder is offered under its own name, in place of a bundled model of that name; a single model in place of the
    bundled one of its family. The Hub is asked once per process; where it fails, the bundled checkpoints are used, and
    the reason is logged as a warning and kept in `failures`.
    """
    with _choosing:  # whoever comes while the Hub is asked gets the same answer
        return _chosen(os.environ.get(HUB_REPO_VARIABLE, "").strip())


@lru_cache(maxsize=1)
def _chosen(wanted: str) -> HubChoice:
    choice = HubChoice(wanted)
    if wanted:
        try:
            address = HubAddress.parse(wanted)
            choice.models = {_name_of(found, address): found for found in models_in(address)}
        except FluxBeatError as error:
            _fail(choice, "", error)
    return choice


def _name_of(found: HubAddress, asked: HubAddress) -> str:
    """The folder's name, or the family's where there is one model and no folder; a classifier's is the repository's."""
    if found.folder != asked.folder:
        return found.folder.split("/")[-1]
    folder = fetch(found).folder
    return found.repo.split("/")[1] if is_classifier(folder) else read_config(folder / CONFIG_FILE)[0].family


def _fail(choice: HubChoice, name: str, error: FluxBeatError, instead: str = "the bundled weights are used") -> None:
    choice.failures[name] = f"{error}; {instead}"
    _log.warning("%s: %s", HUB_REPO_VARIABLE, choice.failures[name])


def model_names() -> list[str]:
    """Names of the models on offer: the bundled ones in their order, then what else $FLUXBEAT_HUB_REPO brings.

    Where it brings other weights for a member of the consensus, there is no consensus: it was not calibrated for them.
    """
    bundled, others = bundled_names(), set(hub_choice().models)
    if CONSENSUS in bundled and CONSENSUS not in others:
        consensus = read_consensus(checkpoints_folder() / CONSENSUS)
        if consensus and others & set(consensus.members):
            bundled.remove(CONSENSUS)
    return bundled + sorted(others - set(bundled))


def load(name: str | Path | None = None) -> LoadedModel:
    """A model by name, loaded once per process.

    Parameters
    ----------
    name : str or path, optional
        A name (`all`, `cnn`, `crnn`, `vit`; bundled, or from $FLUXBEAT_HUB_REPO; also of a model that came with the
        program where $FLUXBEAT_CHECKPOINTS names another folder), the folder of a checkpoint or of a classifier of
        transformers, or `hf://owner/repo[/folder][@revision]` of either; `?genres=dub,techno&scores=sigmoid` after it
        says how a classifier is asked. `default_model()` where not given.

    Raises
    ------
    ModelLoadError
        If there is no such model or it cannot be fetched or is damaged.
    ConfigMismatchError
        If the checkpoint's features are not what this program computes.
    """
    name = str(name) if name is not None else default_model()
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
        return _from_folder(checkpoints_folder() / name, name)
    place, _, asked = name.partition("?")
    if Path(place).is_dir():
        return _from_folder(Path(place), Path(place).resolve().name, name, asked)
    if name in _names_in(shipped_folder()):
        return _from_folder(shipped_folder() / name, name)
    raise ModelLoadError(
        f"no model {name!r}: expected one of {', '.join(model_names()) or '(no bundled checkpoints found)'}, "
        "the folder of a checkpoint, or hf://owner/repo@revision"
    )


def load_all() -> list[LoadedModel]:
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


def forget(model: LoadedModel) -> None:
    """Hold a model no longer, nor its consensus: `load` reads it anew, its memory is free once nobody else holds it."""
    with _lock:
        for key, loaded in list(_loaded.items()):
            if model.network in loaded.network.modules():  # itself, or the consensus that it is a member of
                del _loaded[key]


def checkpoint_folder(model: LoadedModel) -> Path:
    """The folder that a model was loaded from.

    Raises
    ------
    ModelLoadError
        If it came from the Hub and has left the cache since.
    """
    source = model.info.source
    if source.startswith(SCHEME):
        return fetch(HubAddress.parse(source)).folder
    if source == f"checkpoints/{model.info.name}":
        return checkpoints_folder() / model.info.name
    return Path(source.partition("?")[0])


def _from_hub(address: HubAddress, short: str = "") -> LoadedModel:
    fetched = fetch(address)
    try:
        short = short or fetched.address.short_name
        return _from_folder(fetched.folder, short, str(fetched.address), fetched.address.options)
    except (ModelLoadError, ConfigMismatchError) as error:
        raise type(error)(f"{fetched.address}: {str(error).replace(f'{fetched.folder}{os.sep}', '')}") from error


def _from_folder(folder: Path, short: str, source: str = "", asked: str = "") -> LoadedModel:
    """`asked` is how a classifier is to be asked, as `parse_options` reads it."""
    if not source:
        source = f"checkpoints/{folder.name}" if folder.parent == checkpoints_folder() else str(folder)
    consensus = read_consensus(folder)
    with _lock:
        members = tuple(_from_folder(folder.parent / name, name) for name in consensus.members) if consensus else ()
        key = (short, str(folder.resolve()), asked, _state(folder), members)
        if key not in _loaded:
            network: WindowModel
            if consensus:
                found = {member.info.name: (member.network, member.info.revision) for member in members}
                network, revision = load_consensus(folder, consensus, found)
            elif is_classifier(folder):
                network, revision = load_classifier(folder, asked)
                short = f"{short}-{revision[:4]}" if asked else short
            elif asked:
                raise ModelLoadError(f"{folder} is a model of FluxBeat, which takes no ?{asked[:40]}: leave that away")
            else:
                network, revision = load_checkpoint(folder)
            _loaded[key] = LoadedModel(ModelInfo(short, source, revision), network)
        return _loaded[key]


def _state(folder: Path) -> tuple[object, ...]:
    """Size and time of change of every file that a model is made of; equal as long as none of them changes."""
    files = [folder / name for name in (CONFIG_FILE, WEIGHTS_FILE, *OTHER_FILES) if (folder / name).is_file()]
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
