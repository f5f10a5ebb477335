"""Which files of a folder are sound, told by how their names end; links are followed, but never in a circle."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fluxbeat.errors import FluxBeatError

# fmt: off
SOUND_SUFFIXES = frozenset((
    ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au", ".caf", ".dsf", ".dts", ".eac3",
    ".flac", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".mp4", ".mpc", ".oga", ".ogg", ".opus", ".rf64", ".snd", ".tak",
    ".tta", ".w64", ".wav", ".weba", ".webm", ".wma", ".wv",
))
# fmt: on


@dataclass(frozen=True)
class SoundFile:
    """One file of a library.

    Attributes
    ----------
    path : Path
        Where it is.
    shown : str
        Its path below the library's folder, with `/` and fit to be printed.
    problem : str or None
        Why there is no listening to it; None where nothing is known against it.
    """

    path: Path
    shown: str
    problem: str | None = None


def is_sound_name(name: str) -> bool:
    """Whether a file of this name is one to listen to: not hidden, and with a known ending."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SOUND_SUFFIXES


def find_sound_files(folder: str | os.PathLike[str]) -> list[SoundFile]:
    """All sound files in a folder and in those below it, ordered by path.

    Hidden files and folders (names that begin with a dot) are left out. Links to folders are followed once each, so
    that a circle of links ends. A folder below that may not be opened becomes an entry with its `problem`.

    Raises
    ------
    FluxBeatError
        If there is no such folder, it may not be opened, or there is no sound file in it.
    """
    root = Path(folder)
    if not root.is_dir():
        found = "is a file: give the folder it lies in" if root.exists() else "does not exist: check the spelling"
        raise FluxBeatError(f"{printable(str(folder))} {found}")
    files = sound_files_below(root)
    if not any(file.problem is None for file in files):
        reason = files[0].problem if files else "no sound files in it (MP3, FLAC, WAV, OGG, M4A ...)"
        raise FluxBeatError(f"{printable(str(folder))}: {reason}")
    return files


def sound_files_below(folder: Path) -> list[SoundFile]:
    """As `find_sound_files`, but empty where there is no sound file."""
    files: list[SoundFile] = []
    visited = set[tuple[int, int]]()

    def add_problem(error: OSError) -> None:
        path = Path(error.filename)
        shown = printable(path.name if path == folder else path.relative_to(folder).as_posix() + "/")
        files.append(SoundFile(path, shown, f"this folder cannot be opened ({error.strerror or type(error).__name__})"))

    for place, folders, names in os.walk(folder, onerror=add_problem, followlinks=True):
        try:
            state = os.stat(place)
        except OSError as error:  # it was removed meanwhile
            add_problem(error)
            folders.clear()
            continue
        if (state.st_dev, state.st_ino) in visited:
            folders.clear()
            continue
        visited.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(place, name) for name in names if is_sound_name(name))
        files += [SoundFile(path, printable(path.relative_to(folder).as_posix())) for path in paths]
    return sorted(files, key=lambda file: (file.shown.casefold(), file.path))


def printable(text: str) -> str:
    """A name from a disk as text that any output can hold: bytes that are not UTF-8 become the replacement sign."""
    return os.fsencode(text).decode("utf-8", "replace")
