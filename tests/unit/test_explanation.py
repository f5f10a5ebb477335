"""Explanations of tiny networks: where the sound is, in units of the logit, aligned, and gone with what was learned."""

from __future__ import annotations

import json
import math
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import librosa
import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fluxbeat.analysis.result import Segment
from fluxbeat.analysis.track import Track
from fluxbeat.errors import ExplanationError
from fluxbeat.explanation import attribution
from fluxbeat.explanation.attribution import CHOSEN, METHODS, Cam, attribute
from fluxbeat.explanation.explain import explain_track
from fluxbeat.explanation.faithfulness import curves, energy_map, random_map
from fluxbeat.explanation.layers import placed_layers
from fluxbeat.explanation.mean_spectrum import mean_spectrum
from fluxbeat.explanation.regions import Region, strongest_regions
from fluxbeat.explanation.whole_track import MOST_COLUMNS, explain_whole_track
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.base import GenreTempoModel, ModelConfig
from fluxbeat.models.checkpoint import FAMILIES, build_model
from fluxbeat.models.convolutions import ConvNorm
from fluxbeat.models.inverted_residuals import InvertedResidual, InvertedResidualStack
from fluxbeat.models.registry import LoadedModel, ModelInfo
from fluxbeat.training.evaluation.explanation_report import Sample, compare_cams, explanation_report
from fluxbeat.training.evaluation.intervals import mean_with_interval
from fluxbeat.training.evaluation.sanity import map_correlation, mass_inside, randomised, splice

LABELS = ("high", "low")
FEATURES = FeatureConfig(n_mels=40)
MELS, FRAMES = FEATURES.n_mels, 96
WINDOW_S = FRAMES / FEATURES.frame_rate_hz
SMALL: dict[str, dict[str, Any]] = {
    "cnn": {"channels": (4, 6, 8), "strides": ((2, 2), (2, 1)), "hidden": 10, "embedding_size": 12},
    "crnn": {
        "bands": 24, "first": 4, "last": 10, "lstm_size": 6, "lstm_layers": 1, "embedding_size": 12,
        "blocks": ((8, 6, 3, 3, 1, 1, 0, 1), (12, 8, 5, 3, 2, 2, 4, 1), (8, 8, 3, 3, 1, 1, 0, 0)),
    },
    "vit": {
        "bands": 24, "first": 4, "last": 10, "patch": (2, 4), "width": 16, "depth": 3, "heads": 2, "embedding_size": 12,
        "blocks": ((8, 6, 3, 3, 1, 1, 0, 1), (12, 8, 5, 3, 2, 2, 4, 1), (8, 8, 3, 3, 2, 1, 0, 0)),
    },
}  # fmt: skip
WEIGHTS = Path(__file__).with_name("explanation_network.safetensors")
FINE = Cam("conv1", "integrated")
HIGH, LOW = slice(26, 32), slice(6, 12)
"""Bands of the two sounds that the trained network tells apart."""


def config_of(family: str, labels: tuple[str, ...] = LABELS) -> ModelConfig:
    return ModelConfig(family, labels, (0.5, 0.5), features=FEATURES, window_s=WINDOW_S, architecture=SMALL[family])


def small(family: str) -> GenreTempoModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config_of(family))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0.0, 0.1)
    return model.eval()


@pytest.fixture(params=sorted(SMALL))
def model(request: pytest.FixtureRequest) -> GenreTempoModel:
    return small(request.param)


def noise(count: int, seed: int = 0) -> Tensor:
    return mean_spectrum(FEATURES) + 0.3 * torch.randn(
        count, MELS, FRAMES, generator=torch.Generator().manual_seed(seed)
    )


def with_sound(windows: Tensor, bands: slice, first: int, length: int = 16) -> Tensor:
    """With a sound in these bands: the high one flutters, the low one holds, so that a convolution can tell them."""
    loudness = torch.full((length,), 2.0)
    if bands == HIGH:
        loudness = torch.where(torch.arange(length) % 8 < 4, 0.0, 4.0)
    louder = windows.clone()
    louder[:, bands, first : first + length] += loudness
    return louder


@pytest.fixture(scope="module")
def trained() -> GenreTempoModel:
    """A small CNN that knows whether a high sound, a low one, both or none is in a window.

    Its weights lie beside: trained anew, it would be another network on every processor. This file, run as a program,
    trains it; under the licence of the rest (MIT).
    """
    model = small("cnn")
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval()


