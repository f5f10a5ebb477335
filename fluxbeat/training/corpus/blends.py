"""Music that nobody made, for the teacher alone: two pieces at a time, at another speed, filtered, distorted.

What is in it nobody could say, but the teacher answers all the same, and a student that hears as many different
questions as there are pairs of pieces learns more of the teacher than from the pieces alone (Beyer et al., "Knowledge
distillation: a good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from fluxbeat.audio import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.training.corpus.accompaniment import check_programs, find_soundfonts, read_styles
from fluxbeat.training.corpus.grooves import sounding, style_split
from fluxbeat.training.corpus.shards import IndexRow, Made, Report, build_numbered, read_index
from fluxbeat.training.corpus.teacher import SEGMENT_S, Teacher
from fluxbeat.training.corpus.track_audio import read_path
from fluxbeat.training.items import BLEND, FREE
from fluxbeat.training.loudness import equally_loud
from fluxbeat.training.recordings import Recording

SEGMENTS = 3
BLEND_S = SEGMENTS * SEGMENT_S + 0.05
PIECE_S = 12.0
"""What is taken of a piece: enough to be played faster."""
EXCERPTS, RECORDINGS, GROOVES = 18, 14, 5
"""Pieces from which a shard's blends are made."""
SPEED_OCTAVES = 0.38
EQ_HZ, EQ_DB = (30.0, 80.0, 200.0, 500.0, 1200.0, 3000.0, 7000.0, 16000.0), 4.0
"""Corners of the random filter, and the standard deviation of its gain at each."""
QUIETEST_DB = 15.0
"""By how much the second piece may be softer."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Something to be blended.

    Attributes
    ----------
    name : str
    samples : float32 array, shape (samples,)
        At least `PIECE_S` long, at the features' sample rate, of RMS `LOUDNESS_RMS`.
    fold : int
        1 or 2 where it must not be heard by a model that is tested on that fold; else 0.
    """

    name: str
    samples: np.ndarray
    fold: int


def build_blends(
    count: int,
    corpus: Path,
    teacher: Teacher,
    recordings: Sequence[Recording],
    features: FeatureConfig,
    seed: int = 0,
    report: Report = print,
) -> list[IndexRow]:
    """Make `count` blends of 9 s and keep their spectrograms and what the teacher hears in them.

    Pieces are excerpts of the corpus's training packages, rendered accompaniments, and the recordings given. Shards
    that are done already are not done again, shards beyond are removed.

    Parameters
    ----------
    count : int
    corpus : Path
        With packages and index.
    teacher : Teacher
    recordings : sequence of Recording
        Further pieces; those of different folds never sound together. May be empty.
    features : FeatureConfig
    seed : int
        Decides all blends; more of them begin with the same ones.
    report : callable
        Takes a line for each shard.

    Raises
    ------
    FluxBeatError
        If the corpus has no music to train on, a track can no longer be read, or mma, fluidsynth or a soundfont is
        missing.
    """
    check_programs()
    free = [row for row in read_index(corpus) if row.split == "train" and row.shard.startswith(f"{FREE}-")]
    if not free:
        raise FluxBeatError(f"{corpus}: no music to blend; run `fluxbeat corpus read` first")
    heard = [free[0].item_id, len(free), [recording.path.name for recording in recordings]]

    def make(shard: int, numbers: Sequence[int]) -> Made:
        pieces = _pieces(free, corpus, recordings, features.sample_rate_hz, np.random.default_rng([seed, shard]))
        return _make(numbers, pieces, teacher, features, seed)

    return build_numbered(BLEND, count, corpus, [features.hash, seed, heard, BLEND_S], make, _row, report)


def draw_blend(pieces: Sequence[Piece], rate_hz: int, rng: np.random.Generator) -> tuple[np.ndarray, tuple[Piece, ...]]:
    """A blend of one or two of the pieces and these pieces: float32 (samples,) of RMS `LOUDNESS_RMS`."""
    first = pieces[int(rng.integers(len(pieces)))]
    chosen = [first]
    together = _changed(first.samples, rate_hz, rng)
    if rng.random() < 0.6:
        fitting = [piece for piece in pieces if piece is not first and not {piece.fold, first.fold} >= {1, 2}]
        chosen.append(fitting[int(rng.integers(len(fitting)))])
        gain_db = rng.uniform(-QUIETEST_DB, 0)
        together = together + _changed(chosen[1].samples, rate_hz, rng) * np.float32(10 ** (gain_db / 20))
    if rng.random() < 0.7:
        together = _filtered(together, rate_hz, rng)
    return equally_loud(together), tuple(chosen)


