"""Music that is still going on: PCM in as it comes, one answer per hop about the newest window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
from threadpoolctl import ThreadpoolController

from fluxbeat.analysis.json_fields import json_fields
from fluxbeat.analysis.octave import freely_bpm_of
from fluxbeat.analysis.onsets import onset_strength
from fluxbeat.analysis.presence import own_scale
from fluxbeat.analysis.result import Tempo, TrackKind
from fluxbeat.analysis.steady import exact_bpm
from fluxbeat.analysis.tempo import softmax, tempo_of
from fluxbeat.analysis.tempo_parts import LEAST_PART_S, with_number
from fluxbeat.analysis.track import LEAST_AUDIBLE_SHARE
from fluxbeat.analysis.track_warnings import MOSTLY
from fluxbeat.analysis.windows import last_window
from fluxbeat.audio.mono import MonoMix
from fluxbeat.audio.readers import Samples
from fluxbeat.errors import AudioDecodeError, TrackWarning
from fluxbeat.features.log_mel import LogMel
from fluxbeat.models.registry import LoadedModel, load

LIVE_HOP_S = 0.5
HOPS_S = (0.25, 10.0)
RATES_HZ = (8_000, 192_000)
MOST_CHANNELS = 8
HELD_S = 30.0
"""Sound that is remembered: a window and the music before it that its normalisation rests on."""
LEAST_SOUND_S = 1.0
"""Less sound than this since the last pause gets no answer."""
LEAST_TEMPO_S = 4.0
"""Less sound than this has no tempo: what would be found is the repetition that fills the window."""
TEMPO_MEMORY_S = 6.0
"""Time in which an earlier tempo distribution loses 63 % of its weight."""
ONSETS_S = 12.0
"""The tempo's number rests on the onsets of so much."""
SILENCE_DB = -55.0
SILENCE_S = 0.8
"""As long as this under `SILENCE_DB` is silence. Rooms hiss at -70 to -60 dB in a microphone without gain control."""
PAUSE_S = 2.0
"""After this much silence, what sounds next is something new: nothing before it counts."""
LISTENS_TO_ONE = "left and right cancel each other: only one of them is listened to"


