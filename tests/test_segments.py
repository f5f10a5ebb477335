"""Borders lie where the genre changes for good, and nowhere else."""

import numpy as np
import pytest

from fluxbeat.analysis.segments import find_segments, sharpen

LABELS = ("ambient", "jazz", "metal")
THRESHOLDS = np.array([0.4, 0.4, 0.4])
WINDOW_S = 8.0


def windows(truth: np.ndarray, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that a perfect model with 8 s windows gives: truth (seconds, labels) averaged over each window."""
    width = int(WINDOW_S)
    averaged = np.stack([truth[start : start + width].mean(axis=0) for start in range(len(truth) - width + 1)])
    rough = averaged + np.random.default_rng(seed).normal(0, noise, averaged.shape)
    return np.arange(len(averaged)) + WINDOW_S / 2, rough.clip(0, 1)


def parts(*stretches: tuple[int, tuple[float, float, float]]) -> np.ndarray:
    return np.concatenate([np.tile(level, (seconds, 1)) for seconds, level in stretches])


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
    from fluxbeat.analysis import Segment

    rng = np.random.default_rng(0)
    sound = rng.normal(0, 1, (80, 21 * 100)).astype(np.float32)
    sound[:40, 21 * 50 :] += 1.0
    rough = (Segment(0.0, 53.5, ("jazz",)), Segment(53.5, 100.0, ("metal",)))
    before, after = sharpen(rough, sound, 21.0, 5.0)
    assert before.end_s == after.start_s == pytest.approx(50.0, abs=0.2)
    assert (before.start_s, after.end_s) == (0.0, 100.0)
    assert (before.labels, after.labels) == (("jazz",), ("metal",))


def test_nothing_sure_is_a_segment_without_labels():
    assert find_segments(*windows(parts((30, (0.1, 0.2, 0.1)))), THRESHOLDS, LABELS, 30.0)[0].labels == ()


def test_one_window_is_one_segment():
    found = find_segments(np.array([4.0]), np.array([[0.9, 0.0, 0.0]]), THRESHOLDS, LABELS, 5.0)
    assert [(s.start_s, s.end_s, s.labels) for s in found] == [(0.0, 5.0, ("ambient",))]
