"""Teachers: what their classes say of genres, and labels fitted on their outputs without knowing an artist by heart."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fluxbeat.cli.main import main
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.base import ModelConfig
from fluxbeat.models.checkpoint import build_model
from fluxbeat.models.inverted_residuals import TEACHER_BLOCKS
from fluxbeat.training.data.store import Excerpt
from fluxbeat.training.recipe import Recipe
from tools.teachers.efficientat import EfficientAT, mel_bands
from tools.teachers.genres import LabelsOnTeachers, genre_shares, read_genre_map
from tools.teachers.msd_fcn import MsdFcn
from tools.teachers.musicnn import TAGS, Musicnn, patches
from tools.teachers.start import started, take_over


def test_every_tag_of_the_genre_map_is_one_of_the_teachers():
    msd = read_genre_map()["msd"]
    assert {tag for tags in msd.values() for tag in tags} <= set(TAGS["MSD"])
    assert all(len(tags) == len(set(tags)) == 50 for tags in TAGS.values())
    assert "classical" not in msd and "classical" in read_genre_map()["audioset"]


def test_the_likeliest_class_speaks_for_its_genre():
    names, genres = ("Techno", "House", "Jazz", "Cat"), {"electronic": ("Techno", "House"), "jazz": ("Jazz",)}
    found = genre_shares(
        np.array([[0.2, 0.6, 0.2, 0.9], [0, 0, 0, 1.0]]), names, ("jazz", "folk", "electronic"), genres
    )
    np.testing.assert_allclose(found, [[0.25, 0, 0.75], [0, 0, 0]])
    with pytest.raises(FluxBeatError, match="'Jazz', which is no class"):
        genre_shares(np.ones((1, 2)), ("Techno", "House"), ("jazz",), genres)


def test_a_damaged_map_is_refused_by_name(tmp_path):
    (tmp_path / "empty.yaml").write_text("msd: {jazz: []}\n")
    with pytest.raises(FluxBeatError, match="jazz has no class of msd"):
        read_genre_map(tmp_path / "empty.yaml")
    (tmp_path / "twice.yaml").write_text("msd: {soul: [rnb], hiphop: [rnb]}\n")
    with pytest.raises(FluxBeatError, match="rnb speaks of soul and of hiphop"):
        read_genre_map(tmp_path / "twice.yaml")


def outputs(rows: int, told: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Outputs of which the first class of each teacher follows `told`."""
    found = {"audioset": rng.uniform(0.2, 0.4, (rows, 3, 4)), "msd": rng.uniform(0.2, 0.4, (rows, 5))}
    found["audioset"][:, :, 0] += 0.4 * told[:, None]
    found["msd"][:, 0] += 0.4 * told
    return {**found, "embedding": rng.standard_normal((rows, 3, 6))}


def test_labels_on_teachers_find_a_genre_in_new_music():
    rng, told = np.random.default_rng(0), np.tile([0.0, 1.0], 30)
    excerpts = [Excerpt(f"{n}", f"artist {n // 2}", labels={("folk", "rock")[int(told[n])]: 1.0}) for n in range(60)]
    fitted = LabelsOnTeachers(outputs(60, told, rng), excerpts, ("folk", "rock", "polka"))
    new = fitted(outputs(40, np.tile([0.0, 1.0], 20), rng), ["somebody"] * 40)
    np.testing.assert_allclose(new.sum(axis=1), 1)
    assert (new[:, 2] == 0).all(), "nobody ever named it"
    assert (new.argmax(axis=1) == np.tile([0, 1], 20)).mean() > 0.9


def test_no_row_is_judged_by_its_own_artists_labels():
    """Labels that mean nothing can be learned by heart; out of fold they cannot be told better than chance."""
    rng = np.random.default_rng(1)
    told = rng.integers(0, 2, 80).astype(float)
    found = outputs(80, np.zeros(80), rng)
    excerpts = [Excerpt(f"{n}", f"artist {n // 4}", labels={("folk", "rock")[int(told[n])]: 1.0}) for n in range(80)]
    fitted = LabelsOnTeachers(found, excerpts, ("folk", "rock"))
    by_heart = fitted(found, ["nobody of these"] * 80).argmax(axis=1)
    out_of_fold = fitted(found, [one.artist for one in excerpts]).argmax(axis=1)
    assert (by_heart == told).mean() > (out_of_fold == told).mean() + 0.1
    with pytest.raises(FluxBeatError, match="at least 5 artists"):
        LabelsOnTeachers({name: values[:8] for name, values in found.items()}, excerpts[:8], ("folk", "rock"))


def test_mel_bands_are_triangles_that_rise_and_share_their_slopes():
    bands = mel_bands().numpy()
    assert bands.shape == (128, 513)
    assert (np.diff(bands[20:].argmax(axis=1)) > 0).all()
    inside = bands[:, 20:460].sum(axis=0)
    np.testing.assert_allclose(inside, 1.0, atol=1e-4)  # a bin between two centres belongs to both, in all once


