"""What a catalogue's genre words say in the program's labels, by a file that people can read and mend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from fluxbeat.errors import FluxBeatError

LABEL_MAP = Path(__file__).with_name("label_map.yaml")


@dataclass(frozen=True)
class Genres:
    """What is known of a track's genres.

    Attributes
    ----------
    present : tuple of str
        Labels that it has.
    known : tuple of str
        Labels that it has or is known not to have.
    """

    present: tuple[str, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class LabelMap:
    """All labels in order, and for each word which of them are present and which are left open."""

    labels: tuple[str, ...]
    present: dict[str, tuple[str, ...]]
    left_open: dict[str, tuple[str, ...]]

    def genres(self, words: Iterable[str]) -> Genres | None:
        """What the words of one track say together; None where no word says what is present.

        Raises
        ------
        FluxBeatError
            If a word is not in the map.
        """
        words = [word.strip() for word in words if word.strip()]
        for word in words:
            if word not in self.present:
                raise FluxBeatError(f"the genre {word!r} is not in label_map.yaml: add what it says, or an empty {{}}")
        present = {label for word in words for label in self.present[word]}
        if not present:
            return None
        left_open = {label for word in words for label in self.left_open[word]} - present
        return Genres(
            tuple(label for label in self.labels if label in present),
            tuple(label for label in self.labels if label not in left_open),
        )


@lru_cache(maxsize=4)
def read_label_map(path: Path = LABEL_MAP) -> LabelMap:
    """Read a label map.

    Raises
    ------
    FluxBeatError
        If a word speaks about a label that is not in the list.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    labels = tuple(content["labels"])
    present, left_open = {}, {}
    for word, says in content["words"].items():
        present[word] = tuple((says or {}).get("present", ()))
        left_open[word] = tuple((says or {}).get("open", ()))
        for label in (*present[word], *left_open[word]):
            if label not in labels:
                raise FluxBeatError(f"{path.name}: {word!r} speaks about {label!r}, which is not one of the labels")
    return LabelMap(labels, present, left_open)
