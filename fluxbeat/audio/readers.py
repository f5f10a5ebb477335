"""Arrays and libsndfile -> frames of float32 as the source holds them, and what is missing from them."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from fluxbeat.audio.chunks import find_samples
from fluxbeat.audio.decoding_time import DecodingTime, Patience
from fluxbeat.audio.source import BytePieces, after_id3
from fluxbeat.errors import AudioDecodeError, TrackWarning

Samples: TypeAlias = npt.NDArray[np.float32]

SAMPLES_PER_READ = 2**19  # over all channels, so that 64 channels take no more memory than one
_TRUNCATION_SLACK_S = 0.5  # containers round, and codecs pad, by less
_LIBSNDFILE_PATIENCE = Patience(work_s=3.0, clock_s=30.0)  # then ffmpeg may try
# libsndfile also guesses at names and takes text for sound, and its readers of rare formats are little tried. MP3 is
# not among them: it believes the length in the first frame, and its decoder (libmpg123) writes to the terminal.
_LIBSNDFILE_BEGINNINGS = re.compile(
    rb"RIFF....WAVE|RIFX....WAVE|RF64....WAVE|riff\x2e\x91\xcf\x11|FORM....AIF[FC]|fLaC|OggS|caff|\.snd|dns\.",
    re.DOTALL,
)


class Reader(Protocol):
    """A source of frames; `expected_s` is what the header tells, or what was `estimated` from the size of the file."""

    rate_hz: int
    channels: int
    expected_s: float | None
    estimated: bool

    def frames(self) -> Iterator[Samples]:
        """(frames, channels) until the end."""

    def warnings(self, decoded_s: float) -> list[TrackWarning]:
        """Say, at the end, what is missing from the sound that was decoded."""

    def close(self) -> None:
        """Let go of what was opened or started; reading ends."""


class ArrayReader:
    """Slices of an array; the array is never copied as a whole."""

    estimated = False

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

    def frames(self) -> Iterator[Samples]:
        at_once = SAMPLES_PER_READ // self.channels
        for first in range(0, len(self._array), at_once):
            piece = self._array[first : first + at_once]
            with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is then silenced
                block = piece.astype(np.float32)
            if piece.dtype.kind == "u":
                block = (block - 128) / np.float32(128)
            elif piece.dtype.kind == "i":
                block = block / np.float32(2 ** (8 * piece.dtype.itemsize - 1))
            yield block

    def warnings(self, decoded_s: float) -> list[TrackWarning]:
        return []

    def close(self) -> None:
        pass


class SoundfileReader:
    """Blocks of one recording from libsndfile: WAV and its kin, AIFF, AU, CAF, FLAC and Ogg, told by its first bytes.

    Where a header tells another length than the file has, the samples count: WAV and its kin are given to libsndfile
    as a plain file of all their samples, and of FLAC the length is kept from it.

    Parameters
    ----------
    path : str
    begin, end : int
        Where in the file the recording lies.

    Raises
    ------
    soundfile.SoundFileError
        libsndfile is not to read this, or cannot.
    """

    estimated = False

    def __init__(self, path: str, begin: int, end: int) -> None:
        self._path = path
        try:
            with open(path, "rb") as file:
                self._begin, self._end = after_id3(file, begin), end
                file.seek(self._begin)
                head = file.read(42)
                samples = find_samples(file, self._begin, end)
            if not _LIBSNDFILE_BEGINNINGS.match(head):
                raise soundfile.SoundFileError("begins like none of the formats that libsndfile is to read")
            if samples is None:
                self._input = BytePieces(path, [(self._begin, end)], _without_length(head))
            elif samples.changed:
                self._input = BytePieces(path, [*samples.head, *samples.pieces], samples.changed)
            else:
                raise soundfile.SoundFileError("more samples than its header can tell are for ffmpeg")
        except OSError as error:
            raise soundfile.SoundFileError(f"cannot be opened: {error}") from error
        self._time = DecodingTime(_LIBSNDFILE_PATIENCE, self._input.end)
        try:
            with self._in_time():
                self._file = _ForwardOnly(io.BufferedReader(self._input), "r", closefd=False)
            if self._file.subtype.startswith("MPEG"):
                raise soundfile.SoundFileError("MP3 within WAV is for ffmpeg")
        except BaseException:
            self._time.close()
            self._input.close()
            raise
        self.rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.expected_s: float | None = None
        if self._file.frames < 2**62:
            self.expected_s = self._file.frames / max(self.rate_hz, 1)
        elif head[:4] == b"fLaC":
            self.expected_s = int.from_bytes(head[21:26], "big") % 2**36 / max(self.rate_hz, 1) or None
        self._promised_s = self.expected_s
        if samples and self.expected_s is not None:
            self._promised_s = self.expected_s * samples.promised / max(samples.present, 1)

    def frames(self) -> Iterator[Samples]:
        """(frames, channels) until the end."""
        at_once = max(1, SAMPLES_PER_READ // self.channels)
        while True:
            with self._in_time():
                block: Samples = self._file.read(at_once, "float32", always_2d=True)
            if not len(block):
                return
            self._time.decoded(len(block) / max(self.rate_hz, 1))
            yield block

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        with self._time.step():
            yield
        if self._time.ended:
            raise soundfile.SoundFileError("libsndfile was at it for too long")

    def warnings(self, decoded_s: float) -> list[TrackWarning]:
        if self._file.format == "OGG" and _ogg_ends_within_a_page(self._path, self._begin, self._end):
            return [TrackWarning("cut_off", f"the file is cut off after {decoded_s:.1f} s: its end is missing")]
        return [] if self._promised_s is None else cut_off(decoded_s, self._promised_s)

    def close(self) -> None:
        self._time.close()
        self._file.close()
        self._input.close()


class _ForwardOnly(soundfile.SoundFile):
    """After every read soundfile seeks to where the file is already: Ogg and Opus are decoded twice for it, and FLAC
    of unknown length refuses."""

    def seekable(self) -> bool:
        return False


def _without_length(head: bytes) -> list[tuple[int, bytes]]:
    """Of FLAC, the 36 bits in which its header tells how many samples there are, as nought: until the end."""
    if head[:4] != b"fLaC" or len(head) < 26 or head[4] & 0x7F:
        return []
    return [(21, bytes([head[21] & 0xF0, 0, 0, 0, 0]))]


def _ogg_ends_within_a_page(path: str, begin: int, end: int) -> bool:
    with open(path, "rb") as file:
        first = max(begin, end - 2 * 65_536)  # a page has at most 65,307 bytes
        file.seek(first)
        tail = file.read(end - first)
    at = tail.rfind(b"OggS")
    header = tail[at : at + 27]
    if at < 0:  # what stands there is none
        return False
    if len(header) < 27:
        return True
    lengths = tail[at + 27 : at + 27 + header[26]]
    return len(lengths) < header[26] or at + 27 + header[26] + sum(lengths) > len(tail)


def resampled(pieces: Iterable[Samples], from_hz: int, to_hz: int, channels: int) -> Iterator[Samples]:
    """Pieces of (frames, channels) at another rate, as they come; some may be empty."""
    resampler = soxr.ResampleStream(from_hz, to_hz, channels)  # the samples themselves where the rates are equal
    for piece in pieces:
        yield resampler.resample_chunk(piece)
    yield resampler.resample_chunk(np.empty((0, channels), np.float32), last=True)


def cut_off(decoded_s: float, promised_s: float) -> list[TrackWarning]:
    """What is missing where a file promises more sound than was decoded."""
    if decoded_s >= promised_s - _TRUNCATION_SLACK_S:
        return []
    return [TrackWarning("cut_off", f"the file is cut off: {decoded_s:.1f} of {promised_s:.1f} s could be decoded")]


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
