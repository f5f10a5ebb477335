"""The one front end: mono audio to a normalised log-mel spectrogram, for training and inference alike.

The mel bands are Slaney's, as in librosa (McFee et al., "librosa: Audio and Music Signal Analysis in Python",
SciPy 2015); a golden test holds the two together.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch

from fluxbeat.errors import ConfigMismatchError
from fluxbeat.features.torch_pair import check_torch_pair
from fluxbeat.features.torch_threads import shared_threads

check_torch_pair()
import torchaudio  # noqa: E402  (only after the pair was checked)

REVISION = 1
"""Of the code and the constants below. It goes up with every change of what comes out for the same settings:
checkpoints and stores of features that were made before are refused from then on."""
ACTIVE_RANGE_DB = 60.0
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
        Whatever lies further than this below the loudest band around it is raised to that level.
    norm_window_s : float
        Each frame is centred and scaled by mean and standard deviation of the music around it, this long.

    Raises
    ------
    ConfigMismatchError
        If two of the settings contradict each other.
    """

    sample_rate_hz: int = 24_000
    n_fft: int = 2048
    window_samples: int = 2048
    hop_samples: int = 1000
    n_mels: int = 80
    f_min_hz: float = 40.0
    f_max_hz: float = 10_000.0
    floor_db: float = -100.0
    dynamic_range_db: float = 80.0
    norm_window_s: float = 10.0

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
    def half_norm_frames(self) -> int:
        """Frames on either side of a frame that its normalisation depends on."""
        return round(self.norm_window_s * self.frame_rate_hz / 2)

    @property
    def hash(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of all values and `REVISION`; equal features have equal hashes."""
        # the first revision adds nothing: checkpoints and stores from before it was counted have its hash
        made_by = {"revision": REVISION} if REVISION > 1 else {}
        return hashlib.sha256(json.dumps(asdict(self) | made_by, sort_keys=True).encode()).hexdigest()[:12]

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

    def from_blocks(self, blocks: Iterable[np.ndarray]) -> np.ndarray:
        """Log-mel power of audio that comes in pieces; equal to that of the audio in one piece.

        Parameters
        ----------
        blocks : iterable of float32 arrays, shape (samples,)
            Consecutive pieces of any length at `sample_rate_hz`.

        Returns
        -------
        float32 array, shape (mels, frames)
            Mel power in dB. Frame `t` is centred on `t * hop_samples` samples, zeros lie beyond both ends.
        """
        buffer = io.BytesIO()  # one growing buffer: thousands of pieces would pin what lies between
        for frames in _while_the_next_is_read(LogMelStream(self), blocks):
            buffer.write(frames.T.tobytes())
        return np.ascontiguousarray(np.frombuffer(buffer.getbuffer(), np.float32).reshape(-1, self.config.n_mels).T)

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
        """Which frames sound: bool (frames,), False 60 dB and more under the loudest moment around, or at the floor."""
        peak_db = torch.from_numpy(log_mel_db.max(axis=0))[None]
        return _active(peak_db, _loudest_around(peak_db, self.config.half_norm_frames), self.config)[0].numpy()

    def normalise(self, log_mel_db: np.ndarray, in_place: bool = False) -> np.ndarray:
        """As the function `normalise`, of one track: dB (mels, frames) -> float32 (mels, frames)."""
        return normalise(torch.from_numpy(log_mel_db)[None], self.config, in_place)[0].numpy()


def normalise(log_mel_db: torch.Tensor, config: FeatureConfig, in_place: bool = False) -> torch.Tensor:
    """Centre and scale every frame by the sound around it, so that level and mastering do not count.

    Each frame is shifted and scaled by the mean and the standard deviation, over all bands, of the `norm_window_s`
    around it (cut off at the ends). Frames that lie 60 dB under the loudest moment around them take no part: silence
    is not music. Nothing further away than half of `norm_window_s` on either side, twice, has any influence.

    Parameters
    ----------
    log_mel_db : Tensor, shape (batch, mels, frames)
        Mel power in dB, as `LogMel.from_blocks` returns it.
    config : FeatureConfig
    in_place : bool
        Whether the result may take the place of `log_mel_db`: hours of music then lie in memory once.

    Returns
    -------
    Tensor, shape (batch, mels, frames)
        Mostly within -3 .. 3; zeros where all around is at the floor.
    """
    half = config.half_norm_frames
    peak_db = log_mel_db.amax(1)  # (batch, frames)
    loudest_db = _loudest_around(peak_db, half)
    active = _active(peak_db, loudest_db, config).double()
    least_db = (loudest_db - config.dynamic_range_db)[:, None]
    mel_db = torch.maximum(log_mel_db, least_db, out=log_mel_db if in_place else None)
    # in double precision: the sums run over hours
    frame_mean = mel_db.mean(1).double()
    frame_square = torch.linalg.vector_norm(mel_db, dim=1).double().square() / mel_db.shape[1]
    count = _moving_sum(active, half)
    mean = _moving_sum(frame_mean * active, half) / count.clamp(min=1)
    square = _moving_sum(frame_square * active, half) / count.clamp(min=1)
    std = (square - mean.square()).clamp(min=STD_FLOOR_DB**2).sqrt()
    mel_db -= mean.to(mel_db.dtype)[:, None]
    mel_db /= std.to(mel_db.dtype)[:, None]
    return mel_db.masked_fill_((count < 1)[:, None], 0.0)


def fill_window(log_mel: np.ndarray, window_frames: int, config: FeatureConfig) -> np.ndarray:
    """A track shorter than a window, repeated until it fills one.

    What is repeated is the track from its first full frame on: each repetition of silence before it, or of a frame that
    reaches into it, would be a gap, and a model takes a regular gap for something other than music. Frames of that part
    keep their place in time; those before it get the end of a repetition.

    Parameters
    ----------
    log_mel : float32 array, shape (mels, frames)
        Normalised; at least one frame.
    window_frames : int
    config : FeatureConfig
        The features that `log_mel` was made with.

    Returns
    -------
    float32 array, shape (mels, window_frames)
    """
    sounding = np.flatnonzero(log_mel.max(axis=0) > 0)  # in silence no band reaches the mean of what sounds around
    first = int(sounding[0]) if len(sounding) else 0
    first += min(round(config.n_fft / config.hop_samples), (log_mel.shape[1] - first - 1) // 2)
    repeated = log_mel[:, first:]
    return repeated[:, (np.arange(window_frames) - first) % repeated.shape[1]]


def _loudest_around(peak_db: torch.Tensor, half: int) -> torch.Tensor:
    """Maximum over [t - half, t + half], cut off at the ends; (batch, frames), both."""
    half = min(half, peak_db.shape[-1] - 1)
    return torch.nn.functional.max_pool1d(peak_db[:, None], 2 * half + 1, 1, half)[:, 0]


def _active(peak_db: torch.Tensor, loudest_db: torch.Tensor, config: FeatureConfig) -> torch.Tensor:
    return peak_db > torch.clamp(loudest_db - ACTIVE_RANGE_DB, min=config.floor_db)


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

    def _ready(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        config = self._front_end.config
        count = max((len(samples) - config.n_fft) // config.hop_samples + 1, 0)
        if not count:
            return np.empty((config.n_mels, 0), np.float32), samples
        return self._front_end.frames(samples, count), samples[count * config.hop_samples :]


def _while_the_next_is_read(stream: LogMelStream, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """All frames in turn; where there are cores for it, each block's are computed while the next is decoded."""
    cores = torch.get_num_threads()
    if cores == 1:
        yield from map(stream.push, blocks)
    else:
        pool = shared_threads(cores)
        frames: Future[np.ndarray] | None = None
        for block in blocks:
            if frames is not None:
                yield frames.result()
            frames = pool.submit(stream.push, block)
        if frames is not None:
            yield frames.result()
    yield stream.tail()


def _moving_sum(values: torch.Tensor, half: int) -> torch.Tensor:
    """Sum over [t - half, t + half], cut off at the ends; (batch, frames), both."""
    total = torch.nn.functional.pad(values.cumsum(-1), (1, 0))
    frames = torch.arange(values.shape[-1], device=values.device)
    return total[:, (frames + half + 1).clamp(max=len(frames))] - total[:, (frames - half).clamp(min=0)]
