"""What the stage is made of, without a browser: chapters, words, pictures of the spectrogram, and packed events."""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp
from test_charts import LABELS, half_ambient_half_metal
from tiny_models import loaded, tiny

from fluxbeat.analysis.presence import presence
from fluxbeat.analysis.result import Envelope, Segment
from fluxbeat.analysis.track import Track
from fluxbeat.charts.chapters import chapters, unlike_what_was_learned
from fluxbeat.charts.colours import genre_paints
from fluxbeat.charts.plots import stage_figure
from fluxbeat.errors import TrackWarning
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui import stage_layers
from fluxbeat.web.ui.app_shell import SENT_AS_THEY_ARE
from fluxbeat.web.ui.jobs import Job
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.stage_layers import BLOCK_S, MOST_COLUMNS, StageLayers, present_blocks, spectrogram_view
from fluxbeat.web.ui.timeline_tab import timeline_view


def test_segments_of_one_leading_genre_and_one_tempo_are_one_chapter() -> None:
    segments = (
        Segment(0.0, 10.0, ("rock", "metal"), 120.0),
        Segment(10.0, 20.0, ("rock",), 121.0),
        Segment(20.0, 30.0, ("rock",), 90.0),
        Segment(30.0, 35.0, (), None, "speech"),
        Segment(35.0, 40.0, (), None, "silence"),
    )
    told = chapters(replace(half_ambient_half_metal(), segments=segments))
    assert [(one.start_s, one.end_s, one.labels, one.kind, one.bpm) for one in told] == [
        (0.0, 20.0, ("rock", "metal"), "music", 120.0),
        (20.0, 30.0, ("rock",), "music", 90.0),  # the next song of a mix
        (30.0, 35.0, (), "speech", None),
        (35.0, 40.0, (), "silence", None),
    ]


def test_where_the_sound_is_unlike_what_was_learned_is_reported_with_its_times() -> None:
    analysis = half_ambient_half_metal()
    assert unlike_what_was_learned(analysis) == ""
    odd = np.where(analysis.timeline.centre_s >= 40.0, 0.9, 0.1)
    partly = replace(analysis, timeline=replace(analysis.timeline, unfamiliar=odd))
    assert unlike_what_was_learned(partly) == "unlike what I learned: 0:39 to 1:00"
    whole = replace(analysis, warnings=(TrackWarning("unfamiliar", "unlike"),))
    assert unlike_what_was_learned(whole) == "unlike what I learned"


def test_how_often_such_answers_are_right_is_reported_in_songs() -> None:
    metrics = [{"measure": "top3", "value": 0.9}, {"measure": "accuracy", "value": 0.4454, "n": 119, "split": "test"}]
    analysis, paints = half_ambient_half_metal(), genre_paints(LABELS)
    assert timeline_view("1", analysis, paints, metrics)["right"] == {
        "words": "right in 4 of 10 songs",
        "why": "45 of 100. Measured on 119 tracks that it never heard (test).",
    }
    assert timeline_view("1", analysis, paints, [])["right"] is None


def test_the_view_says_presence_in_words_and_has_every_genre_on_the_stage() -> None:
    analysis, paints = half_ambient_half_metal(), genre_paints(LABELS)
    view = timeline_view("1", analysis, paints)
    assert view["summary"] == analysis.summary
    for genre in view["genres"]:
        assert genre["presence"] == presence(genre["share"])
    figure = stage_figure(analysis, paints, LABELS)
    for role in ("area", "loudness"):
        drawn = {trace["meta"]["label"] for trace in figure["data"] if trace["meta"]["role"] == role}
        assert set(LABELS) <= drawn
    assert len(view["waveform"]["peak"]) == 1800
    assert max(view["waveform"]["peak"]) == 1.0


def test_a_part_of_the_spectrogram_has_its_loudest_moments_and_never_too_many_columns() -> None:
    track = _track(120.0)
    rate_hz = track.features.frame_rate_hz
    track.log_mel[:] = stage_layers.QUIET
    track.log_mel[3, round(61.0 * rate_hz)] = stage_layers.LOUD
    view = spectrogram_view("1", track, 0.0, 120.0)
    assert view["columns"] <= MOST_COLUMNS
    image = _image(view)
    row, column = np.argwhere(image == 255)[0]
    assert row == 3
    assert column / view["columns"] * 120.0 == pytest.approx(61.0, abs=0.2)
    part = spectrogram_view("1", track, 60.0, 62.0)
    assert (part["from_s"], part["to_s"]) == pytest.approx((60.0, 62.0), abs=1 / rate_hz)
    assert part["columns"] == round(2 * rate_hz)


