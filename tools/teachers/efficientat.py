"""EfficientAT mn04_as as a teacher: AudioSet's 527 classes, at a mean average precision of 0.432.

Schmid, Koutini & Widmer, "Efficient large-scale audio tagging via transformer-to-CNN knowledge distillation",
ICASSP 2023; weights from github.com/fschmid56/EfficientAT, MIT licence. A MobileNetV3 of width 0.4 (983k parameters)
that learned from an ensemble of transformers.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fluxbeat.errors import FluxBeatError
from tools.teachers.weights import read_weights

WEIGHTS_FILE, CLASSES_FILE = "mn04_as.npz", "audioset_labels.csv"
FFT, WINDOW, HOP, MELS, F_MAX_HZ = 1024, 800, 320, 128, 15_000.0
EPSILON = 1e-3
BLOCKS = (
    (0, 0, 1), (0, 0, 2), (0, 0, 1), (1, 0, 2), (1, 0, 1), (1, 0, 1), (0, 1, 2), (0, 1, 1), (0, 1, 1), (0, 1, 1),
    (1, 1, 1), (1, 1, 1), (1, 1, 2), (1, 1, 1), (1, 1, 1),
)  # fmt: skip
"""Of each block: squeeze-and-excitation, hard swish (else ReLU), stride; the rest is in the weights' shapes."""
VOICES = ("Speech", "Singing", "Rapping", "Choir", "Silence")
"""Classes outside AudioSet's branch of music that a student is to know as well."""

Activation = Callable[[Tensor], Tensor]


class EfficientAT:
    """Class probabilities and an embedding of audio of any length; it was taught on 10 s.

    Parameters
    ----------
    folder : path
        Holds mn04_as.npz, and audioset_labels.csv with a column display_name.

    Attributes
    ----------
    names : list of str
        The 527 classes, in the order of the outputs.
    targets : list of int
        Which of them a student learns: voices, silence, and the branch of music.

    Raises
    ------
    FluxBeatError
        If a file is missing or is another.
    """

    sample_rate_hz = 32_000
    window_s = 10.0

    def __init__(self, folder: str | Path):
        self.weights = read_weights(folder, WEIGHTS_FILE, ("features.0.0.weight", "classifier.5.weight"))
        path = Path(folder) / CLASSES_FILE
        if not path.is_file():
            raise FluxBeatError(f"{path}: no such file; the folder of teachers must hold {CLASSES_FILE}")
        with open(path, newline="", encoding="utf-8") as handle:
            self.names = [row["display_name"] for row in csv.DictReader(handle)]
        music = range(self.names.index("Music"), self.names.index("Scary music") + 1)
        self.targets = [*(self.names.index(name) for name in VOICES), *music]
        self.bands, self.window = mel_bands(), torch.hann_window(WINDOW, periodic=False)

    @torch.inference_mode()
    def __call__(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Samples float32 (batch, samples) at 32 kHz -> probabilities (batch, 527), embedding (batch, 384)."""
        x = self._conv(self._log_mel(samples), "features.0", 2, F.hardswish)
        for number, (squeezes, swishes, stride) in enumerate(BLOCKS, 1):
            x = self._block(x, f"features.{number}.block", bool(squeezes), F.hardswish if swishes else F.relu, stride)
        embedding = self._conv(x, f"features.{len(BLOCKS) + 1}", 1, F.hardswish).mean((2, 3))
        hidden = F.hardswish(self._linear(embedding, "classifier.2"))
        return torch.sigmoid(self._linear(hidden, "classifier.5")), embedding

    def _log_mel(self, samples: Tensor) -> Tensor:
        """(batch, samples) -> (batch, 1, MELS, frames), normalised as the network was taught."""
        emphasised = samples[:, 1:] - 0.97 * samples[:, :-1]
        power = torch.stft(emphasised, FFT, HOP, WINDOW, self.window, return_complex=True).abs().square()
        return (((self.bands @ power + 1e-5).log() + 4.5) / 5.0)[:, None]

    def _block(self, x: Tensor, name: str, squeezes: bool, activation: Activation, stride: int) -> Tensor:
        """An inverted residual block (Howard et al., "Searching for MobileNetV3", ICCV 2019)."""
        part, y = 0, x
        if sum(key.startswith(name) and key.endswith(".0.weight") for key in self.weights) == 3:  # it expands first
            y, part = self._conv(y, f"{name}.0", 1, activation), 1
        y, part = self._conv(y, f"{name}.{part}", stride, activation), part + 1
        if squeezes:
            inner = f"{name}.{part}.conc_se_layers.0"
            scale = torch.sigmoid(self._linear(F.relu(self._linear(y.mean((2, 3)), f"{inner}.fc1")), f"{inner}.fc2"))
            y, part = y * scale[:, :, None, None], part + 1
        y = self._conv(y, f"{name}.{part}")
        return x + y if stride == 1 and x.shape[1] == y.shape[1] else y

    def _conv(self, x: Tensor, name: str, stride: int = 1, activation: Activation | None = None) -> Tensor:
        kernel = self.weights[f"{name}.0.weight"]
        groups, padding = x.shape[1] // kernel.shape[1], kernel.shape[-1] // 2
        x = F.conv2d(x, kernel, stride=stride, padding=padding, groups=groups)
        keys = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, bias = (self.weights[f"{name}.1.{key}"] for key in keys)
        x = F.batch_norm(x, mean, variance, scale, bias, eps=EPSILON)
        return x if activation is None else activation(x)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])


def mel_bands() -> Tensor:
    """Triangles in Kaldi's mel, float32 (MELS, FFT / 2 + 1); the last bin stays empty."""

    def mel(hz: np.ndarray | float) -> np.ndarray:
        return np.asarray(1127.0 * np.log1p(np.asarray(hz, float) / 700.0))

    step = float(mel(F_MAX_HZ)) / (MELS + 1)
    left = np.arange(MELS)[:, None] * step
    bins = mel(np.arange(FFT // 2) * EfficientAT.sample_rate_hz / FFT)[None]
    triangles = np.clip(np.minimum((bins - left) / step, (left + 2 * step - bins) / step), 0, None)
    return torch.from_numpy(np.pad(triangles, ((0, 0), (0, 1)))).float()
