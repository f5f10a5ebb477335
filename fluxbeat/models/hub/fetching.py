"""Fetching a model from the Hub with the Hub's own client: one commit, not too large, verified, and cached.

It is a checkpoint of FluxBeat, or a classifier of transformers: of that, settings, words and safetensors are taken.

The client names each file in its cache by the checksum that the Hub lists for it (SHA-256 of large files, git's own of
small ones). Both are part of the commit, so whoever pins a commit pins the content; what was fetched once is verified
again, offline, each time it is loaded.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fluxbeat.errors import ModelLoadError
from fluxbeat.models.checkpoint import CONFIG_FILE, WEIGHTS_FILE, sha256_of
from fluxbeat.models.classifier import FEATURE_FILES, OTHER_FILES, require_transformers
from fluxbeat.models.fingerprint_file import FINGERPRINT_FILE
from fluxbeat.models.hub.address import HubAddress
from fluxbeat.models.hub.failures import plain_failures

TIMEOUT_S = 10.0
CARD_FILE = "README.md"
MOST_BYTES, MOST_CLASSIFIER_BYTES = 200_000_000, 2_000_000_000
"""All files of a checkpoint, and of a classifier of transformers, together."""
MOST_MODELS = 12
"""Models of one repository that are offered."""
_NEEDED = (CONFIG_FILE, WEIGHTS_FILE)
_PICKLES = re.compile(r".*\.(bin|pt|pth|ckpt|pkl|h5|msgpack)")
_log = logging.getLogger("fluxbeat")

Progress = Callable[[float, str], None]
"""Called with the fetched share (0..1) and the name of what takes long. What it raises ends the download."""


@dataclass(frozen=True)
class Fetched:
    """A verified checkpoint in the local cache.

    Attributes
    ----------
    address : HubAddress
        Where it came from, at its commit.
    folder : Path
        Holds config.json, model.safetensors and, where they are there, README.md and what a classifier needs.
    """

    address: HubAddress
    folder: Path


def models_in(address: HubAddress) -> list[HubAddress]:
    """The checkpoints at an address, each at its commit: the place itself, or the folders right below it.

    Where the Hub cannot be reached, what the cache knows of the repository counts.

    Raises
    ------
    ModelLoadError
        If there are none, or the repository cannot be asked.
    """
    pinned, sizes = _listing(address)
    if sizes.keys() >= {*_NEEDED}:
        return [pinned]
    _refuse_pickles(pinned, sizes)
    folders = _folders_with_models(sizes)
    if not folders:
        raise ModelLoadError(
            f"{address}: no checkpoint there; expected {CONFIG_FILE} and {WEIGHTS_FILE}, or folders that hold them"
        )
    if len(folders) > MOST_MODELS:
        raise ModelLoadError(f"{address}: holds {len(folders)} models; name one of them, as in {address.repo}/FOLDER")
    return [replace(pinned, folder=pinned.prefix + folder) for folder in folders]


def fetch(
    address: HubAddress, progress: Progress | None = None, tell_size: Callable[[str], None] | None = None
) -> Fetched:
    """A model of the Hub, from the cache where it is there; where it is not, its size is told before it is fetched.

    A commit that is in the cache asks nobody. A branch or a tag is asked for anew, and where the Hub does not answer
    the commit that it last meant is taken from the cache.

    Parameters
    ----------
    address : HubAddress
        Of one model.
    progress : Progress, optional
    tell_size : callable, optional
        Told of a classifier, before anything is fetched or loaded, how much will come and how much memory it takes.
        Where it is not given, a warning says so of what has to be fetched.

    Raises
    ------
    ModelLoadError
        If it cannot be had, or what came is not what the Hub lists; one sentence.
    """
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    pinned, sizes = _listing(address)
    _refuse_pickles(pinned, sizes)
    classifier = any(name in sizes for name in FEATURE_FILES)
    if classifier:
        require_transformers()  # before hundreds of megabytes are fetched
    for name in _NEEDED:
        if name not in sizes:
            folders = _folders_with_models(sizes)[:MOST_MODELS]
            cure = f"; name one of its folders: {', '.join(folders)}" if folders else ""
            raise ModelLoadError(f"{pinned}: no checkpoint there, it has no {name}{cure}")
    possible = (*_NEEDED, *(OTHER_FILES if classifier else (FINGERPRINT_FILE,)), CARD_FILE)
    names = [name for name in possible if name in sizes]
    most_bytes = MOST_CLASSIFIER_BYTES if classifier else MOST_BYTES
    _refuse_too_large(pinned, sum(sizes[name] for name in names), most_bytes)
    if classifier:
        here = try_to_load_from_cache(pinned.repo, pinned.prefix + WEIGHTS_FILE, revision=pinned.revision)
        # in memory weights are single precision, whatever the file has
        size = (
            f"{sizes[WEIGHTS_FILE] / 1e6:,.1f} MB {'in the local cache' if here else 'to fetch, once'}; it takes as "
            "much memory, twice as much if its weights are of half precision, and more while it runs"
        )
        if tell_size:
            tell_size(size)
        elif not here:
            _log.warning("%s: %s", pinned, size)
    with plain_failures(str(pinned)):
        snapshot = snapshot_download(
            pinned.repo,
            revision=pinned.revision,
            allow_patterns=[pinned.prefix + name for name in names],
            etag_timeout=TIMEOUT_S,
            max_workers=1,
            tqdm_class=_counter(pinned, progress, most_bytes),
        )
    kept = Fetched(pinned, Path(snapshot, pinned.folder))
    _verify(kept, [name for name in names if name != CARD_FILE])
    return kept


def _listing(address: HubAddress) -> tuple[HubAddress, dict[str, int]]:
    """The commit that an address means, and sizes of the files there: as the Hub lists, else as the cache remembers.

    The Hub is asked once: the client's own way of listing tries for half a minute where nobody answers. Where it falls
    silent the client by itself waits for ever: its session gets a limit, unless the program has given it one.
    """
    from httpx2 import Timeout
    from huggingface_hub import HfApi, get_cached_repo_tree, get_session
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    if get_session().timeout == Timeout(None):
        get_session().timeout = Timeout(TIMEOUT_S)
    with plain_failures(str(address)):
        commit = HfApi().resolve_revision(address.repo, revision=address.revision).resolved
        pinned = replace(address, revision=commit)
        try:
            tree = get_cached_repo_tree(pinned.repo, revision=pinned.revision)
            sizes = {file.path: file.size for file in tree}
        except CachedRepoTreeNotFoundError:
            info = HfApi().model_info(pinned.repo, revision=pinned.revision, files_metadata=True, timeout=TIMEOUT_S)
            sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    within = {path.removeprefix(pinned.prefix): size for path, size in sizes.items() if path.startswith(pinned.prefix)}
    return pinned, within


def _folders_with_models(paths: Iterable[str]) -> list[str]:
    """Names of the folders that hold a checkpoint, among the files of a place."""
    holding = [{path.split("/")[0] for path in paths if path.split("/")[1:] == [name]} for name in _NEEDED]
    return sorted(set.intersection(*holding))


def _verify(kept: Fetched, names: Iterable[str]) -> None:
    """Compare the files with the checksums under which the cache keeps them; what differs leaves the cache."""
    from huggingface_hub.utils.sha import git_hash

    for name in names:
        path = kept.folder / name
        content = path.resolve()
        if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", content.name):  # a system without links keeps no checksum
            continue
        found = sha256_of(path) if len(content.name) == 64 else git_hash(path.read_bytes())
        if found != content.name:
            path.unlink()
            content.unlink(missing_ok=True)
            raise ModelLoadError(
                f"{kept.address}: {name} is not the file that the Hub lists (wrong checksum) and was removed from the "
                "local cache; fetch it again"
            )


def _refuse_pickles(address: HubAddress, paths: Collection[str]) -> None:
    """Refuse a model that has its weights only in files which run code when they are read."""
    pickled = [name for name in paths if "/" not in name and _PICKLES.fullmatch(name) and name != "training_args.bin"]
    if pickled and CONFIG_FILE in paths and WEIGHTS_FILE not in paths:
        raise ModelLoadError(
            f"{address}: has its weights only as {pickled[0]}, a kind of file that can run code when it is read; "
            f"FluxBeat reads {WEIGHTS_FILE}: ask its author for one"
        )


def _refuse_too_large(address: HubAddress, found_bytes: float, most_bytes: int) -> None:
    if found_bytes > most_bytes:
        raise ModelLoadError(
            f"{address}: the checkpoint has {found_bytes / 1e6:,.0f} MB; no more than "
            f"{most_bytes / 1e6:g} MB are fetched"
        )


def _counter(address: HubAddress, progress: Progress | None, most_bytes: int) -> Any:
    """What the client takes for a progress bar; ends a download that does not end by itself."""
    from huggingface_hub.utils.tqdm import tqdm

    class Counter(tqdm):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **{**settings, "disable": True})
            self._counts_bytes = settings.get("unit") == "B"

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if not self._counts_bytes:
                return
            _refuse_too_large(address, self.n, most_bytes)
            if progress and self.total:
                progress(min(1.0, self.n / self.total), f"{WEIGHTS_FILE} ({self.total / 1e6:,.1f} MB)")

    return Counter
