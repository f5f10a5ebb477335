"""How faithful a map is: does the answer fall when the marked places are taken away, and come back when only they stay?

Deletion and insertion (Petsiuk, Das & Saenko, "RISE", BMVC 2018), always beside a random map and the energy of the
sound, with the usual music's mean spectrum in place of what is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fluxbeat.explanation.attribution import usual_spectrum
from fluxbeat.models import GenreTempoModel

CELLS = (16, 21)
"""Places that are taken away together, in bands and time: about 0.4 s and five mel bands of a window of 8 s."""
STEPS = 10
BATCH = 32


@dataclass(frozen=True, eq=False)
class Curves:
    """A label's probability while the places of a window are taken away, or put back, strongest first.

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
def curves(model: GenreTempoModel, log_mel: Tensor, label: int, maps: Tensor, steps: int = STEPS) -> list[Curves]:
    """Deletion and insertion of one window by several maps.

    Parameters
    ----------
    model : GenreTempoModel
    log_mel : Tensor, shape (mels, frames)
        One window.
    label : int
        Index of the genre.
    maps : Tensor, shape (maps, mels, frames)
        What goes first has the highest value.
    steps : int
        In how many equal steps.
    """
    coarse = F.adaptive_avg_pool2d(maps[:, None].float(), CELLS)[:, 0].flatten(1)  # (maps, cells)
    rank = coarse.argsort(dim=1, descending=True).argsort(dim=1)
    share = torch.arange(steps + 1)[:, None] / steps
    taken = (rank[:, None] < (share * rank.shape[1]).round()).float()  # (maps, steps + 1, cells)
    wide = F.interpolate(taken.unflatten(2, CELLS).flatten(0, 1)[:, None], log_mel.shape)[:, 0]
    usual = usual_spectrum(model)
    heard = torch.cat([torch.lerp(log_mel.expand_as(wide), usual, wide), torch.lerp(usual, log_mel, wide)])
    said = torch.cat([model(batch).genre_logits for batch in heard.split(BATCH)])
    probability = model.probabilities(said)[:, label].unflatten(0, (2, len(maps), steps + 1)).double().numpy()
    return [Curves(deletion, insertion) for deletion, insertion in zip(*probability, strict=True)]


def random_map(shape: tuple[int, ...], seed: int) -> Tensor:
    """A map that knows nothing."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def energy_map(model: GenreTempoModel, log_mel: Tensor) -> Tensor:
    """Where the sound is louder than the usual music's mean spectrum, shape as `log_mel`."""
    return log_mel - usual_spectrum(model)
