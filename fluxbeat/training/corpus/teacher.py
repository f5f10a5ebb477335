"""MusiCNN as a teacher: 50 tags of the Million Song Dataset and 50 of MagnaTagATune for every 3 s of music.

Pons & Serra, "musicnn: Pre-trained convolutional neural networks for music audio tagging" (ISMIR 2019, late-breaking);
its weights are ISC-licensed. They are read from numpy archives of the arrays in PyPI's musicnn, under the names that
TensorFlow gave them.
"""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import soxr
import torch
from torch import Tensor, nn

from fluxbeat.errors import FluxBeatError

RATE_HZ = 16_000
N_FFT, HOP, MELS = 512, 256, 96
SEGMENT_FRAMES = 187
SEGMENT_S = SEGMENT_FRAMES * HOP / RATE_HZ
NORM_EPSILON = 1e-3

TAGS: dict[str, tuple[str, ...]] = {
    "MSD": (
        "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock",
        "jazz", "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow",
        "electronica", "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock",
        "ambient", "acoustic", "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country",
        "easy listening", "sexy", "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb",
        "indie pop", "sad", "House", "happy",
    ),
    "MTT": (
        "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient",
        "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals",
        "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo",
        "man", "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp",
        "cello", "no voice", "weird", "country", "metal", "female voice", "choral",
    ),
}  # fmt: skip
"""Tags in the order of the answers, by the data set that taught them."""


def log_mel(samples: np.ndarray) -> np.ndarray:
    """What MusiCNN hears of mono audio at 16,000 Hz: float32 (frames, 96)."""
    import librosa

    power = librosa.feature.melspectrogram(y=samples, sr=RATE_HZ, n_fft=N_FFT, hop_length=HOP, n_mels=MELS)
    return np.log10(10_000.0 * power.T + 1.0).astype(np.float32)


class Musicnn(nn.Module):
    """One of the two networks, with the weights it was published with.

    Tall filters hear timbre, long ones rhythm; three layers with residual connections follow, and a mean and a
    maximum over time.
    """

    def __init__(self, arrays: dict[str, np.ndarray]):
        super().__init__()
        self.input_norm = _norm(arrays, 0, nn.BatchNorm2d)
        self.front = nn.ModuleList([_conv2d(arrays, number) for number in range(5)])
        self.front_norms = nn.ModuleList([_norm(arrays, number + 1, nn.BatchNorm2d) for number in range(5)])
        self.mid = nn.ModuleList([_conv1d(arrays, number) for number in (5, 6, 7)])
        self.mid_norms = nn.ModuleList([_norm(arrays, number, nn.BatchNorm1d) for number in (6, 7, 8)])
        self.pooled_norm = _norm(arrays, 9, nn.BatchNorm1d)
        self.dense = _linear(arrays, 0)
        self.dense_norm = _norm(arrays, 10, nn.BatchNorm1d)
        self.to_tags = _linear(arrays, 1)
        self.eval()

    @torch.inference_mode()
    def forward(self, segments: Tensor) -> tuple[Tensor, Tensor]:
        """Segments (batch, 187, 96) -> tag logits (batch, 50), embedding (batch, 200)."""
        shown = self.input_norm(segments[:, None])
        heard = [
            # the greatest over all bands: what is heard counts, not how high it is; (batch, filters, 187)
            norm(conv(shown).relu()).amax(3)
            for conv, norm in zip(self.front, self.front_norms, strict=True)
        ]
        layer = torch.cat(heard, dim=1)  # (batch, 561, 187)
        layers = [layer]
        for number, (conv, norm) in enumerate(zip(self.mid, self.mid_norms, strict=True)):
            new = norm(conv(layer).relu())
            layer = new + layer if number else new
            layers.append(layer)
        over_time = torch.cat(layers, dim=1)  # (batch, 753, 187)
        pooled = torch.stack([over_time.amax(2), over_time.mean(2)], dim=2).flatten(1)
        embedding = self.dense_norm(self.dense(self.pooled_norm(pooled)).relu())
        return self.to_tags(embedding), embedding


