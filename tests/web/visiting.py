"""A listener's page in Chromium: giving files, seeking, opening tabs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from web_driving import ANSWER_MS

DRAWN = """tab => {
  if (tab === 'tempo') return document.querySelector('#tempo .fb-spread .js-plotly-plot')?._fullLayout.width > 0;
  const frames = [...document.querySelectorAll(`#${tab} .fb-frame:has(.fb-overlay)`)].filter(one => one.clientWidth);
  return frames.length && frames.every(frame => {
    const axis = frame.querySelector('.fb-plot, .js-plotly-plot')?._fullLayout?.xaxis;
    return axis && Math.abs(axis._length - frame.querySelector('.fb-overlay').clientWidth) <= 1;
  });
}"""
PLAYHEAD = """tab => {
  const player = document.querySelector('#player audio');
  const frames = [...document.querySelectorAll(`#${tab.toLowerCase()} .fb-frame`)];
  const frame = frames.find(one => one.querySelector('.fb-overlay') && one.clientWidth);
  const overlay = frame.querySelector('.fb-overlay'), plot = frame.querySelector('.fb-plot');
  const axis = plot._fullLayout.xaxis, start = 24 * 3600;
  const [from, to] = axis.range.map(end => Date.parse(String(end).replace(' ', 'T') + 'Z') / 1000 - start);
  const moved = Number(/translateX\\(([-\\d.]+)px\\)/.exec(frame.querySelector('.fb-playhead').style.transform)[1]);
  return {at: player.currentTime, duration: player.duration, moved, width: overlay.clientWidth, from, to,
    plotted: axis._length, paused: player.paused, shown: frame.querySelector('.fb-playhead').style.visibility};
}"""


class Visit:
    """A listener's page, and what went wrong or outside on it."""

    def __init__(self, browser: Any, url: str, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, permissions=["microphone"]
        )
        self.context.set_default_timeout(ANSWER_MS)
        self.page = self.context.new_page()
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", self._asked)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)
        self.page.wait_for_selector(".fb-masthead h1")
        self.page.wait_for_selector(".fb-cancel", state="attached")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.outside.append(request.url)

    def give(self, *files: Path) -> None:
        """Choose files with the header's button."""
        self.page.locator("#open-files").set_input_files(list(files))

    def await_track(self, name: str) -> None:
        """Until the timeline shows this track, all models are ready and the player can be moved."""
        self.page.wait_for_function(
            "name => document.querySelector('#timeline .fb-timeline')?.dataset.file?.includes(name)"
            " && document.querySelector('#timeline .js-plotly-plot')?.data?.length"
            " && !document.querySelector('.fb-status[aria-busy]') && !document.body.classList.contains('fb-locked')"
            " && document.querySelector('#player audio').duration > 0",
            arg=name,
            timeout=ANSWER_MS,
        )

    def choose_model(self, title: str) -> None:
        """Whose answer is to be shown."""
        self.page.locator(".fb-model-choice select").select_option(label=title)

    def choose_tab(self, tab: str) -> None:
        """Click a tab, which on a narrow page may lie in the menu of more tabs."""
        named, more = self.page.get_by_role("tab", name=tab), self.page.locator("#tabs [aria-label='More tabs']")
        named.or_(more).first.wait_for()
        if named.count() == 0:
            more.click()
            named = self.page.locator("#tabs .overflow-dropdown button", has_text=tab)
        named.click()

    def open(self, tab: str) -> None:
        """Choose a tab and wait until its charts are drawn in the width that they have there."""
        self.choose_tab(tab)
        self.page.wait_for_function(DRAWN, arg=tab.lower())

    def file(self) -> str:
        """Name of the file that the timeline shows."""
        return str(self.page.evaluate("document.querySelector('#timeline .fb-timeline').dataset.file"))

    def at(self) -> float:
        return float(self.page.evaluate("document.querySelector('#player audio').currentTime"))

    def seek(self, seconds: float) -> None:
        self.page.evaluate("at => { document.querySelector('#player audio').currentTime = at; }", seconds)

    def duration(self) -> float:
        return float(self.page.evaluate("document.querySelector('#player audio').duration"))

    def playhead(self, tab: str) -> dict[str, Any]:
        return dict(self.page.evaluate(PLAYHEAD, tab))

    def area(self, tab: str = "timeline") -> dict[str, float]:
        """The part of the tab's first chart that is time, in page pixels."""
        return dict(self.page.locator(f"#{tab} .fb-overlay").first.bounding_box())

    def leave(self) -> None:
        """Close the page, on which nothing went wrong and which asked no other host."""
        assert self.outside == []
        assert self.errors == []
        self.close()

    def close(self) -> None:
        self.context.close()
