"""The one front end: mono audio to a normalised log-mel spectrogram, for training and inference alike.

The mel bands are Slaney's, as in librosa (McFee et al., "librosa: Audio and Music Signal Analysis in Python",
SciPy 2015); a golden test holds the two together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch

from fluxbeat.errors import ConfigMismatchError
from fluxbeat.torch_pair import check_torch_pair
from fluxbeat.torch_threads import threads_that_compute_alone

check_torch_pair()
import torchaudio  # noqa: E402  (only after the pair was checked)

ACTIVE_RANGE_DB = 60.0
FIRST_FRAMES = 8192
STD_FLOOR_DB = 3.0


@dataclass(frozen=True)
class FeatureConfig:
    """Everything that decides what a model hears. Stored, with its hash, inside every checkpoint.

    Attributes
    ----------
    sample_rate_hz : int
        Rate of the audio that goes in.
    n_fft : int
        Length of the transform in samples.
    window_samples : int
        Length of the Hann window in samples, at most `n_fft`; zeros fill the rest.
    hop_samples : int
        Samples from one frame to the next, at most `window_samples`: no sound lies between two frames.
    n_mels : int
        Number of Slaney mel bands.
    f_min_hz, f_max_hz : float
        Edges of the lowest and the highest band, at most half of `sample_rate_hz`.
    floor_db : float
        Mel power below this level (dB, full scale = about 0) counts as this level.
    dynamic_range_db : float
        Whatever lies further than this below the loudest band of the track is raised to that level.
    norm_window_s : float
        Each frame is centred and scaled by mean and standard deviation of the music around it, this long.

    Raises
    ------
    ConfigMismatchError
        If two of the settings contradict each other.
    """

    sample_rate_hz: int = 22_050
    n_fft: int = 2048
    window_samples: int = 2048
    hop_samples: int = 1050
    n_mels: int = 80
    f_min_hz: float = 40.0
    f_max_hz: float = 10_000.0
    floor_db: float = -100.0
    dynamic_range_db: float = 80.0
    norm_window_s: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.hop_samples <= self.window_samples <= self.n_fft:
            raise ConfigMismatchError(
                f"features: window_samples must be from hop_samples to n_fft, got {self.window_samples} with "
                f"hop_samples {self.hop_samples} and n_fft {self.n_fft}"
            )
        if not 0 <= self.f_min_hz < self.f_max_hz <= self.sample_rate_hz / 2:
            raise ConfigMismatchError(
                f"features: f_min_hz must be below f_max_hz and that at most half of sample_rate_hz, got "
                f"{self.f_min_hz:g} to {self.f_max_hz:g} Hz at {self.sample_rate_hz} Hz"
            )

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate_hz / self.hop_samples

    @property
    def hash(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of all values; equal features have equal hashes."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, float | int | str]:
        """All values and their hash, as a checkpoint's config.json holds them."""
        return {**asdict(self), "hash": self.hash}

    @classmethod
    def from_dict(cls, values: dict[str, float | int | str]) -> FeatureConfig:
        """Read what `to_dict` wrote.

        Raises
        ------
        ConfigMismatchError
            If a value is missing or unknown, or if the stored hash is not what this code computes from the values.
        """
        expected = {field.name for field in fields(cls)}
        given = set(values) - {"hash"}
        if given != expected:
            raise ConfigMismatchError(
                f"features: expected the settings {sorted(expected)}, got {sorted(given)}: "
                "the checkpoint was made by another version of FluxBeat"
            )
        config = cls(**{name: values[name] for name in expected})  # type: ignore[arg-type]
        if values.get("hash") != config.hash:
            raise ConfigMismatchError(
                f"features: the checkpoint says hash {values.get('hash')}, this program computes {config.hash} "
                "from the same settings: the features differ, so its answers would be wrong"
            )
        return config


