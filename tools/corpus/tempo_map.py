"""The tempo that a Standard MIDI File states (MIDI Manufacturers Association, "Standard MIDI Files 1.0", 1996)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fluxbeat.errors import FluxBeatError

DEFAULT_US_PER_BEAT = 500_000
META, SYSEX, SYSEX_END = 0xFF, 0xF0, 0xF7
SET_TEMPO = 0x51
ONE_DATA_BYTE = (0xC0, 0xD0)
SAME_TEMPO = 0.01
"""Tempos that differ by less than this share count as one."""


@dataclass(frozen=True)
class TempoMap:
    """Which tempo begins when.

    Attributes
    ----------
    changes : tuple of (float, float)
        Seconds and BPM, in order; the first is at 0 s.
    """

    changes: tuple[tuple[float, float], ...]

    def constant_bpm(self, start_s: float, end_s: float) -> float | None:
        """The tempo of a part of the music, by its duration; None where it varies by more than 1 %."""
        parts = []
        ends = [begin_s for begin_s, _ in self.changes[1:]] + [float("inf")]
        for (begin_s, bpm), until_s in zip(self.changes, ends, strict=True):
            overlap_s = min(until_s, end_s) - max(begin_s, start_s)
            if overlap_s > 0:
                parts.append((overlap_s, bpm))
        if not parts:
            return None
        mean = sum(length_s for length_s, _ in parts) / sum(length_s / bpm for length_s, bpm in parts)
        return mean if all(abs(bpm / mean - 1) <= SAME_TEMPO for _, bpm in parts) else None


def read_tempo_map(path: str | Path) -> TempoMap:
    """Read all tempo changes of a MIDI file.

    Raises
    ------
    FluxBeatError
        If it is not a MIDI file, is cut off, or counts its time in film frames.
    """
    content = Path(path).read_bytes()
    if not content.startswith(b"MThd"):
        raise FluxBeatError(f"{path} is not a MIDI file: it does not begin with MThd")
    try:
        chunks = list(_chunks(content))
        _, _, division = struct.unpack(">HHH", chunks[0][1][:6])
        if division & 0x8000 or not division:
            raise FluxBeatError(f"{path} counts time in film frames, not in beats: its tempo cannot be read")
        tempos = sorted(found for name, body in chunks if name == b"MTrk" for found in _tempo_events(body))
    except (IndexError, struct.error) as error:
        raise FluxBeatError(f"{path}: the MIDI file is cut off or damaged") from error
    if not tempos or tempos[0][0] > 0:
        tempos.insert(0, (0, DEFAULT_US_PER_BEAT))
    changes, at_s = [], 0.0
    for number, (tick, us_per_beat) in enumerate(tempos):
        if number:
            before_tick, before_us = tempos[number - 1]
            at_s += (tick - before_tick) / division * before_us / 1e6
        changes.append((at_s, 60e6 / us_per_beat))
    return TempoMap(tuple(changes))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        name, length = content[at : at + 4], struct.unpack(">I", content[at + 4 : at + 8])[0]
        at += 8 + length
        if at > len(content):
            raise IndexError
        yield name, content[at - length : at]


def _tempo_events(track: bytes) -> Iterator[tuple[int, int]]:
    """Tick and microseconds per beat of every tempo event."""
    at, tick, running = 0, 0, 0
    while at < len(track):
        delta, at = _number(track, at)
        tick += delta
        status = track[at]
        if status == META:
            kind = track[at + 1]
            length, at = _number(track, at + 2)
            if kind == SET_TEMPO:
                yield tick, int.from_bytes(track[at : at + length], "big")
            at += length
        elif status in (SYSEX, SYSEX_END):
            length, at = _number(track, at + 1)
            at += length
        else:
            if status & 0x80:
                running, at = status, at + 1
            at += 1 if running & 0xF0 in ONE_DATA_BYTE else 2


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, seven bits a byte, and where it ends."""
    value = 0
    while True:
        byte = data[at]
        value, at = value << 7 | byte & 0x7F, at + 1
        if not byte & 0x80:
            return value, at
