"""Three families of the promised size on one base; checkpoints load strictly or not at all."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import LABELS, tiny

from fluxbeat.errors import ConfigMismatchError, ModelLoadError
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.base import Calibration, Familiarity, ModelConfig
from fluxbeat.models.checkpoint import FAMILIES, build_model, load_checkpoint, save_checkpoint
from fluxbeat.models.cnn import BaselineCNN
from fluxbeat.models.tempo import TempoGrid

SIZES = {"cnn": 391_000, "crnn": 2_600_000, "vit": 3_200_000}


@pytest.mark.parametrize("family", FAMILIES)
def test_family_has_the_promised_size(family):
    ten = ModelConfig(family, tuple("abcdefghij"), (0.5,) * 10)
    assert build_model(ten).n_parameters == pytest.approx(SIZES[family], rel=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_window_gives_logits_tempo_and_embedding(family):
    model = tiny(family)
    output = model(torch.randn(2, model.config.features.n_mels, model.config.window_frames))
    assert output.genre_logits.shape == (2, 3)
    assert output.tempo_logits.shape == (2, model.config.tempo_grid.bins)
    assert output.embedding.shape == (2, model.embedding_size)
    assert output.kind_logits.shape == (2, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_of_one_equals_batch_of_many(family):
    model = tiny(family)
    windows = torch.randn(5, model.config.features.n_mels, model.config.window_frames)
    with torch.inference_mode():
        together = model(windows)
        alone = [model(window[None]) for window in windows]
    torch.testing.assert_close(together.genre_logits, torch.cat([o.genre_logits for o in alone]), atol=1e-4, rtol=0)
    torch.testing.assert_close(together.tempo_logits, torch.cat([o.tempo_logits for o in alone]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_learns_something(family):
    model = tiny(family).train()
    output = model(torch.randn(4, model.config.features.n_mels, model.config.window_frames))
    sum(part.square().sum() for part in (output.genre_logits, output.tempo_logits, output.kind_logits)).backward()
    idle = [name for name, value in model.named_parameters() if value.grad is None]
    assert not idle


@pytest.mark.parametrize("family", FAMILIES)
def test_stored_model_answers_the_same(family, tmp_path):
    model = tiny(family)
    save_checkpoint(model, tmp_path)
    again, revision = load_checkpoint(tmp_path)
    window = torch.randn(1, model.config.features.n_mels, model.config.window_frames)
    torch.testing.assert_close(again(window).genre_logits, model(window).genre_logits)
    assert again.config == model.config
    assert len(revision) == 12


def test_a_save_that_is_cut_off_leaves_the_checkpoint_that_was_there(tmp_path, monkeypatch):
    save_checkpoint(tiny("cnn"), tmp_path)
    before = load_checkpoint(tmp_path)[1]

    def cut_off(weights: dict[str, torch.Tensor], path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    other = tiny("crnn")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("fluxbeat.models.checkpoint.save_file", cut_off)
        save_checkpoint(other, tmp_path)
    model, revision = load_checkpoint(tmp_path)
    assert (revision, model.config.family) == (before, "cnn")
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    save_checkpoint(other, tmp_path)
    assert load_checkpoint(tmp_path)[0].config.family == "crnn"


def test_the_weights_come_last_so_that_a_folder_with_weights_is_finished(tmp_path, monkeypatch):
    def refused(source: Path, target: Path) -> None:
        assert target.name == "config.json"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fluxbeat.atomic_write.os.replace", refused)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tiny("cnn"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_stored_model_stays_what_it_is_when_the_family_has_other_defaults(tmp_path, monkeypatch):
    class WiderCNN(BaselineCNN):
        def __init__(self, config: ModelConfig, hidden: int = 32, **settings: Any):
            super().__init__(config, hidden=hidden, **settings)

    config = ModelConfig("cnn", LABELS, (0.5,) * len(LABELS))
    model = build_model(config)
    save_checkpoint(model, tmp_path)
    monkeypatch.setitem(FAMILIES, "cnn", WiderCNN)
    assert build_model(config).n_parameters != model.n_parameters
    assert load_checkpoint(tmp_path)[0].n_parameters == model.n_parameters


@pytest.mark.parametrize(("family", "least"), [("cnn", 113), ("crnn", 119), ("vit", 119)])
def test_shortest_window_that_is_accepted_is_answered(family, least):
    features = FeatureConfig()

    def window_of(frames: int) -> ModelConfig:
        return ModelConfig(family, LABELS, (0.5,) * 3, window_s=frames / features.frame_rate_hz)

    output = build_model(window_of(least)).eval()(torch.randn(1, features.n_mels, least))
    assert torch.isfinite(output.genre_logits).all()
    with pytest.raises(ConfigMismatchError, match=f"it gives {least - 1} frames, .* {least}"):
        build_model(window_of(least - 1))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: FeatureConfig(n_fft=1024), "got 2048 with hop_samples 1000 and n_fft 1024"),
        (lambda: FeatureConfig(f_max_hz=13_000), "at most half of sample_rate_hz"),
        (lambda: TempoGrid(min_bpm=60, max_bpm=60), "got 60 to 60 BPM"),
        (lambda: TempoGrid(bins=1), "bins at least 2"),
        (lambda: Calibration(scale=0), "scale must be above 0, got 0"),
        (lambda: Calibration(scale=float("nan")), "scale must be above 0, got nan"),
        (lambda: ModelConfig("cnn", LABELS, (0.5, 1, 0.5)), "above 0 and below 1, got 1 for loud"),
        (lambda: ModelConfig("cnn", LABELS, (0.5, 0.5, 0)), "above 0 and below 1, got 0 for odd"),
        (lambda: ModelConfig("cnn", LABELS, (0.5,) * 3, window_s=0.1), "it gives 2 frames"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_where_they_meet(made, message):
    with pytest.raises(ConfigMismatchError, match=message):
        made()


def test_tempo_grid_is_log_spaced_and_finds_its_own_classes():
    grid = TempoGrid()
    np.testing.assert_allclose(np.diff(np.log2(grid.bpm)), 1 / grid.bins_per_octave)
    np.testing.assert_allclose(grid.position(grid.bpm), np.arange(grid.bins), atol=1e-9)
    assert grid.bpm[0] == pytest.approx(30)
    assert grid.bpm[-1] == pytest.approx(300)


def test_no_genre_head_sees_anything_but_the_network(monkeypatch):
    """Were the network's output always the same, so would be every answer of genre and kind."""
    for family in FAMILIES:
        model = tiny(family)
        monkeypatch.setattr(model, "embed", lambda encoding, size=model.embedding_size: torch.ones(len(encoding), size))
        output = model(torch.randn(3, model.config.features.n_mels, model.config.window_frames))
        assert output.genre_logits.std(0).max() == 0
        assert output.kind_logits.std(0).max() == 0


