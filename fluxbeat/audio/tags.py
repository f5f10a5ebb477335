"""Title and artist as a file's own tags name them."""

from __future__ import annotations

import io
import logging
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import mutagen

LONGEST = 200
_JOINERS = "\u200c\u200d"  # part of emoji and of Persian and Indic spelling
_MOST_READS = 50_000
_NUMBER = re.compile(r"^\s*\d{1,3}(?:\s*[-–—]\s+|[.)\s]+)")
_ARTIST = re.compile(r"^(.*?\S)\s+[-–—]\s+\S")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tags:
    """What the tags say; empty where they say nothing."""

    title: str = ""
    artist: str = ""


def read_tags(source: str | os.PathLike[str] | bytes) -> Tags:
    """Title and artist of a file or of its bytes.

    Tags are a courtesy: where they are damaged or of an unknown kind, there are none, and the sound counts alone.
    """
    try:
        with sparingly_read(source) as opened:
            found = mutagen.File(opened, easy=True)
    # mutagen meets damaged headers with whatever its parser stumbles over, not with MutagenError alone
    except Exception as error:
        _log.debug("no tags: %s %s", type(error).__name__, error)
        return Tags()
    if found is None or not found.tags:
        return Tags()
    return Tags(_first(found.tags, "title"), _first(found.tags, "artist"))


def artist_in_name(name: str) -> str:
    """The artist of a file that is called `Artist - Title`, a track number before it or not; empty where it is not."""
    plain = one_line(PurePath(name).stem.replace("_", " "))
    found = _ARTIST.match(_NUMBER.sub("", plain))
    return found.group(1) if found and not found.group(1).isdigit() else ""


def artist_of_file(path: str | os.PathLike[str], name: str = "") -> str:
    """Whose a file is by its own tags, else by its name, which `name` stands for; empty where neither says so."""
    return read_tags(path).artist or artist_in_name(name or os.fspath(path))


def sparingly_read(source: str | os.PathLike[str] | bytes) -> _SparinglyRead:
    """Input that is read in a limited number of pieces: of millions of empty blocks mutagen would make objects."""
    return _SparinglyRead(io.BytesIO(source) if isinstance(source, bytes) else io.FileIO(source))


class _SparinglyRead(io.BufferedReader):
    _reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self._reads += 1
        if self._reads > _MOST_READS:
            raise OSError("the file has too many parts")
        return super().read(size)


def _first(tags: Any, name: str) -> str:
    """The first value of a tag as one printable line; AIFF, WAV and ASF keep it under names of their own."""
    for key in (name, {"title": "TIT2", "artist": "TPE1"}[name], {"title": "Title", "artist": "Author"}[name]):
        try:
            values = tags[key]
        except (KeyError, ValueError, TypeError):
            continue
        value = values[0] if isinstance(values, list) else getattr(values, "text", [values])[0]
        return one_line(str(value))
    return ""


def one_line(text: str) -> str:
    """Text without line breaks, control or direction-changing characters, at most `LONGEST` long."""
    kept = (
        " " if c.isspace() else c for c in text if c.isspace() or c in _JOINERS or unicodedata.category(c)[0] != "C"
    )
    line = " ".join("".join(kept).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
