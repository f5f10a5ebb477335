"""mn04 and MSD FCN together on one excerpt: what a store holds of teachers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soxr
import torch

from fluxbeat.training.data.store import EXCERPT_S
from tools.teachers.efficientat import EfficientAT
from tools.teachers.msd_fcn import MsdFcn


class TeacherPanel:
    """Asks both teachers about excerpts of 30 s.

    Parameters
    ----------
    folder : path
        With the teachers' weights.

    Attributes
    ----------
    names : dict of str to list of str
        Names of the classes of the outputs 'audioset' and 'msd'.
    """

    sample_rate_hz = EfficientAT.sample_rate_hz

    def __init__(self, folder: str | Path):
        self.efficientat, self.fcn = EfficientAT(folder), MsdFcn(folder)
        self.names = {
            "audioset": [self.efficientat.names[number] for number in self.efficientat.targets],
            "msd": list(self.fcn.names),
        }

    def __call__(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """Teachers' outputs of 30 s of mono float32 audio at 32 kHz, float16.

        Returns
        -------
        dict
            audioset (3, classes) and embedding (3, 384) of its thirds, by mn04; msd (50,) of its first 29 s, by FCN.
        """
        length = round(EXCERPT_S * self.sample_rate_hz)
        whole = np.resize(samples, length).astype(np.float32)
        thirds = torch.from_numpy(whole.reshape(-1, round(self.efficientat.window_s * self.sample_rate_hz)))
        probability, embedding = self.efficientat(thirds)
        at_16_khz = soxr.resample(whole, self.sample_rate_hz, self.fcn.sample_rate_hz)
        tags, _ = self.fcn(torch.from_numpy(at_16_khz[: round(self.fcn.window_s * self.fcn.sample_rate_hz)])[None])
        outputs = {"audioset": probability[:, self.efficientat.targets], "embedding": embedding, "msd": tags[0]}
        return {name: values.numpy().astype(np.float16) for name, values in outputs.items()}
