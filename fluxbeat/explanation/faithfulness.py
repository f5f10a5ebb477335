"""How faithful a map is: does the answer fall when the marked places are taken away, and come back when only they stay?

Deletion and insertion (Petsiuk, Das & Saenko, "RISE", BMVC 2018), always beside a random map and the energy of the
sound, with the mean spectrum of music in place of what is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fluxbeat.explanation.attribution import shown_probability
from fluxbeat.explanation.mean_spectrum import mean_spectrum
from fluxbeat.models.base import WindowModel

CELL_BANDS, CELL_S = 5, 0.4
"""Places that are taken away together."""
STEPS = 10
BATCH = 32


@dataclass(frozen=True, eq=False)
class Curves:
    """A label's probability, on its own scale, while places of a window are taken away, or put back, strongest first.

    Attributes
    ----------
    deletion, insertion : float array, shape (steps + 1,)
        From the whole window to none of it, and from none to all.
    """

    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def faithfulness(self) -> float:
        """Mean of insertion minus mean of deletion, -1..1; a map that knows nothing has 0."""
        return float(self.insertion.mean() - self.deletion.mean())

    @property
    def without_marked(self) -> float:
        """Probability left when the most marked fifth is taken away."""
        return float(np.interp(0.2, np.linspace(0, 1, len(self.deletion)), self.deletion))

    @property
    def marked_alone(self) -> float:
        """Probability of the most marked fifth alone."""
        return float(np.interp(0.2, np.linspace(0, 1, len(self.insertion)), self.insertion))


@torch.inference_mode()
def curves(model: WindowModel, log_mel: Tensor, label: int, maps: Tensor, steps: int = STEPS) -> list[Curves]:
    """Deletion and insertion of one window by several maps.

    Parameters
    ----------
    model : WindowModel
    log_mel : Tensor, shape (mels, frames)
        One window.
    label : int
        Index of the genre.
    maps : Tensor, shape (maps, mels, frames)
        What goes first has the highest value.
    steps : int
        In how many equal steps.
    """
    cells = -(-log_mel.shape[0] // CELL_BANDS), round(model.config.window_s / CELL_S)
    coarse = F.adaptive_avg_pool2d(maps[:, None].float(), cells)[:, 0].flatten(1)  # (maps, cells)
    rank = coarse.argsort(dim=1, descending=True).argsort(dim=1)
    share = torch.arange(steps + 1)[:, None] / steps
    taken = (rank[:, None] < (share * rank.shape[1]).round()).float()  # (maps, steps + 1, cells)
    wide = F.interpolate(taken.unflatten(2, cells).flatten(0, 1)[:, None], log_mel.shape)[:, 0]
    baseline = mean_spectrum(model.config.features)
    windows = torch.cat([torch.lerp(log_mel.expand_as(wide), baseline, wide), torch.lerp(baseline, log_mel, wide)])
    logits = torch.cat([model(batch).genre_logits for batch in windows.split(BATCH)])
    probability = shown_probability(model, logits)[:, label].unflatten(0, (2, len(maps), steps + 1)).double().numpy()
    return [Curves(deletion, insertion) for deletion, insertion in zip(*probability, strict=True)]


def random_map(shape: tuple[int, ...], seed: int) -> Tensor:
    """A map that knows nothing."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def energy_map(model: WindowModel, log_mel: Tensor) -> Tensor:
    """Where the sound is louder than the mean spectrum of music, shape as `log_mel`."""
    return log_mel - mean_spectrum(model.config.features)
