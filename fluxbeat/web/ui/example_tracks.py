"""The example tracks that come with the program: one click to hear and see one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

FOLDER = Path(__file__).resolve().parent / "examples"


@dataclass(frozen=True)
class Example:
    """A track that may be shipped, with what its licence asks for."""

    file: str
    title: str
    artist: str
    licence: str
    licence_url: str
    source: str
    changes: str
    genre_hint: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return FOLDER / self.file


def read_examples() -> list[Example]:
    """The examples listed in examples.json."""
    return TypeAdapter(list[Example]).validate_json((FOLDER / "examples.json").read_bytes())