def train(seed: int) -> GenreTempoModel:
    """Teach a small CNN the two sounds."""
    model = small("cnn").train()
    rng, steps = np.random.default_rng(seed), 120
    optimiser = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps, cycle_momentum=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(steps):
            windows = noise(16, 1000 * seed + step)
            there = torch.from_numpy(rng.integers(2, size=(16, 2)).astype(np.float32))
            for number, label in there.nonzero().tolist():
                window = slice(number, number + 1)
                windows[window] = with_sound(windows[window], (HIGH, LOW)[label], int(rng.integers(FRAMES - 16)))
            loss = nn.functional.binary_cross_entropy_with_logits(model(windows).genre_logits, there)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def baseline_logit(model: GenreTempoModel, label: int) -> float:
    with torch.no_grad():
        return float(model(mean_spectrum(FEATURES).expand(1, MELS, FRAMES)).genre_logits[0, label])


def averaging(model: GenreTempoModel) -> None:
    """Make every convolution the mean of what it sees, and leave out what comes between them."""
    for part in list(model.modules()):
        if isinstance(part, ConvNorm):
            nn.init.constant_(part.conv.weight, 1 / part.conv.weight[0].numel())
            part.norm.reset_running_stats()
        elif isinstance(part, InvertedResidual):
            part.gate = nn.Identity()
        elif isinstance(part, InvertedResidualStack):
            part.spacing, part.norm = torch.eye(4 * MELS), nn.Identity()
        elif isinstance(part, nn.Sequential) and isinstance(part[0], nn.Conv2d):
            nn.init.constant_(part[0].weight, 1 / part[0].weight[0].numel())
            part[1].reset_running_stats()
            for number in range(2, len(part)):
                part[number] = nn.Identity()


def test_a_value_is_laid_over_what_its_place_sees(model: GenreTempoModel) -> None:
    """In a network that takes means, the gradient of one place is what it sees: `Field` must be that, to the frame."""
    averaging(model)
    placed = {name: layer for name, layer in placed_layers(model).items() if name.startswith("conv")}
    for name, layer in placed.items():
        log_mel, kept = torch.ones(1, 4 * MELS, 2 * FRAMES, requires_grad=True), list[Tensor]()  # no border is seen
        with layer.module.register_forward_hook(lambda module, given, out, kept=kept: kept.append(out)):
            model.encode(log_mel)
        (out,) = kept
        band, step = out.shape[2] // 2, out.shape[3] // 2
        (seen,) = torch.autograd.grad(out[0, 0, band, step], log_mel)
        one = torch.zeros(1, *out.shape[2:])
        one[0, band, step] = 1.0
        spread, seen = layer.spread(one, 4 * MELS, 2 * FRAMES)[0], seen[0] / seen.sum()
        for axis in (0, 1):  # a shortcut sees one place, the way beside it a square: together they are no rectangle
            assert torch.allclose(spread.sum(axis), seen.sum(axis), atol=1e-5), name
    assert len(layer.time_field.weights) == model.time_context
    assert layer.time_field.stride == model.time_stride


def test_what_lies_on_spaced_bands_comes_back_to_its_frequency() -> None:
    features = FeatureConfig()
    layer = placed_layers(build_model(ModelConfig("crnn", LABELS, (0.5, 0.5))))["conv1"]
    spaced_hz = librosa.mel_frequencies(130, fmin=0.0, fmax=15_000.0, htk=True)[1:-1]
    mel_hz = librosa.mel_frequencies(features.n_mels + 2, fmin=features.f_min_hz, fmax=features.f_max_hz)[1:-1]
    for band in (10, 30, 50):
        coarse = torch.zeros(1, 56, 100)
        coarse[0, band] = 1.0
        share = layer.spread(coarse, features.n_mels, 240)[0].sum(1).numpy()
        assert mel_hz @ share / share.sum() == pytest.approx(spaced_hz[2 * band], rel=0.03)


def test_the_sum_of_a_map_stays_when_it_is_laid_over_the_spectrogram(model: GenreTempoModel) -> None:
    for name, layer in placed_layers(model).items():
        activation = attribution._activation(model, layer, noise(2))
        coarse = torch.randn(layer.on_grid(activation)[:, 0].shape, generator=torch.Generator().manual_seed(1))
        spread = layer.spread(coarse, MELS, FRAMES)
        assert spread.shape == (2, MELS, FRAMES)
        assert torch.allclose(spread.sum((1, 2)), coarse.sum((1, 2)), atol=1e-4), name


