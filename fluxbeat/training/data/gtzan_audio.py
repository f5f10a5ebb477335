"""GTZAN as audio, in its published layout.

1,000 clips of 30 s in ten genres, `genres/blues/blues.00000.wav` (or .au, the first release); the copies that go
around name the folder `genres_original`. Tzanetakis & Cook, "Musical genre classification of audio signals" (IEEE
TSAP 2002). The split is the fault-filtered one of Kereliuk, Sturm & Larsen, "Deep learning and music adversaries"
(IEEE Trans. Multimedia 2015), without the repetitions and distortions that Sturm, "The GTZAN dataset" (2013) found;
torchaudio holds its lists. Tempi, where they are at hand, are those of github.com/TempoBeatDownbeat/gtzan_tempo_beat in
the place where mirdata puts them; so the folder that mirdata fills is read as it is. mirdata itself is not asked: its
GTZAN loader (1.0.0) wants an index from the network and its tempo reader fails with NumPy 2.4.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.folder_data import audio_files
from fluxbeat.training.data.recordings import Recording

CLIP = re.compile(r"(?P<genre>[a-z]+)\.(?P<number>\d{5})")
PLACES = ("", "genres", "genres_original", "Data/genres_original", "gtzan_genre/genres")
TEMPO_PLACES = ("gtzan_tempo_beat-main/tempo", "gtzan_tempo_beat/tempo")

_log = logging.getLogger(__name__)


def find_gtzan(folder: Path) -> Path | None:
    """The folder that holds GTZAN's genre folders, at `folder` or below it; None where there is none."""
    for place in PLACES:
        if any((folder / place / "blues").glob("blues.0*")) or any((folder / place / "rock").glob("rock.0*")):
            return folder / place
    return None


def read_gtzan(folder: str | Path) -> list[Recording]:
    """The clips of the fault-filtered split; the 70 faulty ones are left out. GTZAN names no artists.

    Raises
    ------
    FluxBeatError
        If `folder` does not hold GTZAN.
    """
    from torchaudio.datasets import gtzan

    folder = Path(folder)
    genres = find_gtzan(folder)
    if genres is None:
        raise FluxBeatError(f"{folder} is not GTZAN: expected {folder}/genres/blues/blues.00000.wav and so on")
    lists = {"train": gtzan.filtered_train, "dev": gtzan.filtered_valid, "test": gtzan.filtered_test}
    split_of = {clip: split for split, clips in lists.items() for clip in clips}
    tempi = _read_tempi(folder)
    recordings, faulty = [], 0
    for path in audio_files(genres):
        clip = CLIP.match(path.name)
        if clip is None:
            continue
        if clip[0] not in split_of:
            faulty += 1
            continue
        recordings.append(
            Recording(path, (clip["genre"],), tempi.get(clip[0]), clip[0], split_of[clip[0]], track_id=clip[0])
        )
    _log.info("%s: %d clips; %d left out, which the fault-filtered split leaves out", folder, len(recordings), faulty)
    return recordings


def _read_tempi(folder: Path) -> dict[str, float]:
    """Tempo in beats per minute of each clip, from files like gtzan_blues_00000.bpm; empty where there are none."""
    tempi = {}
    for place in TEMPO_PLACES:
        for path in sorted((folder / place).glob("gtzan_*_*.bpm")):
            _, genre, number = path.stem.split("_")
            try:
                tempi[f"{genre}.{number}"] = float(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise FluxBeatError(f"{path}: expected one number, the tempo in beats per minute: {error}") from error
    return tempi
