"""A folder of genre folders: FOLDER/GENRE/FILE or FOLDER/GENRE/ARTIST/.../FILE."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from fluxbeat.audio.sound_files import sound_files_below
from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.recordings import Recording

_log = logging.getLogger(__name__)


def audio_files(folder: Path) -> Iterator[Path]:
    """Audio files below a folder, in the order of their paths; hidden files and folders are passed over.

    A folder that may not be opened is passed over with a warning.
    """
    for file in sorted(sound_files_below(folder), key=lambda file: file.path):
        if file.problem:
            _log.warning("left out: %s: %s", file.shown, file.problem)
        elif file.path.is_file():
            yield file.path


def read_genre_folders(folder: Path) -> list[Recording]:
    """The audio files of a folder of genre folders; the folders' names are the labels.

    A folder inside a genre's folder is an artist: the same name in two genres is the same artist. Whose a file is that
    lies in the genre's folder itself is not known here. Two spellings of one name in Unicode are one name.

    Raises
    ------
    FluxBeatError
        If there is no audio, audio that lies in no genre folder, or only one genre.
    """
    recordings, loose = [], []
    for path in audio_files(folder):
        genre, *below = (unicodedata.normalize("NFC", part) for part in path.relative_to(folder).parts)
        if not below:
            loose.append(path.name)
            continue
        name = path.relative_to(folder).as_posix()
        artist = below[0] if len(below) > 1 else ""
        recordings.append(Recording(path, (genre,), None, artist, "", name))
    cure = f"sort the music as {folder}/GENRE/FILE or {folder}/GENRE/ARTIST/FILE"
    if loose:
        raise FluxBeatError(f"{folder}: {len(loose)} audio files lie in no genre folder, {loose[0]} first; {cure}")
    if not recordings:
        raise FluxBeatError(f"{folder}: no audio files (MP3, FLAC, WAV, OGG, M4A ...); {cure}")
    genres = {label for recording in recordings for label in recording.labels or ()}
    if len(genres) == 1:
        raise FluxBeatError(
            f"{folder}: the only genre is {genres.pop()!r}, at least two are needed to tell apart; {cure}"
        )
    return recordings
