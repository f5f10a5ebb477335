"""Fetching a checkpoint from the Hub: one commit, sizes known before, checksums verified after, kept in the cache.

What is verified: the Hub lists, for the commit, the SHA-256 of every large file and git's own checksum of every small
one; both are part of the commit, so whoever pins a commit pins the content. No file of checksums lies beside the
weights: it could only repeat what the commit says. The Hub's client names the files in its cache by the same checksums,
so that what was fetched once is verified again, offline, each time it is loaded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fluxbeat.errors import ConfigMismatchError, ModelLoadError
from fluxbeat.hub.address import HubAddress
from fluxbeat.hub.failures import HubUnreachable, plain_failures
from fluxbeat.models.checkpoint import CONFIG_FILE, WEIGHTS_FILE, check_checkpoint

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

TIMEOUT_S = 10.0
CARD_FILE = "README.md"
LARGEST_BYTES = {CONFIG_FILE: 1_000_000, WEIGHTS_FILE: 200_000_000, CARD_FILE: 1_000_000}
MOST_MODELS = 12
"""Models of one repository that are offered."""
HUB_DOMAINS = ("huggingface.co", "hf.co")
"""The Hub sends downloads on to hosts below these, and to no others."""
_NEEDED = (CONFIG_FILE, WEIGHTS_FILE)
_CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

Progress = Callable[[float, str], None]
"""Called with the fetched share (0..1) and the file's name. What it raises ends the download."""


@dataclass(frozen=True)
class Fetched:
    """A verified checkpoint in the local cache.

    Attributes
    ----------
    address : HubAddress
        Where it came from, at its commit.
    folder : Path
        Holds config.json, model.safetensors and, where there is one, README.md.
    """

    address: HubAddress
    folder: Path


