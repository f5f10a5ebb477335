"""Music that is still going on: PCM in as it comes, one answer per hop about the newest window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch
from threadpoolctl import ThreadpoolController

from fluxbeat.analysis.engine import DEFAULT_MODEL, LEAST_AUDIBLE_SHARE
from fluxbeat.analysis.tempo import beat_of, softmax
from fluxbeat.analysis.windows import last_window
from fluxbeat.audio import Samples
from fluxbeat.errors import AudioDecodeError
from fluxbeat.features import LogMel, LogMelStream
from fluxbeat.zoo import ZooModel, load

LIVE_HOP_S = 0.5
HOPS_S = (0.25, 10.0)
RATES_HZ = (8_000, 192_000)
MOST_CHANNELS = 8
HELD_S = 30.0
"""Sound that is remembered: a window and the music before it that its normalisation rests on."""
LEAST_SOUND_S = 1.0
"""Less sound than this since the last pause gets no answer."""
LEAST_TEMPO_S = 4.0
"""Less sound than this has no tempo: what would be heard is the repetition that fills the window."""
TEMPO_MEMORY_S = 6.0
"""Time in which an earlier tempo distribution loses 63 % of its weight."""
SILENCE_DB = -55.0
SILENCE_S = 0.8
"""As long as this under `SILENCE_DB` is silence. Rooms hiss at -70 to -60 dB in a microphone without gain control."""
PAUSE_S = 2.0
"""After this much silence, what sounds next is something new: nothing before it counts."""
FLOOR_DB = -120.0

_SLICE_S = 10.0
_LOUDEST = 1e12


@dataclass(frozen=True, eq=False)
class LivePrediction:
    """What sounds now.

    Attributes
    ----------
    start_s, end_s : float
        The sound that was listened to, in seconds since the stream began: one window, or less after a pause.
    labels : tuple of str
    probability : float array, shape (labels,)
        Of that window, as `analyze` gives it, not smoothed; zeros in silence.
    bpm : float or None
        Read off the tempo distributions of the last seconds; None where no tempo stands out.
    level_db : float
        Root mean square of the newest hop, full scale = 0, not below -120.
    silence : bool
        Whether the last 0.8 s were under -55 dB, or nothing in the window stands out from silence.
    """

    start_s: float
    end_s: float
    labels: tuple[str, ...]
    probability: np.ndarray
    bpm: float | None
    level_db: float
    silence: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON, numbers rounded to what they mean."""
        return {
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "probability": {
                label: round(float(value), 4) for label, value in zip(self.labels, self.probability, strict=True)
            },
            "bpm": None if self.bpm is None else round(self.bpm, 1),
            "level_db": round(self.level_db, 1),
            "silence": self.silence,
        }


