"""Rendered accompaniments in shards: any amount of music whose tempo is known exactly.

They teach tempo only. A soundfont's timbre is not that of the genre, so that they have no labels.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.training.corpus.accompaniment import (
    Groove,
    Style,
    check_programs,
    draw_groove,
    find_soundfonts,
    read_styles,
    render_groove,
)
from fluxbeat.training.corpus.shards import IndexRow, Made, Report, build_numbered
from fluxbeat.training.items import GROOVE

GROOVE_S = 24.0
QUIETEST_RMS = 1e-3
DRAWS = 20
TEST_SHARE = 0.06


def build_grooves(
    count: int, corpus: Path, features: FeatureConfig, seed: int = 0, report: Report = print
) -> list[IndexRow]:
    """Render `count` grooves of 24 s; shards that are done already are not done again, shards beyond are removed.

    A style trains or tests, never both; about 6 % of the styles test.

    Parameters
    ----------
    count : int
    corpus : Path
        Folder of the corpus.
    features : FeatureConfig
    seed : int
        Decides all grooves; more of them begin with the same ones.
    report : callable
        Takes a line for each shard.

    Raises
    ------
    FluxBeatError
        If mma, fluidsynth or a soundfont is missing.
    """
    check_programs()
    styles, soundfonts = read_styles(), find_soundfonts()
    decided_by = [features.hash, seed, len(styles), [font.name for font in soundfonts], GROOVE_S]

    def make(_: int, numbers: Sequence[int]) -> Made:
        return _make(numbers, styles, soundfonts, features, seed)

    return build_numbered(GROOVE, count, corpus, decided_by, make, _row, report)


def style_split(style: str) -> str:
    """Which split a style is in; by its name, so that no later groove moves it."""
    share = int.from_bytes(hashlib.sha256(style.encode()).digest()[:4], "big") / 2**32
    return "test" if share < TEST_SHARE else "train"


def sounding(
    styles: tuple[Style, ...], soundfonts: tuple[Path, ...], duration_s: float, rate_hz: int, rng: np.random.Generator
) -> tuple[Groove, np.ndarray, float]:
    """One drawn groove, its samples and its tempo in BPM.

    Raises
    ------
    FluxBeatError
        If it cannot be rendered, as a few of MMA's, or nothing is heard.
    """
    groove = draw_groove(styles, soundfonts, rng)
    with tempfile.TemporaryDirectory() as place:
        samples, tempo_bpm = render_groove(groove, duration_s, Path(place), rate_hz)
    if np.sqrt(np.mean(np.square(samples))) <= QUIETEST_RMS:
        raise FluxBeatError(f"{groove.style.name}:{groove.name} is silent")
    return groove, samples, tempo_bpm


def _make(
    numbers: Sequence[int],
    styles: tuple[Style, ...],
    soundfonts: tuple[Path, ...],
    features: FeatureConfig,
    seed: int,
) -> Made:
    front_end, rate_hz = LogMel(features), features.sample_rate_hz
    facts, arrays = [], {}
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        groove, samples, tempo_bpm = _one_that_sounds(styles, soundfonts, rate_hz, rng)
        item_id = f"groove.{seed}.{number}"
        arrays[f"log_mel/{item_id}"] = front_end(samples).astype(np.float16)
        facts.append(
            {
                "item_id": item_id,
                "style": groove.style.name,
                "groove": groove.name,
                "tempo_bpm": round(tempo_bpm, 3),
                "duration_s": round(len(samples) / rate_hz, 3),
                "soundfont": groove.soundfont.name,
            }
        )
    return facts, arrays


def _one_that_sounds(
    styles: tuple[Style, ...], soundfonts: tuple[Path, ...], rate_hz: int, rng: np.random.Generator
) -> tuple[Groove, np.ndarray, float]:
    for _ in range(DRAWS):
        try:
            return sounding(styles, soundfonts, GROOVE_S, rate_hz, rng)
        except FluxBeatError as error:
            failed = error
    raise FluxBeatError(f"none of {DRAWS} grooves could be rendered; the last: {failed}")


def _row(fact: Mapping[str, Any], shard: str) -> IndexRow:
    style = f"mma/{fact['style']}"
    return IndexRow(
        item_id=str(fact["item_id"]),
        package=style,
        path=f"{style}:{fact['groove']}",
        artist="",
        title=str(fact["groove"]),
        licence="",
        labels=(),
        known=(),
        label_basis="",
        tempo_bpm=float(fact["tempo_bpm"]),
        start_s=0.0,
        duration_s=float(fact["duration_s"]),
        split=style_split(str(fact["style"])),
        shard=shard,
    )