def test_only_blocks_in_which_a_genre_is_a_trace_are_explained() -> None:
    analysis = half_ambient_half_metal()  # ambient until 0:30, windows of 8 s
    assert present_blocks(analysis, "ambient") == [0]
    assert present_blocks(analysis, "metal") == [1]
    assert present_blocks(analysis, "polka") == []


def test_what_speaks_for_a_genre_grows_block_by_block_and_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    model, label = loaded(tiny("cnn")), "loud"
    name = model.info.name
    track = _track(2.5 * BLOCK_S)
    analysis = _all_of(label, track.duration_s)
    asked: list[float] = []

    def evidence(track: Any, model: Any, label: str, start_s: float, end_s: float) -> np.ndarray:
        asked.append(start_s)
        frames = round((min(end_s, track.duration_s) - start_s) * track.features.frame_rate_hz)
        return np.full((len(track.log_mel), frames), 1.0, np.float32)

    monkeypatch.setattr(stage_layers, "label_evidence", evidence)
    layers = StageLayers(OfferedModels([model]), AnalysisQueue(1, 1))
    results = SimpleNamespace(key="7", track=lambda features: track, analyses={name: analysis})

    def steps() -> list[dict[str, Any]]:
        return list(layers._heat_steps(results, name, label, 2.4 * BLOCK_S, Job(layers._queue)))

    found = steps()
    assert asked[0] == 2 * BLOCK_S  # nearest to the pointer first
    assert sorted(asked) == [0.0, BLOCK_S, 2 * BLOCK_S]
    assert [one["whole"] for one in found] == [False, False, False, True]
    filled = [float((_image(one) > 0).mean()) for one in found]
    assert filled == sorted(filled)
    assert filled[0] == 0.0
    assert filled[-1] > 0.99
    asked.clear()
    assert [one["whole"] for one in steps()] == [True]
    assert asked == []
    for number in range(2 * stage_layers.KEPT):
        layers._kept_of((str(number), "", label), track)
    assert len(layers._kept) == stage_layers.KEPT


def _all_of(label: str, duration_s: float) -> Any:
    """An analysis in which one genre is clear from begin to end."""
    analysis = half_ambient_half_metal()
    centre_s = np.arange(4.0, duration_s, 1.0)
    timeline = replace(
        analysis.timeline, start_s=centre_s - 4.0, labels=(label,), probability=np.full((len(centre_s), 1), 0.9)
    )
    return replace(analysis, timeline=timeline, duration_s=duration_s)


def _track(duration_s: float) -> Track:
    features = FeatureConfig()
    frames = round(duration_s * features.frame_rate_hz)
    log_mel = np.zeros((features.n_mels, frames), np.float32)
    return Track("song.mp3", duration_s, features, log_mel, np.ones(frames, bool), Envelope(np.ones(10), 1.0), ())


def _image(view: dict[str, Any]) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(view["level"]), np.uint8)
    return flat.reshape(view["rows"], view["columns"])


EVENTS = [f'data: {{"msg": "process_generating", "step": {step}}}\n\n' * 40 for step in range(3)]


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip, br", "gzip"), ("identity", None)])
def test_events_are_packed_and_each_can_be_read_before_the_next_is_sent(accepted: str, encoding: str | None) -> None:
    sent: list[Any] = []
    unpack: Any = zlib.decompressobj(wbits=31).decompress if encoding else bytes
    read: list[str] = []

    async def events() -> AsyncIterator[str]:
        for number, event in enumerate(EVENTS):
            yield event
            arrived = b"".join(message["body"] for message in sent[1 + len(read) :])
            read.append(unpack(arrived).decode())
            assert read[-1] == EVENTS[number]

    stream = StreamingResponse(events(), media_type="text/event-stream")
    _ask(GZipMiddleware(stream, exclude_content_types=SENT_AS_THEY_ARE), accepted, sent)
    assert read == EVENTS
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert headers.get("content-encoding") == encoding
    if encoding:
        assert headers["vary"] == "Accept-Encoding"
        assert sum(len(message["body"]) for message in sent[1:]) < len("".join(EVENTS)) / 10
        assert sent[-1]["body"]  # the end, without which what came would be cut off
    else:
        assert b"".join(message["body"] for message in sent[1:]).decode() == "".join(EVENTS)


def _ask(app: ASGIApp, accepted: str, sent: list[Any]) -> None:
    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    asgi = {"version": "3.0", "spec_version": "2.4"}
    headers = [(b"accept-encoding", accepted.encode())]
    scope = {"type": "http", "asgi": asgi, "method": "GET", "path": "/events", "headers": headers}
    asyncio.run(app(scope, receive, send))
