"""MusiCNN as a teacher and as a peer: 50 tags and an embedding of every 3 s.

Pons & Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging", ISMIR late-breaking 2019;
weights from the package musicnn 0.1.0, ISC licence. 0.79M parameters each: one taught on the Million Song Dataset,
one on MagnaTagATune. The package itself casts its spectrogram to float16, which overflows on loud music and gives one
constant answer; this computation does not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fluxbeat.errors import FluxBeatError
from tools.teachers.weights import read_weights

FFT, HOP, MELS, PATCH_FRAMES = 512, 256, 96, 187
EPSILON = 1e-3
MSD_TAGS = """
rock, pop, alternative, indie, electronic, female vocalists, dance, 00s, alternative rock, jazz, beautiful, metal,
chillout, male vocalists, classic rock, soul, indie rock, Mellow, electronica, 80s, folk, 90s, chill, instrumental,
punk, oldies, blues, hard rock, ambient, acoustic, experimental, female vocalist, guitar, Hip-Hop, 70s, party, country,
easy listening, sexy, catchy, funk, electro, heavy metal, Progressive rock, 60s, rnb, indie pop, sad, House, happy
"""
MTT_TAGS = """
guitar, classical, slow, techno, strings, drums, electronic, rock, fast, piano, ambient, beat, violin, vocal, synth,
female, indian, opera, male, singing, vocals, no vocals, harpsichord, loud, quiet, flute, woman, male vocal, no vocal,
pop, soft, sitar, solo, man, classic, choir, voice, new age, dance, male voice, female vocal, beats, harp, cello,
no voice, weird, country, metal, female voice, choral
"""
TAGS: dict[str, tuple[str, ...]] = {
    corpus: tuple(tag.strip() for tag in tags.split(",")) for corpus, tags in (("MSD", MSD_TAGS), ("MTT", MTT_TAGS))
}


class Musicnn:
    """Tag probabilities and embeddings of patches of 3 s.

    Parameters
    ----------
    folder : path
        Holds MSD_musicnn.npz or MTT_musicnn.npz.
    taught_on : str
        'MSD', whose tags include most genres but no classical, reggae or latin, or 'MTT'.

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
    window_s = PATCH_FRAMES * HOP / 16_000

    def __init__(self, folder: str | Path, taught_on: str = "MSD"):
        self.names = TAGS[taught_on]
        self.weights = read_weights(folder, f"{taught_on}_musicnn.npz", ("conv2d/kernel", "dense_1/kernel"))

    @torch.inference_mode()
    def __call__(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """What `patches` gives, float32 (batch, 187, 96) -> probabilities (batch, 50), embedding (batch, 200)."""
        x = self._norm(patches[:, None], 0)
        front = []
        for number in (0, 1):  # timbre: tall filters
            front.append(self._norm(self._conv(F.pad(x, (0, 0, 3, 3)), number), number + 1).amax(3))
        for number, width in ((2, 128), (3, 64), (4, 32)):  # rhythm: long filters
            padded = F.pad(x, (0, 0, (width - 1) // 2, width // 2))
            front.append(self._norm(self._conv(padded, number), number + 1).amax(3))
        hidden = torch.cat(front, 1)  # (batch, 561, 187)
        layers = [hidden]
        for step, number in enumerate((5, 6, 7)):
            inputs = F.pad(hidden, (3, 3)).permute(0, 2, 1)[:, None]
            outputs = self._norm(self._conv(inputs, number)[..., 0], number + 1)
            hidden = outputs if step == 0 else outputs + hidden
            layers.append(hidden)
        pooled = torch.cat(layers, 1)  # (batch, 753, 187)
        pooled = self._norm(torch.stack([pooled.amax(2), pooled.mean(2)], 2).flatten(1), 9)
        weights = self.weights
        embedding = self._norm(F.relu(pooled @ weights["dense/kernel"] + weights["dense/bias"]), 10)
        return torch.sigmoid(embedding @ weights["dense_1/kernel"] + weights["dense_1/bias"]), embedding

    def _norm(self, x: Tensor, number: int) -> Tensor:
        weights, name = self.weights, _name("batch_normalization", number)
        keys = ("moving_mean", "moving_variance", "gamma", "beta")
        mean, variance, scale, bias = (weights[f"{name}/{key}"] for key in keys)
        return F.batch_norm(x, mean, variance, scale, bias, eps=EPSILON)

    def _conv(self, x: Tensor, number: int) -> Tensor:
        name = _name("conv2d", number)
        kernel = self.weights[f"{name}/kernel"].permute(3, 2, 0, 1)
        return F.relu(F.conv2d(x, kernel, self.weights[f"{name}/bias"]))


def patches(samples: np.ndarray) -> Tensor:
    """Mono float32 audio at 16 kHz -> log-mel patches (batch, 187, 96), one per 3 s; a shorter rest is dropped.

    Raises
    ------
    FluxBeatError
        If there is less audio than one patch.
    """
    import librosa

    rate_hz = Musicnn.sample_rate_hz
    mel = librosa.feature.melspectrogram(y=samples, sr=rate_hz, n_fft=FFT, hop_length=HOP, n_mels=MELS)
    frames = np.log10(10_000 * mel.T + 1).astype(np.float32)
    starts = range(0, len(frames) - PATCH_FRAMES + 1, PATCH_FRAMES)
    if not len(starts):
        raise FluxBeatError(f"MusiCNN needs {Musicnn.window_s:.1f} s of audio, got {len(samples) / rate_hz:.1f} s")
    return torch.from_numpy(np.stack([frames[start : start + PATCH_FRAMES] for start in starts]))


def _name(kind: str, number: int) -> str:
    """As TensorFlow numbers its layers."""
    return f"{kind}_{number}" if number else kind
