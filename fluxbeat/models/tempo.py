"""Tempo as a distribution: onset strength, its periodicity on a log-spaced tempo grid, and a small network over it.

The periodicity is read twice, as Fourier tempogram (strong at multiples of the tempo) and as autocorrelation
(strong at fractions), because together they tell the octave (Grosche & Müller, "Extracting predominant local pulse
information from music recordings", IEEE TASLP 2011; Percival & Tzanetakis, "Streamlined tempo estimation",
IEEE/ACM TASLP 2014). The network over it looks at every tempo class with the same weights, so that what it learns
at 90 BPM holds at 130; only a bias per class, moved by the music's embedding, knows which tempi are usual
(Hörschläger et al., "Addressing tempo estimation octave errors in electronic music", SMC 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from fluxbeat.errors import ConfigMismatchError

HARMONICS = (0.5, 1.0, 2.0, 3.0, 4.0)
"""Multiples of each class's tempo, and of its lag, at which periodicity is read."""
LEAST_SPAN = 1.1
"""From a grid's slowest tempo to its fastest: within 4 % either way tempi count as the same."""


def fast_length(least: int) -> int:
    """The shortest length of at least `least`, a power of two or three times one, that a Fourier transform likes."""
    power = 1 << (least - 1).bit_length()
    return 3 * power // 4 if 3 * power // 4 >= least else power


@dataclass(frozen=True)
class TempoGrid:
    """Log-spaced tempo classes: `bins` of them from `min_bpm` to `max_bpm`, both included.

    Raises
    ------
    ConfigMismatchError
        If the grid tells no tempi apart: `max_bpm` must be at least LEAST_SPAN times `min_bpm`, with two classes.
    """

    min_bpm: float = 30.0
    max_bpm: float = 300.0
    bins: int = 160

    def __post_init__(self) -> None:
        if not 0 < LEAST_SPAN * self.min_bpm <= self.max_bpm or self.bins < 2:
            raise ConfigMismatchError(
                f"tempo_grid: max_bpm must be at least {LEAST_SPAN} times min_bpm and bins at least 2, "
                f"got {self.min_bpm:g} to {self.max_bpm:g} BPM in {self.bins} bins"
            )

    @property
    def bpm(self) -> np.ndarray:
        """Tempo of each class in BPM, float64, shape (bins,)."""
        return np.geomspace(self.min_bpm, self.max_bpm, self.bins)

    @property
    def bins_per_octave(self) -> float:
        """Classes from a tempo to its double."""
        return (self.bins - 1) / float(np.log2(self.max_bpm / self.min_bpm))

    def position(self, bpm: float | np.ndarray) -> np.ndarray:
        """Where a tempo lies on the grid, in classes (float, 0 = `min_bpm`)."""
        return np.log2(np.asarray(bpm, dtype=np.float64) / self.min_bpm) * self.bins_per_octave


class TempoHead(nn.Module):
    """Onset strength curves of a window and its embedding to logits over a `TempoGrid`.

    Parameters
    ----------
    n_mels : int
        Mel bands of the spectrogram.
    frame_rate_hz : float
        Frames per second of the spectrogram.
    grid : TempoGrid
        The tempo classes.
    embedding_size : int
        Size of the embedding that moves the prior over tempi.
    """

    context_frames = 5

    def __init__(self, n_mels: int, frame_rate_hz: float, grid: TempoGrid, embedding_size: int):
        super().__init__()
        self.frame_rate_hz, self.grid = frame_rate_hz, grid
        channels, hidden = 8, 32
        self.onset = nn.Conv1d(n_mels, channels, kernel_size=self.context_frames)
        self.onset_norm = nn.BatchNorm1d(channels)
        features = channels * 2 * len(HARMONICS)
        self.network = nn.Sequential(
            nn.Conv1d(features, hidden, 3, padding=1), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Conv1d(hidden, hidden, 5, padding=2), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Conv1d(hidden, 1, 1),
        )  # fmt: skip
        self.prior = nn.Parameter(torch.zeros(grid.bins))
        to_bins = nn.Linear(8, grid.bins)
        nn.init.zeros_(to_bins.weight)
        nn.init.zeros_(to_bins.bias)
        self.genre_prior = nn.Sequential(nn.Linear(embedding_size, 8), to_bins)

    def frames(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> onset strength curves (batch, channels, frames - context_frames + 1)."""
        return torch.relu(self.onset_norm(self.onset(log_mel)))

    def forward(self, onsets: Tensor, embedding: Tensor) -> Tensor:
        """onsets (batch, channels, n), embedding (batch, d) -> logits (batch, tempo_bins)."""
        periodicity = self.periodicity(onsets)  # (batch, features, bins)
        logits = self.network(periodicity)[:, 0]  # (batch, bins)
        return (
            logits + self.prior + self.genre_prior(embedding.detach())
        )  # takes the genre as it is and does not bend it

    def periodicity(self, onsets: Tensor) -> Tensor:
        """Fourier and autocorrelation strength at each class and at its multiples: (batch, features, bins)."""
        wave, window, lags = periodicity_bases(self.grid, self.frame_rate_hz, onsets.shape[-1], onsets.device)
        centred = onsets - onsets.mean(-1, keepdim=True)
        # curves weaker than 0.5 are not blown up to full strength: a drone has no beat; music has 1 to 50
        energy = centred.square().sum(-1, keepdim=True) + 0.5  # (batch, channels, 1)
        spectrum = (centred * window) @ wave  # (batch, channels, 2 * harmonics * bins)
        cosine, sine = spectrum.chunk(2, dim=-1)
        fourier = torch.sqrt(cosine.square() + sine.square() + 1e-8) / torch.sqrt(energy)
        n = onsets.shape[-1]
        padded = fast_length(2 * n)
        power = torch.fft.rfft(centred, padded)
        power = power.real.square() + power.imag.square()
        correlation = torch.fft.irfft(power, n=padded)[..., :n] / energy  # 1 at lag 0
        delayed = correlation @ lags
        bins = self.grid.bins
        return torch.cat([part.unflatten(-1, (-1, bins)).flatten(1, 2) for part in (fourier, delayed)], 1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is made in inference mode cannot be used for gradients
def periodicity_bases(
    grid: TempoGrid, frame_rate_hz: float, n: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Waves at each class and its multiples, a window, and weights of their lags, for curves of `n` frames."""
    beat_hz = torch.from_numpy(grid.bpm / 60.0)
    hz = torch.cat([beat_hz * harmonic for harmonic in HARMONICS])
    below_nyquist = (hz < frame_rate_hz / 2).double()
    phase = 2 * torch.pi * torch.arange(n, dtype=torch.float64)[:, None] * hz / frame_rate_hz
    wave = torch.cat(
        [torch.cos(phase) * below_nyquist, torch.sin(phase) * below_nyquist], 1
    )  # (n, 2 * harmonics * bins)
    window = torch.hann_window(n, periodic=False, dtype=torch.float64)
    window = window / window.square().sum().sqrt()
    lag = torch.cat([multiple * frame_rate_hz / beat_hz for multiple in HARMONICS])
    # linear interpolation between whole lags; fewer terms at long lags are made up for, up to four times
    frames = torch.arange(n, dtype=torch.float64)[:, None]
    lags = (1 - (frames - lag).abs()).clamp(min=0) * (lag <= 0.8 * n)
    lags = lags * (n / (n - frames.clamp(max=0.75 * n)))  # (n, multiples * bins)
    return wave.float().to(device), window.float().to(device), lags.float().to(device)
