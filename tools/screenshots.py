"""Make the pictures of README.md and USER_GUIDE.md from the running app: `python tools/screenshots.py [NAME ...]`.

Needs what the browser tests need. The music is that of `fluxbeat/web/ui/examples`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "web")]

from visiting import Visit  # noqa: E402
from web_driving import ANSWER_MS, CHANGE, EXAMPLES, FLAGS, chromium, serving  # noqa: E402

from fluxbeat.audio.decoding import load_audio  # noqa: E402

WIDTH_PX, MOST_HEIGHT_PX = 1200, 1360
MARGIN_PX = 16
RATE_HZ = 44_100
IN_A_ROW = ("classical", "change", "techno", "metal")
COLOURS = 256
LIVE_S = 34


def joined(folder: Path) -> Path:
    """Several examples one after the other, as one WAV."""
    songs = [load_audio(next(EXAMPLES.glob(f"{genre}_*.mp3")), sample_rate_hz=RATE_HZ).samples for genre in IN_A_ROW]
    path = folder / "examples.wav"
    soundfile.write(path, np.clip(np.concatenate(songs), -1, 1), RATE_HZ, subtype="PCM_16")
    return path


def timeline(visit: Visit, music: Path) -> None:
    visit.give(music)
    visit.await_track(music.name)
    visit.seek(60.0)
    visit.page.locator("#timeline .fb-stage[aria-valuenow='60']").wait_for()
    visit.page.locator("#timeline .imagelayer image").first.wait_for(state="attached")


def compare(visit: Visit, music: Path) -> None:
    timeline(visit, music)
    visit.open("Compare")


def explain(visit: Visit, music: Path) -> None:
    visit.give(CHANGE)
    visit.await_track(CHANGE.name)
    visit.seek(5.0)
    visit.open("Explain")
    visit.page.wait_for_selector(".fb-window .heatmaplayer", timeout=ANSWER_MS)
    visit.page.wait_for_selector("#explain .fb-explain:not([aria-busy])", timeout=ANSWER_MS)


def library(visit: Visit, music: Path) -> None:
    visit.choose_tab("Library")
    songs = sorted(EXAMPLES.glob("*.mp3"))
    with tempfile.TemporaryDirectory() as folder:
        album = Path(folder, "Album")
        album.mkdir()
        for song in songs:
            (album / song.name).write_bytes(song.read_bytes())
        visit.page.locator(".fb-library input[webkitdirectory]").set_input_files(album)
        visit.page.wait_for_function(
            "count => document.querySelector('.fb-library-words')?.textContent.startsWith(`${count} file`)",
            arg=len(songs), timeout=ANSWER_MS,
        )  # fmt: skip


def live(visit: Visit, music: Path) -> None:
    visit.choose_tab("Live")
    visit.page.locator("#live").get_by_role("button").first.click()
    visit.page.wait_for_timeout(1000 * LIVE_S)


def models(visit: Visit, music: Path) -> None:
    visit.choose_tab("Models")
    visit.page.locator(".fb-model").first.wait_for()


SHOTS: dict[str, Callable[[Visit, Path], None]] = {
    "timeline": timeline, "compare": compare, "explain": explain, "library": library, "live": live, "models": models,
}  # fmt: skip


def take(name: str, browser: Any, url: str, music: Path) -> Path:
    """One picture, on a page of its own."""
    visit = Visit(browser, url, width=WIDTH_PX, height=900)
    SHOTS[name](visit, music)
    visit.page.mouse.move(0, 0)
    visit.page.wait_for_timeout(700)  # until what moves has come to rest
    path = DOCS / f"{name}.png"
    if name == "timeline":  # as it stands on the screen, with its player
        visit.page.screenshot(path=path)
        visit.close()
        return smaller(path)
    # of the others what is below the header
    visit.page.add_style_tag(content="#player, #save, #status { display: none !important }")
    top = visit.page.locator("#tabs [role=tabpanel]:visible").bounding_box()["y"] - MARGIN_PX
    bottom = visit.page.evaluate("document.documentElement.scrollHeight")
    if name == "models":  # whole cards
        second = visit.page.locator(".fb-model").nth(1).bounding_box()
        bottom = second["y"] + second["height"] + MARGIN_PX // 2
    height = min(bottom - top, MOST_HEIGHT_PX)
    visit.page.screenshot(path=path, full_page=True, clip={"x": 0, "y": top, "width": WIDTH_PX, "height": height})
    visit.close()
    return smaller(path)


def smaller(path: Path) -> Path:
    """The picture with as few colours as it needs."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    return path


@contextmanager
def temporary_cache() -> Any:
    """Nothing of this machine's own libraries gets into the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FLUXBEAT_CACHE"] = folder
        yield Path(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the README and the guide.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(SHOTS)} (default: all)")
    names = parser.parse_args().names or list(SHOTS)
    with temporary_cache() as folder:
        music = joined(folder)
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={music}"]
        server = serving("--port", "0")
        url = next(server).url
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium(), args=flags)
            for name in names:
                path = take(name, browser, url, music)
                print(path.name, f"{path.stat().st_size / 1000:.0f} kB", flush=True)
            browser.close()
        server.close()


if __name__ == "__main__":
    main()
