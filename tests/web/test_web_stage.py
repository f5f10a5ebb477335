"""The stage as a listener meets it: what is on it, where it lies, what pointing tells, and what the page weighs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from visiting import Visit
from web_driving import ANSWER_MS, CHANGE, Server

from fluxbeat.analysis.engine import analyze
from fluxbeat.analysis.presence import presence
from fluxbeat.analysis.result import TrackAnalysis

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

MOST_BYTES = 850_000
"""Of a first page, as it comes over the wire, without the music."""
HEADER_PX, BAR_PX = 60, 80
ALONE = f"""
  #masthead, #player, #examples-box, #status, #results
    {{ position: absolute !important; left: -9999px; top: 0; height: 1px; overflow: hidden; }}
  #tabs {{ padding-top: {HEADER_PX - 48}px; }}
  :root {{ --fb-bar-height: {BAR_PX}px; }}
"""
"""The stage in the room that a header and a player's bar leave, where the page has none of them by itself."""
DATA = "document.querySelector('#timeline .js-plotly-plot').data"
LAYOUT = "document.querySelector('#timeline .js-plotly-plot')._fullLayout"
LAYERS = ("waveform", "river", "tempo", "spectrogram")


@pytest.fixture(scope="module")
def song() -> TrackAnalysis:
    return analyze(CHANGE)


@pytest.fixture(scope="module")
def visit(browser: Any, server: Server) -> Iterator[Visit]:
    """A track on the stage at 1440x900; tests leave it as they found it."""
    visit = Visit(browser, server.url, width=1440)
    visit.give(CHANGE)
    visit.await_track(CHANGE.name)
    if not visit.page.evaluate("document.documentElement.style.getPropertyValue('--fb-bar-height')"):
        visit.page.add_style_tag(content=ALONE)
        visit.page.evaluate("window.dispatchEvent(new Event('resize'))")
    visit.page.wait_for_function(f"{LAYOUT}.height > 430", timeout=ANSWER_MS)
    yield visit
    visit.leave()


def point(visit: Visit, across: float, up: float) -> None:
    """Move the mouse over the stage; shares of the axes' width and height, from the left and from the bottom."""
    area, mouse = visit.area(), visit.page.mouse
    x, y = area["x"] + across * area["width"], area["y"] + (1 - up) * area["height"]
    mouse.move(x - 4, y)
    mouse.move(x, y, steps=2)


def domain(visit: Visit, axis: str) -> list[float]:
    return list(visit.page.evaluate(f"{LAYOUT}.{axis}.domain"))


def test_the_answer_comes_first_with_how_far_to_trust_it(visit: Visit, song: TrackAnalysis) -> None:
    timeline = visit.page.locator("#timeline")
    assert timeline.locator("h2").inner_text() == song.summary
    facts = timeline.locator(".fb-facts").inner_text()
    for fact in (song.title, song.artist, "nothing leaves this machine", "heard by Consensus"):
        assert fact in facts
    told = timeline.get_by_text(re.compile(r"such answers are right in \d+ of 10 songs"))
    config = json.loads((CHANGE.parents[4] / "checkpoints" / "all" / "config.json").read_text(encoding="utf-8"))
    right = next(row["value"] for row in config["metrics"] if row["measure"] == "accuracy")
    assert f"in {right * 10:.0f} of 10" in told.inner_text()
    assert f"{right:.0%}"[:-1] in told.get_attribute("title")


def test_chapters_are_the_segments_go_there_and_mark_the_one_that_plays(visit: Visit, song: TrackAnalysis) -> None:
    chips = visit.page.locator("#timeline .fb-chapter")
    last = song.segments[-1]
    assert chips.count() <= len(song.segments)
    assert song.segments[0].labels[0] in chips.first.inner_text()
    assert f"{last.labels[0]} " in chips.last.get_attribute("aria-label")
    chips.last.click()
    assert visit.at() == pytest.approx(last.start_s, abs=0.3)
    visit.seek(last.start_s + 1.0)
    sync_api.expect(chips.last).to_have_attribute("aria-current", "true")
    visit.seek(1.0)
    sync_api.expect(chips.first).to_have_attribute("aria-current", "true")
    sync_api.expect(visit.page.locator("#timeline .fb-chapter[aria-current]")).to_have_count(1)


