"""Arrays and libsndfile -> frames of float32 as the source holds them, and what is missing from them."""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

from fluxbeat.decoding_time import DecodingTime
from fluxbeat.errors import AudioDecodeError

Samples: TypeAlias = npt.NDArray[np.float32]

SAMPLES_PER_READ = 2**19  # over all channels, so that 64 channels take no more memory than one
_TRUNCATION_SLACK_S = 0.5  # containers round, and codecs pad, by less
_LIBSNDFILE_PATIENCE_S = 3.0  # then ffmpeg may try
# libsndfile also guesses at names and takes text for sound, and its readers of rare formats are little tried.
_LIBSNDFILE_BEGINNINGS = re.compile(
    rb"RIFF....WAVE|RIFX....WAVE|RF64....WAVE|riff\x2e\x91\xcf\x11|FORM....AIF[FC]|fLaC|OggS|caff|\.snd|dns\.|\xff[\xe0-\xff]",
    re.DOTALL,
)
_BYTES_PER_SAMPLE = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_BYTES_PER_SAMPLE |= {"ULAW": 1, "ALAW": 1}


class Reader(Protocol):
    """A source of frames; `expected_s` is for progress, and binding if `exact`."""

    rate_hz: int
    channels: int
    expected_s: float | None
    exact: bool

    def read(self) -> Samples:
        """Next (frames, channels), with no frames at the end."""

    def defect(self, decoded_s: float) -> str | None:
        """Say, at the end and for a person, what is missing from the sound that was decoded."""

    def close(self) -> None: ...


class ArrayReader:
    """Slices of an array; the array is never copied as a whole."""

    exact = True

    def __init__(self, source: tuple[npt.NDArray[Any], int], name: str) -> None:
        cure = "give (array, rate in Hz) with floats, uint8, int8, int16 or int32 as (samples, channels)"
        if len(source) != 2 or not isinstance(source[0], np.ndarray):
            kinds = ", ".join(type(item).__name__ for item in source)
            raise refusal(name, f"is a tuple of ({safe_name(kinds)})", cure)
        array, rate_hz = source
        if not isinstance(rate_hz, int | np.integer) or isinstance(rate_hz, bool):
            raise refusal(name, f"has a sample rate of type {type(rate_hz).__name__}", cure)
        if not (array.dtype.kind == "f" or array.dtype.name in {"uint8", "int8", "int16", "int32"}):
            raise refusal(name, f"has samples of type {safe_name(str(array.dtype))}", cure)
        if array.ndim not in (1, 2):
            raise refusal(name, f"has the shape {safe_name(str(array.shape))}", cure)
        if array.ndim == 1:
            array = array[:, np.newaxis]
        elif array.shape[0] <= 8 and array.shape[0] < array.shape[1]:
            array = array.T
        self.rate_hz, self.channels = int(rate_hz), array.shape[1]
        self.expected_s: float | None = len(array) / max(self.rate_hz, 1)
        self._array = array
        self._at = 0

    def read(self) -> Samples:
        frames = SAMPLES_PER_READ // self.channels
        piece = self._array[self._at : self._at + frames]
        self._at += len(piece)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is then silenced
            block = piece.astype(np.float32)
        if piece.dtype.kind == "u":
            return (block - 128) / np.float32(128)
        return block / np.float32(2 ** (8 * piece.dtype.itemsize - 1)) if piece.dtype.kind == "i" else block

    def defect(self, decoded_s: float) -> str | None:
        return None

    def close(self) -> None:
        pass


