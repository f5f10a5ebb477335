"""Whether browsers play a recording as it is, judged by its content, and a copy of it as MP3 if they do not."""

from __future__ import annotations

import math
import os
import re
import struct
import tempfile
import warnings as python_warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fluxbeat.audio import MAX_DURATION_S, AudioSource, Decoder, check_file, resampled_frames, safe_name
from fluxbeat.audio_readers import after_id3, refusal
from fluxbeat.ffmpeg_reader import find_ffmpeg
from fluxbeat.replacing import replacing

_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_MOST_MP4_BOXES = 100_000  # before the table of contents: a recording of a day has fewer
_STEREO_COPY_LIMIT_S = 3600.0  # pydub holds the whole copy in memory: an hour of stereo is 0.6 GB


def needs_playable_copy(path: str | os.PathLike[str]) -> bool:
    """Whether browsers cannot play this file, judged by its content and not by the ending of its name.

    False for MP3, WAV (PCM of 8 to 32 bits, 32-bit float), FLAC, Ogg Vorbis, Opus, AAC, M4A, MP4 and WebM;
    True for all else, for instance AIFF, WMA and Apple Lossless.

    Raises
    ------
    AudioDecodeError
        The file is missing, empty or cannot be opened.
    """
    check_file(path, safe_name(os.fspath(path)))
    with open(path, "rb") as file:
        return not _browser_plays(file)


def playable_copy(
    source: AudioSource,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> Path:
    """Write the recording as an MP3 that every browser plays, there whole or not at all, and return its path.

    Mono and stereo stay so, more channels are averaged to mono, and so are recordings above one hour, since
    the encoder (pydub) holds all of it in memory. The sample rate is the source's where MP3 knows it, else
    44,100 Hz. `name` and `max_duration_s` are those of `open_audio`.

    Raises
    ------
    AudioDecodeError
        As for `open_audio`, or there is no ffmpeg, or it could not write the copy.
    """
    decoder = Decoder(source, name, max_duration_s)
    try:
        stereo = decoder.channels == 2 and (decoder.expected_s or math.inf) <= _STEREO_COPY_LIMIT_S
        rate_hz = decoder.rate_hz if decoder.rate_hz in _MP3_RATES_HZ else 44_100
        # Through a file, as joining blocks in memory would need the double.
        with tempfile.TemporaryFile() as pcm:
            for block in resampled_frames(decoder, rate_hz, mono=not stereo):
                pcm.write((np.clip(block, -1, 1) * 32_767).astype("<i2").tobytes())
            pcm.seek(0)
            data = pcm.read()
    finally:
        decoder.close()
    with python_warnings.catch_warnings():
        # At import pydub warns where ffmpeg is not on PATH, and of audioop's end: neither matters here.
        python_warnings.simplefilter("ignore")
        from pydub import AudioSegment
        from pydub.exceptions import CouldntEncodeError
    segment = AudioSegment(data, sample_width=2, frame_rate=rate_hz, channels=2 if stereo else 1)
    segment.converter = find_ffmpeg()
    try:
        with replacing(Path(path)) as partial, open(partial, "wb") as out:
            segment.export(out, format="mp3", bitrate="192k")
    except (CouldntEncodeError, OSError) as error:
        raise refusal(decoder.name, "could not be copied to MP3", "check the free disk space and ffmpeg") from error
    return Path(path)


def _browser_plays(file: BinaryIO) -> bool:
    file.seek(after_id3(file))
    head = file.read(65_536)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _is_plain_wav(head)
    if head[:4] == b"OggS" and len(head) > 26:
        return head[27 + head[26] :].startswith((b"\x01vorbis", b"OpusHead"))
    if head[4:8] == b"ftyp":
        return _has_playable_mp4_track(file)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return b"webm" in head[:64]  # else Matroska
    is_mp3 = head[:1] == b"\xff" and head[1:2] != b"" and head[1] & 0xE6 == 0xE2
    is_aac = head[:1] == b"\xff" and head[1:2] != b"" and head[1] & 0xF6 == 0xF0
    return head[:4] == b"fLaC" or is_mp3 or is_aac


def _is_plain_wav(head: bytes) -> bool:
    at = head.find(b"fmt ")
    if at < 0 or len(head) < at + 34:
        return False
    codec, bits = struct.unpack_from("<H12xH", head, at + 8)
    if codec == 0xFFFE:  # "extensible": the codec stands further on
        (codec,) = struct.unpack_from("<H", head, at + 32)
    return (codec == 1 and bits in (8, 16, 24, 32)) or (codec == 3 and bits == 32)


def _has_playable_mp4_track(file: BinaryIO) -> bool:
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    for _ in range(_MOST_MP4_BOXES):
        header = file.read(8)
        if len(header) < 8:
            return False
        size, kind = struct.unpack(">I4s", header)
        if size == 1:  # the size follows, in 64 bits
            size = int.from_bytes(file.read(8), "big") - 8
        if kind == b"moov":
            described = file.read(max(0, min(size - 8, 2**26)))
            codecs = re.findall(rb"stsd.{4}.{4}.{4}(.{4})", described, re.DOTALL)
            return any(codec in (b"mp4a", b"Opus", b"fLaC", b".mp3") for codec in codecs)
        if size < 8 or file.tell() + size - 8 > end:  # 0: until the end of the file
            return False
        file.seek(size - 8, os.SEEK_CUR)
    return False
