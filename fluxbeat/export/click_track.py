"""The music with a click on every beat: whether the tempo is right is heard at once."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from fluxbeat.analysis.result import Tempo
from fluxbeat.atomic_write import atomic_write
from fluxbeat.audio.decoding import AudioSource, open_audio
from fluxbeat.errors import ExportError

RATE_HZ = 44_100
CLICK_MS = 30
CLICK_S = CLICK_MS / 1000
BEAT_HZ, BAR_HZ = 1_000.0, 1_500.0
MUSIC_LEVEL, CLICK_LEVEL = 0.6, 0.4


def write_clicks(source: AudioSource, tempo: Tempo, output: str | os.PathLike[str]) -> Path:
    """Write the music, mono, with a click on every beat; higher where a bar begins.

    Parameters
    ----------
    source : path, bytes or (array, sample rate)
        The music that was analysed; it is read block by block.
    tempo : Tempo
        With its beats.
    output : path
        A WAV file, which is replaced if it is there.

    Returns
    -------
    Path
        Of the file written.

    Raises
    ------
    ExportError
        If there are no beats, the file cannot be written, or it is the music file itself.
    AudioDecodeError
        If the music cannot be read.
    """
    target = Path(output)
    if not len(tempo.beats_s):
        raise ExportError("no steady beat was found, so there is nothing to click at")
    if isinstance(source, str | os.PathLike) and target.exists() and target.samefile(source):
        raise ExportError(f"{target} is the music file itself, which is never changed: choose another name")
    try:
        with (
            open_audio(source, sample_rate_hz=RATE_HZ) as music,
            atomic_write(target) as partial,
            soundfile.SoundFile(partial, "w", RATE_HZ, 1, "PCM_16", format="WAV") as file,
        ):
            begin = 0
            for block in music:
                mixed = MUSIC_LEVEL * block + _clicks(tempo, begin, len(block))
                file.write(mixed.clip(-1, 1))
                begin += len(block)
    except (OSError, soundfile.SoundFileError) as error:
        raise ExportError(f"{target} cannot be written ({getattr(error, 'strerror', None) or error})") from error
    return target


def _clicks(tempo: Tempo, begin: int, count: int) -> np.ndarray:
    """The clicks in `count` samples from `begin` on, also what is left of one that began before; float32."""
    samples = np.zeros(count, np.float32)
    bars = set(tempo.downbeats_s.tolist())
    near = (tempo.beats_s > begin / RATE_HZ - CLICK_S) & (tempo.beats_s < (begin + count) / RATE_HZ)
    for beat_s in tempo.beats_s[near].tolist():
        click = _click(BAR_HZ if beat_s in bars else BEAT_HZ)
        first = round(beat_s * RATE_HZ) - begin
        into, until = max(first, 0), min(first + len(click), count)
        if until > into:
            samples[into:until] += click[into - first : until - first]
    return samples


@cache
def _click(hz: float) -> np.ndarray:
    """A short tone that begins at once and dies away: float32 (samples,)."""
    from pydub.generators import Sine  # here: only a click track needs it

    tone = Sine(hz, sample_rate=RATE_HZ).to_audio_segment(CLICK_MS).fade_in(1).fade_out(CLICK_MS - 2)
    samples = np.asarray(tone.get_array_of_samples(), np.float32)
    return CLICK_LEVEL * samples / np.float32(max(np.abs(samples).max(), 1.0))