def test_the_stage_is_whole_between_header_and_bar(visit: Visit) -> None:
    stage = visit.page.locator("#timeline .fb-stage")
    box = stage.bounding_box()
    bar = float(stage.evaluate("one => parseFloat(getComputedStyle(one).getPropertyValue('--fb-bar-height'))"))
    assert bar >= 40
    assert box["y"] + box["height"] <= 900 - bar
    assert box["y"] + box["height"] >= 900 - bar - 20  # and takes the room that there is
    assert box["height"] >= 480
    domains = [domain(visit, axis) for axis in ("yaxis2", "yaxis", "yaxis3", "yaxis4")]
    for above, below in zip(domains, domains[1:], strict=False):  # from the top, without a gap
        assert below[1] == pytest.approx(above[0], abs=1e-6)
    assert [domains[0][1], domains[-1][0]] == pytest.approx([1.0, 0.0], abs=1e-6)


def test_names_ride_inside_their_streams(visit: Visit) -> None:
    names = visit.page.evaluate(
        """(() => {
          const plot = document.querySelector('#timeline .js-plotly-plot'), axis = plot._fullLayout.yaxis;
          const ground = plot.data.find(one => one.meta.role === 'ground');
          const areas = plot.data.filter(one => one.meta.role === 'area' && one.visible !== false);
          return plot.layout.annotations.filter(one => one.name?.startsWith('name ')).map(one => {
            const at = ground.x.indexOf(one.x), below = [];
            let low = ground.y[at];
            for (const area of areas) { below.push([area.meta.label, low, low + area.y[at]]); low += area.y[at]; }
            const scale = axis._length / (axis.range[1] - axis.range[0]);
            return {label: one.name.slice(5), y: one.y, size: one.font.size, scale, below};
          });
        })()"""
    )
    assert len({name["label"] for name in names}) >= 2
    for name in names:
        _, low, high = next(one for one in name["below"] if one[0] == name["label"])
        half = name["size"] / 2 / name["scale"]
        assert low <= name["y"] - half <= name["y"] + half <= high, name["label"]


def test_pointing_tells_all_that_is_present_most_first_and_what_is_pointed_at(visit: Visit) -> None:
    for across in (0.2, 0.5, 0.8):
        river = domain(visit, "yaxis")
        point(visit, across, (river[0] + river[1]) / 2)
        tip = visit.page.locator("#timeline .fb-tip")
        sync_api.expect(tip).to_be_visible()
        rows = tip.locator(".fb-tip-row[data-label]").all_inner_texts()
        shares = [int(re.search(r"(\d+) %", row)[1]) for row in rows]
        words = [re.search(r", (\w+)", row)[1] for row in rows]
        assert shares == sorted(shares, reverse=True)
        assert len(rows) >= 1
        for share, word in zip(shares, words, strict=True):
            assert word in {presence(share / 100), presence((share + 0.5) / 100), presence((share - 0.5) / 100)}
        pointed = tip.locator(".fb-pointed")
        values = visit.page.evaluate(
            f"""across => Object.fromEntries({DATA}.filter(one => one.meta.role === 'area')
              .map(one => [one.meta.label, one.y[Math.round(across * (one.y.length - 1))]]))""",
            across,
        )
        drawn = [label for label, height in values.items() if height >= 0.25]
        told = tip.locator(".fb-tip-row[data-label]").evaluate_all("rows => rows.map(row => row.dataset.label)")
        assert set(drawn) <= set(told)  # the river and the words agree
        assert told[0] == max(values, key=lambda label: values[label])
        assert pointed.count() == 1
        assert re.search(r"\d+ BPM|no steady beat", tip.inner_text())


def test_the_waveform_has_the_colour_of_the_genre_that_leads_the_river(visit: Visit) -> None:
    leads = visit.page.evaluate(
        f"""(() => {{
          const areas = {DATA}.filter(one => one.meta.role === 'area'), x = areas[0].x;
          return {DATA}.filter(one => one.meta.role === 'loudness' && one.meta.label).flatMap(one =>
            one.x.filter(at => at !== null).map(at => {{
              const near = x.reduce(
                (best, point, place) => (Math.abs(point - at) < Math.abs(x[best] - at) ? place : best), 0);
              const most = Math.max(...areas.map(area => area.y[near]));
              return areas.find(area => area.meta.label === one.meta.label).y[near] >= most - 0.06;
            }}));
        }})()"""
    )
    assert len(leads) > 100
    assert all(leads)