def teacher_of_chance(folder: Path) -> EfficientAT:
    """EfficientAT's network with weights of chance, whose wide kernels hold nothing at their outer moments."""
    rng, arrays = np.random.default_rng(0), {}

    def layer(name: str, shape: tuple[int, ...]) -> None:
        kernel = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
        if shape[3] == 5:
            kernel[..., [0, 4]] = 0.0
        arrays[f"{name}.0.weight"] = kernel
        for key, mean, deviation in (("weight", 1, 0.1), ("bias", 0, 0.1), ("running_mean", 0, 0.1)):
            arrays[f"{name}.1.{key}"] = rng.normal(mean, deviation, shape[0])
        arrays[f"{name}.1.running_var"] = rng.uniform(0.8, 1.2, shape[0])

    layer("features.0", (8, 1, 3, 3))
    before = 8
    for number, (wide, channels, kernel, _, _, _, squeeze, _) in enumerate(TEACHER_BLOCKS, 1):
        name = f"features.{number}.block"
        parts = [] if wide == before else [(wide, before, 1, 1)]
        for part, shape in enumerate([*parts, (wide, 1, kernel, kernel)]):
            layer(f"{name}.{part}", shape)
        last = len(parts) + 1
        if squeeze:
            for inner, shape in (("fc1", (squeeze, wide)), ("fc2", (wide, squeeze))):
                arrays[f"{name}.{last}.conc_se_layers.0.{inner}.weight"] = rng.normal(0, 0.1, shape)
                arrays[f"{name}.{last}.conc_se_layers.0.{inner}.bias"] = rng.normal(0, 0.1, shape[0])
            last += 1
        layer(f"{name}.{last}", (channels, wide, 1, 1))
        before = channels
    layer("features.16", (384, before, 1, 1))
    for name, shape in (("classifier.2", (512, 384)), ("classifier.5", (2, 512))):
        arrays[f"{name}.weight"], arrays[f"{name}.bias"] = rng.normal(0, 0.1, shape), np.zeros(shape[0])
    np.savez(folder / "mn04_as.npz", **{name: value.astype(np.float32) for name, value in arrays.items()})
    names = ["Speech", "Singing", "Rapping", "Choir", "Silence", "Music", "Scary music"]
    (folder / "audioset_labels.csv").write_text("display_name\n" + "\n".join(names) + "\n")
    return EfficientAT(folder)


@pytest.mark.parametrize("family", ["crnn", "vit"])
def test_a_network_started_from_a_teacher_says_what_it_says_of_a_sound_that_stays(family, tmp_path, monkeypatch):
    """Where nothing changes in time, strides and means over time make no difference; beyond the ends lie zeros."""
    teacher, model = teacher_of_chance(tmp_path), build_model(ModelConfig(family, ("jazz",), (0.5,)))
    take_over(model.stack, teacher)
    still = torch.randn(1, 1, 112, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, -1, 4000)
    monkeypatch.setattr(teacher, "_log_mel", lambda samples: still)
    with torch.inference_mode():
        ours = model.eval().stack.layers(still[..., :400]).mean((2, 3))
        theirs = teacher(torch.zeros(1, 9))[1]
    assert float(theirs.std()) > 0.02
    np.testing.assert_allclose(ours, theirs, atol=0.05 * float(theirs.std()))


def test_a_family_with_other_convolutions_is_not_started_from_the_teacher(tmp_path):
    teacher_of_chance(tmp_path)
    with pytest.raises(FluxBeatError, match="a cnn has no convolutions like the teacher's"):
        started(Recipe("cnn", ("jazz", "rock")), tmp_path, tmp_path, tmp_path)


@pytest.mark.parametrize("teacher", [EfficientAT, MsdFcn, Musicnn])
def test_weights_that_are_missing_or_something_else_are_named(teacher, tmp_path):
    with pytest.raises(FluxBeatError, match=r"\.npz: no such file"):
        teacher(tmp_path)
    for name in ("mn04_as.npz", "msd_fcn.npz", "MSD_musicnn.npz"):
        np.savez(tmp_path / name, weights=np.zeros(3))
    with pytest.raises(FluxBeatError, match="holds other weights than expected"):
        teacher(tmp_path)
    for name in ("mn04_as.npz", "msd_fcn.npz", "MSD_musicnn.npz"):
        (tmp_path / name).write_bytes(b"<html>not found</html>")
    with pytest.raises(FluxBeatError, match="is no archive of weights"):
        teacher(tmp_path)


def test_musicnn_wants_three_seconds():
    assert patches(np.ones(16_000 * 7, np.float32)).shape == (2, 187, 96)
    with pytest.raises(FluxBeatError, match=r"needs 3\.0 s of audio, got 1\.0 s"):
        patches(np.ones(16_000, np.float32))


def test_without_a_checkout_the_teachers_are_asked_for_in_one_sentence(tmp_path, monkeypatch, capsys):
    """The package does not hold them: whoever installed a wheel is told so and not shown a traceback."""
    for module in ("tools.teachers", "tools.teachers.musicnn"):
        monkeypatch.setitem(sys.modules, module, None)
    asked = ["evaluate", "--recordings", str(tmp_path), "--teachers", str(tmp_path)]
    assert main(asked) == 2
    assert "run it in a checkout" in capsys.readouterr().err
