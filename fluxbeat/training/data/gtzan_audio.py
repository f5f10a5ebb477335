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

import re
from pathlib import Path

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.folder_data import audio_files
from fluxbeat.training.data.recordings import Recording

CLIP = re.compile(r"(?P<genre>[a-z]+)\.(?P<number>\d{5})")
PLACES = ("", "genres", "genres_original", "Data/genres_original", "gtzan_genre/genres")
TEMPO_PLACES = ("gtzan_tempo_beat-main/tempo", "gtzan_tempo_beat/tempo")


def read_gtzan(folder: Path) -> list[Recording] | None:
    """The clips of the fault-filtered split, without the 70 faulty ones; None where `folder` does not hold GTZAN.

    GTZAN names no artists.
    """
    genres = next((folder / place for place in PLACES if _holds_clips(folder / place)), None)
    if genres is None:
        return None
    from torchaudio.datasets import gtzan

    lists = {"train": gtzan.filtered_train, "dev": gtzan.filtered_valid, "test": gtzan.filtered_test}
    split_of = {clip: split for split, clips in lists.items() for clip in clips}
    tempi = _read_tempi(folder)
    recordings = []
    for path in audio_files(genres):
        clip = CLIP.match(path.name)
        if clip and clip[0] in split_of:
            recordings.append(
                Recording(path, (clip["genre"],), tempi.get(clip[0]), clip[0], split_of[clip[0]], clip[0])
            )
    return recordings


def _holds_clips(folder: Path) -> bool:
    return any(folder.glob("blues/blues.0*")) or any(folder.glob("rock/rock.0*"))


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