def test_integrated_evidence_is_the_distance_from_the_mean_spectrum(
    model: GenreTempoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where everything passes through a layer, its map adds up to how far the window moved the logit."""
    monkeypatch.setattr(attribution, "PATH_STEPS", 64)
    windows, label = with_sound(noise(2), HIGH, 40), 1
    with torch.no_grad():
        apart = model(windows).genre_logits[:, label] - baseline_logit(model, label)
    for layer in placed_layers(model):
        if not layer.startswith("block"):
            evidence = attribute(model, windows, label, Cam(layer, "integrated"))
            assert torch.allclose(evidence.sum((1, 2)), apart, rtol=0.03, atol=1e-4), layer


def test_few_points_on_the_way_are_enough(trained: GenreTempoModel) -> None:
    windows = with_sound(noise(4), HIGH, 40)
    with torch.no_grad():
        apart = trained(windows).genre_logits[:, 0] - baseline_logit(trained, 0)
    assert torch.allclose(attribute(trained, windows, 0, FINE).sum((1, 2)), apart, rtol=0.1)


class GenreLogits(nn.Module):
    """What captum asks: a module whose output has one column per label."""

    def __init__(self, network: GenreTempoModel):
        super().__init__()
        self.network = network

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.network(log_mel).genre_logits


def test_grad_cam_is_captums(model: GenreTempoModel) -> None:
    windows = noise(2)
    for name, layer in placed_layers(model).items():
        if layer.token_grid is None:
            coarse = LayerGradCam(GenreLogits(model), layer.module).attribute(windows, target=1)[:, 0].detach()
            ours = attribute(model, windows, 1, Cam(name, "grad-cam"))
            theirs = layer.spread(coarse, MELS, FRAMES)
            assert torch.allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max())), name


def test_every_layer_and_method_gives_a_map_and_leaves_the_model_alone(model: GenreTempoModel) -> None:
    windows = noise(2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for layer in placed_layers(model):
        for method in METHODS:
            evidence = attribute(model, windows, 1, Cam(layer, method))
            assert evidence.shape == (2, MELS, FRAMES)
            assert float(evidence.abs().max()) > 0 or method == "layer-cam", "which drops what is negative"
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training


def test_another_thread_gets_its_own_answers_while_a_model_is_explained(
    model: GenreTempoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(1)
    mine, theirs = torch.randn(2, 1, model.config.features.n_mels, model.config.window_frames, generator=generator)
    genre_logits, meanwhile = attribution.genre_logits, []
    expected = genre_logits(model, theirs)

    def asked_by_two(network: GenreTempoModel, log_mel: Tensor) -> Tensor:
        with ThreadPoolExecutor(1) as other:
            meanwhile.append(other.submit(genre_logits, network, theirs).result())
        return genre_logits(network, log_mel)

    alone = attribute(model, mine, 0)
    monkeypatch.setattr(attribution, "genre_logits", asked_by_two)
    assert torch.equal(attribute(model, mine, 0), alone)
    assert len(meanwhile) >= 2
    assert all(torch.equal(found, expected) for found in meanwhile)


def test_layer_cam_holds_nothing_against(model: GenreTempoModel) -> None:
    assert float(attribute(model, noise(1), 0, Cam("conv1", "layer-cam")).min()) >= 0


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
@pytest.mark.parametrize("first", [4, 24, 48, 76])
@pytest.mark.parametrize(("label", "bands"), [(0, HIGH), (1, LOW)])
def test_what_speaks_for_a_sound_lies_where_the_sound_is(
    trained: GenreTempoModel, label: int, bands: slice, first: int, layer: str
) -> None:
    window = with_sound(noise(1, 1), bands, first)
    evidence = attribute(trained, window, label, Cam(layer, "integrated"))[0].clamp(min=0)
    with torch.no_grad():
        assert attribution.shown_probability(trained, trained(window).genre_logits)[0, label] > 0.6
    around = len(placed_layers(trained)[layer].time_field.weights) // 2
    assert mass_inside(evidence, slice(max(0, first - around), first + 16 + around)) > 0.75
    assert first - around <= int(evidence.sum(0).argmax()) < first + 16 + around
    assert float(evidence[bands.start - 4 : bands.stop + 4].sum() / evidence.sum()) > 0.6


def test_the_half_without_the_sound_holds_little(trained: GenreTempoModel) -> None:
    window = with_sound(noise(1, 2), HIGH, 60)
    evidence = attribute(trained, window, 0, FINE)[0]
    assert mass_inside(evidence, slice(FRAMES // 2, FRAMES)) > 0.85


def test_weak_evidence_stays_weak(trained: GenreTempoModel) -> None:
    there = attribute(trained, with_sound(noise(1, 3), HIGH, 40), 0, FINE)
    absent = attribute(trained, noise(1, 3), 0, FINE)
    assert float(absent.abs().max()) < 0.3 * float(there.max())


def test_a_map_is_forgotten_with_the_weights(trained: GenreTempoModel) -> None:
    """Adebayo et al. 2018: what stays when the weights go was never learned."""
    window = with_sound(with_sound(noise(1, 4), HIGH, 20), LOW, 60)
    true = attribute(trained, window, 0, FINE)[0]
    likenesses = [
        (part, map_correlation(true, attribute(broken, window, 0, FINE)[0])) for part, broken in randomised(trained)
    ]
    assert likenesses[0][0] == "genre_head" and likenesses[-1][0] == "stack"
    assert likenesses[0][1] < 0.95, "without its answer a network gives another map"
    assert abs(likenesses[-1][1]) < 0.6
    assert torch.equal(true, attribute(trained, window, 0, FINE)[0])


def test_random_weights_reach_every_family(model: GenreTempoModel) -> None:
    before = {name: value.clone() for name, value in model.named_parameters() if "tempo" not in name}
    *_, (_, broken) = randomised(model, seed=1)
    same = [name for name, value in broken.named_parameters() if name in before and torch.equal(value, before[name])]
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm
    norms = {name for name, module in broken.named_modules() if isinstance(module, kinds)}
    # a norm begins as it began, and the kind is no genre
    assert all(name.rpartition(".")[0] in norms or name.startswith("kind_head") for name in same), same


def gain(model: GenreTempoModel, window: Tensor, label: int, evidence: Tensor) -> float:
    return curves(model, window, label, evidence[None])[0].faithfulness


def test_a_true_map_beats_random_and_loud(trained: GenreTempoModel) -> None:
    """The low sound is louder than the high one and says nothing of it: energy is fooled, the map is not."""
    window = with_sound(with_sound(with_sound(noise(1, 5), HIGH, 10), LOW, 50, 40), LOW, 50, 40)[0]
    found = gain(trained, window, 0, attribute(trained, window[None], 0, FINE)[0])
    random = np.mean([gain(trained, window, 0, random_map((MELS, FRAMES), seed)) for seed in range(5)])
    assert found > 0.3
    assert found > gain(trained, window, 0, energy_map(trained, window)) + 0.1
    assert abs(random) < 0.5 * found


def test_a_map_upside_down_is_worse_than_chance(trained: GenreTempoModel) -> None:
    window = with_sound(noise(1, 6), HIGH, 40)[0]
    assert gain(trained, window, 0, -attribute(trained, window[None], 0, FINE)[0]) < -0.1


def test_layers_and_methods_that_are_not_there_are_named(model: GenreTempoModel) -> None:
    with pytest.raises(ExplanationError, match="no layer 'middle' in a .*choose one of conv1"):
        attribute(model, noise(1), 0, Cam("middle", "grad-cam"))
    with pytest.raises(ExplanationError, match="no method 'magic': choose one of grad-cam"):
        attribute(model, noise(1), 0, Cam("conv1", "magic"))


def test_a_layer_is_chosen_for_every_family() -> None:
    for family in FAMILIES:
        network = build_model(ModelConfig(family, LABELS, (0.5, 0.5)))
        assert CHOSEN[family].layer in placed_layers(network)
        assert CHOSEN[family].method in METHODS


def test_a_network_without_places_is_refused() -> None:
    class Placeless(GenreTempoModel):
        time_stride, time_context = 1, 1

        def __init__(self, config: ModelConfig):
            super().__init__(config, 4)

    with pytest.raises(ExplanationError, match="no layer that could be explained"):
        attribute(Placeless(config_of("cnn")), noise(1), 0)


def test_a_splice_is_a_quarter_and_changes_nothing_else() -> None:
    host, guest = torch.zeros(MELS, FRAMES), torch.ones(MELS, FRAMES)
    spliced, place = splice(host, guest, np.random.default_rng(0))
    assert float(spliced.mean()) == 0.25
    assert float(spliced[:, place].mean()) == 1.0
    assert float(host.sum()) == 0.0


def test_mass_inside_is_read_off_a_map_that_is_known() -> None:
    evidence = torch.zeros(MELS, FRAMES)
    evidence[10, 20:30], evidence[10, 80], evidence[3, 3] = 1.0, 10.0, -50.0
    assert mass_inside(evidence, slice(20, 30)) == pytest.approx(0.5)
    assert math.isnan(mass_inside(-evidence.abs(), slice(20, 30)))


def test_the_strongest_place_is_named_in_seconds_hertz_and_words() -> None:
    edges_hz = np.geomspace(40.0, 10_000.0, 81)
    positive = np.zeros((80, 168))
    positive[0:12, 42:84] = 1.0
    positive[60:64, 120:126] = 0.2
    (region, *others) = strongest_regions(positive, 30.0, 21.0, edges_hz)
    assert region.start_s == pytest.approx(32.0, abs=0.4)
    assert region.end_s == pytest.approx(34.0, abs=0.4)
    assert region.low_hz == pytest.approx(edges_hz[0])
    assert edges_hz[9] < region.high_hz < edges_hz[16]
    assert region.share > 0.8 and "bass" in region.words() and "Hz" in region.words()
    assert all(other.share < region.share for other in others)
    assert strongest_regions(np.zeros((80, 168)), 0.0, 21.0, edges_hz) == ()


@pytest.mark.parametrize(
    ("low_hz", "high_hz", "register"),
    [
        (40, 120, "bass"), (150, 500, "low mids"), (300, 2500, "voice and guitars"), (6000, 9800, "cymbals"),
        (100, 9000, "all registers"),
    ],
)  # fmt: skip
def test_registers_are_where_a_listener_looks_for_them(low_hz: float, high_hz: float, register: str) -> None:
    assert Region(0.0, 1.0, low_hz, high_hz, 1.0).register == register


def test_windows_of_one_artist_are_not_many_witnesses() -> None:
    values = [0.0] * 20 + [1.0] * 20
    together = mean_with_interval(values, ["a"] * 20 + ["b"] * 20)
    apart = mean_with_interval(values, [str(number) for number in range(40)])
    assert together["value"] == apart["value"] == 0.5
    assert together["interval_95"] == [0.0, 1.0]
    assert 0.3 < apart["interval_95"][0] < apart["interval_95"][1] < 0.7
    assert mean_with_interval([math.nan], ["a"])["value"] is None


def samples() -> list[Sample]:
    places = [(HIGH, LOW)[number % 2] for number in range(6)]
    windows = [with_sound(noise(1, 20 + number), bands, 10 * number)[0] for number, bands in enumerate(places)]
    return [Sample(f"song {n}", f"artist {n}", window, n % 2) for n, window in enumerate(windows)]


def loaded(model: GenreTempoModel) -> LoadedModel:
    return LoadedModel(ModelInfo("tiny", "", "0"), model)


def test_the_report_tells_a_network_that_knows_from_a_random_map(trained: GenreTempoModel) -> None:
    report = explanation_report(loaded(trained), samples(), cam=FINE)
    (found,) = report["layers"].values()
    assert report["windows"] == report["splices"] == report["artists"] == 6
    assert found["apart"] or found["beats_random"]["interval_95"][0] > 0
    assert found["splice_mass"]["n"] == 6
    json.dumps(report, allow_nan=False)


def test_layers_are_compared_and_the_most_faithful_is_named(trained: GenreTempoModel) -> None:
    asked = [Cam("conv3", "grad-cam"), FINE, Cam("conv3", "hires-cam")]
    report = compare_cams(loaded(trained), samples(), cams=asked)
    means = [found["insertion_minus_deletion"]["map"]["value"] for found in report["layers"].values()]
    assert set(report["layers"]) == {str(cam) for cam in asked}
    assert means == sorted(means, reverse=True)
    assert report["best"] == next(iter(report["layers"])) == str(FINE)
    assert report["chosen"] == str(CHOSEN["cnn"])


def track_of(log_mel: np.ndarray) -> Track:
    frames = log_mel.shape[1]
    values: dict[str, Any] = dict.fromkeys(Track.__dataclass_fields__)
    return Track(
        **values
        | {
            "file": "drawn.wav", "duration_s": frames / FEATURES.frame_rate_hz, "features": FEATURES,
            "log_mel": log_mel, "active": np.ones(frames, bool), "warnings": (),
        }
    )  # fmt: skip


def analysed(*segments: Segment) -> Any:
    return SimpleNamespace(segments=segments, genres=[SimpleNamespace(label=LABELS[0])])


def test_each_segment_of_a_track_is_carried_by_its_own_sound(trained: GenreTempoModel) -> None:
    log_mel = torch.cat([noise(1, 50 + number)[0] for number in range(10)], 1)
    middle = 5 * FRAMES
    for first in range(0, middle - 40, 48):
        log_mel[HIGH, first : first + 16] += 2.0
        log_mel[LOW, middle + first : middle + first + 16] += 2.0
    half_s = middle / FEATURES.frame_rate_hz
    segments = Segment(0.0, half_s, ("high",)), Segment(half_s, 2 * half_s, ("low",))
    found = explain_whole_track(track_of(log_mel.numpy()), loaded(trained), analysed(*segments), cam=FINE)
    for one, bands in zip(found.segments, (HIGH, LOW), strict=True):
        assert float(one.by_band[bands.start - 4 : bands.stop + 4].sum()) > 0.7 * one.by_band.sum()
        assert one.regions and all(
            one.segment.start_s <= region.start_s <= region.end_s <= one.segment.end_s + 1e-6 for region in one.regions
        )
        assert sum(region.share for region in one.regions) <= 1
    border = round(half_s / found.column_s)
    assert not found.evidence["high"][:, border + 1 :].any() and not found.evidence["low"][:, : border - 1].any()
    # the track's evidence and the segments' are one
    whole = found.evidence["high"].sum(1) * found.column_s
    assert whole == pytest.approx(found.segments[0].by_band * half_s, rel=0.02)


def test_silence_and_speech_carry_no_genre(trained: GenreTempoModel) -> None:
    track = track_of(noise(1, 3)[0].numpy())
    segments = Segment(0.0, 2.0, (), kind="silence"), Segment(2.0, WINDOW_S, ("high",))
    found = explain_whole_track(track, loaded(trained), analysed(*segments), cam=FINE)
    assert [one.segment for one in found.segments] == [segments[1]]
    with pytest.raises(ExplanationError, match="holds no music"):
        explain_whole_track(track, loaded(trained), analysed(segments[0]), cam=FINE)


def test_a_long_track_is_explained_in_bounded_memory(trained: GenreTempoModel) -> None:
    """Fifteen minutes and twelve labels of segments need far less than one map of the whole."""
    frames = round(900 * FEATURES.frame_rate_hz)
    log_mel = np.tile(noise(1)[0].numpy(), (1, frames // FRAMES + 1))[:, :frames]
    track = track_of(np.ascontiguousarray(log_mel))
    segments = Segment(0.0, 700.0, ("high", "low")), Segment(700.0, 900.0, ("low",))
    tracemalloc.start()
    try:
        found = explain_whole_track(track, loaded(trained), analysed(*segments), cam=Cam("conv3", "hires-cam"))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(evidence.shape[1] <= MOST_COLUMNS for evidence in found.evidence.values())
    assert peak_bytes < 0.6 * log_mel.nbytes, f"{peak_bytes / 1e6:.1f} MB beside a map of {log_mel.nbytes / 1e6:.1f} MB"


def test_an_explanation_says_where_and_how_it_was_made(trained: GenreTempoModel) -> None:
    track = track_of(with_sound(noise(1, 9), HIGH, 40)[0].numpy())
    found = explain_track(track, loaded(trained), "high", 0.0, cam=Cam("conv3", "hires-cam"))
    document = found.to_dict()
    assert (document["layer"], document["method"]) == ("conv3", "hires-cam")
    assert document["evidence"]["for"] == pytest.approx(float(found.evidence.clip(min=0).sum()), abs=1e-3)
    assert found.faithfulness is not None and found.faithfulness.map.faithfulness > 0.2


def test_a_weak_answer_is_not_called_untrustworthy(trained: GenreTempoModel) -> None:
    """Where nothing speaks for a genre, nothing can fall: that is no fault of the map."""
    track = track_of(with_sound(noise(1, 9), HIGH, 40)[0].numpy())
    words = {
        label: found.faithfulness.in_words()
        for label in LABELS
        if (found := explain_track(track, loaded(trained), label, 0.0, cam=FINE)).faithfulness
    }
    assert words["high"] != words["low"]
    assert "weak" in words["low"] and "weak" not in words["high"]


if __name__ == "__main__":
    save_file(train(seed=4).state_dict(), WEIGHTS)