def test_a_hidden_genre_is_hidden_everywhere(visit: Visit) -> None:
    page = visit.page
    chip = page.locator("#timeline .fb-legend .fb-chip").first
    label = chip.get_attribute("data-label")
    visit.seek(visit.duration() - 3.0 if label == "classical" else 3.0)
    before = page.locator("#timeline .fb-chapter:visible").count()
    chip.click()
    visible = f"{DATA}.filter(one => one.meta.label === '{label}' && one.x?.length && one.visible !== false).length"
    page.wait_for_function(f"{visible} === 0")
    assert f" {label}" not in " ".join(page.locator("#timeline .fb-chapter:visible").all_inner_texts())
    assert page.locator("#timeline .fb-chapter:visible").count() <= before
    for across in (0.1, 0.9):
        point(visit, across, 0.6)
        assert label not in page.locator("#timeline .fb-tip").inner_text()
    now = page.evaluate(
        """async at => {
          const {shownTrack, strongest} = await import(
            [...document.scripts].find(one => one.src.includes('fluxbeat.js')).src
              .replace('fluxbeat.js', 'track_now.js'));
          return strongest(shownTrack(), at, 99).map(one => one.label);
        }""",
        visit.at(),
    )
    assert label not in now
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function(f"{visible} > 0")
    assert page.locator("#timeline .fb-chapter:visible").count() == before


def test_layers_are_switched_off_and_stay_so(visit: Visit) -> None:
    page = visit.page
    for name in LAYERS[:3]:
        switch = page.locator(f"#timeline .fb-layer[data-layer={name}]")
        switch.click()
        assert switch.get_attribute("aria-pressed") == "false"
    page.locator("#timeline .fb-layer[data-layer=spectrogram]").click()  # the last one stays
    page.wait_for_function(f"{LAYOUT}.yaxis4.domain[1] > 0.99")
    assert page.locator("#timeline .fb-layer[aria-pressed=true]").count() == 1
    assert sorted(page.evaluate("JSON.parse(localStorage.getItem('fluxbeat-layers'))")) == sorted(LAYERS[:3])
    assert page.evaluate(f"{DATA}.filter(one => one.meta.role === 'area').every(one => one.visible === false)")
    for name in LAYERS[:3]:
        page.locator(f"#timeline .fb-layer[data-layer={name}]").click()
    page.wait_for_function(f"{LAYOUT}.yaxis4.domain[1] < 0.5")


def test_the_spectrogram_lies_on_the_axis_and_what_speaks_for_the_pointed_genre_over_it(visit: Visit) -> None:
    page = visit.page
    plot = "document.querySelector('#timeline .js-plotly-plot')"
    images = f"{plot}.layout.images.map(one => [one.x, one.sizex, one.source.length])"
    page.wait_for_function(f"{LAYOUT}.images.length === 1", timeout=ANSWER_MS)
    [(start, size, weight)] = page.evaluate(images)
    assert (size / 1000) == pytest.approx(visit.duration(), abs=0.3)
    assert start == pytest.approx(24 * 3600 * 1000, abs=1)
    assert weight < 400_000
    spectrogram = domain(visit, "yaxis4")
    page.locator("#timeline .fb-stage").focus()
    visit.seek(3.0)
    page.wait_for_function("document.querySelector('#timeline .fb-stage').getAttribute('aria-valuenow') === '3'")
    page.keyboard.press("e")
    sync_api.expect(page.locator("#timeline .fb-why")).to_contain_text("Orange speaks for", timeout=3 * ANSWER_MS)
    page.wait_for_function(f"{plot}.querySelectorAll('.imagelayer image').length === 2", timeout=ANSWER_MS)
    point(visit, 0.3, spectrogram[0] + 0.05)
    assert re.search(r"[\d,]+ Hz", page.locator("#timeline .fb-tip").inner_text())
    page.mouse.move(5, 5)


