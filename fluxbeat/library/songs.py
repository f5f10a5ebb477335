"""Songs as a genre head learns them: their embedding by a network that stays as it is, fingerprint and artist."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fluxbeat.analysis.track import audible_windows, track_of
from fluxbeat.analysis.windows import slide
from fluxbeat.atomic_write import atomic_write
from fluxbeat.audio.decoding import MAX_DURATION_S, open_audio
from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.audio.tags import artist_of_file
from fluxbeat.errors import AnalysisCancelled, AudioDecodeError, FluxBeatError
from fluxbeat.features.fingerprint import Fingerprint
from fluxbeat.features.fingerprint import fingerprint as fingerprint_of
from fluxbeat.features.log_mel import LogMel
from fluxbeat.features.overlap import course
from fluxbeat.features.torch_threads import threads_that_compute_alone
from fluxbeat.library.cache import ANSWERING_ROOMS, code_digest, file_state
from fluxbeat.library.workers import GoOn, TurnOf, cores, turn_at_once
from fluxbeat.models.base import GenreTempoModel
from fluxbeat.models.registry import LoadedModel

HOP_S = 5.0
LEAST_S = 2.0
EXCERPT_S, MOST_EXCERPTS = 30.0, 4
RECORDING_S_PER_EXCERPT = 60.0


@dataclass(frozen=True, eq=False)
class Song:
    """What is learned of one recording.

    Attributes
    ----------
    name : str
        What it is called in front of a person.
    artist : str
        As its tags or its file name say; empty where neither does.
    embedding : float32 array, shape (windows, d)
        What the network's heads would see of every window that sounds; of long recordings, of up to four excerpts.
    fingerprint : Fingerprint
        Of its beginning.
    course : float32 array, shape (bands, steps)
        Of all of it, by which a passage that it shares with another is found.
    """

    name: str
    artist: str
    embedding: np.ndarray
    fingerprint: Fingerprint
    course: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))


def excerpt_starts(frames: int, excerpt_frames: int, frame_rate_hz: float) -> list[int]:
    """First frames of the excerpts of a recording: spread evenly over it, none overlapping, [0] for a short one."""
    spare = frames - excerpt_frames
    if spare <= 0:
        return [0]
    count = round(frames / frame_rate_hz / RECORDING_S_PER_EXCERPT)
    count = min(max(count, 1), MOST_EXCERPTS, frames // excerpt_frames)
    ends = np.linspace(0, spare, count) if count > 1 else [spare / 2]
    return [int(start) for start in ends]


def mel_power_of(
    path: Path, name: str, front_end: LogMel, max_duration_s: float = MAX_DURATION_S, go_on: GoOn = lambda: None
) -> np.ndarray:
    """Mel power in dB of a whole recording, float32 (mels, frames).

    `go_on` is called now and then; whatever it raises ends the work.

    Raises
    ------
    AudioDecodeError
        If it cannot be read, or is too short or too long.
    """
    rate_hz = front_end.config.frame_rate_hz
    with open_audio(
        path, name=name, sample_rate_hz=front_end.config.sample_rate_hz, max_duration_s=max_duration_s
    ) as stream:
        log_mel_db = front_end.from_blocks(_watched(stream, go_on))
    frames = log_mel_db.shape[1]
    if frames < LEAST_S * rate_hz:
        raise AudioDecodeError(f'"{name}" lasts {frames / rate_hz:.1f} s, at least {LEAST_S:g} s are needed')
    return log_mel_db


def _watched(blocks: Iterable[np.ndarray], go_on: GoOn) -> Iterator[np.ndarray]:
    for block in blocks:
        go_on()
        yield block


def excerpts_of(log_mel_db: np.ndarray, frame_rate_hz: float) -> list[np.ndarray]:
    """The excerpts of a recording's (mels, frames)."""
    length = round(EXCERPT_S * frame_rate_hz)
    starts = excerpt_starts(log_mel_db.shape[1], length, frame_rate_hz)
    return [np.ascontiguousarray(log_mel_db[:, start : start + length]) for start in starts]


