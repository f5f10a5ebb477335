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
class LabelMap:
    """All labels in order, and for each word the labels that it says are present."""

    labels: tuple[str, ...]
    present: dict[str, tuple[str, ...]]

    def genres(self, words: Iterable[str]) -> tuple[str, ...]:
        """What the words of one track say together, in the labels' order; empty where none says anything.

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
        return tuple(label for label in self.labels if label in present)


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
    present = {word: tuple(named or ()) for word, named in content["words"].items()}
    for word, named in present.items():
        for label in named:
            if label not in labels:
                raise FluxBeatError(f"{path.name}: {word!r} speaks about {label!r}, which is not one of the labels")
    return LabelMap(labels, present)
