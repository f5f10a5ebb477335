"""The texture of a window: statistics and modulations of each mel band, which say much about genre from little data.

Means, deviations, asymmetry and change of each band, the strength of its slow and fast modulations, and how the
timbre's cepstral coefficients and their changes go together (McKinney & Breebaart, "Features for audio and music
classification", ISMIR 2003; Panagakis, Benetos & Kotropoulos, "Music genre classification: a multilinear approach",
ISMIR 2008; Mandel & Ellis, "Song-level features and support vector machines for music classification", ISMIR 2005).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

MODULATION_EDGES_HZ = (0.4, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
"""What moves faster than the last edge is left out of every statistic: there is no rhythm up there, only noise."""
CEPSTRA = 13
LARGEST = 4.0
"""No value counts for more than this many standard deviations: silence and clicks are outliers, not genres."""


class Texture(nn.Module):
    """log_mel (batch, mels, frames) of one window -> (batch, size), each value standardised over training.

    Parameters
    ----------
    n_mels : int
        Mel bands.
    frame_rate_hz : float
        Frames per second.
    frames : int
        Frames of a window.
    """

    cepstrum: Tensor
    modulations: Tensor
    slow: Tensor
    window: Tensor
    upper: Tensor
    above: Tensor

    def __init__(self, n_mels: int, frame_rate_hz: float, frames: int):
        super().__init__()
        band, order = torch.arange(n_mels) + 0.5, torch.arange(CEPSTRA)[:, None]
        cosine = torch.cos(math.pi / n_mels * order * band) * math.sqrt(2 / n_mels)
        hz = torch.fft.rfftfreq(frames, 1 / frame_rate_hz)
        edges = MODULATION_EDGES_HZ
        within = [((hz >= low) & (hz < high)).float() for low, high in itertools.pairwise(edges)]
        averaging = torch.stack([part / part.sum().clamp(min=1) for part in within], 1)
        for name, value in (
            ("cepstrum", cosine),
            ("modulations", averaging),
            ("slow", (hz < edges[-1]).float()),
            ("window", torch.hann_window(frames)),
            ("upper", torch.triu_indices(CEPSTRA, CEPSTRA)),
            ("above", torch.triu_indices(CEPSTRA, CEPSTRA, 1)),
        ):
            self.register_buffer(name, value, persistent=False)
        self.size = n_mels * (4 + len(within)) + self.upper.shape[1] + self.above.shape[1] + 2 * CEPSTRA
        self.standardise = nn.BatchNorm1d(self.size, affine=False)

    def forward(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, size)."""
        mean = log_mel.mean(-1, keepdim=True)
        spectrum = torch.fft.rfft(log_mel - mean)
        centred = torch.fft.irfft(spectrum * self.slow, n=log_mel.shape[-1])
        deviation = torch.sqrt(centred.square().mean(-1) + 1e-4)
        asymmetry = centred.pow(3).mean(-1) / deviation.pow(3)
        change = (centred[..., 1:] - centred[..., :-1]).abs().mean(-1)
        power = torch.fft.rfft(centred * self.window).abs().square() @ self.modulations  # (batch, mels, ranges)
        cepstra = self.cepstrum @ centred  # (batch, cepstra, frames)
        together = cepstra @ cepstra.transpose(1, 2) / centred.shape[-1]
        steps = cepstra[..., 1:] - cepstra[..., :-1]
        moves = steps.square().mean(-1)
        size = torch.sqrt(moves + 1e-6)  # (batch, cepstra)
        alike = steps @ steps.transpose(1, 2) / steps.shape[-1] / (size[:, :, None] * size[:, None])
        parts = [
            mean[..., 0],
            deviation,
            asymmetry.clamp(-5, 5),
            change,
            torch.log(power + 1e-2).flatten(1),
            together[:, self.upper[0], self.upper[1]],
            size,
            alike[:, self.above[0], self.above[1]],
            torch.log(together.diagonal(dim1=1, dim2=2) + 1e-4),
        ]
        return self.standardise(torch.cat(parts, 1)).clamp(-LARGEST, LARGEST)
