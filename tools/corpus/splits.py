"""Which packages train and which test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fluxbeat.errors import FluxBeatError
from tools.corpus.catalogue import Track

FREE_MUSIC = Path(__file__).with_name("free_music.txt")
SPLITS = ("train", "test", "out")
"""`out` takes no part: a track that would tie a training package to a testing one."""


def read_splits(path: str | Path = FREE_MUSIC) -> dict[str, str]:
    """Split of each package, and of each single track that differs from its package; lines with # are remarks.

    Raises
    ------
    FluxBeatError
        If a line is not `package or path<TAB>split`, or names something for the second time; names the line.
    """
    found: dict[str, str] = {}
    for line, text in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip() or text.startswith("#"):
            continue
        name, _, split = text.partition("\t")
        if split not in SPLITS:
            raise FluxBeatError(f"{path}, line {line}: expected package<TAB>{'|'.join(SPLITS)}, got {text!r}")
        if name in found:
            raise FluxBeatError(f"{path}, line {line}: {name} is named twice")
        found[name] = split
    return found


def split_of(track: Track, splits: Mapping[str, str]) -> str:
    """Where a track belongs.

    Raises
    ------
    FluxBeatError
        If its package is in no split: somebody must look whether its artists are elsewhere in the corpus.
    """
    split = splits.get(track.path) or splits.get(track.package)
    if split is None:
        raise FluxBeatError(
            f"{track.package} is in no split: add a line PACKAGE<TAB>train or test, on the side of packages that "
            "share an artist with it"
        )
    return split
