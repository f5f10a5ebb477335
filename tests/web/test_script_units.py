"""Modules of the page's script by themselves: which genres are drawn, taps, links to a moment, names in streams, and
of this machine."""

from __future__ import annotations

from typing import Any

import pytest
from one_module import ask_module

from fluxbeat.web.security import host_of, is_this_machine

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser


def test_a_river_without_a_hidden_genre_stays_centred(browser: Any) -> None:
    data = [
        {"y": [0.1, 0.2], "meta": {"role": "ground", "rise": 1.0}},
        {"y": [0.5, 0.4], "meta": {"role": "area", "label": "rock"}},
        {"y": [0.3, 0.2], "meta": {"role": "area", "label": "jazz"}},
    ]
    whole, hidden, ground, back = ask_module(
        browser,
        "river.js",
        """(river, data) => {
          const drawn = () => river.withoutHidden(structuredClone(data));
          const whole = drawn();
          river.toggle('rock');
          const [ground, rock, jazz] = drawn(), hidden = [river.isHidden('rock'), rock.visible, jazz.visible];
          river.showAll();
          return [whole, hidden, ground.y, river.anyHidden()];
        }""",
        data,
    )
    assert whole == data
    assert hidden == [True, False, True] and back is False
    assert ground == pytest.approx([(1 - 0.3) / 2, (1 - 0.2) / 2]), "as much paper above as below"


@pytest.mark.parametrize(
    ("taps_ms", "words"),
    [
        ([0, 500, 1000], "1 more"),
        ([0, 500, 1000, 1500], "120.0 tapped"),
        ([0, 500, 1000, 1500, 2000, 2500, 3020, 3500], "119.7 tapped"),  # a tap that is late moves it little
        ([0, 500, 1000, 1500, 9000], "3 more"),
        ([0, 300, *range(1000, 9000, 500)], "120.0 tapped"),  # the last 16 count
    ],
)
def test_taps_become_a_tempo(browser: Any, taps_ms: list[int], words: str) -> None:
    pressed = """({TapTempo}, taps) => {
      const tap = new TapTempo(document.body, () => {});
      for (const at of taps) tap.tap(at);
      return [tap.pad.textContent, tap.take.hidden];
    }"""
    assert ask_module(browser, "tapping.js", pressed, taps_ms) == [words, words.endswith("more")]


@pytest.mark.parametrize(
    ("address", "second"),
    [("#t=83.5", 83.5), ("#t=7", 7), ("#t=0", 0), ("#t=-1", 0), ("#t=1:20", 0), ("#t=", 0), ("", 0)],
)
def test_the_first_track_begins_at_the_moment_of_the_address(browser: Any, address: str, second: float) -> None:
    opened = """async ({momentOfAddress}) => {
      const {audio} = await import('/modules/player.js');
      let at = 0;
      Object.defineProperty(audio(), 'duration', {value: 200});
      Object.defineProperty(audio(), 'currentTime', {get: () => at, set: value => { at = value; }});
      momentOfAddress(true);
      audio().dispatchEvent(new Event('loadedmetadata'));
      const first = at;
      momentOfAddress(false);
      return [first, location.hash];
    }"""
    assert ask_module(browser, "moment_link.js", opened, path=f"/{address}") == [second, ""], "no other track's moment"


def test_a_name_rides_where_its_stream_is_thick_enough_and_is_read_as_text(browser: Any) -> None:
    points = list(range(200))
    thick = [0.4 if 80 <= at < 160 else 0.02 for at in points]
    streams = [
        {"label": "R&B <soul>", "low": [0.0] * 200, "high": thick, "ink": "#000"},
        {"label": "thin", "low": thick, "high": [high + 0.01 for high in thick], "ink": "#000"},
    ]
    names = ask_module(
        browser,
        "stage_names.js",
        "({ridingNames}, [streams, x]) => ridingNames(streams, {x, inner: 1000, scale: 200, rise: 1})",
        [streams, points],
    )
    assert {name["text"] for name in names} == {"R&amp;B &lt;soul&gt;"}
    assert all(80 <= name["x"] < 160 and name["y"] == pytest.approx(0.2) for name in names)
    assert names[0]["font"]["size"] == max(name["font"]["size"] for name in names)


def test_the_page_takes_the_same_names_for_this_machine(browser: Any) -> None:
    ours = ["127.0.0.1", "localhost", "LOCALHOST", "127.0.1.1", "127.255.0.9", "0.0.0.0", "[::1]", "[::]", "[0:0::1]"]
    ours += ["app.localhost", "127.1", "0x7f.1"]
    others = ["evil.example", "localhost.evil.example", "notlocalhost", "8.8.8.8", "128.0.0.1", "[2001:db8::1]"]
    others += ["127.0.0.1.evil.example", "10.127.0.1", "192.168.0.2", "box.local", "[::2]", "[::1:1]"]
    question = "({namesThisMachine}, names) => names.map(name => new URL(`http://${name}`).hostname)"
    told = ask_module(
        browser, "this_machine.js", f"{question}.map(each => [each, namesThisMachine(each)])", ours + others
    )
    assert [answer for _, answer in told] == [True] * len(ours) + [False] * len(others)
    assert [is_this_machine(host_of(f"//{read}")) for read, _ in told] == [answer for _, answer in told]
