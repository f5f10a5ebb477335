"""The example tracks that come with the program: one click to hear and see one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "examples"
INDEX = "examples.json"


@dataclass(frozen=True)
class Example:
    """A track that may be shipped, with what its licence asks to be said."""

    path: Path
    title: str
    artist: str
    licence: str
    licence_url: str
    source: str
    changes: str
    genre_hint: str


def read_examples(folder: Path = FOLDER) -> list[Example]:
    """The examples listed in `folder`/examples.json whose audio is there; none where there is no list."""
    index = folder / INDEX
    if not index.is_file():
        return []
    entries = json.loads(index.read_text(encoding="utf-8"))
    found = [
        Example(
            path=folder / entry["file"],
            title=entry["title"],
            artist=entry.get("artist", ""),
            licence=entry.get("licence", ""),
            licence_url=entry.get("licence_url", ""),
            source=entry.get("source", ""),
            changes=entry.get("changes", ""),
            genre_hint=entry.get("genre_hint", ""),
        )
        for entry in entries
    ]
    return [example for example in found if example.path.is_file()]
