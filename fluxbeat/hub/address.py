"""Where a checkpoint lies on the Hub: `hf://owner/repo[/folder]@revision`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fluxbeat.errors import ModelLoadError

SCHEME = "hf://"
_PART = r"[A-Za-z0-9_][\w.-]*"
_ADDRESS = re.compile(
    rf"(?P<repo>{_PART}/{_PART})(?:/(?P<folder>{_PART}(?:/{_PART})*))?/?(?:@(?P<revision>{_PART}(?:/{_PART})*))?",
    re.ASCII,
)
_REPOSITORY = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
LONGEST = 300


@dataclass(frozen=True)
class HubAddress:
    """A repository, or a folder of it, at one revision.

    Attributes
    ----------
    repo : str
        `owner/repo`.
    revision : str
        A commit of 40 hexadecimal digits, a tag or a branch.
    folder : str
        Folder inside the repository, empty for its root.
    """

    repo: str
    revision: str
    folder: str = ""

    @classmethod
    def parse(cls, text: str) -> HubAddress:
        """Read an address; `hf://` may be left out.

        Raises
        ------
        ModelLoadError
            If it is none, or names no revision.
        """
        parts = _ADDRESS.fullmatch(text.removeprefix(SCHEME)) if len(text) <= LONGEST else None
        if parts is None or ".." in text:
            raise ModelLoadError(f"{text[:LONGEST]!r} is no Hub address: expected hf://owner/repo@revision")
        if not parts["revision"]:
            raise ModelLoadError(
                f"{text} names no revision: add @ and a commit, so that the weights cannot change unseen"
            )
        return cls(parts["repo"], parts["revision"], parts["folder"] or "")

    def __str__(self) -> str:
        place = f"{self.repo}/{self.folder}" if self.folder else self.repo
        return f"{SCHEME}{place}@{self.revision}"

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which nobody can change."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def prefix(self) -> str:
        """What the paths of the folder's files begin with."""
        return f"{self.folder}/" if self.folder else ""

    @property
    def short_name(self) -> str:
        """`repo/folder@` and the first seven digits of the commit: what tells one fetched model from another."""
        name = self.repo.split("/")[1] + (f"/{self.folder}" if self.folder else "")
        return f"{name}@{self.revision[:7] if self.pinned else self.revision}"

    def at(self, commit: str) -> HubAddress:
        """The same place at one commit."""
        return replace(self, revision=commit)

    def inside(self, folder: str) -> HubAddress:
        """A folder of this place; the place itself where `folder` is empty."""
        return replace(self, folder=f"{self.prefix}{folder}" if folder else self.folder)


def repository_name(text: str) -> str:
    """`owner/repo`, with or without `hf://`, as the Hub writes it.

    Raises
    ------
    ModelLoadError
        If it is something else.
    """
    name = text.removeprefix(SCHEME)
    if not _REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
        raise ModelLoadError(f"{text[:LONGEST]!r} is no repository: expected owner/repo")
    return name
