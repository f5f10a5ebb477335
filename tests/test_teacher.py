"""What a teacher hears becomes soft labels where nobody said what is there, and answers to learn by."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fluxbeat.training.corpus.teacher import TAGS
from fluxbeat.training.gathering import _keep, cached_items, items_file
from fluxbeat.training.items import SOFT_SHARE, SOFT_WEIGHT, Item, label_targets
from fluxbeat.training.losses import ranking_loss, teacher_loss
from fluxbeat.training.recipe import DataConfig, Recipe
from fluxbeat.training.supervised import WindowDataset
from fluxbeat.training.teacher_labels import soft_labels, tag_probabilities, usual_probabilities
from fluxbeat.training.teacher_scale import TeacherScale

LABELS = ("jazz", "metal", "classical")


def answers(**tags: float) -> np.ndarray:
    """Logits of two segments: -4 everywhere but in the named tags of MSD."""
    logits = np.full((2, 100), -4.0, np.float32)
    for tag, value in tags.items():
        logits[:, TAGS["MSD"].index(tag)] = value
    return logits


def item(source: str = "free", **facts) -> Item:
    return Item("x", np.zeros((80, 400), np.float32), None, None, source=source, **facts)


def test_a_tag_given_more_often_than_usual_is_a_present_label():
    usual = usual_probabilities([item(teacher=answers(jazz=value)) for value in (-4.0, -4.0, -4.0, 0.0)])
    soft = soft_labels(answers(jazz=1.0), usual)
    assert soft["jazz"] > 0.5 > soft_labels(answers(jazz=-3.0), usual)["jazz"]
    assert soft["metal"] == pytest.approx(0.12, abs=1e-6)  # as usual: neither for nor against
    assert "disco" not in soft


def labelled(label: str, present: bool, source: str, **said: float) -> Item:
    return replace(
        item(source, teacher=answers(**said)), labels=(label,) if present else ("jazz",), known=(label, "jazz")
    )


def test_what_is_usual_is_measured_on_recordings_of_all_kinds_that_hold_the_genre():
    free, recording = labelled("metal", True, "free", metal=3.0), labelled("metal", True, "recording", metal=-4.0)
    assert usual_probabilities([free, recording])["metal"] == tag_probabilities(answers(metal=-4.0))["metal"]


def test_recordings_without_a_single_ambient_piece_do_not_make_all_free_music_ambient():
    recordings = [labelled("metal", True, "recording", ambient=-6.0) for _ in range(30)]
    free = [labelled("ambient", present, "free", ambient=1.0 if present else -3.0) for present in [True, False] * 25]
    usual = usual_probabilities([*recordings, *free])
    assert usual["ambient"] == pytest.approx(1 / (1 + np.exp(1.0)))  # half-way from -3 to 1, in log odds
    assert soft_labels(answers(ambient=-2.0), usual)["ambient"] < 0.1
    assert soft_labels(answers(ambient=2.0), usual)["ambient"] > 0.9


def test_a_person_s_word_goes_before_the_teacher_s():
    heard = {"jazz": 0.7, "metal": 0.2}
    said = Item("a", np.zeros((80, 400)), ("metal",), None, source="free", known=("metal",), soft=heard)
    other = Item("b", np.zeros((80, 400)), ("classical",), None, source="free", known=("metal", "classical"))
    of_gtzan = [replace(one, source="recording") for one in (said, other)]
    targets, mask = label_targets([*of_gtzan, said, other], LABELS)
    assert targets[0].tolist() == pytest.approx([0.7, 1.0, 0.0])
    free = 1.0 - SOFT_SHARE * 0.8
    assert targets[2].tolist() == pytest.approx([0.7, free, 0.0]), "a guess about free music is only a guess"
    assert mask[0].tolist() == [SOFT_WEIGHT, 1.0, 0.0]
    assert mask[1, 0] == 0.0


def test_teacher_answers_are_standardised_over_those_that_were_heard():
    heard = [item(teacher=np.full((3, 4), value, np.float32)) for value in (1.0, 3.0)]
    scale = TeacherScale.of([*heard, item()])
    values, mask = scale.targets([*heard, item()])
    assert values[:2].mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-6)
    assert np.abs(values[:2]) == pytest.approx(np.ones((2, 4)), abs=1e-5)
    assert mask.tolist() == [[1] * 4, [1] * 4, [0] * 4]


def test_teacher_loss_counts_only_what_was_asked():
    said, wanted = torch.tensor([[1.0, 5.0]]), torch.tensor([[3.0, 0.0]])
    assert teacher_loss(said, wanted, torch.tensor([[1.0, 0.0]])) == pytest.approx(4.0)
    assert teacher_loss(said, wanted, torch.zeros(1, 2)) == 0.0


def test_ranking_loss_is_softmax_cross_entropy_among_known_labels():
    logits = torch.tensor([[2.0, 1.0, 9.0], [0.0, 3.0, 1.0]])
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    known = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    expected = -np.log(np.exp(2) / (np.exp(2) + np.exp(1)))  # the unknown third label competes with none
    assert ranking_loss(logits, targets, known).item() == pytest.approx(expected, abs=1e-6)


def test_the_texture_hears_windows_as_they_are_and_the_network_also_stretched_and_coloured_ones():
    rng = np.random.default_rng(0)
    music = Item("m", rng.standard_normal((80, 400)).astype(np.float32), ("jazz",), 120.0, source="picture")
    windows = WindowDataset([music], Recipe("cnn", LABELS), 168)
    torch.manual_seed(0)
    drawn = [windows[0] for _ in range(8)]
    inside = np.lib.stride_tricks.sliding_window_view(music.log_mel, 168, axis=1)
    for window in drawn:
        assert (np.abs(inside - window.log_mel.numpy()[:, None]).max(axis=(0, 2)) < 1e-6).any()
    assert all(not np.allclose(window.coloured, window.log_mel) for window in drawn)


def test_items_come_back_from_the_cache_as_they_were_and_hear_the_teacher(tmp_path):
    recipe = Recipe("cnn", LABELS, data=DataConfig(synthetic=1))
    kept = Item(
        "k", np.ones((80, 10), np.float32), ("jazz",), 90.0, "someone", 1, "free", known=("jazz", "metal"),
        picture=np.zeros((80, 10), np.float32), teacher=answers(jazz=2.0),
    )  # fmt: skip
    _keep([kept, item("synthetic", has_beat=False)], items_file(recipe, tmp_path, tmp_path))
    back, beatless = cached_items(recipe, tmp_path, tmp_path)
    assert (back.labels, back.known, back.tempo_bpm, back.fold) == (("jazz",), ("jazz", "metal"), 90.0, 1)
    assert np.array_equal(back.picture, kept.picture) and np.array_equal(back.log_mel, kept.log_mel)
    assert back.soft["jazz"] == pytest.approx(0.12, abs=1e-3)  # the only music there is: as usual
    assert (beatless.labels, beatless.known, beatless.teacher, beatless.has_beat) == (None, None, None, False)