class LogMel(torch.nn.Module):
    """Mono float audio to log-mel power in dB, and from there to what the models take."""

    window: torch.Tensor
    bands: torch.Tensor

    def __init__(self, config: FeatureConfig):
        super().__init__()
        self.config = config
        window = torch.zeros(config.n_fft)
        begin = (config.n_fft - config.window_samples) // 2
        window[begin : begin + config.window_samples] = torch.hann_window(config.window_samples)
        self.register_buffer("window", window, persistent=False)
        bands = torchaudio.functional.melscale_fbanks(
            n_freqs=config.n_fft // 2 + 1,
            f_min=config.f_min_hz,
            f_max=config.f_max_hz,
            n_mels=config.n_mels,
            sample_rate=config.sample_rate_hz,
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer("bands", bands, persistent=False)

    def from_blocks(self, blocks: Iterable[np.ndarray], expected_s: float | None = None) -> np.ndarray:
        """Log-mel power of audio that comes in pieces; equal to that of the audio in one piece.

        Parameters
        ----------
        blocks : iterable of float32 arrays, shape (samples,)
            Consecutive pieces of any length at `sample_rate_hz`.
        expected_s : float, optional
            How long the audio will probably be: spares memory, does not change the result.

        Returns
        -------
        float32 array, shape (mels, frames)
            Mel power in dB. Frame `t` is centred on `t * hop_samples` samples, zeros lie beyond both ends.
        """
        expected = round((expected_s or 0.0) * self.config.frame_rate_hz) + FIRST_FRAMES
        # one growing array, of which only what is written takes memory: thousands of pieces would pin what lies between
        found, n_found = np.empty((self.config.n_mels, expected), np.float32), 0
        for frames in _while_the_next_is_read(LogMelStream(self), blocks):
            until = n_found + frames.shape[1]
            if until > found.shape[1]:
                larger = np.empty((self.config.n_mels, max(2 * found.shape[1], until)), np.float32)
                larger[:, :n_found] = found[:, :n_found]
                found = larger
            found[:, n_found:until] = frames
            n_found = until
        return found[:, :n_found]

    def forward(self, samples: np.ndarray) -> np.ndarray:
        """Mono float32 samples, shape (samples,), to the normalised log-mel (mels, frames) that the models take."""
        return self.normalise(self.from_blocks([samples]))

    @torch.inference_mode()
    def frames(self, samples: np.ndarray, count: int) -> np.ndarray:
        """The first `count` frames of samples (samples,), with nothing beyond their ends: dB, (mels, count)."""
        used = (count - 1) * self.config.hop_samples + self.config.n_fft
        cut = torch.from_numpy(np.ascontiguousarray(samples[:used])).unfold(
            0, self.config.n_fft, self.config.hop_samples
        )
        spectrum = torch.fft.rfft(cut * self.window)
        power = (spectrum.real.square() + spectrum.imag.square()) @ self.bands  # (count, mels)
        floor = 10.0 ** (self.config.floor_db / 10.0)
        return (10.0 * torch.log10(torch.clamp(power, min=floor))).T.numpy()

    def active(self, log_mel_db: np.ndarray) -> np.ndarray:
        """Which frames hold music: bool (frames,), False 60 dB and more under the loudest moment and at the floor."""
        loudest_db = float(log_mel_db.max())
        return log_mel_db.max(axis=0) > max(loudest_db - ACTIVE_RANGE_DB, self.config.floor_db)

    def normalise(self, log_mel_db: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Centre and scale every frame by the music around it, so that level and mastering do not count.

        Each frame is shifted and scaled by the mean and the standard deviation, over all bands, of the
        `norm_window_s` around it (cut off at the ends of the track). Frames that lie 60 dB under the loudest
        moment of the track take no part in the statistics: silence is not music.

        Parameters
        ----------
        log_mel_db : float32 array, shape (mels, frames)
            What `from_blocks` returns.
        out : float32 array, shape (mels, frames), optional
            Where to put the result; `log_mel_db` itself, where it is not needed any more.

        Returns
        -------
        float32 array, shape (mels, frames)
            Mostly within -3 .. 3; all zeros where the whole track is at the floor.
        """
        loudest_db = float(log_mel_db.max())
        if loudest_db <= self.config.floor_db:
            return np.zeros_like(log_mel_db)
        active = self.active(log_mel_db)
        mel_db = np.maximum(log_mel_db, loudest_db - self.config.dynamic_range_db, out=out)
        half = round(self.config.norm_window_s * self.config.frame_rate_hz / 2)
        count = _moving_sum(active.astype(np.float64), half)
        # a stretch with no music at all takes the statistics of the whole track
        fallback = count < 1
        # band by band, and in place at the end: hours of music fit in memory once, not four times
        frame_mean, frame_square = np.zeros(mel_db.shape[1]), np.zeros(mel_db.shape[1])
        for band in mel_db:
            frame_mean += band / len(mel_db)
            frame_square += np.square(band, dtype=np.float64) / len(mel_db)
        mean = _moving_sum(frame_mean * active, half) / np.maximum(count, 1)
        square = _moving_sum(frame_square * active, half) / np.maximum(count, 1)
        if fallback.any():
            mean[fallback], square[fallback] = frame_mean[active].mean(), frame_square[active].mean()
        std = np.sqrt(np.maximum(square - mean**2, STD_FLOOR_DB**2))
        mel_db -= mean.astype(np.float32)
        mel_db /= std.astype(np.float32)
        return mel_db


class LogMelStream:
    """Log-mel power of audio as it comes: each frame once all its samples are there, equal to `from_blocks`.

    Holds less than one transform of samples, however long the audio.
    """

    def __init__(self, front_end: LogMel):
        self._front_end = front_end
        self._rest = np.zeros(front_end.config.n_fft // 2, np.float32)

    def push(self, block: np.ndarray) -> np.ndarray:
        """Frames that the next float32 samples, shape (samples,), complete: dB, shape (mels, frames), often none."""
        found, self._rest = self._ready(np.concatenate([self._rest, block]))
        return found

    def tail(self) -> np.ndarray:
        """Frames that the zeros beyond the end would complete if the audio ended here; the stream goes on as before."""
        return self._ready(np.concatenate([self._rest, np.zeros(self._front_end.config.n_fft // 2, np.float32)]))[0]

    def until_the_end(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The frames of all blocks in turn, and those at the end."""
        yield from map(self.push, blocks)
        yield self.tail()

    def _ready(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        config = self._front_end.config
        count = max((len(samples) - config.n_fft) // config.hop_samples + 1, 0)
        if not count:
            return np.empty((config.n_mels, 0), np.float32), samples
        return self._front_end.frames(samples, count), samples[count * config.hop_samples :]


def _while_the_next_is_read(stream: LogMelStream, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """As `until_the_end`, where there are cores for it with each block's frames computed while the next is decoded."""
    pool = threads_that_compute_alone()
    if pool is None:
        yield from stream.until_the_end(blocks)
        return
    frames: Future[np.ndarray] | None = None
    for block in blocks:
        if frames is not None:
            yield frames.result()
        frames = pool.submit(stream.push, block)
    if frames is not None:
        yield frames.result()
    yield stream.tail()


def _moving_sum(values: np.ndarray, half: int) -> np.ndarray:
    """Sum over [t - half, t + half], cut off at the ends; shape (frames,) -> (frames,)."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    frames = np.arange(len(values))
    return total[np.minimum(frames + half + 1, len(values))] - total[np.maximum(frames - half, 0)]
