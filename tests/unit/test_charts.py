"""What the charts are made of, without a browser."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from fluxbeat.analysis.correction import NO_BEAT
from fluxbeat.analysis.result import Envelope, Genre, Segment, Tempo, TempoCandidate, Timeline, TrackAnalysis
from fluxbeat.analysis.track_warnings import PADDED, TEMPO_CHANGES
from fluxbeat.charts.colours import PALETTE, genre_paints, ink_on, luminance
from fluxbeat.charts.heat import FULL_COLOUR, track_heat_figure
from fluxbeat.charts.plots import START_MS, tempo_curve_figure, tempo_spread_figure, timeline_figure
from fluxbeat.charts.smoothing import fine_curves
from fluxbeat.charts.wording import clock, percent, tempo_choice, whole_bpm
from fluxbeat.explanation.whole_track import SegmentEvidence, TrackEvidence
from fluxbeat.models.registry import ModelInfo
from fluxbeat.web.ui.panel import panel_value
from fluxbeat.web.ui.tempo_tab import tempo_view
from fluxbeat.web.ui.timeline_tab import timeline_view

LABELS = ("ambient", "metal", "<b>odd</b>")
DURATION_S = 60.0


def half_ambient_half_metal(bpm: float | None = 120.0) -> TrackAnalysis:
    """Ambient for half a minute, then metal."""
    start_s = np.arange(0.0, 53.0)
    second = (start_s + 4.0) >= DURATION_S / 2
    probability = np.full((len(start_s), 3), 0.02)
    probability[~second, 0] = 0.9
    probability[second, 1] = 0.8
    mean = probability.mean(axis=0)
    genres = sorted(
        (Genre(label, 0.5 + share / 2) for label, share in zip(LABELS, mean.tolist(), strict=True)),
        key=lambda g: -g.probability,
    )
    grid = 30.0 * 2 ** (np.arange(160) / 48)
    candidates = (TempoCandidate(120.0, 0.6), TempoCandidate(60.0, 0.3)) if bpm else ()
    curve = np.full(len(start_s), bpm if bpm else np.nan)
    curve[:3] = np.nan
    music = np.tile([1.0, 0.0, 0.0], (len(start_s), 1))
    return TrackAnalysis(
        file="song.mp3",
        duration_s=DURATION_S,
        model=ModelInfo("crnn", "checkpoints/crnn", "0" * 12),
        genres=tuple(genres),
        tempo=Tempo(bpm, 0.6 if bpm else 0.0, candidates, grid, np.full(160, 1 / 160)),
        timeline=Timeline(8.0, 1.0, start_s, LABELS, probability, curve, music, np.zeros(len(start_s))),
        segments=(Segment(0.0, 30.0, ("ambient",)), Segment(30.0, 60.0, ("metal", "<b>odd</b>"))),
        warnings=(PADDED,),
        envelope=Envelope(np.linspace(0, 0.5, 1800), DURATION_S / 1800),
        elapsed_s=0.42,
    )


def traces(role: str) -> list[dict]:
    analysis = half_ambient_half_metal()
    figure = timeline_figure(analysis, genre_paints(LABELS), [genre.label for genre in analysis.genres])
    return [trace for trace in figure["data"] if trace["meta"]["role"] == role]


def test_height_of_an_area_is_probability() -> None:
    by_label = {trace["meta"]["label"]: trace for trace in traces("area")}
    assert set(by_label) == set(LABELS)
    area = by_label["ambient"]
    time_s = (area["x0"] + np.arange(len(area["y"])) * area["dx"] - START_MS) / 1000
    assert time_s[0] == 0.0
    assert time_s[-1] == pytest.approx(DURATION_S, abs=0.001)
    ambient, metal = np.array(by_label["ambient"]["y"]), np.array(by_label["metal"]["y"])
    assert ambient[time_s < 24] == pytest.approx(0.9, abs=0.01)
    assert metal[time_s > 36] == pytest.approx(0.8, abs=0.01)
    assert ambient[time_s > 36] == pytest.approx(0.02, abs=0.01)


def test_river_is_centred_at_every_moment() -> None:
    ground = traces("ground")[0]
    total = np.sum([trace["y"] for trace in traces("area")], axis=0)
    assert np.array(ground["y"]) * 2 + total == pytest.approx(ground["meta"]["rise"], abs=0.004)


def test_moments_are_never_read_as_years() -> None:
    """Plotly takes numbers of four digits on a date axis for years."""
    assert min(traces("waveform")[0]["x"]) > 9999
    for role in ("area", "ground"):
        assert traces(role)[0]["x0"] > 9999


def test_ribbon_covers_the_track_and_splits_shared_segments() -> None:
    ribbon = traces("ribbon")[0]
    assert list(ribbon["text"]) == ["ambient", "metal", "&lt;b&gt;odd&lt;/b&gt;"]
    assert list(ribbon["x"]) == [30_000, 30_000, 30_000]
    assert ribbon["width"][0] == pytest.approx(2 * ribbon["width"][1])


def test_waveform_is_mirrored() -> None:
    y = np.array(traces("waveform")[0]["y"])
    assert len(y) <= 2000
    assert y.max() == 1.0
    assert y[: len(y) // 2] == pytest.approx(-y[len(y) // 2 :][::-1])


def test_smooth_curves_stay_between_what_they_join() -> None:
    steps = np.array([[0.0], [0.0], [1.0], [1.0], [0.0], [0.0]])
    time_s, fine = fine_curves(np.arange(6) + 4.0, steps, 14.0)
    assert (time_s[0], time_s[-1]) == (0.0, 14.0)
    assert fine.min() >= 0.0
    assert fine.max() <= 1.0


def test_one_window_is_a_flat_river() -> None:
    _, fine = fine_curves(np.array([4.0]), np.array([[0.3, 0.6]]), 8.0)
    assert fine == pytest.approx(np.tile([0.3, 0.6], (len(fine), 1)))


def test_three_hours_stay_a_small_figure() -> None:
    time_s, fine = fine_curves(np.arange(10_800.0), np.random.default_rng(1).random((10_800, 10)), 10_800.0)
    assert len(time_s) == len(fine) <= 1200


@pytest.mark.parametrize("bands", [4, 24, 80, 96, 128, 1000])
def test_a_heat_map_is_drawn_for_any_number_of_bands(bands: int) -> None:
    """The lower half of the bands carries the label, in equal parts: so does the lower half of what is drawn."""
    columns, rows = 1200, min(bands, 40)
    evidence = np.zeros((bands, columns), np.float32)
    evidence[: bands // 2] = 0.25 * FULL_COLOUR * rows / bands
    carried = SegmentEvidence(Segment(0.0, 60.0, ("metal",)), "metal", evidence.mean(axis=1), ())
    band_hz = np.geomspace(40.0, 10_000.0, bands)
    found = TrackEvidence({"metal": evidence}, (carried,), band_hz, 60.0 / columns)
    figure = track_heat_figure(found, DURATION_S, genre_paints(LABELS))
    heat = np.array(figure["data"][0]["z"])
    assert heat.shape == (rows, 600)
    assert heat[: rows // 2] == pytest.approx(0.5, abs=0.002)  # a quarter, by its root
    assert not heat[rows // 2 :].any()
    ticks = figure["layout"]["yaxis"]["tickvals"]
    assert np.array(ticks) * bands / rows == pytest.approx(
        np.interp([60, 250, 1000, 4000], band_hz, np.arange(bands)), abs=0.005 * bands / rows + 1e-6
    )


def test_views_are_json_and_hold_no_nan() -> None:
    paints = genre_paints(LABELS)
    for bpm in (120.0, None):
        analysis = half_ambient_half_metal(bpm=bpm)
        for view in (timeline_view("1", analysis, paints), tempo_view("1", analysis)):
            assert json.loads(panel_value(view))["key"] == "1"


def test_no_beat_is_no_number() -> None:
    view = tempo_view("1", half_ambient_half_metal(bpm=None))
    assert view["bpm"] is None
    assert "curve" not in view


def test_what_the_answer_says_already_is_not_noted_below_it() -> None:
    analysis = dataclasses.replace(half_ambient_half_metal(bpm=None), warnings=(PADDED, NO_BEAT, TEMPO_CHANGES))
    view = timeline_view("1", analysis, genre_paints(LABELS))
    assert "no steady beat" in view["summary"]
    assert view["notes"] == ["Shorter than one window: padded."]


def test_close_rival_is_named() -> None:
    assert tempo_choice(half_ambient_half_metal().tempo) == "120 or 60 BPM"
    assert tempo_choice(half_ambient_half_metal(bpm=None).tempo) == ""


def test_numbers_are_rounded_to_what_they_mean() -> None:
    assert [percent(value) for value in (0.0, 0.004, 0.624, 1.0)] == ["0 %", "< 1 %", "62 %", "100 %"]
    assert [clock(value) for value in (5, 185.2, 3729)] == ["0:05", "3:05", "1:02:09"]


def test_a_tempo_is_rounded_once_and_so_reads_the_same_at_a_curve_as_elsewhere() -> None:
    analysis = half_ambient_half_metal(127.46)
    curve = tempo_curve_figure(analysis)["data"][0]
    assert set(curve["customdata"]) == {"", "127"}
    assert "customdata" in curve["hovertemplate"]
    spread = tempo_spread_figure(analysis.tempo)["data"][0]
    assert spread["customdata"] == [whole_bpm(bpm) for bpm in analysis.tempo.grid_bpm]


@pytest.mark.parametrize("count", [3, 10, 12, 30])
def test_every_label_has_a_paint_of_its_own(count: int) -> None:
    labels = [f"genre {number:02d}" for number in range(count)]
    paints = genre_paints(reversed(labels))
    assert paints == genre_paints(labels)
    assert len({(paint.fill, paint.pattern) for paint in paints.values()}) == count


def test_colours_are_told_apart_by_colour_blind_people_and_show_on_both_pages() -> None:
    for colour in PALETTE:
        for page in ("#ffffff", "#1b1e26"):
            high, low = sorted([luminance(colour), luminance(page)], reverse=True)
            assert (high + 0.05) / (low + 0.05) > 2.1, (colour, page)
    for sight, least in (("normal", 0.11), ("protan", 0.075), ("deutan", 0.075), ("tritan", 0.06)):
        seen = {colour: lightness_and_hue(colour, sight) for colour in PALETTE}
        for one, other in itertools.combinations(PALETTE, 2):
            assert np.linalg.norm(seen[one] - seen[other]) > least, (sight, one, other)


NEIGHBOURS = """
    rock-metal rock-punk rock-pop rock-country metal-punk blues-jazz blues-soul blues-rock funk-soul funk-disco
    disco-electronic disco-pop electronic-hiphop electronic-pop folk-country folk-world latin-world reggae-hiphop
    reggae-world jazz-soul jazz-funk hiphop-soul country-pop latin-reggae blues-country classical-jazz classical-rock
    metal-pop metal-classical metal-electronic rock-electronic punk-pop folk-pop
