"""One recording or several in one file -> frames: libsndfile first, ffmpeg for what it refuses or gives up."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import soundfile

from fluxbeat.audio.ffmpeg_reader import FfmpegReader
from fluxbeat.audio.mono import MonoMix
from fluxbeat.audio.parts import Part
from fluxbeat.audio.readers import Reader, Samples, SoundfileReader, resampled
from fluxbeat.errors import AudioDecodeError, TrackWarning

_log = logging.getLogger(__name__)


class PartReader:
    """Frames of the recording that lies in one part of a file.

    Raises
    ------
    AudioDecodeError
        Neither libsndfile nor ffmpeg can read it.
    """

    def __init__(self, path: str, part: Part, name: str) -> None:
        self._path, self._part, self._name = path, part, name
        self.delivered = 0
        self._broken: list[TrackWarning] = []
        try:
            self._reader: Reader = SoundfileReader(path, part.begin, part.end)
        except soundfile.SoundFileError as error:
            _log.debug("libsndfile refused %s: %s", name, error)
            self._reader = FfmpegReader(path, part.begin, part.end, name)
        self.rate_hz, self.channels = self._reader.rate_hz, self._reader.channels
        self.expected_s, self.estimated = self._reader.expected_s, self._reader.estimated

    def frames(self) -> Iterator[Samples]:
        """(frames, channels) until the end."""
        try:
            try:
                yield from self._counted(self._reader)
            except soundfile.SoundFileError as error:
                _log.debug("libsndfile gave up on %s after %d frames: %s", self._name, self.delivered, error)
                self._reader.close()
                like = self.rate_hz, self.channels
                self._reader = FfmpegReader(self._path, self._part.begin, self._part.end, self._name, like)
                yield from self._counted(self._reader, self.delivered)
        except AudioDecodeError:
            if not self.delivered:
                raise
            decoded_s = self.delivered / self.rate_hz
            rest_s = (self.expected_s or 0.0) - decoded_s
            rest = f"the remaining {rest_s:.1f} s were" if rest_s > 0 else "the rest was"
            self._broken.append(TrackWarning("damaged", f"damaged after {decoded_s:.1f} s: {rest} left out"))

    def _counted(self, reader: Reader, skipped: int = 0) -> Iterator[Samples]:
        for block in reader.frames():
            kept = block[skipped:]
            skipped -= len(block) - len(kept)
            self.delivered += len(kept)
            yield kept

    def warnings(self, decoded_s: float) -> list[TrackWarning]:
        """What is missing from the sound that was decoded."""
        return self._broken or self._reader.warnings(decoded_s)

    def close(self) -> None:
        """Release everything. May be called twice."""
        self._reader.close()


class JoinedReader:
    """Frames of several recordings in their order, all at the highest of their rates.

    Channels stay where all have as many; else each is mixed to mono.

    Raises
    ------
    AudioDecodeError
        None of the recordings can be read.
    """

    def __init__(self, path: str, parts: Sequence[Part], name: str) -> None:
        self._path, self._name = path, name
        self._count = len(parts)
        self._readable: list[tuple[int, Part]] = []
        self._warnings: list[TrackWarning] = []
        readers: list[PartReader] = []
        for number, part in enumerate(parts, start=1):
            try:
                readers.append(PartReader(path, part, name))
            except AudioDecodeError as error:
                refused = error
                size_kb = (part.end - part.begin) / 1000
                self._warn(number, TrackWarning("damaged", f"{size_kb:,.0f} kB could not be decoded and were left out"))
                continue
            readers[-1].close()
            self._readable.append((number, part))
        if not readers:
            raise refused
        self.rate_hz = max(reader.rate_hz for reader in readers)
        channels = {reader.channels for reader in readers}
        self.channels = channels.pop() if len(channels) == 1 else 1
        self.expected_s = sum(reader.expected_s or 0.0 for reader in readers) or None
        self.estimated = True  # of each of them something may be missing
        self._reader: PartReader | None = None

    def frames(self) -> Iterator[Samples]:
        """(frames, channels) until the end, at one rate and with as many channels."""
        for number, part in self._readable:
            self._reader = reader = PartReader(self._path, part, self._name)
            mix = MonoMix(reader.rate_hz)
            blocks = (mix.mix(block) if self.channels == 1 else block for block in reader.frames())
            yield from resampled(blocks, reader.rate_hz, self.rate_hz, self.channels)
            for warning in [*reader.warnings(reader.delivered / reader.rate_hz), *mix.warnings()]:
                self._warn(number, warning)
            reader.close()

    def _warn(self, number: int, warning: TrackWarning) -> None:
        text = f"recording {number} of {self._count} in this file: {warning.text}"
        self._warnings.append(TrackWarning(warning.code, text))

    def warnings(self, decoded_s: float) -> list[TrackWarning]:
        """What is missing from each."""
        return self._warnings

    def close(self) -> None:
        """Release everything. May be called twice."""
        if self._reader:
            self._reader.close()