def _changed(samples: np.ndarray, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """A part of a piece, `BLEND_S` long, often at another speed and pitch and sometimes distorted."""
    length = round(BLEND_S * rate_hz)
    if rng.random() < 0.7:
        samples = soxr.resample(samples, rate_hz * 2 ** rng.uniform(-SPEED_OCTAVES, SPEED_OCTAVES), rate_hz)
    start = int(rng.integers(max(len(samples) - length, 0) + 1))
    part = samples[start : start + length]
    if rng.random() < 0.2:
        part = np.tanh(part * np.float32(2 ** rng.uniform(3, 7)))
    return equally_loud(part if len(part) == length else np.resize(part, length))


def _filtered(samples: np.ndarray, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    gain_db = np.interp(np.log2(hz + 1), np.log2(EQ_HZ), rng.normal(0, EQ_DB, len(EQ_HZ)))
    return np.fft.irfft(np.fft.rfft(samples) * 10 ** (gain_db / 20), len(samples)).astype(np.float32)


def _pieces(
    free: Sequence[IndexRow], corpus: Path, recordings: Sequence[Recording], rate_hz: int, rng: np.random.Generator
) -> list[Piece]:
    """What a shard is made of. Packages are drawn by the root of their number of excerpts: large ones repeat."""
    of_package: dict[str, list[IndexRow]] = defaultdict(list)
    for row in free:
        of_package[row.package].append(row)
    packages = sorted(of_package)
    weight = np.sqrt([len(of_package[package]) for package in packages])
    pieces = []
    for package in rng.choice(packages, EXCERPTS, p=weight / weight.sum()):
        row = of_package[package][rng.integers(len(of_package[package]))]
        excerpt = row.cut(read_path(row.package, row.path, corpus, rate_hz), rate_hz)
        pieces.append(_piece(row.item_id, excerpt, rate_hz, rng))
    for number in rng.permutation(len(recordings))[:RECORDINGS]:
        recording = recordings[number]
        samples = load_audio(recording.path, sample_rate_hz=rate_hz).samples
        pieces.append(_piece(recording.path.stem, samples, rate_hz, rng, recording.fold))
    styles = tuple(style for style in read_styles() if style_split(style.name) == "train")
    soundfonts = find_soundfonts()
    for _ in range(GROOVES):
        try:
            groove, samples, _bpm = sounding(styles, soundfonts, PIECE_S, rate_hz, rng)
        except FluxBeatError:
            continue  # a few of MMA's cannot be rendered
        pieces.append(_piece(f"mma/{groove.style.name}:{groove.name}", samples, rate_hz, rng))
    return [piece for piece in pieces if np.isfinite(piece.samples).all() and piece.samples.any()]


def _piece(name: str, heard: np.ndarray, rate_hz: int, rng: np.random.Generator, fold: int = 0) -> Piece:
    length = round(PIECE_S * rate_hz)
    begin = int(rng.integers(max(len(heard) - length, 0) + 1))
    return Piece(name, equally_loud(np.resize(heard[begin : begin + length], length)), fold)


def _make(numbers: Sequence[int], pieces: list[Piece], teacher: Teacher, features: FeatureConfig, seed: int) -> Made:
    front_end, rate_hz = LogMel(features), features.sample_rate_hz
    facts, arrays = [], {}
    for number in numbers:
        samples, chosen = draw_blend(pieces, rate_hz, np.random.default_rng([seed, number, 1]))
        item_id = f"blend.{seed}.{number}"
        logits, embedding, start_s = teacher.listen_here_and_there(samples, rate_hz, SEGMENTS)
        arrays[f"log_mel/{item_id}"] = front_end(samples).astype(np.float16)
        arrays[f"logits/{item_id}"] = logits.astype(np.float16)
        arrays[f"embedding/{item_id}"] = embedding.astype(np.float16)
        arrays[f"start_s/{item_id}"] = start_s
        arrays[f"fold/{item_id}"] = np.array(max(piece.fold for piece in chosen))
        facts.append({"item_id": item_id, "of": [piece.name for piece in chosen]})
    return facts, arrays


def _row(fact: Mapping[str, Any], shard: str) -> IndexRow:
    return IndexRow(
        item_id=str(fact["item_id"]),
        package="",
        path=" + ".join(fact["of"]),
        artist="",
        title="",
        licence="",
        labels=(),
        known=(),
        label_basis="",
        tempo_bpm=None,
        start_s=0.0,
        duration_s=BLEND_S,
        split="train",
        shard=shard,
    )
