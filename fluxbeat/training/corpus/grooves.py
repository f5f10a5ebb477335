"""Rendered accompaniments in shards: any amount of music whose tempo is known exactly.

They teach tempo only. A soundfont's timbre is not that of the genre, so that they have no labels.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

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
from fluxbeat.training.corpus.shards import (
    GROOVE,
    SHARD_EXCERPTS,
    IndexRow,
    Report,
    Shard,
    describe_shard,
    write_index,
    write_shard,
)

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
    rows: list[IndexRow] = []
    starts = range(0, count, SHARD_EXCERPTS)
    for number, start in enumerate(starts):
        path = corpus / f"{GROOVE}-{number:04d}.npz"
        numbers = range(start, min(start + SHARD_EXCERPTS, count))
        parts = [features.hash, seed, list(numbers), len(styles), [font.name for font in soundfonts], GROOVE_S]
        made_of = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        shard = describe_shard(path)
        if shard is None or shard.made_of != made_of:
            shard = _make_shard(numbers, styles, soundfonts, features, seed, made_of)
            write_shard(path, shard)
            report(f"{path.name}: {len(numbers)} grooves, {number + 1} of {len(starts)} shards")
        rows += [_row(fact, path.stem) for fact in shard.facts["grooves"]]
    for left in sorted(corpus.glob(f"{GROOVE}-*.npz"))[len(starts) :]:
        left.unlink()
    write_index(corpus, GROOVE, rows)
    return rows


def style_split(style: str) -> str:
    """Which split a style is in; by its name, so that no later groove moves it."""
    share = int.from_bytes(hashlib.sha256(style.encode()).digest()[:4], "big") / 2**32
    return "test" if share < TEST_SHARE else "train"


def _make_shard(
    numbers: Sequence[int],
    styles: tuple[Style, ...],
    soundfonts: tuple[Path, ...],
    features: FeatureConfig,
    seed: int,
    made_of: str,
) -> Shard:
    front_end = LogMel(features)
    facts, arrays = [], {}
    for number in numbers:
        groove, samples, tempo_bpm = _sounding(styles, soundfonts, features, np.random.default_rng([seed, number]))
        item_id = f"groove.{seed}.{number}"
        arrays[f"log_mel/{item_id}"] = front_end(samples).astype(np.float16)
        facts.append(
            {
                "item_id": item_id,
                "style": groove.style.name,
                "groove": groove.name,
                "tempo_bpm": round(tempo_bpm, 3),
                "duration_s": round(len(samples) / features.sample_rate_hz, 3),
                "soundfont": groove.soundfont.name,
            }
        )
    return Shard(made_of, features.hash, {"grooves": facts}, arrays)


def _sounding(
    styles: tuple[Style, ...], soundfonts: tuple[Path, ...], features: FeatureConfig, rng: np.random.Generator
) -> tuple[Groove, np.ndarray, float]:
    """A groove that can be rendered and heard; a few of MMA's cannot."""
    for _ in range(DRAWS):
        groove = draw_groove(styles, soundfonts, rng)
        with tempfile.TemporaryDirectory() as place:
            try:
                samples, tempo_bpm = render_groove(groove, GROOVE_S, Path(place), features.sample_rate_hz)
            except FluxBeatError as error:
                failed = error
                continue
        if np.sqrt(np.mean(np.square(samples))) > QUIETEST_RMS:
            return groove, samples, tempo_bpm
        failed = FluxBeatError(f"{groove.style.name}:{groove.name} is silent")
    raise FluxBeatError(f"none of {DRAWS} grooves could be rendered; the last: {failed}")


def _row(fact: dict[str, str | float], shard: str) -> IndexRow:
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
