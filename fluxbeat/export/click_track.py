"""The music with a click on every beat: whether the tempo is right is heard at once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile

from fluxbeat.analysis import Tempo
from fluxbeat.atomic_write import atomic_write
from fluxbeat.audio import AudioSource, open_audio
from fluxbeat.errors import ExportError

RATE_HZ = 44_100
CLICK_S = 0.03


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
                mixed = 0.6 * block + _clicks(tempo, begin, len(block))
                file.write(mixed.clip(-1, 1))
                begin += len(block)
    except (OSError, soundfile.SoundFileError) as error:
        raise ExportError(f"{target} cannot be written ({getattr(error, 'strerror', None) or error})") from error
    return target


def _clicks(tempo: Tempo, begin: int, count: int) -> np.ndarray:
    """The clicks in `count` samples from `begin` on, also what is left of one that began before; float32."""
    import librosa  # here: only a click track needs it

    before = round(CLICK_S * RATE_HZ)
    start_s, end_s = (begin - before) / RATE_HZ, (begin + count) / RATE_HZ
    is_bar = np.isin(tempo.beats_s, tempo.downbeats_s)
    samples = np.zeros(before + count, np.float32)
    for hz, times_s in ((1500.0, tempo.beats_s[is_bar]), (1000.0, tempo.beats_s[~is_bar])):
        near_s = times_s[(times_s >= start_s) & (times_s < end_s)] - start_s
        samples += librosa.clicks(times=near_s, sr=RATE_HZ, click_freq=hz, click_duration=CLICK_S, length=len(samples))
    return 0.4 * samples[before:]
