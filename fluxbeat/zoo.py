"""Where models come from: a bundled name, a folder, or a repository on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from fluxbeat.errors import ModelLoadError
from fluxbeat.models import FAMILIES, GenreTempoModel, load_checkpoint
from fluxbeat.models.checkpoint import CONFIG_FILE, WEIGHTS_FILE

CHECKPOINTS_VARIABLE = "FLUXBEAT_CHECKPOINTS"
HUB_TIMEOUT_S = 10.0
_PACKAGE = Path(__file__).resolve().parent
_HUB_NAME = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<folder>[\w./-]+?))?(?:@(?P<revision>[\w./-]+))?")
_loaded: dict[tuple[str, int, int], ZooModel] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class ModelInfo:
    """Which weights gave an answer.

    Attributes
    ----------
    name : str
        Short name shown to a person.
    source : str
        Where the checkpoint was found: `checkpoints/crnn`, a folder, or `hf://owner/repo@revision`.
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


def load(name: str | Path) -> ZooModel:
    """A model by name, loaded once per process.

    Parameters
    ----------
    name : str or path
        A bundled name (`cnn`, `crnn`, `vit`), the folder of a checkpoint, or `hf://owner/repo[/folder]@revision`.

    Raises
    ------
    ModelLoadError
        If there is no such model or it cannot be fetched or is damaged.
    ConfigMismatchError
        If the checkpoint's features are not what this program computes.
    """
    name = str(name)
    if name.startswith("hf://"):
        folder, short, source = _fetch(name)
    elif name in bundled_names():
        folder, short, source = checkpoints_folder() / name, name, f"checkpoints/{name}"
    elif Path(name).is_dir():
        folder, short, source = Path(name), Path(name).resolve().name, name
    else:
        raise ModelLoadError(
            f"no model {name!r}: expected one of {', '.join(bundled_names()) or '(no bundled checkpoints found)'}, "
            "the folder of a checkpoint, or hf://owner/repo@revision"
        )
    weights = folder / WEIGHTS_FILE
    state = weights.stat() if weights.is_file() else None
    key = (str(folder.resolve()), state.st_mtime_ns if state else 0, state.st_size if state else 0)
    with _lock:
        if key not in _loaded:
            network, revision = load_checkpoint(folder)
            _loaded[key] = ZooModel(ModelInfo(short, source, revision), network)
        return _loaded[key]


def load_bundled() -> list[ZooModel]:
    """Every model that came with the program.

    Raises
    ------
    ModelLoadError
        If there is none, or one cannot be loaded.
    """
    names = bundled_names()
    if not names:
        raise ModelLoadError(f"no models found in {checkpoints_folder().name}/: install FluxBeat with its checkpoints")
    return [load(name) for name in names]


def _fetch(name: str) -> tuple[Path, str, str]:
    """Fetch config and weights from the Hub, or take them from its cache."""
    parts = _HUB_NAME.fullmatch(name)
    if parts is None:
        raise ModelLoadError(f"{name!r} is no Hub address: expected hf://owner/repo@revision")
    if not parts["revision"]:
        raise ModelLoadError(f"{name} names no revision: add @ and a commit, so that the weights cannot change unseen")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    prefix = f"{parts['folder']}/" if parts["folder"] else ""
    wanted = [prefix + CONFIG_FILE, prefix + WEIGHTS_FILE]
    try:
        snapshot = snapshot_download(
            parts["repo"], revision=parts["revision"], allow_patterns=wanted, etag_timeout=HUB_TIMEOUT_S
        )
    except RevisionNotFoundError as error:
        raise ModelLoadError(f"{name}: the repository has no revision {parts['revision']}") from error
    except GatedRepoError as error:
        raise ModelLoadError(
            f"{name}: access must be asked for on the Hub first, then log in with `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelLoadError(f"{name}: no such repository, or a private one: log in with `hf auth login`") from error
    except LocalEntryNotFoundError as error:
        raise ModelLoadError(f"{name}: the Hub cannot be reached and nothing of it is in the local cache") from error
    except (HfHubHTTPError, OSError) as error:
        raise ModelLoadError(f"{name}: the Hub could not deliver it ({type(error).__name__})") from error
    return (
        Path(snapshot, prefix),
        parts["repo"].split("/")[1] + (f"/{parts['folder']}" if prefix else ""),
        name,
    )
