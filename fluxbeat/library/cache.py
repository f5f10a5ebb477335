"""What was heard before, in one SQLite file that several processes may use at once; found by content, not by name."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from fluxbeat import __version__
from fluxbeat.analysis import TrackAnalysis
from fluxbeat.analysis.result import SCHEMA
from fluxbeat.audio import check_file, safe_name
from fluxbeat.errors import FluxBeatError
from fluxbeat.library.stored_analysis import pack, unpack
from fluxbeat.library.tags import Tags
from fluxbeat.models.checkpoint import config_to_dict
from fluxbeat.sound_files import SoundFile
from fluxbeat.zoo import ZooModel

CACHE_VARIABLE = "FLUXBEAT_CACHE"
TABLES = 1
"""Version of the tables. It is part of the file's name, so that two versions of the program get along."""
BUSY_S = 60.0
SETTLED_S = 2.0
"""A file that was changed this recently may change again within the resolution of its time stamp."""

_CREATE = """
CREATE TABLE IF NOT EXISTS analyses (
    sha256 TEXT NOT NULL, model TEXT NOT NULL, hop_s REAL NOT NULL, schema TEXT NOT NULL,
    title TEXT NOT NULL, artist TEXT NOT NULL, analysis BLOB NOT NULL,
    PRIMARY KEY (sha256, model, hop_s, schema)
);
CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, bytes INTEGER NOT NULL, changed_ns INTEGER NOT NULL, sha256 TEXT NOT NULL
);
"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """Which model is asked, and how: what an answer depends on beside the content of the file.

    Attributes
    ----------
    model : str
        Revision of the weights and a digest of the configuration they are used with (thresholds, calibration ...).
    hop_s : float
    schema : str
        Of the result, with the program's version, which may decide differently from the same probabilities.
    """

    model: str
    hop_s: float
    schema: str = f"{SCHEMA}/{__version__}"


@dataclass(frozen=True, eq=False)
class Kept:
    """An answer that was given before."""

    analysis: TrackAnalysis
    tags: Tags


def question(model: ZooModel, hop_s: float) -> Question:
    """What is asked of every file of a library."""
    config = {name: value for name, value in config_to_dict(model.network.config).items() if name != "metrics"}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]
    return Question(f"{model.info.revision}-{digest}", float(hop_s))


def cache_folder() -> Path:
    """$FLUXBEAT_CACHE, else the folder that this system keeps for a person's caches."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("fluxbeat", appauthor=False))


class AnalysisCache:
    """Answers by content and question, and digests by path, size and time of change; safe to use from many threads.

    Every answer is on the disk when `keep` returns, so that a program that is killed loses only what it was at.

    Parameters
    ----------
    folder : path, optional
        Where `library-1.sqlite3` lies or is made; `cache_folder()` where not given.

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
        with self._explained():
            self._base = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._base.execute("PRAGMA journal_mode = WAL")
                # WAL stays whole after a crash without waiting for the disk at every answer
                self._base.execute("PRAGMA synchronous = NORMAL")
                self._base.executescript(_CREATE)
            except sqlite3.Error:
                self._base.close()
                raise

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
            before = os.fstat(opened.fileno())
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            after = os.fstat(opened.fileno())
        settled = time.time() - after.st_mtime > SETTLED_S and before.st_mtime_ns == after.st_mtime_ns
        if settled:
            row = (_key(file.path), after.st_size, after.st_mtime_ns, sha256)
            with self._using() as base:
                base.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", row)
        return sha256

    def known_digest(self, file: SoundFile) -> str | None:
        """The digest, if the file was seen before and looks unchanged from outside."""
        try:
            state = os.stat(file.path)
        except (OSError, ValueError):
            return None
        with self._using() as base:
            found = base.execute(
                "SELECT sha256 FROM digests WHERE path = ? AND bytes = ? AND changed_ns = ?",
                (_key(file.path), state.st_size, state.st_mtime_ns),
            ).fetchone()
        return found[0] if found else None

    def find(self, sha256: str, asked: Question, name: str) -> Kept | None:
        """What was answered before for this content, with the analysis under the name `name`."""
        with self._using() as base:
            found = base.execute(
                "SELECT title, artist, analysis FROM analyses "
                "WHERE sha256 = ? AND model = ? AND hop_s = ? AND schema = ?",
                (sha256, asked.model, asked.hop_s, asked.schema),
            ).fetchone()
        if found is None:
            return None
        title, artist, content = found
        try:
            return Kept(unpack(content, safe_name(name)), Tags(title, artist))
        except ValueError as error:
            _log.warning("an entry of %s is asked for anew: %s", self.path.name, error)
            return None

    def keep(self, sha256: str, asked: Question, kept: Kept) -> None:
        """Remember an answer; one that is there already is replaced."""
        row = (sha256, asked.model, asked.hop_s, asked.schema, kept.tags.title, kept.tags.artist, pack(kept.analysis))
        with self._using() as base:
            base.execute("INSERT OR REPLACE INTO analyses VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            yield self._base

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            cure = f"delete it, or choose a folder with {CACHE_VARIABLE}"
            raise FluxBeatError(f"the library's cache {self.path} cannot be used ({error}): {cure}") from error


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))
