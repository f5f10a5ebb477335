"""A model that takes sound is asked while a recording comes: however it is cut, and without keeping it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

from fluxbeat.analysis.sound_windows import SoundWindows
from fluxbeat.analysis.windows import window_starts
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.base import ModelConfig, ModelOutput
from fluxbeat.models.classifier import HubClassifier
from fluxbeat.models.common_genres import TABLE, common_genre

RATE_HZ = 16_000
FRAME_S = 1 / 24


class Loudness(HubClassifier):
    """Answers with the first sample of a window, and the mean of all."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.config, self.rate_hz, self.scores = (
            ModelConfig("loudness", ("first", "mean"), (0.5, 0.5)),
            RATE_HZ,
            "sigmoid",
        )

    def forward(self, samples: torch.Tensor) -> ModelOutput:
        nothing = torch.zeros(len(samples), 0)
        return ModelOutput(torch.stack([samples[:, 0], samples.mean(1)], 1), nothing, nothing, nothing)


def analysed(sound: np.ndarray, piece: int, hop_s: float = 1.0):
    windows, most = SoundWindows(Loudness(), hop_s), 0
    for begin in range(0, len(sound), piece):
        windows.push(sound[begin : begin + piece], lambda: None)
        most = max(most, len(windows._sound))
    frames = int(len(sound) / RATE_HZ / FRAME_S + 1e-9)
    [found] = windows.finish(frames).values()
    return found, most


@pytest.mark.parametrize("piece", [1777, 160_000, 10**7])
@pytest.mark.parametrize("hop_s", [1.0, 0.3, 17.0])
def test_windows_lie_where_they_do_for_other_models_however_the_sound_is_cut(piece, hop_s):
    sound = np.linspace(0, 1, round(47.3 * RATE_HZ), dtype=np.float32)
    found, _ = analysed(sound, piece, hop_s)
    starts = window_starts(int(47.3 * 24), 240, round(hop_s * 24))
    np.testing.assert_allclose(found.start_s, starts * FRAME_S)
    np.testing.assert_array_equal(found.genre_logits[:, 0], sound[np.round(starts * FRAME_S * RATE_HZ).astype(int)])
    assert not found.padded


def test_a_quarter_of_an_hour_is_analysed_while_seconds_are_held():
    _, most = analysed(np.zeros(900 * RATE_HZ, np.float32), 2**17)
    assert most <= 12 * RATE_HZ + 2**17


def test_no_window_ends_beyond_the_recording():
    with pytest.raises(FluxBeatError, match="hop_s must be above 0"):
        SoundWindows(Loudness(), 0.0)
    found, _ = analysed(np.ones(RATE_HZ * 25, np.float32), 4096)
    np.testing.assert_allclose(found.genre_logits, 1.0)


def test_no_name_of_a_genre_means_two():
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    names = [name for genre, others in table.items() for name in (genre, *others)]
    assert len(names) == len(set(names))
    assert all(name == name.lower() and "_" not in name for name in names)


@pytest.mark.parametrize(
    ("label", "genre"),
    [
        ("rock", "rock"), ("Hip hop music", "hiphop"), ("hip_hop", "hiphop"), ("Rock---Hardcore", "punk"),
        ("Electronic---Hardcore", "electronic"), ("Funk / Soul---Funk", "funk"), ("Jazz---Latin Jazz", "jazz"),
        ("Folk, World, & Country---Fado", "world"), ("Rock---Viking Metal", "metal"), ("Vehicle", "Vehicle"),
    ],
)  # fmt: skip
def test_audiosets_and_discogs_names_are_common_genres(label, genre):
    assert common_genre(label) == genre
