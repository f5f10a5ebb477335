"""What a genre is called in common, so that models that learned other names can be laid side by side."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml

TABLE = Path(__file__).with_suffix(".yaml")


def common_genre(label: str) -> str:
    """The common name of what a model calls `label`, as `common_genres.yaml` has it; the label itself where not.

    >>> common_genre("Hip hop music"), common_genre("Rock---Black Metal"), common_genre("Didgeridoo")
    ('hiphop', 'metal', 'Didgeridoo')
    """
    name = " ".join(label.lower().replace("_", " ").split())
    genre, _, style = name.partition("---")  # as Discogs names a style
    return next((_names()[known] for known in (name, style, genre) if known in _names()), label)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Common name by name."""
    table: dict[str, list[str]] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return {name: genre for genre, names in table.items() for name in (genre, *names)}
