"""Any file, bytes or array -> mono float32 at one sample rate, whole or in blocks of bounded memory."""

from fluxbeat.audio.decoding import (
    MAX_DURATION_S,
    SAMPLE_RATE_HZ,
    AudioSource,
    AudioStream,
    LoadedAudio,
    check_file,
    load_audio,
    open_audio,
)
from fluxbeat.audio.readers import Samples, safe_name

__all__ = [
    "MAX_DURATION_S",
    "SAMPLE_RATE_HZ",
    "AudioSource",
    "AudioStream",
    "LoadedAudio",
    "Samples",
    "check_file",
    "load_audio",
    "open_audio",
    "safe_name",
]