class SoundfileReader:
    """Blocks from libsndfile: WAV and its kin, AIFF, AU, CAF, FLAC, Ogg and MP3, told by their first bytes."""

    def __init__(self, source: str | io.BytesIO) -> None:
        self._source = source
        try:
            with _bytes_of(source) as file:
                file.seek(after_id3(file))
                if not _LIBSNDFILE_BEGINNINGS.match(file.read(16)):
                    raise soundfile.SoundFileError("begins like none of the formats that libsndfile is to read")
            self._input = _FileInput(source) if isinstance(source, str) else _BytesInput(source.getvalue())
        except OSError as error:
            raise soundfile.SoundFileError(f"cannot be opened: {error}") from error
        self._time = DecodingTime(_LIBSNDFILE_PATIENCE_S, self._input.end)
        try:
            with self._in_time():
                self._file = soundfile.SoundFile(self._input.opened, closefd=False)
            self._describe(source)
        except BaseException:
            self._time.close()
            self._input.close()
            raise

    def _describe(self, source: str | io.BytesIO) -> None:
        self.kind: str = self._file.format
        self.rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int = self._file.frames
        self.block_frames = max(1, SAMPLES_PER_READ // self.channels)
        self.expected_s: float | None = None
        if self.frames < 2**62:  # else the file does not tell
            self.expected_s = self.frames / max(self.rate_hz, 1)
        # libsndfile guesses the length of an MP3 that has no table of it, and would cut it there.
        self.exact = self.kind != "MP3" or _mp3_tells_its_length(source)
        # Of streams one after another, as radio is recorded, it reads the first.
        if self.kind == "OGG" and _ogg_is_chained(source):
            self.exact = False

    def seek(self, frame: int) -> None:
        """Go on reading there.

        Raises
        ------
        soundfile.SoundFileError
            The file has no such place, or libsndfile is at it for too long.
        """
        with self._in_time():
            self._file.seek(frame)

    def read(self, frames: int | None = None) -> Samples:
        """Next (frames, channels), `block_frames` where not told, fewer at the end."""
        with self._in_time():
            block: Samples = self._file.read(frames or self.block_frames, dtype="float32", always_2d=True)
        self._time.decoded(len(block) / max(self.rate_hz, 1))
        return block

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        with self._time.step():
            yield
        if self._time.ended:
            raise soundfile.SoundFileError("libsndfile was at it for too long")

    def defect(self, decoded_s: float) -> str | None:
        if self.expected_s is None or not self.exact:
            return None
        if self.kind == "OGG" and not _ogg_is_whole(self._source):
            return f"the file is cut off after {decoded_s:.1f} s: its end is missing"
        return cut_off(decoded_s, self.expected_s * self._promised_share())

    def _promised_share(self) -> float:
        """How many times the sound that is there the header promised: libsndfile tells it in its log alone."""
        said = re.search(
            r"^\s*(?:data|SSND|Data [Ss]ize)\s*: (\d+)(?: \(should be (\d+)\))?$", self._file.extra_info, re.MULTILINE
        )
        if said is None:
            return 1.0
        promised = int(said[1])
        unknown = 0xFFFF_0000  # a recorder that streams writes such a size
        if said[2] is not None:
            present = int(said[2])
        elif self.kind in ("RF64", "W64"):  # their log says no more than the header
            present = self.frames * self.channels * _BYTES_PER_SAMPLE.get(self._file.subtype, 0)
            promised -= 24 if self.kind == "W64" else 0
            unknown = 2**62
        else:
            return 1.0
        return promised / present if present and promised <= unknown else 1.0

    def close(self) -> None:
        self._time.close()
        self._file.close()
        self._input.close()


class _FileInput:
    """A file whose end can be brought about from another thread, which makes libsndfile return."""

    def __init__(self, path: str) -> None:
        self.opened = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def end(self) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, self.opened, inheritable=False)
        os.close(nothing)

    def close(self) -> None:
        if self.opened >= 0:
            os.close(self.opened)
        self.opened = -1


class _BytesInput(io.BytesIO):
    """Bytes of which the same is true."""

    _ended = False

    @property
    def opened(self) -> _BytesInput:
        return self

    def end(self) -> None:
        self._ended = True

    def readinto(self, buffer: Any) -> int:
        return 0 if self._ended else super().readinto(buffer)


@contextmanager
def _bytes_of(source: str | io.BytesIO) -> Iterator[BinaryIO]:
    """Open the file anew, or lend the bytes and put back where they were being read."""
    if isinstance(source, str):
        with open(source, "rb") as file:
            yield file
    else:
        at = source.tell()
        yield source
        source.seek(at)


def _mp3_tells_its_length(source: str | io.BytesIO) -> bool:
    with _bytes_of(source) as file:
        file.seek(after_id3(file))
        first_frame = file.read(4096)
    return any(tag in first_frame for tag in (b"Xing", b"Info", b"VBRI"))


def _ogg_is_whole(source: str | io.BytesIO) -> bool:
    last_page = _last_ogg_page(source)
    return len(last_page) > 5 and bool(last_page[5] & 4)  # the flag "end of stream"


def _ogg_is_chained(source: str | io.BytesIO) -> bool:
    """Whether the last page belongs to another stream than the first."""
    with _bytes_of(source) as file:
        file.seek(after_id3(file))
        first_page = file.read(18)
    last_page = _last_ogg_page(source)
    return bool(last_page) and first_page[14:18] != last_page[14:18]


def _last_ogg_page(source: str | io.BytesIO) -> bytes:
    with _bytes_of(source) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 65_536))  # a page is at most as long
        tail = file.read()
    at = tail.rfind(b"OggS", 0, -14)
    return tail[at:] if at >= 0 else b""


def after_id3(file: BinaryIO) -> int:
    """Where the audio begins: behind an ID3 tag, if there is one at the start."""
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    a, b, c, d = head[6:10]  # seven bits each
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def cut_off(decoded_s: float, promised_s: float) -> str | None:
    """What is missing where a file promises more sound than was decoded."""
    if decoded_s >= promised_s - _TRUNCATION_SLACK_S:
        return None
    return f"the file is cut off: {decoded_s:.1f} of {promised_s:.1f} s could be decoded"


def refusal(name: str, found: str, cure: str) -> AudioDecodeError:
    """The error that says which source, what was found and what to do."""
    return AudioDecodeError(f'"{name}" {found}: {cure}')


def safe_name(name: str, limit: int = 80) -> str:
    """File name without folders and unprintable or direction-changing characters, at most `limit` letters."""
    name = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    if len(name) > limit:
        name = f"{name[: limit - 16]}…{name[-15:]}"
    joiners = "\u200c\u200d"  # part of emoji and of Persian and Indic spelling
    shown = (c if c in joiners or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else "�" for c in name)
    return "".join(shown)
