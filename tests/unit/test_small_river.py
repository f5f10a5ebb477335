"""The river of a row of the library: small, and of the same shape as the timeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_disagreement import CALM, opinion

from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.library.small_river import COLUMNS, small_river
from fluxbeat.library.table import analysed_row


def levels(digits: str) -> np.ndarray:
    return np.array([int(digit, 36) / 35 for digit in digits])


def test_half_ambient_half_metal_is_so_in_small() -> None:
    river = small_river(opinion("cnn", (0.0, {"ambient": 0.9}), (30.0, {"metal": 0.8})))
    assert set(river.labels) == {"ambient", "metal"}
    ambient, metal = (levels(river.shares[river.labels.index(label)]) for label in ("ambient", "metal"))
    assert len(ambient) == len(metal) == COLUMNS
    assert ambient[: COLUMNS // 2 - 1] == pytest.approx(0.9, abs=0.02)
    assert metal[COLUMNS // 2 + 1 :] == pytest.approx(0.8, abs=0.02)
    assert ambient[COLUMNS // 2 + 1 :].max() < 0.1


def test_no_more_genres_than_wanted_and_none_that_nobody_would_see() -> None:
    many = opinion("cnn", (0.0, {"ambient": 0.9, "metal": 0.5, "jazz": 0.3}))
    assert small_river(many).labels == ("ambient", "metal", "jazz")
    assert small_river(many, most=2).labels == ("ambient", "metal")
    assert small_river(CALM).labels == ("ambient",)
    assert small_river(opinion("cnn", (0.0, {}))).labels == ()


@pytest.mark.parametrize("columns", [1, 7, 400])
def test_parts_without_a_window_take_the_nearest(columns: int) -> None:
    (shares,) = small_river(CALM, columns=columns).shares
    assert levels(shares) == pytest.approx(0.9, abs=0.02)
    assert len(shares) == columns


def test_a_row_holds_river_presence_and_confidence_beside_its_json() -> None:
    row = analysed_row(SoundFile(Path("song.mp3"), "song.mp3"), CALM)
    assert row.river is not None and row.river.labels == ("ambient",)
    assert (row.presence, row.tempo_confidence) == (("clear",), 0.9)
    assert not {"river", "presence", "tempo_confidence"} & set(row.to_dict())