@dataclass(frozen=True, eq=False)
class LivePrediction:
    """What sounds now.

    Attributes
    ----------
    start_s, end_s : float
        The sound that was listened to, in seconds since the stream began: one window, or less after a pause.
    labels : tuple of str
    probability : float array, shape (labels,)
        Of that window, on the label's own scale as `analyze` gives it, not smoothed; zeros in silence.
    bpm : float or None
        Read off the tempo distributions of the last seconds and their onsets; None where no tempo stands out.
    rival_bpm : float or None
        What the tempo could be as well, where that is to be named beside it.
    level_db : float
        Root mean square of the newest hop, full scale = 0, not below -120.
    silence : bool
        Whether the last 0.8 s were under -55 dB, or nothing in the window stands out from silence.
    kind : TrackKind
        What the window is: music, speech, and how unlike what the model learned; all 0 in silence.
    warnings : tuple of TrackWarning
        "stereo_cancels" where the channels cancel each other now, so that one of them is listened to.
    """

    start_s: float
    end_s: float
    labels: tuple[str, ...]
    probability: np.ndarray
    bpm: float | None
    level_db: float
    silence: bool
    kind: TrackKind
    rival_bpm: float | None = None
    warnings: tuple[TrackWarning, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON, numbers rounded to what they mean."""
        return {
            **json_fields(self, start_s=3, end_s=3),
            "probability": dict(zip(self.labels, json_fields(self, probability=4)["probability"], strict=True)),
            **json_fields(self, bpm=1, rival_bpm=1, level_db=1),
            "silence": self.silence,
            "kind": self.kind.to_dict(),
            "warnings": [{"code": warning.code, "text": warning.text} for warning in self.warnings],
        }


class LiveAnalysis:
    """One stream of sound through one model; not for several threads at once.

    The newest 30 s of sound are kept, and go by the front end that files go through. An answer equals that of the last
    window of `analyze` over the sound held: since the stream began, since the last pause of 2 s, or 30 s of it. Memory
    does not grow.

    Parameters
    ----------
    model : str, path or LoadedModel, optional
        As `fluxbeat.load` takes it; the default model where not given. A consensus asks all its members: about three
        times the work of one of them, a quarter of a second of one core at most.
    sample_rate_hz : int
        Of the sound that is pushed, 8,000 to 192,000.
    channels : int
        1 to 8; they are averaged, or one is taken while they cancel each other.
    hop_s : float
        Least time from one answer to the next in seconds, 0.25 to 10.

    Attributes
    ----------
    elapsed_s : float
        Sound taken and left out so far, in seconds.

    Raises
    ------
    ValueError
        If a number is out of range.
    ModelLoadError
        If the model cannot be loaded.
    """

    def __init__(
        self,
        model: str | Path | LoadedModel | None = None,
        *,
        sample_rate_hz: int,
        channels: int = 1,
        hop_s: float = LIVE_HOP_S,
    ) -> None:
        _check_range("sample_rate_hz", sample_rate_hz, RATES_HZ)
        _check_range("channels", channels, (1, MOST_CHANNELS))
        _check_range("hop_s", hop_s, HOPS_S)
        self.model = model if isinstance(model, LoadedModel) else load(model)
        self.sample_rate_hz, self.channels, self.hop_s = sample_rate_hz, channels, hop_s
        network = self.model.network
        self._front_end = LogMel(network.config.features)
        self._thread_pools = ThreadpoolController()
        self._mix = MonoMix(sample_rate_hz, memory_s=1.0)
        self._rate_hz = network.config.features.sample_rate_hz
        self._resampler = (
            None if sample_rate_hz == self._rate_hz else soxr.ResampleStream(sample_rate_hz, self._rate_hz, 1)
        )
        self.elapsed_s = 0.0
        self._since_answer = 0
        self._sound = np.zeros(0, np.float32)
        self._begin_anew()

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
        mono = self._mix.mix(self._checked(samples))[:, 0]
        sound = self._resampler.resample_chunk(mono) if self._resampler else mono
        self._sound = np.concatenate([self._sound, sound])[-round(HELD_S * self._rate_hz) :]
        self.elapsed_s += len(sound) / self._rate_hz
        self._since_pause += len(sound)
        self._since_answer += len(sound)
        if self._since_answer < round(self.hop_s * self._rate_hz):
            return None
        # An answer is 40 ms of work on one core. On a busy machine two threads that wait for each other took 1.4 s.
        with self._thread_pools.limit(limits=1, user_api="openmp"):
            return self._answer()

    def skip(self, duration_s: float) -> None:
        """Let time pass in which sound was lost; what comes next follows what came before."""
        self.elapsed_s += duration_s

    def _checked(self, samples: npt.NDArray[Any]) -> Samples:
        if samples.dtype not in (np.dtype(np.float32), np.dtype(np.int16)):
            raise ValueError(f"samples must be float32 or int16, got {samples.dtype}")
        shaped = samples[:, np.newaxis] if samples.ndim == 1 and self.channels == 1 else samples
        if shaped.ndim != 2 or shaped.shape[1] != self.channels:
            raise ValueError(f"samples must have the shape (samples, {self.channels}), got {samples.shape}")
        if samples.dtype == np.int16:
            return shaped.astype(np.float32) / np.float32(32_768)
        bad = int((~(np.abs(shaped) < 1e12)).any(axis=1).sum())
        if bad:
            raise AudioDecodeError(
                f"the sound holds {bad:,} samples that are NaN, infinite or far too large: "
                "check that the samples are 32-bit floats, least significant byte first"
            )
        return shaped

    def _begin_anew(self) -> None:
        self._since_pause = 0
        self._tempo = np.zeros(self.model.network.config.tempo_grid.bins)

    def _answer(self) -> LivePrediction | None:
        if self._is_quiet(SILENCE_S):
            answer = self._prediction()
            if self._is_quiet(PAUSE_S):
                self._begin_anew()
        elif self._since_pause < LEAST_SOUND_S * self._rate_hz:
            return None
        else:
            answer = self._listen()
        self._since_answer = 0
        return answer

    def _listen(self) -> LivePrediction:
        """Ask the model about the newest window."""
        network, config = self.model.network, self.model.network.config
        sound = self._sound[-self._since_pause :]
        # without the last frame, which is centred on the end, as in a file
        log_mel_db = self._front_end.from_blocks([sound])[:, : len(sound) // config.features.hop_samples]
        if self._front_end.active(log_mel_db)[-config.window_frames :].mean() < LEAST_AUDIBLE_SHARE:
            return self._prediction()
        found = last_window(network, self._front_end.normalise(log_mel_db))
        probability = own_scale(found.probability[0], network.thresholds)
        kind = TrackKind(float(found.kind[0, 0]), float(found.kind[0, 1]), float(found.unfamiliarity[0]))
        self._tempo *= np.exp(-self._since_answer / self._rate_hz / TEMPO_MEMORY_S)
        tempo = None
        if config.tempo_taught and kind.speech < MOSTLY and self._since_pause >= LEAST_TEMPO_S * self._rate_hz:
            onsets = onset_strength(sound[-round(ONSETS_S * self._rate_hz) :], self._rate_hz)
            self._tempo += softmax(found.tempo_logits[0].astype(np.float64))
            distribution, freely_bpm = self._tempo / self._tempo.sum(), freely_bpm_of(config.labels, probability)
            threshold, grid = config.tempo_threshold, config.tempo_grid
            tempo = tempo_of(distribution, grid, threshold, freely_bpm, onsets, kind.music)
            if tempo and self._since_pause >= LEAST_PART_S * self._rate_hz:
                tempo = with_number(tempo, exact_bpm(onsets, tempo.candidates[0].bpm, [(0.0, ONSETS_S)]))
        return self._prediction(kind, probability, tempo)

    def _prediction(
        self, kind: TrackKind | None = None, probability: np.ndarray | None = None, tempo: Tempo | None = None
    ) -> LivePrediction:
        """An answer about the newest window; silence has no kind, and no genre."""
        config = self.model.network.config
        length_s = min(config.window_s, self._since_pause / self._rate_hz)
        return LivePrediction(
            start_s=self.elapsed_s - length_s,
            end_s=self.elapsed_s,
            labels=config.labels,
            probability=np.zeros(len(config.labels)) if probability is None else probability,
            bpm=tempo.bpm if tempo else None,
            level_db=self._level_db(self.hop_s),
            silence=kind is None,
            kind=kind or TrackKind(0.0, 0.0, 0.0),
            rival_bpm=tempo.rival_bpm if tempo else None,
            warnings=(TrackWarning("stereo_cancels", LISTENS_TO_ONE),) if self._mix.cancels else (),
        )

    def _is_quiet(self, duration_s: float) -> bool:
        """Whether at least the last `duration_s` were under the level of silence."""
        return len(self._sound) >= duration_s * self._rate_hz and self._level_db(duration_s) < SILENCE_DB

    def _level_db(self, duration_s: float) -> float:
        newest = self._sound[-round(duration_s * self._rate_hz) :].astype(np.float64)
        return 10 * math.log10(max(float(np.mean(np.square(newest))), 1e-12))


def _check_range(name: str, value: float, allowed: tuple[float, float]) -> None:
    low, high = allowed
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low:g} to {high:g}, got {value}")
