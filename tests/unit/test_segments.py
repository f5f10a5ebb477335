"""Borders lie where the genre changes for good, and nowhere else."""

import numpy as np
import pytest

from fluxbeat.analysis.result import Segment
from fluxbeat.analysis.segments import find_segments, sharpen, with_silence

LABELS = ("ambient", "jazz", "metal")
THRESHOLDS = np.array([0.4, 0.4, 0.4])
WINDOW_S = 8.0


def windows(truth: np.ndarray, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that a perfect model with 8 s windows gives: truth (seconds, labels) averaged over each window."""
    width = int(WINDOW_S)
    averaged = np.stack([truth[start : start + width].mean(axis=0) for start in range(len(truth) - width + 1)])
    rough = averaged + np.random.default_rng(seed).normal(0, noise, averaged.shape)
    return np.arange(len(averaged)) + WINDOW_S / 2, rough.clip(0, 1)


def parts(*passages: tuple[int, tuple[float, float, float]]) -> np.ndarray:
    return np.concatenate([np.tile(level, (seconds, 1)) for seconds, level in passages])


def test_half_ambient_and_half_metal_has_a_border_in_the_middle():
    truth = parts((60, (0.9, 0.1, 0.0)), (60, (0.0, 0.1, 0.9)))
    found = find_segments(*windows(truth, 0.08), THRESHOLDS, LABELS, 120.0)
    assert [segment.labels for segment in found] == [("ambient",), ("metal",)]
    assert found[0].end_s == pytest.approx(60, abs=1.0)


def test_steady_music_has_no_border():
    truth = parts((180, (0.2, 0.8, 0.1)))
    found = find_segments(*windows(truth, 0.15), THRESHOLDS, LABELS, 180.0)
    assert len(found) == 1
    assert found[0].labels == ("jazz",)


def test_a_moment_of_doubt_is_no_segment():
    truth = parts((60, (0.0, 0.9, 0.0)), (3, (0.0, 0.1, 0.6)), (60, (0.0, 0.9, 0.0)))
    assert len(find_segments(*windows(truth), THRESHOLDS, LABELS, 123.0)) == 1


def test_windows_that_straddle_a_border_are_no_segment_of_their_own():
    truth = parts((30, (0.9, 0.0, 0.0)), (9, (0.2, 0.0, 0.2)), (30, (0.0, 0.0, 0.9)))
    centre_s = np.arange(len(truth)) + 0.5
    named = find_segments(centre_s, truth, THRESHOLDS, LABELS, 69.0)
    assert [segment.labels for segment in named] == [("ambient",), (), ("metal",)], "nothing is sure for nine seconds"
    found = find_segments(centre_s, truth, THRESHOLDS, LABELS, 69.0, window_s=10.0)
    assert [segment.labels for segment in found] == [("ambient",), ("metal",)]
    assert found[0].end_s == found[1].start_s == pytest.approx(34.5)


def test_three_parts_are_found_in_order():
    truth = parts((40, (0.9, 0, 0)), (50, (0, 0.9, 0.3)), (40, (0.1, 0, 0.9)))
    found = find_segments(*windows(truth, 0.05), THRESHOLDS, LABELS, 130.0)
    assert [segment.labels for segment in found] == [("ambient",), ("jazz",), ("metal",)]
    assert [segment.end_s for segment in found] == pytest.approx([40, 90, 130], abs=1.5)


def test_two_genres_at_once_are_both_named_strongest_first():
    truth = parts((60, (0.5, 0.8, 0.0)))
    assert find_segments(*windows(truth), THRESHOLDS, LABELS, 60.0)[0].labels == ("jazz", "ambient")


def test_segments_fill_the_track_without_gaps():
    rng = np.random.default_rng(5)
    truth = np.repeat(rng.random((12, 3)), 15, axis=0)
    found = find_segments(*windows(truth, 0.1), THRESHOLDS, LABELS, 180.0)
    assert found[0].start_s == 0.0
    assert found[-1].end_s == 180.0
    for before, after in zip(found, found[1:], strict=False):
        assert before.end_s == after.start_s
        assert before.labels != after.labels


def test_a_border_moves_to_where_the_sound_changes():
    from fluxbeat.analysis.result import Segment

    rng = np.random.default_rng(0)
    sound = rng.normal(0, 1, (80, 21 * 100)).astype(np.float32)
    sound[:40, 21 * 50 :] += 1.0
    rough = (Segment(0.0, 53.5, ("jazz",)), Segment(53.5, 100.0, ("metal",)))
    before, after = sharpen(rough, sound, 21.0)
    assert before.end_s == after.start_s == pytest.approx(50.0, abs=0.2)
    assert (before.start_s, after.end_s) == (0.0, 100.0)
    assert (before.labels, after.labels) == (("jazz",), ("metal",))


def test_nothing_sure_is_a_segment_without_labels():
    assert find_segments(*windows(parts((30, (0.1, 0.2, 0.1)))), THRESHOLDS, LABELS, 30.0)[0].labels == ()


def test_one_window_is_one_segment():
    found = find_segments(np.array([4.0]), np.array([[0.9, 0.0, 0.0]]), THRESHOLDS, LABELS, 5.0)
    assert [(s.start_s, s.end_s, s.labels) for s in found] == [(0.0, 5.0, ("ambient",))]


def test_two_borders_that_are_near_leave_no_sliver_between_them():
    from fluxbeat.analysis.result import Segment

    rng = np.random.default_rng(1)
    sound = rng.normal(0, 1, (80, 21 * 60)).astype(np.float32)
    sound[:40, 21 * 30 :] += 1.5  # the one change that both borders would like to have
    rough = (Segment(0.0, 27.0, ("jazz",)), Segment(27.0, 35.0, ("metal",)), Segment(35.0, 60.0, ("jazz",)))
    found = sharpen(rough, sound, 21.0)
    assert min(part.end_s - part.start_s for part in found) >= 4.0
    assert [part.end_s for part in found[:-1]] == sorted(part.end_s for part in found[:-1])


def test_silence_is_put_where_it_is():
    segments = (Segment(0.0, 12.5, ("rock",)), Segment(12.5, 22.5, (), kind="silence"), Segment(22.5, 35.0, ("punk",)))
    active = np.ones(350, bool)
    active[100:250] = False
    active[300:320] = False  # two seconds are a rest
    assert with_silence(segments, active, 10.0) == (
        Segment(0.0, 10.0, ("rock",)), Segment(10.0, 25.0, (), kind="silence"), Segment(25.0, 35.0, ("punk",)),
    )  # fmt: skip


def test_silence_is_found_also_where_no_genre_is_sure():
    active = np.zeros(300, bool)
    active[:100] = active[200:] = True
    kinds = [(one.start_s, one.end_s, one.kind) for one in with_silence([Segment(0.0, 30.0, ())], active, 10.0)]
    assert kinds == [(0.0, 10.0, "music"), (10.0, 20.0, "silence"), (20.0, 30.0, "music")]


def test_silence_from_beginning_to_end_is_one_segment():
    found = with_silence([Segment(0.0, 12.0, (), kind="silence")], np.zeros(119, bool), 10.0)
    assert [(one.start_s, one.end_s, one.kind) for one in found] == [(0.0, 12.0, "silence")]
