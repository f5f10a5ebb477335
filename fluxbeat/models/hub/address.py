"""Where a model lies on the Hub: `hf://owner/repo[/folder][@revision][?options]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fluxbeat.errors import ModelLoadError

SCHEME = "hf://"
_PART = r"[A-Za-z0-9_][\w.-]*"
_ADDRESS = re.compile(
    rf"(?P<repo>{_PART}/{_PART})(?:/(?P<folder>{_PART}(?:/{_PART})*))?/?(?:@(?P<revision>{_PART}(?:/{_PART})*))?",
    re.ASCII,
)
LONGEST, LONGEST_SHOWN = 1000, 300
DEFAULT_REVISION = "main"


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
    options : str
        How a classifier is to be asked, `genres=dub,techno&scores=softmax`; empty where nothing is said.
    """

    repo: str
    revision: str
    folder: str = ""
    options: str = ""

    @classmethod
    def parse(cls, text: str) -> HubAddress:
        """Read an address; `hf://` may be left out, and so may the revision: then it is the branch `main`.

        Raises
        ------
        ModelLoadError
            If it is none.
        """
        place, _, options = text.removeprefix(SCHEME).partition("?")
        parts = _ADDRESS.fullmatch(place) if len(text) <= LONGEST else None
        if parts is None or ".." in place or not options.isprintable():
            raise ModelLoadError(f"{text[:LONGEST_SHOWN]!r} is no Hub address: expected hf://owner/repo@revision")
        return cls(parts["repo"], parts["revision"] or DEFAULT_REVISION, parts["folder"] or "", options)

    def __str__(self) -> str:
        place = f"{self.repo}/{self.folder}" if self.folder else self.repo
        options = f"?{self.options}" if self.options else ""
        return f"{SCHEME}{place}@{self.revision}{options}"

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which nobody can change."""
        return re.fullmatch("[0-9a-f]{40}", self.revision) is not None

    @property
    def prefix(self) -> str:
        """What the paths of the folder's files begin with."""
        return f"{self.folder}/" if self.folder else ""

    @property
    def short_name(self) -> str:
        """`repo/folder@` and the first seven digits of the commit: what tells one fetched model from another."""
        name = self.repo.split("/")[1] + (f"/{self.folder}" if self.folder else "")
        return f"{name}@{self.revision[:7] if self.pinned else self.revision}"


def repository_name(text: str) -> str:
    """`owner/repo`, with or without `hf://`, as the Hub writes it.

    Raises
    ------
    ModelLoadError
        If it is something else.
    """
    name = text.removeprefix(SCHEME)
    if not re.fullmatch(rf"{_PART}/{_PART}", name, re.ASCII) or ".." in name or "--" in name:
        raise ModelLoadError(f"{text[:LONGEST_SHOWN]!r} is no repository: expected owner/repo")
    return name