def models_in(address: HubAddress) -> list[HubAddress]:
    """The checkpoints at an address, each at its commit: the place itself, or the folders right below it.

    Where the Hub cannot be reached, those of them that are in the cache.

    Raises
    ------
    ModelLoadError
        If there are none, or the repository cannot be asked.
    """
    try:
        commit, files = _listing(address)
        paths = set(files)
    except HubUnreachable:
        kept = _kept_snapshot(address)
        if kept is None:
            raise
        commit, paths = kept.name, {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    if {address.prefix + CONFIG_FILE, address.prefix + WEIGHTS_FILE} <= paths:
        return [address.at(commit)]
    folders = _folders_with_models(address, paths)
    if not folders:
        raise ModelLoadError(
            f"{address}: no checkpoint there; expected {CONFIG_FILE} and {WEIGHTS_FILE}, or folders that hold them"
        )
    if len(folders) > MOST_MODELS:
        raise ModelLoadError(f"{address}: holds {len(folders)} models; name one of them, as in {address.repo}/FOLDER")
    return [address.at(commit).inside(folder) for folder in folders]


def _folders_with_models(address: HubAddress, paths: Iterable[str]) -> list[str]:
    """Names of the folders right below a place that hold a checkpoint."""
    within = [path.removeprefix(address.prefix) for path in paths if path.startswith(address.prefix)]
    holding = [{path.split("/")[0] for path in within if path.split("/")[1:] == [name]} for name in _NEEDED]
    return sorted(set.intersection(*holding))


def fetch(address: HubAddress, progress: Progress | None = None) -> Fetched:
    """A checkpoint of the Hub, from the cache where it is there.

    A commit that is in the cache asks nobody. A branch or a tag is asked for anew, and where the Hub does not answer
    the commit that it last meant is taken from the cache.

    Parameters
    ----------
    address : HubAddress
        Of one checkpoint.
    progress : Progress, optional

    Raises
    ------
    ModelLoadError
        If it cannot be had, or what came is not what the Hub lists; one sentence.
    ConfigMismatchError
        If it was made by another version of FluxBeat.
    """
    kept = _kept(address) if address.pinned else None
    if kept is None:
        try:
            kept = _download(address, progress)
        except HubUnreachable:
            kept = _kept(address)
            if kept is None:
                raise
    verify_kept(kept)
    with _named(kept.address):
        check_checkpoint(kept.folder)
    return kept


def verify_kept(kept: Fetched) -> dict[str, str]:
    """Compare the files with the checksums under which the cache keeps them; what is damaged leaves the cache.

    Returns
    -------
    dict
        Checksum of each file, SHA-256 or git's, in hexadecimal digits.

    Raises
    ------
    ModelLoadError
        If a file is missing or damaged.
    """
    found = {}
    for name in _NEEDED:
        path = kept.folder / name
        if not path.is_file():
            raise ModelLoadError(f"{kept.address}: {name} is missing from the local cache; fetch it again")
        expected = path.resolve().name
        if not _CHECKSUM.fullmatch(expected):  # a system without links keeps no checksum
            found[name] = checksum(path, 64)
            continue
        found[name] = checksum(path, len(expected))
        if found[name] != expected:
            _drop(path)
            raise ModelLoadError(
                f"{kept.address}: {name} in the local cache was damaged and has been removed; fetch it again"
            )
    return found


def checksum(path: Path, digits: int) -> str:
    """SHA-256 of a file (64 digits), or the SHA-1 by which git names its content (40 digits)."""
    content = path.read_bytes()
    if digits == 64:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _listing(address: HubAddress) -> tuple[str, dict[str, RepoSibling]]:
    """The commit that a revision means, and its files."""
    from huggingface_hub import HfApi

    with plain_failures(str(address)):
        info = HfApi().model_info(address.repo, revision=address.revision, files_metadata=True, timeout=TIMEOUT_S)
        if not info.sha or info.siblings is None or not address.at(info.sha).pinned:
            raise ValueError("no commit in the answer")
        if address.pinned and info.sha != address.revision:
            raise ModelLoadError(f"{address}: the Hub answered with another commit, {info.sha}")
        if not address.pinned:
            _remember(address, info.sha)
        return info.sha, {sibling.rfilename: sibling for sibling in info.siblings}


def _download(address: HubAddress, progress: Progress | None) -> Fetched:
    commit, files = _listing(address)
    pinned = address.at(commit)
    for name in _NEEDED:
        if pinned.prefix + name not in files:
            folders = _folders_with_models(pinned, files)
            cure = f"; name one of its folders: {', '.join(folders[:MOST_MODELS])}" if folders else ""
            raise ModelLoadError(f"{pinned}: no checkpoint there, it has no {name}{cure}")
    wanted = [name for name in (CONFIG_FILE, CARD_FILE, WEIGHTS_FILE) if pinned.prefix + name in files]
    for name in wanted:
        _refuse_too_large(pinned, name, files[pinned.prefix + name].size or 0)
    path = Path()
    for name in wanted:
        path = _download_file(pinned, name, files[pinned.prefix + name], progress)
    return Fetched(pinned, path.parent)


def _download_file(address: HubAddress, name: str, listed: RepoSibling, progress: Progress | None) -> Path:
    """One file, compared with what the Hub lists of it; what differs does not stay in the cache."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    place, expected = address.prefix + name, listed.lfs.sha256 if listed.lfs else listed.blob_id
    if not expected or not _CHECKSUM.fullmatch(expected):
        raise ModelLoadError(f"{address}: the Hub names no checksum for {name}, so it cannot be trusted")
    counted = _counter(address, name, listed.size or LARGEST_BYTES[name], progress)
    with plain_failures(str(address)):
        url = hf_hub_url(address.repo, place, revision=address.revision)
        there = get_hf_file_metadata(url, timeout=TIMEOUT_S)
        _refuse_other_host(address, url, there.location)
        _refuse_too_large(address, name, there.size or 0)
        path = Path(
            hf_hub_download(address.repo, place, revision=address.revision, etag_timeout=TIMEOUT_S, tqdm_class=counted)
        )
    if checksum(path, len(expected)) != expected:
        _drop(path)
        raise ModelLoadError(
            f"{address}: {name} is not the file that the Hub lists (wrong checksum); nothing of it was kept"
        )
    return path


def _refuse_other_host(address: HubAddress, url: str, location: str) -> None:
    here, there = urlsplit(url), urlsplit(location)
    host = there.hostname or ""
    own = any(host == domain or host.endswith(f".{domain}") for domain in HUB_DOMAINS)
    if (there.netloc != here.netloc and not own) or there.scheme not in (here.scheme, "https"):
        raise ModelLoadError(f"{address}: the Hub sends on to {host or 'nowhere'}, which is not one of its hosts")


def _refuse_too_large(address: HubAddress, name: str, size_bytes: int) -> None:
    largest = LARGEST_BYTES[name]
    if size_bytes > largest:
        raise ModelLoadError(
            f"{address}: {name} has {size_bytes / 1e6:,.0f} MB; no more than {largest / 1e6:g} MB are fetched"
        )


def _counter(address: HubAddress, name: str, size_bytes: int, progress: Progress | None) -> Any:
    """What the client takes for a progress bar: counts bytes, and ends a download that does not end by itself."""

    class Counter:
        def __init__(self, *_: Any, initial: int = 0, **__: Any) -> None:
            self.n = initial

        def __enter__(self) -> Counter:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, n: float | None = 1) -> None:
            self.n += int(n or 0)
            _refuse_too_large(address, name, self.n)
            if progress:
                progress(min(1.0, self.n / max(1, size_bytes)), name)

        def close(self) -> None:
            pass

    return Counter


def _kept(address: HubAddress) -> Fetched | None:
    """What the cache has at this address, if it has all of it."""
    snapshot = _kept_snapshot(address)
    if snapshot is None:
        return None
    folder = snapshot / address.folder
    whole = all((folder / name).is_file() for name in _NEEDED)
    return Fetched(address.at(snapshot.name), folder) if whole else None


def _kept_snapshot(address: HubAddress) -> Path | None:
    """The cache's folder for the commit that this revision is, or was when the Hub was last asked."""
    place, commit = _cache_of(address), address.revision
    if not address.pinned:
        reference = place / "refs" / address.revision
        if not reference.is_file():
            return None
        commit = reference.read_text(encoding="utf-8").strip()
    snapshot = place / "snapshots" / commit
    return snapshot if address.at(commit).pinned and snapshot.is_dir() else None


def _cache_of(address: HubAddress) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=address.repo, repo_type="model"))


def _remember(address: HubAddress, commit: str) -> None:
    """Note in the cache which commit a branch or a tag means, where the client itself notes it."""
    reference = _cache_of(address) / "refs" / address.revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit, encoding="utf-8")


def _drop(path: Path) -> None:
    """Take a file out of the cache: the link, and what it points to."""
    content = path.resolve()
    path.unlink(missing_ok=True)
    content.unlink(missing_ok=True)


@contextmanager
def _named(address: HubAddress) -> Iterator[None]:
    """Begin the message of a checkpoint's error with its address."""
    try:
        yield
    except (ModelLoadError, ConfigMismatchError) as error:
        raise type(error)(f"{address}: {error}") from error
