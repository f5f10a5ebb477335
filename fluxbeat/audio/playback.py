"""Whether browsers play a recording as it is, judged by its content, and a copy of it as MP3 if they do not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from mutagen.mp4 import MP4

from fluxbeat.atomic_write import atomic_write
from fluxbeat.audio.chunks import find_samples
from fluxbeat.audio.decoding import MAX_DURATION_S, AudioSource, Decoder, check_file, resampled_frames
from fluxbeat.audio.ffmpeg_reader import find_ffmpeg
from fluxbeat.audio.frames import AAC, frame_kind
from fluxbeat.audio.parts import parts_of
from fluxbeat.audio.readers import Samples, refusal, safe_name
from fluxbeat.audio.source import after_id3
from fluxbeat.audio.tags import sparingly_read

_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def needs_playable_copy(path: str | os.PathLike[str]) -> bool:
    """Whether browsers cannot play this file, judged by its content and not by the ending of its name.

    False for MP3, WAV (PCM of 8 to 32 bits, 32-bit float), FLAC, Ogg Vorbis, Opus, AAC, M4A, MP4 and WebM;
    True for all else, for instance AIFF, WMA and Apple Lossless, and for several recordings in one file and samples
    of whose length the header tells another: of these a browser would play a part.

    Raises
    ------
    AudioDecodeError
        The file is missing, empty or cannot be opened.
    """
    check_file(path, safe_name(os.fspath(path)))
    with open(path, "rb") as file:
        return not _browser_plays(file, path) or not _is_played_to_its_end(file)


def playable_copy(
    source: AudioSource,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> Path:
    """Write the recording as an MP3 that every browser plays, there whole or not at all, and return its path.

    It has the times of the analysis. Mono and stereo stay so, more channels are mixed to mono. The sample rate is the
    source's where MP3 knows it, else 44,100 Hz. `name` and `max_duration_s` are those of `open_audio`.

    Raises
    ------
    AudioDecodeError
        As for `open_audio`, or there is no ffmpeg, or it could not write the copy.
    """
    decoder = Decoder(source, name, max_duration_s)
    stereo = decoder.channels == 2
    rate_hz = decoder.rate_hz if decoder.rate_hz in _MP3_RATES_HZ else 44_100
    try:
        with atomic_write(Path(path)) as partial:
            _encode(resampled_frames(decoder, rate_hz, mono=not stereo), partial, rate_hz, 2 if stereo else 1)
    except OSError as error:
        raise refusal(decoder.name, "could not be copied to MP3", "check the free disk space and ffmpeg") from error
    finally:
        decoder.close()
    return Path(path)


def _encode(blocks: Iterator[Samples], path: Path, rate_hz: int, channels: int) -> None:
    """Write (frames, channels) as MP3 through an ffmpeg process, block by block.

    Raises
    ------
    OSError
        ffmpeg could not write it.
    """
    input_format = ["-f", "f32le", "-ar", str(rate_hz), "-ac", str(channels), "-i", "pipe:0"]
    command = [find_ffmpeg(), "-y", "-loglevel", "quiet", *input_format, "-b:a", "192k", "-f", "mp3", f"file:{path}"]
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere) as process:
        assert process.stdin is not None
        try:
            for block in blocks:
                process.stdin.write(np.clip(block, -1, 1).astype("<f4").tobytes())
            process.stdin.close()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise OSError(f"ffmpeg ended with {process.returncode}")


def _is_played_to_its_end(file: BinaryIO) -> bool:
    parts, _ = parts_of(file)
    samples = find_samples(file, parts[0].begin, parts[0].end)
    return len(parts) == 1 and (samples is None or samples.header_is_right)


def _browser_plays(file: BinaryIO, path: str | os.PathLike[str]) -> bool:
    file.seek(after_id3(file))
    head = file.read(65_536)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _is_plain_wav(path)
    if head[:4] == b"OggS" and len(head) > 26:
        return head[27 + head[26] :].startswith((b"\x01vorbis", b"OpusHead"))
    if head[4:8] == b"ftyp":
        return _has_playable_mp4_track(path)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return b"webm" in head[:64]  # else Matroska
    return head[:4] == b"fLaC" or frame_kind(head) in ("MP3", *AAC)


def _is_plain_wav(path: str | os.PathLike[str]) -> bool:
    try:
        return soundfile.info(path).subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT")
    except soundfile.SoundFileError:
        return False


def _has_playable_mp4_track(path: str | os.PathLike[str]) -> bool:
    try:
        with sparingly_read(path) as opened:
            info = MP4(opened).info
    except Exception:  # mutagen meets damaged boxes with whatever its parser stumbles over
        return False
    return info is not None and (info.codec.startswith("mp4a") or info.codec in ("Opus", "fLaC", ".mp3"))
