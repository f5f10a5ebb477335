"""Rendered accompaniments: any amount of music whose tempo is known exactly.

They teach tempo only. A soundfont's timbre is not that of the genre, so that they have no labels.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np

from fluxbeat.errors import FluxBeatError
from tools.corpus.accompaniment import (
    Groove,
    Style,
    check_programs,
    draw_groove,
    find_soundfonts,
    read_styles,
    render_groove,
)
from tools.corpus.table import RATE_HZ, LineReport, Row, read_rows, write_excerpt, write_rows

GROOVE_S = 30.0
QUIETEST_RMS = 1e-3
DRAWS = 20
TEST_SHARE = 0.06


def build_grooves(count: int, corpus: Path, seed: int = 0, report: LineReport = print) -> None:
    """Render `count` grooves of 30 s; those that are done already are not done again.

    A style trains or tests, never both; about 6 % of the styles test.

    Parameters
    ----------
    count : int
    corpus : Path
        Folder of the corpus.
    seed : int
        Decides all grooves; more of them begin with the same ones.
    report : callable
        Takes a line for each.

    Raises
    ------
    FluxBeatError
        If mma, fluidsynth or a soundfont is missing.
    """
    check_programs()
    styles, soundfonts = read_styles(), find_soundfonts()
    done = {row["file"]: row for row in read_rows(corpus) if row["dataset"] == "groove"}
    rows = []
    for number in range(count):
        made_of = json.dumps([seed, number, len(styles), [font.name for font in soundfonts], GROOVE_S])
        file = f"grooves/{hashlib.sha256(made_of.encode()).hexdigest()[:12]}.flac"
        if file in done and (corpus / file).is_file():
            rows.append(Row.of(done[file]))
            continue
        groove, samples, tempo_bpm = one_that_sounds(styles, soundfonts, np.random.default_rng([seed, number]))
        write_excerpt(corpus / file, samples)
        style, seconds = f"mma/{groove.style.name}", round(len(samples) / RATE_HZ, 3)
        split = style_split(groove.style.name)
        rows.append(Row(file, split, "", style, "groove", seconds, "", f"{style}:{groove.name}", round(tempo_bpm, 3)))
        report(f"{file}: {style}, {tempo_bpm:.1f} BPM, {number + 1} of {count}")
        later = [Row.of(row) for other, row in done.items() if other not in {made.file for made in rows}]
        write_rows(corpus, "groove", [*rows, *later])
    write_rows(corpus, "groove", rows)


def style_split(style: str) -> str:
    """Which split a style is in; by its name, so that no later groove moves it."""
    share = int.from_bytes(hashlib.sha256(style.encode()).digest()[:4], "big") / 2**32
    return "test" if share < TEST_SHARE else "train"


def one_that_sounds(
    styles: tuple[Style, ...], soundfonts: tuple[Path, ...], rng: np.random.Generator, rate_hz: int = RATE_HZ
) -> tuple[Groove, np.ndarray, float]:
    """A drawn groove, its samples and its tempo in BPM; a few of MMA's cannot be rendered."""
    failed = ""
    for _ in range(DRAWS):
        groove = draw_groove(styles, soundfonts, rng)
        try:
            with tempfile.TemporaryDirectory() as place:
                samples, tempo_bpm = render_groove(groove, GROOVE_S, Path(place), rate_hz)
        except FluxBeatError as error:
            failed = str(error)
            continue
        if np.sqrt(np.mean(np.square(samples))) > QUIETEST_RMS:
            return groove, samples, tempo_bpm
        failed = f"{groove.style.name}:{groove.name} is silent"
    raise FluxBeatError(f"none of {DRAWS} grooves could be rendered; the last: {failed}")
