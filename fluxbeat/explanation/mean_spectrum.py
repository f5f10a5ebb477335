"""The mean spectrum of music, as the front end normalises it: what stands where sound is taken away."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fluxbeat.explanation.windows import band_centres_hz
from fluxbeat.features.log_mel import FeatureConfig

COEFFICIENTS = (-0.029, -0.421, 0.426)
"""Of a parabola over octaves above 1 kHz, in standard deviations: fitted to the mean log-mel of 296 recordings of the
`train` split, which it follows within 0.15 (root mean square 0.06); single recordings differ from it by 0.2 to 0.4."""


def mean_spectrum(features: FeatureConfig) -> Tensor:
    """Mean of each mel band over music, normalised as `LogMel` does, float32 (mels, 1).

    Zero would not do: it is as loud in the highest band as in the lowest (Mishra et al., "Reliable local explanations
    for machine listening", IJCNN 2020).
    """
    octaves = np.log2(band_centres_hz(features) / 1000.0)
    return torch.from_numpy(np.polyval(COEFFICIENTS, octaves).astype(np.float32))[:, None]
