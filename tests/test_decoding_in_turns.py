"""A file that several threads decode gives what one gives, whole or broken, and leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fluxbeat import audio_readers
from fluxbeat.audio import load_audio, open_audio
from fluxbeat.audio_readers import SoundfileReader
from fluxbeat.decoding_in_turns import ReadersInTurn

RATE_HZ, SECONDS, BLOCK_S = 24_000, 25, 3.5
FORMATS = {
    "mp3": ("MP3", "MPEG_LAYER_III"), "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "flac": ("FLAC", "PCM_16"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short file has many."""
    monkeypatch.setattr(audio_readers, "SAMPLES_PER_READ", int(2 * BLOCK_S * RATE_HZ))


def music(channels: int = 2) -> np.ndarray:
    """Glides and noise: no two places are alike."""
    rng, seconds = np.random.default_rng(5), np.arange(RATE_HZ * SECONDS) / RATE_HZ
    glide = 0.3 * np.sin(2 * np.pi * (200 * seconds + 20 * seconds**2))
    return np.stack([glide + 0.05 * rng.standard_normal(len(glide)) for _ in range(channels)], 1).astype(np.float32)


def written(folder: Path, ending: str) -> Path:
    kind, subtype = FORMATS[ending]
    path, samples = folder / f"music.{ending}", music()
    with soundfile.SoundFile(path, "w", RATE_HZ, samples.shape[1], subtype, format=kind) as file:
        for piece in np.split(samples, range(10_000, len(samples), 10_000)):
            file.write(piece)
    return path


def decoded(source: Path | bytes, threads: int) -> tuple[np.ndarray, list[str]]:
    with open_audio(source, threads=threads) as stream:
        return np.concatenate(list(stream)), list(stream.warnings)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SoundfileReader]]:
    """All readers that were opened."""
    opened: list[SoundfileReader] = []
    describe = SoundfileReader._describe
    monkeypatch.setattr(
        SoundfileReader, "_describe", lambda self, source: (opened.append(self), describe(self, source))[1]
    )
    yield opened


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("ending", FORMATS)
def test_many_hear_what_one_hears(
    tmp_path: Path, readers: list[SoundfileReader], ending: str, as_bytes: bool, threads: int
) -> None:
    path = written(tmp_path, ending)
    source = path.read_bytes() if as_bytes else path
    alone, no_warnings = decoded(source, 1)
    assert len(readers) == 1
    together, warnings = decoded(source, threads)
    assert len(readers) == 1 + threads
    assert len(together) == len(alone)
    # MP3 and Opus forget where they began only after a while
    assert np.abs(together - alone).max() <= (1e-6 if ending in ("mp3", "opus") else 0.0)
    assert warnings == no_warnings == []


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("damage", ["cut", "hole", "noise", "twice", "nothing"])
def test_damage_is_heard_as_by_one(tmp_path: Path, ending: str, damage: str) -> None:
    content, rng = bytearray(written(tmp_path, ending).read_bytes()), np.random.default_rng(1)
    at, size = len(content) // 2, 30_000 if damage == "nothing" else 3_000
    if damage == "cut":
        del content[at:]
    elif damage == "hole":
        del content[at : at + size]
    elif damage == "noise":
        content[at : at + size] = rng.bytes(size)
    elif damage == "nothing":
        content[at : at + size] = bytes(size)
    else:
        content[at:at] = content[at - size : at]
    alone, warnings = decoded(bytes(content), 1)
    together, same_warnings = decoded(bytes(content), 2)
    assert len(together) == len(alone)
    assert np.abs(together - alone).max() < 1e-6
    assert same_warnings == warnings


def test_a_reader_that_fails_half_way_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "mp3")
    alone, _ = decoded(path, 1)
    seek = SoundfileReader.seek

    def fails_late(self: SoundfileReader, frame: int) -> None:
        if frame > RATE_HZ * SECONDS // 2:
            raise soundfile.SoundFileError("no such place")
        seek(self, frame)

    monkeypatch.setattr(SoundfileReader, "seek", fails_late)
    together, warnings = decoded(path, 2)
    assert len(together) == len(alone)
    assert np.abs(together - alone).max() < 1e-6
    assert not warnings


def test_an_ogg_of_many_channels_is_read_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks are short, and libsndfile misses places that are near."""
    path = written(tmp_path, "ogg")
    alone, _ = decoded(path, 1)
    monkeypatch.setattr(audio_readers, "SAMPLES_PER_READ", RATE_HZ)  # half a second of stereo
    assert np.array_equal(decoded(path, 2)[0], alone)


def test_short_files_and_those_that_only_need_copying_have_one_reader(
    tmp_path: Path, readers: list[SoundfileReader]
) -> None:
    soundfile.write(tmp_path / "long.wav", music(), RATE_HZ)
    soundfile.write(tmp_path / "short.flac", music()[: 10 * RATE_HZ], RATE_HZ)
    for name in ("long.wav", "short.flac"):
        load_audio(tmp_path / name)
    assert len(readers) == 2
    assert not any(ReadersInTurn.pay(reader) for reader in readers)


def test_no_thread_outlives_the_stream(tmp_path: Path) -> None:
    path = written(tmp_path, "flac")
    before = set(threading.enumerate())
    with open_audio(path, threads=3) as stream:
        next(stream)
        assert any(thread.name.startswith("fluxbeat-decoding") for thread in threading.enumerate())
    decoded(path, 3)
    assert set(threading.enumerate()) <= before