def read_song(file: SoundFile, network: GenreTempoModel, max_duration_s: float, go_on: GoOn) -> Song:
    """Read one song; whatever `go_on` raises, which is called now and then, ends that.

    Raises
    ------
    AudioDecodeError
        If it cannot be read, is too short or too long, or is silent.
    """
    name, features = file.shown, network.config.features
    if file.problem:
        raise AudioDecodeError(f'"{name}": {file.problem}')
    log_mel_db = mel_power_of(file.path, name, LogMel(features), max_duration_s, go_on)
    excerpts, printed = excerpts_of(log_mel_db, features.frame_rate_hz), fingerprint_of(log_mel_db, features)
    moves, found = course(log_mel_db, features), []
    del log_mel_db  # of an hour it is large
    for excerpt in excerpts:
        go_on()
        track = track_of(excerpt, features, name)
        windows = slide(network, track.log_mel, HOP_S, lambda _: go_on())
        found.append(windows.embedding[audible_windows(track, windows.start_s, network.config.window_s)])
    embedding = np.concatenate(found)
    if not len(embedding):
        raise AudioDecodeError(f'"{name}" is silent')
    return Song(name, artist_of_file(file.path, name), embedding, printed, moves)


class SongReader:
    """Reads many songs at once, in threads that compute on one core each.

    Parameters
    ----------
    model : LoadedModel
        A single network.
    cache : path, optional
        Folder that what was found of each file is kept in, so that work that was cut off goes on; of a model and of the
        code that answers.
    count : int, optional
        Threads; one per core where not given.
    max_duration_s : float
        Longest recording in seconds that is taken.
    turn : callable, optional
        As `fluxbeat.library.workers.ThreadWorkers` takes it.
    """

    def __init__(
        self,
        model: LoadedModel,
        cache: Path | None = None,
        count: int | None = None,
        max_duration_s: float = MAX_DURATION_S,
        turn: TurnOf | None = None,
    ) -> None:
        if not isinstance(model.network, GenreTempoModel):
            raise FluxBeatError(
                f"{model.info.name} is no single network of FluxBeat: name one of these, crnn for instance"
            )
        self.network, self.revision = model.network, model.info.revision
        self._folder = cache / f"songs-{self.revision}-{code_digest(ANSWERING_ROOMS)}" if cache else None
        self._max_duration_s = max_duration_s
        self._turn: TurnOf = turn or turn_at_once
        self._pool = threads_that_compute_alone(count or cores(), "fluxbeat-songs")

    def read(self, files: Sequence[SoundFile], stop: threading.Event) -> Iterator[tuple[int, Song | str]]:
        """Each file's place with the song, or in one sentence why there is none, in the order in which they are done.

        Ends early once `stop` is set; leaving it early sets it.
        """
        doing = {self._pool.submit(self._one, file, stop): place for place, file in enumerate(files)}
        try:
            for future in as_completed(doing):
                try:
                    yield doing[future], future.result()
                except AnalysisCancelled:
                    return
                except FluxBeatError as error:
                    yield doing[future], str(error)
        finally:
            if not all(future.done() for future in doing):
                stop.set()
            for future in doing:
                future.cancel()

    def _one(self, file: SoundFile, stop: threading.Event) -> Song:
        if stop.is_set():
            raise AnalysisCancelled("no longer wanted")
        kept = self._folder / f"{_key(file.path)}.npz" if self._folder and not file.problem else None
        song = _kept(kept, file.shown) if kept else None
        if song is None:
            with self._turn(stop) as go_on:
                song = read_song(file, self.network, self._max_duration_s, go_on)
            if kept:
                _keep(kept, song)
        return song


def _key(path: Path) -> str:
    """Of a file at its place with its size and time of change; another once one of these changes."""
    parts = (str(path.absolute()), file_state(path), HOP_S, EXCERPT_S, MOST_EXCERPTS)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _keep(path: Path, song: Song) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = {"embedding": song.embedding, "artist": song.artist, "course": song.course, **vars(song.fingerprint)}
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez(file, **fields)


def _kept(path: Path, name: str) -> Song | None:
    """What was kept of a file; None where nothing was, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as found:
            print_ = Fingerprint(str(found["digest"]), found["curve"])
            return Song(name, str(found["artist"]), found["embedding"], print_, found["course"])
    except (OSError, ValueError, KeyError, EOFError):
        return None
