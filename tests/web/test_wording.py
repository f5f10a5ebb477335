"""Times, tempi and shares are written alike by Python and by the page's own script."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from fluxbeat.analysis.presence import presence
from fluxbeat.charts import WORDING_JS
from fluxbeat.charts.wording import clock, percent, whole_bpm


def test_a_clock_shows_the_second_that_has_begun_as_a_player_does() -> None:
    assert [clock(seconds) for seconds in (0, 27.4, 27.6, 27.996, 59.9, 3599.99, 3600, 86_399.5)] == [
        "0:00", "0:27", "0:27", "0:28", "0:59", "0:59:59".removeprefix("0:"), "1:00:00", "23:59:59",
    ]  # fmt: skip


def test_a_tempo_is_rounded_halves_up() -> None:
    assert [whole_bpm(bpm) for bpm in (86.5, 87.5, 127.49, 127.5)] == ["87", "88", "127", "128"]


@pytest.mark.browser
def test_the_script_of_the_page_writes_the_same(browser: Any) -> None:
    chance = random.Random(10)
    seconds = [
        0.0,
        0.005,
        27.4,
        27.6,
        27.9949,
        27.9951,
        59.999,
        3599.999,
        *(chance.uniform(0, 2e4) for _ in range(300)),
    ]
    seconds += [whole + half for whole in range(0, 4000, 37) for half in (0.0, 0.5, 0.995, 0.9999)]
    bpm = [whole + part for whole in range(30, 300, 7) for part in (0.0, 0.49, 0.5, 0.51)]
    shares = [
        0.24994,
        0.24995,
        0.25,
        0.49994,
        0.49996,
        0.5,
        0.74994,
        0.74996,
        0.75,
        0.0,
        0.001,
        0.0099,
        0.01,
        0.125,
        0.135,
        0.285,
        0.995,
        1.0,
        *(chance.random() for _ in range(300)),
    ]
    page = browser.new_page()
    written = page.evaluate(
        """async ([script, seconds, bpm, shares]) => {
          const wording = await import(URL.createObjectURL(new Blob([script], {type: 'text/javascript'})));
          const {clock, wholeBpm, percent, presence} = wording;
          return [seconds.map(clock), bpm.map(wholeBpm), shares.map(percent), shares.map(presence)];
        }""",
        [WORDING_JS.read_text(encoding="utf-8"), *json.loads(json.dumps([seconds, bpm, shares]))],
    )
    page.close()
    assert written == [
        [clock(at) for at in seconds],
        [whole_bpm(one) for one in bpm],
        [percent(one) for one in shares],
        [presence(one) for one in shares],
    ]