def test_all_is_music_where_the_kind_was_not_taught():
    model = tiny("cnn")
    answer = torch.tensor([[0.0, 5.0, 0.0]])
    assert model.kinds(answer).tolist() == [[1.0, 0.0, 0.0]]
    model.config = replace(model.config, kind_taught=True)
    assert model.kinds(answer)[0].argmax() == 1


def test_what_lies_far_from_all_that_was_learned_is_unfamiliar():
    model = tiny("cnn")
    near, far = torch.zeros(1, model.embedding_size), torch.full((1, model.embedding_size), 3.0)
    assert model.unfamiliarity(far) == 0, "nobody measured what is usual"
    model.config = replace(model.config, familiarity=Familiarity(middle=1.5, width=0.2))
    assert model.unfamiliarity(near) < 0.01
    assert model.unfamiliarity(far) > 0.99


def test_calibration_moves_probabilities_but_not_their_order():
    model = tiny("cnn")
    logits = torch.tensor([[-2.0, 0.5, 3.0]])
    torch.testing.assert_close(model.probabilities(logits), torch.sigmoid(logits))
    model.config = replace(model.config, calibration=Calibration(scale=0.5, bias=-1.0))
    torch.testing.assert_close(model.probabilities(logits), torch.sigmoid(0.5 * logits - 1.0))


@pytest.fixture
def stored(tmp_path):
    save_checkpoint(tiny("cnn"), tmp_path)
    return tmp_path


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_missing_file_is_named(stored):
    (stored / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match="model.safetensors"):
        load_checkpoint(stored)


def test_truncated_weights_are_refused(stored):
    weights = stored / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelLoadError, match="damaged"):
        load_checkpoint(stored)


def test_wrong_shape_is_refused_with_both_shapes(stored):
    weights = load_file(stored / "model.safetensors")
    weights["genre_head.bias"] = torch.zeros(7)
    save_file(weights, stored / "model.safetensors")
    with pytest.raises(ModelLoadError, match=r"genre_head.bias: expected \(3,\), got \(7,\)"):
        load_checkpoint(stored)


def test_missing_and_extra_weights_are_refused(stored):
    weights = load_file(stored / "model.safetensors")
    fewer = {name: value for name, value in weights.items() if name != "genre_head.bias"}
    save_file(fewer, stored / "model.safetensors")
    with pytest.raises(ModelLoadError, match=r"genre_head.bias: expected \(3,\), got None"):
        load_checkpoint(stored)
    save_file(weights | {"more": torch.zeros(1)}, stored / "model.safetensors")
    with pytest.raises(ModelLoadError, match="more: expected None"):
        load_checkpoint(stored)


def test_weights_that_are_not_numbers_are_refused(stored):
    weights = load_file(stored / "model.safetensors")
    weights["genre_head.bias"][0] = float("nan")
    save_file(weights, stored / "model.safetensors")
    with pytest.raises(ModelLoadError, match="not finite"):
        load_checkpoint(stored)


def test_a_pickle_is_never_opened(stored):
    import pickle

    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    (stored / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelLoadError, match="no safetensors file"):
        load_checkpoint(stored)


def test_changed_features_are_refused(stored):
    features = json.loads((stored / "config.json").read_text())["features"]
    edit_config(stored, features=features | {"n_mels": 96})
    with pytest.raises(ConfigMismatchError, match="hash"):
        load_checkpoint(stored)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 9}, "schema 9"),
        ({"family": "oracle"}, "oracle"),
        ({"labels": ["a", "b"]}, "2 labels need as many thresholds, got 3"),
        ({"labels": ["a", "a", "b"]}, "different"),
        ({"thresholds": ["high", 1, 1]}, "incomplete or damaged"),
        ({"architecture": {"wings": 2}}, "wings"),
    ],
)
def test_config_that_cannot_be_served_is_refused(stored, change, message):
    edit_config(stored, **change)
    with pytest.raises((ModelLoadError, ConfigMismatchError), match=message):
        load_checkpoint(stored)


def test_config_that_is_no_json_is_refused(stored):
    (stored / "config.json").write_text("{")
    with pytest.raises(ModelLoadError, match="not JSON"):
        load_checkpoint(stored)