class Teacher:
    """Both networks side by side.

    Attributes
    ----------
    tags : tuple of str
        Names of the answers: the tags of MSD, then those of MTT.
    """

    def __init__(self, networks: dict[str, Musicnn]):
        self.networks = networks
        self.tags = tuple(tag for name in TAGS for tag in TAGS[name])

    def listen(self, samples: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
        """Tag logits (segments, 100) and embeddings (segments, 400) of consecutive 3 s of mono audio, float32.

        Raises
        ------
        FluxBeatError
            If the audio is shorter than one segment.
        """
        frames = self._frames(samples, sample_rate_hz)
        return self._hear(frames, np.arange(len(frames) // SEGMENT_FRAMES))

    def listen_here_and_there(
        self, samples: np.ndarray, sample_rate_hz: int, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `listen`, for at most `count` segments spread over the audio; and where they start, seconds (segments,).

        Raises
        ------
        FluxBeatError
            If the audio is shorter than one segment.
        """
        frames = self._frames(samples, sample_rate_hz)
        there = len(frames) // SEGMENT_FRAMES
        chosen = np.unique(np.linspace(0, there - 1, min(count, there)).round().astype(int))
        return (*self._hear(frames, chosen), (chosen * SEGMENT_S).astype(np.float32))

    def _frames(self, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        if sample_rate_hz != RATE_HZ:
            samples = soxr.resample(samples, sample_rate_hz, RATE_HZ)
        if len(samples) < (SEGMENT_FRAMES - 1) * HOP:
            raise FluxBeatError(f"the teacher needs at least {SEGMENT_S:.1f} s, got {len(samples) / RATE_HZ:.1f} s")
        return log_mel(samples)

    def _hear(self, frames: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts = chosen * SEGMENT_FRAMES
        segments = torch.from_numpy(np.stack([frames[start : start + SEGMENT_FRAMES] for start in starts]))
        answers = [network(segments) for network in self.networks.values()]
        logits, embeddings = (torch.cat(parts, dim=1).numpy() for parts in zip(*answers, strict=True))
        return logits, embeddings


def load_teacher(folder: str | Path) -> Teacher:
    """Read MSD_musicnn.npz and MTT_musicnn.npz.

    Raises
    ------
    FluxBeatError
        If one is missing, or lacks an array.
    """
    networks = {}
    for name in TAGS:
        path = Path(folder, f"{name}_musicnn.npz")
        if not path.is_file():
            raise FluxBeatError(
                f"{path}: no such file; the teacher needs the arrays of PyPI's musicnn, under their TensorFlow names, "
                "as MSD_musicnn.npz and MTT_musicnn.npz"
            )
        try:
            with np.load(path) as arrays:
                networks[name] = Musicnn({key: arrays[key] for key in arrays.files})
        except KeyError as error:
            raise FluxBeatError(f"{path}: the array {error} is missing: these are not MusiCNN's weights") from error
        except (OSError, ValueError, BadZipFile, RuntimeError) as error:
            raise FluxBeatError(f"{path}: not MusiCNN's weights ({error})") from error
    return Teacher(networks)


def _name(kind: str, number: int) -> str:
    """TensorFlow's name of the layer of a kind that was made as number 0, 1, ..."""
    return f"{kind}_{number}" if number else kind


def _set(parameter: Tensor | None, values: np.ndarray) -> None:
    if parameter is None or tuple(parameter.shape) != values.shape:
        raise ValueError(
            f"an array has shape {values.shape}, expected {None if parameter is None else parameter.shape}"
        )
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _norm(arrays: dict[str, np.ndarray], number: int, kind: type[nn.BatchNorm1d] | type[nn.BatchNorm2d]) -> nn.Module:
    name = _name("batch_normalization", number)
    norm = kind(len(arrays[f"{name}/gamma"]), eps=NORM_EPSILON)
    _set(norm.weight, arrays[f"{name}/gamma"])
    _set(norm.bias, arrays[f"{name}/beta"])
    _set(norm.running_mean, arrays[f"{name}/moving_mean"])
    _set(norm.running_var, arrays[f"{name}/moving_variance"])
    return norm


def _conv2d(arrays: dict[str, np.ndarray], number: int) -> nn.Module:
    """Along time as long as before, across the bands only where the filter fits."""
    name = _name("conv2d", number)
    kernel = arrays[f"{name}/kernel"].transpose(3, 2, 0, 1)
    length = kernel.shape[2]
    conv = nn.Conv2d(1, len(kernel), (length, kernel.shape[3]))
    _set(conv.weight, kernel)
    _set(conv.bias, arrays[f"{name}/bias"])
    # an even filter sees one frame more of what follows, as in TensorFlow
    return nn.Sequential(nn.ZeroPad2d((0, 0, (length - 1) // 2, length // 2)), conv)


def _conv1d(arrays: dict[str, np.ndarray], number: int) -> nn.Module:
    name = _name("conv2d", number)
    kernel = arrays[f"{name}/kernel"][:, :, 0].transpose(2, 1, 0)
    conv = nn.Conv1d(kernel.shape[1], len(kernel), kernel.shape[2], padding=kernel.shape[2] // 2)
    _set(conv.weight, kernel)
    _set(conv.bias, arrays[f"{name}/bias"])
    return conv


def _linear(arrays: dict[str, np.ndarray], number: int) -> nn.Linear:
    name = _name("dense", number)
    kernel = arrays[f"{name}/kernel"].T
    linear = nn.Linear(kernel.shape[1], len(kernel))
    _set(linear.weight, kernel)
    _set(linear.bias, arrays[f"{name}/bias"])
    return linear
