"""The fully convolutional tagger of Won et al. as a teacher: the 50 commonest tags of the Million Song Dataset.

Won, Ferraro, Bogdanov & Serra, "Evaluation of CNN-based automatic music tagging models", SMC 2020; weights from
github.com/minzwon/sota-music-tagging-models, MIT licence. 0.48M parameters.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.teachers.musicnn import TAGS
from tools.teachers.weights import read_weights

WEIGHTS_FILE = "msd_fcn.npz"
FFT, HOP = 512, 256
POOLS = ((2, 4), (2, 4), (2, 4), (3, 5), (4, 4))


class MsdFcn:
    """Tag probabilities and an embedding of exactly 29 s of audio.

    Parameters
    ----------
    folder : path
        Holds msd_fcn.npz.

    Attributes
    ----------
    names : tuple of str
        The 50 tags, in the order of the outputs.

    Raises
    ------
    FluxBeatError
        If the file is missing or is another.
    """

    sample_rate_hz = 16_000
    window_s = 29.0
    names = TAGS["MSD"]

    def __init__(self, folder: str | Path):
        self.weights = read_weights(folder, WEIGHTS_FILE, ("spec.mel_scale.fb", "layer5.conv.weight", "dense.weight"))

    @torch.inference_mode()
    def __call__(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Samples float32 (batch, 464,000) at 16 kHz -> probabilities (batch, 50), embedding (batch, 64)."""
        window = self.weights["spec.spectrogram.window"]
        power = torch.stft(samples, FFT, HOP, FFT, window, pad_mode="reflect", return_complex=True).abs().square()
        mel = torch.einsum("bft,fm->bmt", power, self.weights["spec.mel_scale.fb"])
        x = self._norm(10 * torch.log10(mel.clamp(min=1e-10))[:, None], "spec_bn")
        for number, pool in enumerate(POOLS, 1):
            kernel, bias = self.weights[f"layer{number}.conv.weight"], self.weights[f"layer{number}.conv.bias"]
            x = F.max_pool2d(F.relu(self._norm(F.conv2d(x, kernel, bias, padding=1), f"layer{number}.bn")), pool)
        embedding = x.flatten(1)
        return torch.sigmoid(F.linear(embedding, self.weights["dense.weight"], self.weights["dense.bias"])), embedding

    def _norm(self, x: Tensor, name: str) -> Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, bias = (self.weights[f"{name}.{key}"] for key in keys)
        return F.batch_norm(x, mean, variance, scale, bias)
