"""Publishing a checkpoint on the Hub: config, weights and a model card in one commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token

from fluxbeat.errors import ModelLoadError
from fluxbeat.models.base import ModelConfig
from fluxbeat.models.checkpoint import CONFIG_FILE, WEIGHTS_FILE, load_checkpoint
from fluxbeat.models.fingerprint_file import FINGERPRINT_FILE
from fluxbeat.models.hub.address import DEFAULT_REVISION, HubAddress, repository_name
from fluxbeat.models.hub.failures import LOG_IN, plain_failures
from fluxbeat.models.hub.fetching import CARD_FILE, TIMEOUT_S
from fluxbeat.models.hub.model_card import card_of_several, card_to_publish, read_card

BESIDE = ("LICENSE.*", FINGERPRINT_FILE)
"""Texts of licences that go with weights which began as somebody else's, and fingerprints of what was learned from."""


def push(
    checkpoint: Path,
    repository: str,
    *,
    folder: str = "",
    branch: str = DEFAULT_REVISION,
    private: bool = False,
    licence: str = "",
    warn: Callable[[str], None] = lambda _: None,
) -> HubAddress:
    """Upload a checkpoint, after loading it as strictly as anybody will who fetches it.

    The token is the one of the Hub's own login (`hf auth login`) or of HF_TOKEN; it is never read here.

    Parameters
    ----------
    checkpoint : Path
        Folder with config.json and model.safetensors; README.md is the card where it is there, and LICENSE.NAME goes
        along.
    repository : str
        `owner/repo`; made where there is none.
    folder : str
        Folder inside the repository, empty for its root.
    branch : str
        Made where there is none.
    private : bool
        Whether a new repository is to be seen by its owner alone.
    licence : str
        The Hub's name of a licence (`mit`, `cc-by-4.0`, ...); the card's own where empty.
    warn : callable, optional
        Told, in one sentence, what is not wrong but worth knowing.

    Returns
    -------
    HubAddress
        The address of what was published, at its commit.

    Raises
    ------
    ModelLoadError
        If the checkpoint is damaged, nobody is logged in, or the Hub does not take it; nothing is then committed.
    ConfigMismatchError
        If the checkpoint is not one of this version.
    """
    repo = repository_name(repository)
    target = HubAddress.parse(f"{repo}/{folder}".rstrip("/") + f"@{branch}")
    model, revision = load_checkpoint(checkpoint)
    card = read_card(checkpoint)
    known_licence = licence or (card.licence if card else "")
    if not known_licence:
        warn("the card names no licence, so nobody may use these weights: add --license, or license: to its metadata")
    title = target.folder.split("/")[-1] if target.folder else repo.split("/")[1]
    text = card_to_publish(model.config, card, title, licence)
    if not get_token():
        raise ModelLoadError(f"{repo}: nobody is logged in to the Hub: {LOG_IN}")
    api = HfApi()
    with plain_failures(repo, upload=True):
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo, timeout=TIMEOUT_S).private:
            raise ModelLoadError(
                f"{repo} is there already and public: make it private on the Hub, or leave --private out"
            )
        if branch != DEFAULT_REVISION:
            api.create_branch(repo, branch=branch, exist_ok=True)
        files: dict[str, bytes | Path] = {
            target.prefix + CARD_FILE: text.encode(),
            target.prefix + CONFIG_FILE: checkpoint / CONFIG_FILE,
            target.prefix + WEIGHTS_FILE: checkpoint / WEIGHTS_FILE,
            **{target.prefix + path.name: path for name in BESIDE for path in checkpoint.glob(name)},
        }
        if target.folder:
            files[CARD_FILE] = _root_card(api, target, model.config, known_licence).encode()
        done = api.create_commit(
            repo,
            [CommitOperationAdd(place, content) for place, content in files.items()],
            commit_message=f"{title}: weights {revision}",
            revision=branch,
        )
        return replace(target, revision=done.oid)


def _root_card(api: HfApi, target: HubAddress, config: ModelConfig, licence: str) -> str:
    """The Hub renders the card at the root alone: this model's metrics go there too, beside those of its siblings."""
    existing = None
    if api.file_exists(target.repo, CARD_FILE, revision=target.revision):
        path = api.hf_hub_download(target.repo, CARD_FILE, revision=target.revision)
        existing = read_card(Path(path).parent)
    return card_of_several(existing, config, target.repo, target.folder, "" if existing else licence)