def test_beats_stand_close_up_and_are_thinned_from_far_away(visit: Visit, song: TrackAnalysis) -> None:
    page = visit.page
    strokes = f"{DATA}.filter(one => /beats/.test(one.meta.role)).flatMap(one => one.x.filter(at => at !== null))"
    page.locator("#timeline .fb-stage").focus()
    close = page.evaluate(f"{strokes}.length / 2")
    assert close == pytest.approx(len(song.tempo.beats_s) + len(song.tempo.downbeats_s), abs=2)
    many = page.evaluate(
        """async beats => {
          const base = [...document.scripts].find(one => one.src.includes('fluxbeat.js')).src;
          const {fill, placed} = await import(base.replace('fluxbeat.js', 'stage_traces.js'));
          const {shownTrack} = await import(base.replace('fluxbeat.js', 'track_now.js'));
          const beats_s = Array.from({length: beats}, (_, at) => at * 0.5);
          const view = {...shownTrack(), duration_s: 3600, beats_s, downbeats_s: []};
          const figure = structuredClone(view.figure);
          fill(figure.data, figure.layout, {view, from: 0, to: 3600, inner: 1200, height: 500,
            places: placed(() => true), isHidden: () => false, ink: {}});
          return figure.data.find(one => one.meta.role === 'beats').x.filter(at => at !== null).length / 2;
        }""",
        7200,
    )
    assert 20 < many <= 1200 / 6


def test_an_hour_reads_as_an_hour_and_close_up_as_what_happens(visit: Visit) -> None:
    """A genre that comes and goes every ten seconds: needles from far away, which are not drawn; seen when near."""
    swing = visit.page.evaluate(
        """async spans => {
          const base = [...document.scripts].find(one => one.src.includes('fluxbeat.js')).src;
          const {setSpan, valuesAt} = await import(base.replace('fluxbeat.js', 'stage_curves.js'));
          const centre_s = Array.from({length: 3600}, (_, at) => at);
          const probability = centre_s.map(at => [at % 10 < 5 ? 0.9 : 0.1]);
          const moments = {labels: ['rock'], hop_s: 1, centre_s, probability};
          const swings = spans.map(span => {
            setSpan(span);
            const seen = Array.from({length: 60}, (_, at) => valuesAt(moments, 1800 + at)[0]);
            return Math.max(...seen) - Math.min(...seen);
          });
          window.dispatchEvent(new Event('resize'));
          return swings;
        }""",
        [3600, 60],
    )
    assert swing[0] < 0.1
    assert swing[1] > 0.5


def test_a_phone_has_all_layers_on_one_axis(browser: Any, server: Server) -> None:
    visit = Visit(browser, server.url, width=390, height=844, scheme="dark")
    visit.give(CHANGE)
    visit.await_track(CHANGE.name)
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("#timeline .fb-stage").bounding_box()
    assert box["height"] >= 380
    assert box["x"] + box["width"] <= 390
    chapters = page.locator("#timeline .fb-chapters")
    assert page.evaluate("document.querySelector('#timeline .fb-chapters').clientHeight") < 70  # one line
    assert chapters.bounding_box()["width"] <= 390
    assert page.evaluate(f"{LAYOUT}.annotations.some(one => one.name?.startsWith('name '))")
    visit.close()


def test_a_first_page_is_light(browser: Any, server: Server) -> None:
    """Everything that a browser without a cache fetches until the first example is drawn, but music, as it comes over
    the wire: the answers of the example too, which come on a stream of events."""
    context = browser.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    kinds: dict[str, str] = {}
    sizes: dict[str, float] = {}

    def more(event: dict[str, Any]) -> None:
        sizes[event["requestId"]] = sizes.get(event["requestId"], 0) + event["encodedDataLength"]

    session.on(
        "Network.responseReceived",
        lambda event: kinds.update({event["requestId"]: f"{event['type']} {event['response']['url']}"}),
    )
    session.on("Network.dataReceived", more)
    session.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    page.goto(server.url)
    drawn = "document.querySelector('#timeline .js-plotly-plot')"
    page.wait_for_function(f"{drawn}?._fullLayout?.images?.length === 1", timeout=3 * ANSWER_MS)  # which comes last
    page.wait_for_timeout(1000)
    context.close()
    fetched = [(name, sizes.get(number, 0)) for number, name in kinds.items() if not name.startswith("Media")]
    assert any("plotly" in name for name, _ in fetched)
    assert any("queue/data" in name and size for name, size in fetched)
    weight, heaviest = sum(size for _, size in fetched), sorted(fetched, key=lambda one: -one[1])[:8]
    assert weight <= MOST_BYTES, heaviest
    print(f"first page: {weight / 1e6:.2f} MB in {len(fetched)} answers")
