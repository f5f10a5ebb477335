"""Times, tempi and shares are written alike by Python and by the page's own script."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from one_module import ask_module

from fluxbeat.analysis.presence import presence
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
    written = ask_module(
        browser,
        "wording.js",
        """({clock, wholeBpm, percent, presence}, [seconds, bpm, shares]) =>
          [seconds.map(clock), bpm.map(wholeBpm), shares.map(percent), shares.map(presence)]""",
        json.loads(json.dumps([seconds, bpm, shares])),
    )
    assert written == [
        [clock(at) for at in seconds],
        [whole_bpm(one) for one in bpm],
        [percent(one) for one in shares],
        [presence(one) for one in shares],
    ]


@pytest.mark.browser
def test_a_time_axis_is_labelled_as_a_clock_shows_it_before_and_after_the_first_hour(browser: Any) -> None:
    spans = [[0, 215.3], [0, 7200], [3725.2, 3733.2], [3599, 3601], [0, 0.5], [0, 86_400]]
    labelled, alias = ask_module(
        browser,
        "wording.js",
        """({timeLabels, START_MS}, spans) => {
          const found = spans.map(([from, to]) => timeLabels(from, to, 8));
          const second = at => (at - START_MS) / 1000;
          return [found.map(one => one.tickvals.map((at, n) => [second(at), one.ticktext[n]])), found[0].labelalias];
        }""",
        spans,
    )
    for (begin_s, end_s), ticks in zip(spans, labelled, strict=True):
        assert 3 <= len(ticks) <= 8
        assert all(begin_s <= at_s <= end_s for at_s, _ in ticks)
        assert [text.partition(".")[0] for _, text in ticks] == [clock(at_s) for at_s, _ in ticks]
        assert len({text for _, text in ticks}) == len(ticks), "no two ticks read the same"
    assert alias == {f"0:{at_s // 60:02d}:{at_s % 60:02d}": clock(at_s) for at_s in range(3600)}