class LiveAnalysis:
    """One stream of sound through one model; not for several threads at once.

    The spectrogram grows with the sound, by the front end that files go through, and the newest 30 s of it are kept.
    An answer equals that of the last window of `analyze` over the sound held: since the stream began, since the last
    pause of 2 s, or 30 s of it. Memory does not grow.

    Parameters
    ----------
    model : str, path or ZooModel
        As `fluxbeat.load` takes it.
    sample_rate_hz : int
        Of the sound that is pushed, 8,000 to 192,000.
    channels : int
        1 to 8; they are averaged.
    hop_s : float
        Least time from one answer to the next in seconds, 0.25 to 10.

    Raises
    ------
    ValueError
        If a number is out of range.
    ModelLoadError
        If the model cannot be loaded.
    """

    def __init__(
        self,
        model: str | Path | ZooModel = DEFAULT_MODEL,
        *,
        sample_rate_hz: int,
        channels: int = 1,
        hop_s: float = LIVE_HOP_S,
    ) -> None:
        _check_range("sample_rate_hz", sample_rate_hz, RATES_HZ)
        _check_range("channels", channels, (1, MOST_CHANNELS))
        _check_range("hop_s", hop_s, HOPS_S)
        self.model = model if isinstance(model, ZooModel) else load(model)
        self.sample_rate_hz, self.channels, self.hop_s = sample_rate_hz, channels, hop_s
        network = self.model.network
        self._front_end = LogMel(network.config.features)
        self._thread_pools = ThreadpoolController()
        self._rate_hz = network.config.features.sample_rate_hz
        self._resampler = (
            None if sample_rate_hz == self._rate_hz else soxr.ResampleStream(sample_rate_hz, self._rate_hz, 1)
        )
        window, stride = network.config.window_frames, network.time_stride
        spare = HELD_S * network.config.features.frame_rate_hz - window
        self._held_frames = window + int(spare // stride) * stride  # so that the newest window ends with the sound
        self._log_mel_db: np.ndarray
        self._heard: int
        self._clock_s = 0.0
        self._since_answer = 0
        self._newest = np.zeros(0, np.float32)
        self._begin_anew()

    @property
    def elapsed_s(self) -> float:
        """Sound heard and left out so far, in seconds."""
        return self._clock_s

    def push(self, samples: npt.NDArray[Any]) -> LivePrediction | None:
        """Take the next sound; answer if a hop has passed since the last answer.

        Parameters
        ----------
        samples : float32 or int16 array, shape (samples,) or (samples, channels)
            Any number of samples; full scale is 1, or 32,768.

        Returns
        -------
        LivePrediction or None
            One at most, about the newest sound, however much was pushed.

        Raises
        ------
        ValueError
            If type or shape are not as above.
        AudioDecodeError
            If samples are NaN, infinite or beyond 1e12; none of them is taken.
        """
        mono = self._checked(samples)
        slice_samples = round(_SLICE_S * self.sample_rate_hz)
        # An answer is 30 ms of work on one core. On a busy machine two threads that wait for each other took 1.4 s.
        with self._thread_pools.limit(limits=1, user_api="openmp"):
            for first in range(0, len(mono), slice_samples):
                self._take(mono[first : first + slice_samples])
            if self._since_answer < round(self.hop_s * self._rate_hz):
                return None
            return self._answer()

    def skip(self, duration_s: float) -> None:
        """Let time pass in which sound was lost; what comes next follows what came before."""
        self._clock_s += duration_s

    def _checked(self, samples: npt.NDArray[Any]) -> Samples:
        if samples.dtype not in (np.dtype(np.float32), np.dtype(np.int16)):
            raise ValueError(f"samples must be float32 or int16, got {samples.dtype}")
        shaped = samples[:, np.newaxis] if samples.ndim == 1 and self.channels == 1 else samples
        if shaped.ndim != 2 or shaped.shape[1] != self.channels:
            raise ValueError(f"samples must have the shape (samples, {self.channels}), got {samples.shape}")
        if samples.dtype == np.int16:
            return (shaped / np.float32(32_768)).mean(axis=1, dtype=np.float32)
        bad = int((~(np.abs(shaped) < _LOUDEST)).any(axis=1).sum())
        if bad:
            raise AudioDecodeError(
                f"the sound holds {bad:,} samples that are NaN, infinite or far too large: "
                "check that the samples are 32-bit floats, least significant byte first"
            )
        return shaped.mean(axis=1, dtype=np.float32)

    def _take(self, mono: Samples) -> None:
        heard = self._resampler.resample_chunk(mono) if self._resampler else mono
        self._newest = np.concatenate([self._newest, heard])[-round(max(PAUSE_S, self.hop_s) * self._rate_hz) :]
        log_mel_db = np.concatenate([self._log_mel_db, self._stream.push(heard)], axis=1)
        self._log_mel_db = np.ascontiguousarray(log_mel_db[:, -self._held_frames :])
        self._clock_s += len(heard) / self._rate_hz
        self._heard += len(heard)
        self._since_answer += len(heard)

    def _begin_anew(self) -> None:
        self._stream = LogMelStream(self._front_end)
        self._log_mel_db = np.empty((self._front_end.config.n_mels, 0), np.float32)
        self._tempo = np.zeros(self.model.network.config.tempo_grid.bins)
        self._heard = 0

    def _answer(self) -> LivePrediction | None:
        if self._is_quiet(SILENCE_S):
            answer = self._silence()
            if self._is_quiet(PAUSE_S):
                self._begin_anew()
        elif self._heard < LEAST_SOUND_S * self._rate_hz:
            return None
        else:
            answer = self._listen()
        self._since_answer = 0
        return answer

    def _listen(self) -> LivePrediction:
        """Ask the model about the newest window."""
        network, config = self.model.network, self.model.network.config
        log_mel_db = np.concatenate([self._log_mel_db, self._stream.tail()], axis=1)[:, -self._held_frames :]
        if self._front_end.active(log_mel_db)[-config.window_frames :].mean() < LEAST_AUDIBLE_SHARE:
            return self._silence()
        found = last_window(network, self._front_end.normalise(log_mel_db))
        probability = network.probabilities(torch.from_numpy(found.genre_logits))[0].numpy().astype(np.float64)
        self._tempo *= np.exp(-self._since_answer / self._rate_hz / TEMPO_MEMORY_S)
        bpm = None
        if config.tempo_taught and self._heard >= LEAST_TEMPO_S * self._rate_hz:
            self._tempo += softmax(found.tempo_logits[0].astype(np.float64))
            bpm = beat_of(self._tempo / self._tempo.sum(), config.tempo_grid, config.tempo_threshold)
        return self._prediction(probability, bpm, silence=False)

    def _silence(self) -> LivePrediction:
        return self._prediction(np.zeros(len(self.model.network.config.labels)), None, silence=True)

    def _prediction(self, probability: np.ndarray, bpm: float | None, silence: bool) -> LivePrediction:
        config = self.model.network.config
        length_s = min(config.window_s, self._heard / self._rate_hz)
        return LivePrediction(
            start_s=self._clock_s - length_s,
            end_s=self._clock_s,
            labels=config.labels,
            probability=probability,
            bpm=bpm,
            level_db=self._level_db(self.hop_s),
            silence=silence,
        )

    def _is_quiet(self, duration_s: float) -> bool:
        """Whether at least the last `duration_s` were under the level of silence."""
        return len(self._newest) >= duration_s * self._rate_hz and self._level_db(duration_s) < SILENCE_DB

    def _level_db(self, duration_s: float) -> float:
        newest = self._newest[-round(duration_s * self._rate_hz) :].astype(np.float64)
        power = float(np.mean(np.square(newest))) if len(newest) else 0.0
        return max(10 * math.log10(power), FLOOR_DB) if power > 0 else FLOOR_DB


def _check_range(name: str, value: float, allowed: tuple[float, float]) -> None:
    low, high = allowed
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low:g} to {high:g}, got {value}")