"""


def test_a_name_on_any_colour_is_read_with_the_contrast_that_aa_asks() -> None:
    paints = genre_paints(LABELS).values()
    grey = [f"#{level:02x}{level:02x}{level:02x}" for level in range(256)]
    pairs = [(paint.fill, paint.ink) for paint in paints] + [(colour, ink_on(colour)) for colour in [*PALETTE, *grey]]
    for fill, ink in pairs:
        high, low = sorted([luminance(fill), luminance(ink)], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, fill


def test_bundled_genres_have_colours_of_their_own_and_neighbours_in_music_are_far_apart_in_hue() -> None:
    config = Path(__file__).parents[2] / "checkpoints" / "cnn" / "config.json"
    paints = genre_paints(json.loads(config.read_text(encoding="utf-8"))["labels"])
    assert not any(paint.pattern for paint in paints.values())
    hue = {}
    for label, paint in paints.items():
        _, a, b = lightness_and_hue(paint.fill, "normal")
        hue[label] = np.degrees(np.arctan2(b, a))
    for pair in NEIGHBOURS.split():
        one, other = pair.split("-")
        assert abs((hue[one] - hue[other] + 180) % 360 - 180) > 55, pair


def lightness_and_hue(colour: str, sight: str) -> np.ndarray:
    """Oklab (Ottosson 2020) of a colour as seen with full colour blindness (Machado et al. 2009)."""
    blindness = {
        "normal": np.eye(3),
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    }
    coded = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(blindness[sight]) @ linear, 0, 1)
    cones = np.array(
        [[0.41222147, 0.53633254, 0.05144599], [0.2119035, 0.6806995, 0.10739696], [0.08830246, 0.28171884, 0.6299787]]
    )
    mixed = np.array(
        [
            [0.21045426, 0.79361779, -0.00407205],
            [1.9779985, -2.42859221, 0.45059371],
            [0.02590404, 0.78277177, -0.80867577],
        ]
    )
    return mixed @ np.cbrt(cones @ seen)
