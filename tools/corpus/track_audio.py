"""The sound of a catalogue's track: a file of its package, of an archive in the package, or a rendered module."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from fluxbeat.audio.decoding import load_audio
from fluxbeat.errors import FluxBeatError
from tools.corpus.catalogue import Track
from tools.corpus.packages import PACKAGES
from tools.corpus.tempo_map import read_tempo_map

IN_ARCHIVE = "_unz"
RENDERER = "openmpt123"
RENDER_LIMIT_S = 300
LONGEST_MODULE_S = 240
"""A tracker module may loop forever."""


def source_of(track: Track, corpus: Path) -> Path:
    """The file of a track, or the archive that it is in.

    Raises
    ------
    FluxBeatError
        If it is not there.
    """
    package = corpus / PACKAGES / track.package
    if not package.is_dir():
        raise FluxBeatError(f"{track.package} is not unpacked: run `python -m tools.corpus fetch`")
    parts = Path(track.path).parts[1:]
    if parts[0] != IN_ARCHIVE:
        path = package.joinpath(*parts)
        if not path.is_file():
            raise FluxBeatError(f"{track.path}: not in the package; its version differs from the catalogue's")
        return path
    archives = sorted(path for path in package.rglob(parts[1]) if path.is_file())
    if not archives:
        raise FluxBeatError(f"{track.path}: the package has no {parts[1]}")
    return archives[0]


def read_track(track: Track, corpus: Path, sample_rate_hz: int) -> np.ndarray:
    """The whole track, mono float32 (samples,).

    Raises
    ------
    FluxBeatError
        If it is missing, or cannot be decoded or rendered.
    """
    with tempfile.TemporaryDirectory() as place, _file(track, corpus, Path(place)) as path:
        playable = _render(path, Path(place)) if track.is_tracker else path
        return load_audio(playable, name=track.path, sample_rate_hz=sample_rate_hz).samples


def song_tempo_bpm(track: Track, corpus: Path, start_s: float, end_s: float) -> float | None:
    """The tempo of a part of a Frets on Fire song, by the notes.mid beside it; None for every other track."""
    notes = corpus / PACKAGES / Path(track.path).with_name("notes.mid")
    if Path(track.path).stem != "song" or not notes.is_file():
        return None
    return read_tempo_map(notes).constant_bpm(start_s, end_s)


@contextmanager
def _file(track: Track, corpus: Path, place: Path) -> Iterator[Path]:
    source = source_of(track, corpus)
    parts = Path(track.path).parts[1:]
    if parts[0] != IN_ARCHIVE:
        yield source
        return
    inner = "/".join(parts[2:])
    # the name only says where it comes from; what is written lies in a folder of our own
    unpacked = place / f"unpacked{Path(inner).suffix}"
    try:
        with ZipFile(source) as archive, archive.open(inner) as read, open(unpacked, "wb") as write:
            shutil.copyfileobj(read, write)
    except (BadZipFile, KeyError, OSError, RuntimeError) as error:
        raise FluxBeatError(f"{track.path}: cannot be taken out of {source.name} ({error})") from error
    yield unpacked


def _render(module: Path, place: Path) -> Path:
    if shutil.which(RENDERER) is None:
        raise FluxBeatError(f"tracker modules need {RENDERER}: apt-get install {RENDERER}")
    copy = place / f"module{module.suffix.lower()}"
    if copy != module:
        shutil.copyfile(module, copy)
    command = [RENDERER, "--batch", "--quiet", "--render", "--output-type", "wav", "--samplerate", "44100"]
    command += ["--end-time", str(LONGEST_MODULE_S), str(copy)]
    try:
        subprocess.run(command, capture_output=True, timeout=RENDER_LIMIT_S, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        raise FluxBeatError(f"{RENDERER} cannot render {module.name}: {error}") from error
    return Path(f"{copy}.wav")
