"""Which parts of a window's sound speak for a label: each is taken away in turn, and the model is asked again.

For models that hear through features of their own and whose layers nobody knows. The parts are registers over a second
or two; what a model says without one of them is what it says, so such a map needs no further proof, and is coarse. The
idea is that of occlusion maps (Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.signal import istft, stft
from torch import Tensor

from fluxbeat.analysis.track import Progress
from fluxbeat.analysis.windows import sound_logits
from fluxbeat.explanation.attribution import Cam
from fluxbeat.explanation.regions import REGISTERS
from fluxbeat.models.classifier import HubClassifier

OCCLUSION = Cam("sound", "occlusion")
TIMES = 6
"""Parts of a window along time; with the registers that is one question to the model for each of 30 parts."""
BATCH = 4
DOING = "listening without parts of the sound"
SLICE_S = 0.064
"""Of the spectra that the sound is taken apart by."""


def register_of(hz: np.ndarray) -> np.ndarray:
    """Which of `REGISTERS` each frequency in Hz lies in, int, shape as `hz`."""
    return np.searchsorted([below_hz for below_hz, _ in REGISTERS], hz, side="right")


def sound_evidence(
    ask: Callable[[Tensor], Tensor], samples: np.ndarray, rate_hz: int, progress: Progress | None = None
) -> tuple[np.ndarray, float]:
    """How far an answer falls without each part of the sound.

    Parameters
    ----------
    ask : callable
        Takes sounds, float32 (batch, samples), and gives the answer to each, (batch,).
    samples : float32 array, shape (samples,)
        Mono.
    rate_hz : int
    progress : Progress, optional
        Called before each question, which a large model takes seconds for. What it raises ends the asking.

    Returns
    -------
    evidence : float32 array, shape (registers, `TIMES`)
        Answer to the whole sound less the answer without the part: positive where the part speaks for it.
    whole : float
        The answer to the whole sound.
    """
    length = 2 * round(SLICE_S * rate_hz / 2)
    hz, time_s, spectrum = stft(samples, rate_hz, nperseg=length)
    band = register_of(hz)
    time = np.minimum((time_s * rate_hz * TIMES / len(samples)).astype(int), TIMES - 1)
    answers = []
    parts = [(row, column) for row in range(len(REGISTERS)) for column in range(TIMES)]
    report = progress or (lambda share, doing: None)
    report(0.0, DOING)
    whole = float(ask(torch.from_numpy(samples[None]))[0])
    for first in range(0, len(parts), BATCH):
        report((1 + first) / (1 + len(parts)), DOING)
        without = []
        for row, column in parts[first : first + BATCH]:
            part = np.zeros(len(samples), np.float32)
            _, sound = istft(spectrum * ((band == row)[:, None] & (time == column)), rate_hz, nperseg=length)
            part[: len(sound)] = sound[: len(samples)]
            without.append(samples - part)
        answers.append(ask(torch.from_numpy(np.stack(without))))
    left = torch.cat(answers).double().numpy().reshape(len(REGISTERS), TIMES)
    return (whole - left).astype(np.float32), whole


def asker(model: HubClassifier, label: int) -> Callable[[Tensor], Tensor]:
    """Asks a classifier for the log odds of a label: where each label stands for itself, its logit."""

    @torch.inference_mode()
    def ask(sounds: Tensor) -> Tensor:
        probability = model.probabilities(sound_logits(model, sounds))[:, label]
        return torch.logit(probability.double(), eps=1e-9)

    return ask


def on_bands(evidence: np.ndarray, band_hz: np.ndarray, frames: int) -> np.ndarray:
    """Evidence of parts spread over mel bands and frames, float32 (mels, frames); its sum stays what it is.

    `band_hz` holds the centre of each band. What lies above all bands is not shown.
    """
    bands, times = register_of(band_hz), np.arange(frames) * TIMES // frames
    counts = np.bincount(bands, minlength=len(REGISTERS))[bands][:, None] * np.bincount(times, minlength=TIMES)[times]
    spread: np.ndarray = evidence[np.ix_(bands, times)] / counts
    return spread.astype(np.float32)
