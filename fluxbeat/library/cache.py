"""Earlier analyses in one SQLite file that several processes may use at once; found by content, not by name."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from fluxbeat import __version__
from fluxbeat.analysis.correction import check_bpm, corrected
from fluxbeat.analysis.result import SCHEMA, TrackAnalysis
from fluxbeat.audio.decoding import check_file
from fluxbeat.audio.readers import safe_name
from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.errors import FluxBeatError
from fluxbeat.library.stored_analysis import pack, unpack

CACHE_VARIABLE = "FLUXBEAT_CACHE"
TABLES = 2
"""Version of the tables. It is part of the file's name, so that two versions of the program get along."""
BUSY_S = 60.0
PACKAGE = Path(__file__).parents[1]
READING_ROOMS = ("audio", "features")
"""Whose code makes a recording's spectrogram and fingerprint."""
ANSWERING_ROOMS = (*READING_ROOMS, "models", "analysis")
"""Whose code makes an answer, and what a network finds in each window."""
SETTLED_S = 2.0
"""A file that was changed this recently may change again within the resolution of its time stamp."""

_CREATE = """
CREATE TABLE IF NOT EXISTS analyses (
    sha256 TEXT NOT NULL, question TEXT NOT NULL, program TEXT NOT NULL, analysis BLOB NOT NULL,
    PRIMARY KEY (sha256, question)
);
CREATE TABLE IF NOT EXISTS tempo_corrections (sha256 TEXT PRIMARY KEY, bpm REAL NOT NULL);
CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, bytes INTEGER NOT NULL, changed_ns INTEGER NOT NULL, sha256 TEXT NOT NULL
);
"""
_log = logging.getLogger(__name__)


@functools.cache
def code_digest(rooms: tuple[str, ...]) -> str:
    """Of the code of some rooms, 12 hexadecimal digits: part of the key of all that is kept of what this code made."""
    sources = sorted(path for room in rooms for path in (PACKAGE / room).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


@functools.cache
def program_revision() -> str:
    """Schema of the result, version of the program and a digest of the code that answers.

    The version alone would not do: answers change between two releases too.
    """
    return f"{SCHEMA}/{__version__}/{code_digest(ANSWERING_ROOMS)}"


def file_state(path: Path) -> tuple[int, int] | None:
    """Size in bytes and time of change in nanoseconds; None where there is no file."""
    state = path.stat() if path.is_file() else None
    return state and (state.st_size, state.st_mtime_ns)


def cache_folder() -> Path:
    """$FLUXBEAT_CACHE, else the folder that this system keeps for a person's caches."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("fluxbeat", appauthor=False))


class AnalysisCache:
    """Answers by content and model, and digests by path, size and time of change; safe to use from many threads.

    Every answer is on the disk when `keep` returns, so that a program that is killed loses only what it was at.

    Parameters
    ----------
    folder : path, optional
        Where `library-2.sqlite3` lies or is made; `cache_folder()` where not given.

    Raises
    ------
    FluxBeatError
        If the folder cannot be written or the file is damaged; every method raises it as well.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(folder if folder is not None else cache_folder()) / f"library-{TABLES}.sqlite3"
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise FluxBeatError(
                f"results cannot be kept in {self.path.parent} ({reason}): choose a folder with {CACHE_VARIABLE}"
            ) from error
        with self._in_use():
            self._base = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode = WAL")
            # WAL stays whole after a crash without waiting for the disk at every answer
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.executescript(_CREATE)
            # what another program answered is never asked for again
            self._base.execute("DELETE FROM analyses WHERE program <> ?", (program_revision(),))

    def close(self) -> None:
        """Release the file. May be called twice."""
        with self._lock:
            self._base.close()

    def digest(self, file: SoundFile) -> str:
        """SHA-256 of a file's content, read only if size or time of change are not those that were seen before.

        Raises
        ------
        AudioDecodeError
            If the file is missing, empty, no ordinary file or may not be read.
        """
        known = self.known_digest(file)
        if known:
            return known
        check_file(file.path, safe_name(file.shown))
        with open(file.path, "rb") as opened:
            state = os.fstat(opened.fileno())
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        if time.time() - state.st_mtime > SETTLED_S:
            row = (_key(file.path), state.st_size, state.st_mtime_ns, sha256)
            with self._in_use():
                self._base.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", row)
        return sha256

    def known_digest(self, file: SoundFile) -> str | None:
        """The digest, if the file was seen before and looks unchanged from outside."""
        try:
            state = os.stat(file.path)
        except (OSError, ValueError):
            return None
        with self._in_use():
            found = self._base.execute(
                "SELECT sha256 FROM digests WHERE path = ? AND bytes = ? AND changed_ns = ?",
                (_key(file.path), state.st_size, state.st_mtime_ns),
            ).fetchone()
        return found[0] if found else None

    def find(self, sha256: str, revision: str, name: str) -> TrackAnalysis | None:
        """What the model of this revision answered before for this content, under the name `name`.

        A person's correction of the tempo is in it.
        """
        with self._in_use():
            found = self._base.execute(
                "SELECT analysis FROM analyses WHERE sha256 = ? AND question = ? AND program = ?",
                (sha256, revision, program_revision()),
            ).fetchone()
        if found is None:
            return None
        try:
            return self.with_correction(sha256, unpack(found[0], safe_name(name)))
        except ValueError as error:
            _log.warning("an entry of %s is asked for anew: %s", self.path.name, error)
            return None

    def keep(self, sha256: str, revision: str, analysis: TrackAnalysis) -> None:
        """Remember an answer; one that is there already is replaced."""
        row = (sha256, revision, program_revision(), pack(analysis))
        with self._in_use():
            self._base.execute("INSERT OR REPLACE INTO analyses VALUES (?, ?, ?, ?)", row)

    def correct(self, sha256: str, bpm: float | None) -> None:
        """Remember what a person says the tempo of this content is, whichever model is asked; None takes it back.

        Raises
        ------
        TempoError
            If it is no tempo.
        """
        with self._in_use():
            if bpm is None:
                self._base.execute("DELETE FROM tempo_corrections WHERE sha256 = ?", (sha256,))
            else:
                self._base.execute("INSERT OR REPLACE INTO tempo_corrections VALUES (?, ?)", (sha256, check_bpm(bpm)))

    def with_correction(self, sha256: str, analysis: TrackAnalysis) -> TrackAnalysis:
        """An analysis of this content with the tempo that a person gave, if one did."""
        with self._in_use():
            kept = self._base.execute("SELECT bpm FROM tempo_corrections WHERE sha256 = ?", (sha256,)).fetchone()
        return corrected(analysis, kept[0]) if kept else analysis

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except sqlite3.DatabaseError as error:
            cure = f"delete it, or choose a folder with {CACHE_VARIABLE}"
            raise FluxBeatError(f"the library's cache {self.path} cannot be used ({error}): {cure}") from error


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))
