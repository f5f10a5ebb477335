"""Where models disagree: passages that can be played, with who says what, and what the Compare tab makes of them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fluxbeat.analysis.disagreement import comparable, disputed_passages
from fluxbeat.analysis.result import Envelope, Genre, Segment, Tempo, TempoCandidate, Timeline, TrackAnalysis
from fluxbeat.charts.colours import genre_paints
from fluxbeat.models.registry import ModelInfo
from fluxbeat.web.ui.compare_tab import compare_view
from fluxbeat.web.ui.panel import panel_value

LABELS = ("ambient", "metal", "jazz")
DURATION_S, WINDOW_S = 60.0, 8.0


def opinion(
    model: str, *parts: tuple[float, dict[str, float]], labels: tuple[str, ...] = LABELS, bpm: float | None = 120.0
) -> TrackAnalysis:
    """What a model says: from each begin in seconds on, these labels with these probabilities, all others with 0.05."""
    start_s = np.arange(0.0, DURATION_S - WINDOW_S + 0.5)
    probability = np.full((len(start_s), len(labels)), 0.05)
    ends = [begin_s for begin_s, _ in parts[1:]] + [DURATION_S]
    for (begin_s, shares), end_s in zip(parts, ends, strict=True):
        inside = (start_s + WINDOW_S / 2 >= begin_s) & (start_s + WINDOW_S / 2 < end_s)
        for label, share in shares.items():
            probability[inside, labels.index(label)] = share
    genres = (Genre(label, float(share)) for label, share in zip(labels, probability.mean(axis=0), strict=True))
    windows, candidates = len(start_s), (TempoCandidate(bpm, 0.9),) if bpm else ()
    return TrackAnalysis(
        file="song.mp3",
        duration_s=DURATION_S,
        model=ModelInfo(model, f"checkpoints/{model}", "0" * 12),
        genres=tuple(sorted(genres, key=lambda genre: -genre.probability)),
        tempo=Tempo(bpm, 0.9 if bpm else 0.0, candidates, np.array([60.0, 120.0]), np.full(2, 0.5)),
        timeline=Timeline(
            WINDOW_S, 1.0, start_s, labels, probability, np.full(windows, bpm or np.nan),
            np.tile([1.0, 0.0, 0.0], (windows, 1)), np.zeros(windows),
        ),
        segments=tuple(
            Segment(begin_s, end_s, tuple(label for label, share in shares.items() if share >= 0.5))
            for (begin_s, shares), end_s in zip(parts, ends, strict=True)
        ),
        warnings=(),
        envelope=Envelope(np.zeros(10), 6.0),
        elapsed_s=0.4,
    )  # fmt: skip


def spans(*analyses: TrackAnalysis) -> list[tuple[float, float]]:
    return [(round(one.start_s), round(one.end_s)) for one in disputed_passages(analyses)]


def view(*analyses: TrackAnalysis) -> dict[str, Any]:
    paints = genre_paints(label for one in analyses for label in one.timeline.labels)
    shown: dict[str, Any] = json.loads(panel_value(compare_view("1", analyses, ["crnn"], paints, {})))
    return shown


CALM = opinion("cnn", (0.0, {"ambient": 0.9}))


def test_who_says_the_same_does_not_disagree_whatever_the_weak_labels() -> None:
    assert spans(CALM, opinion("vit", (0.0, {"ambient": 0.6, "metal": 0.45, "jazz": 0.45}))) == []
    assert view(CALM, opinion("vit", (0.0, {"ambient": 0.8})))["debate"]["words"] == (
        "They agree from beginning to end: ambient."
    )


def test_a_hair_beside_the_threshold_is_no_disagreement() -> None:
    assert spans(opinion("cnn", (0.0, {"jazz": 0.52})), opinion("vit", (0.0, {"jazz": 0.48}))) == []


def test_a_passage_is_where_one_hears_another_genre_and_says_what() -> None:
    other = opinion("vit", (0.0, {"ambient": 0.9}), (20.0, {"metal": 0.8, "ambient": 0.3}), (35.0, {"ambient": 0.9}))
    (passage,) = disputed_passages([CALM, other])
    assert (passage.start_s, passage.end_s) == (20.0, 35.0)
    assert passage.apart == pytest.approx((0.75 + 0.6) / 2, abs=0.01)
    answer = {one.model: [(genre.label, genre.presence) for genre in one.genres] for one in passage.statements}
    assert answer == {"cnn": [("ambient", "clear")], "vit": [("metal", "clear"), ("ambient", "trace")]}


def test_what_differs_most_and_longest_comes_first_and_no_more_than_some(monkeypatch: pytest.MonkeyPatch) -> None:
    other = opinion(
        "vit", (0.0, {"metal": 0.55, "ambient": 0.45}), (10.0, {"ambient": 0.9}), (20.0, {"metal": 0.9}),
        (28.0, {"ambient": 0.9}), (40.0, {"jazz": 0.9}),
    )  # fmt: skip
    assert spans(CALM, other) == [(40, 60), (20, 28), (0, 10)]
    monkeypatch.setitem(disputed_passages.__globals__, "MOST_PASSAGES", 2)
    assert spans(CALM, other) == [(40, 60), (20, 28)]


def test_parts_in_which_everybody_says_the_same_as_before_are_one_passage() -> None:
    cut = opinion("vit", (0.0, {"metal": 0.9}), (20.0, {"metal": 0.8}), (40.0, {"metal": 0.9}))
    assert spans(CALM, cut) == [(0, 60)]


def test_a_change_inside_a_segment_is_found_on_the_timeline() -> None:
    """The segments say nothing of it: only the windows do."""
    vit = opinion("vit", (0.0, {"ambient": 0.9}), (30.0, {"metal": 0.9}))
    vit = TrackAnalysis(**{**vars(vit), "segments": (Segment(0.0, DURATION_S, ("ambient",)),)})
    ((start_s, end_s),) = spans(CALM, vit)
    assert start_s == pytest.approx(30, abs=2)
    assert end_s == 60


def test_no_passage_is_too_short_to_be_judged_by_ear() -> None:
    flicker = opinion("vit", (0.0, {"ambient": 0.9}), (30.0, {"metal": 0.9}), (32.0, {"ambient": 0.9}))
    assert all(end_s - start_s >= 4 for start_s, end_s in spans(CALM, flicker))
    short = opinion("vit", (0.0, {"metal": 0.9}), (2.0, {"ambient": 0.9}))
    assert spans(CALM, short) == []


def test_the_consensus_is_no_party_and_says_what_it_makes_of_it() -> None:
    other, both = opinion("vit", (0.0, {"metal": 0.9})), opinion("all", (0.0, {"jazz": 0.9}))
    (passage,) = disputed_passages([both, CALM, other])
    assert passage.apart == pytest.approx(0.85, abs=0.01)
    assert [one.model for one in passage.statements] == ["all", "cnn", "vit"]
    shown = view(both, CALM, other)["debate"]["passages"][0]["statements"]
    assert [(one["title"], one["consensus"]) for one in shown] == [("Consensus", True), ("CNN", False), ("ViT", False)]


def test_the_view_says_who_disagrees_how_often_and_on_the_tempo() -> None:
    other = opinion("vit", (0.0, {"ambient": 0.9}), (40.0, {"jazz": 0.9}), bpm=60.0)
    shown = view(CALM, other)
    assert shown["waiting"] == ["CRNN"]
    assert [row["title"] for row in shown["rows"]] == ["CNN", "ViT"]
    assert not any("took" in row for row in shown["rows"])
    assert shown["debate"]["words"] == "They disagree in one passage, 0:20 of 1:00 in all."
    assert shown["debate"]["notes"] == ["On the tempo they differ: CNN 120 BPM, ViT 60 BPM."]
    (passage,) = shown["debate"]["passages"]
    assert passage["when"] == "0:40 to 1:00"
    cnn, vit = ([(genre["label"], genre["presence"]) for genre in one["genres"]] for one in passage["statements"])
    assert (cnn, vit) == ([("ambient", "clear")], [("jazz", "clear")])


def test_a_model_is_as_often_right_as_its_checkpoint_says() -> None:
    metrics = [{"measure": "accuracy", "value": 0.44, "n": 119, "split": "songs, test", "interval_95": (0.34, 0.57)}]
    model: Any = SimpleNamespace(network=SimpleNamespace(config=SimpleNamespace(metrics=metrics)))
    rows = compare_view("1", [CALM], [], genre_paints(LABELS), {"cnn": model})["rows"]
    assert rows[0]["accuracy"]["words"] == "right in 4 of 10 songs"
    assert "119 tracks that it never heard (songs, test)" in rows[0]["accuracy"]["why"]


SALSA = opinion("dancer", (0.0, {"Heavy metal": 0.9}), labels=("Heavy metal", "salsa"))
STRANGE = opinion("strange", (0.0, {"gamelan": 0.9}), labels=("gamelan", "raga"))


def test_models_of_other_labels_are_compared_by_the_genres_that_both_know() -> None:
    """Its name of metal is another one; of ambient and jazz it knows nothing."""
    metal = opinion("cnn", (0.0, {"metal": 0.9}))
    assert spans(metal, SALSA) == []
    assert spans(opinion("cnn", (0.0, {"metal": 0.1, "ambient": 0.9})), SALSA) == [(0, 60)]
    shown = view(CALM, SALSA)
    assert shown["debate"]["notes"][0] == "Compared by the one genre that all of them know: metal."
    answer = {one["title"]: one for one in shown["debate"]["passages"][0]["statements"]}
    assert answer["dancer"]["genres"][0]["label"] == "Heavy metal"
    assert answer["dancer"]["unknown"] == "does not know ambient"
    assert answer["CNN"]["unknown"] == ""


def test_what_models_have_in_common_has_one_colour_and_one_place_in_the_river() -> None:
    shown = view(opinion("cnn", (0.0, {"metal": 0.9})), SALSA)
    areas = [[trace for trace in row["figure"]["data"] if trace["meta"]["role"] == "area"] for row in shown["rows"]]
    assert [one[0]["meta"]["label"] for one in areas] == ["metal", "Heavy metal"]
    assert areas[0][0]["fillcolor"] == areas[1][0]["fillcolor"]
    assert {trace["meta"]["label"] for trace in areas[1]} == {"Heavy metal", "salsa"}


def test_who_knows_none_of_the_others_genres_stands_by_itself_and_stops_nobody() -> None:
    other = opinion("vit", (0.0, {"jazz": 0.9}))
    assert [one.model.name for one in comparable([STRANGE, CALM, other])] == ["cnn", "vit"]
    shown = view(STRANGE, CALM, other)["debate"]
    assert [one["title"] for one in shown["passages"][0]["statements"]] == ["CNN", "ViT"]
    assert shown["notes"][0] == "strange knows none of the others’ genres: its river stands below, by itself."
    assert "none can contradict another" in view(STRANGE, CALM)["debate"]["words"]
    with pytest.raises(ValueError, match="no label in common"):
        disputed_passages([STRANGE, CALM])
    with pytest.raises(ValueError, match="at least two"):
        disputed_passages([CALM])
