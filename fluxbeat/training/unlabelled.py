"""Music of which nothing is known but its sound: a folder of recordings, for the teacher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fluxbeat.audio import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.training.corpus.excerpts import cut_excerpts
from fluxbeat.training.corpus.teach import SEGMENTS
from fluxbeat.training.corpus.teacher import Teacher
from fluxbeat.training.folder_data import audio_files
from fluxbeat.training.items import FREE, Item
from fluxbeat.training.picture_simulation import RATE_HZ, simulate_picture
from fluxbeat.training.pictures import picture_to_log_mel


def unlabelled_excerpts(folder: str | Path, features: FeatureConfig, teacher: Teacher | None = None) -> Iterator[Item]:
    """Excerpts of every recording in a folder, each also as its picture would show it, source 'free'.

    Raises
    ------
    FluxBeatError
        If the folder holds no audio.
    """
    paths = list(audio_files(Path(folder)))
    if not paths:
        raise FluxBeatError(f"{folder}: no audio in this folder")
    front_end = LogMel(features)
    for path in paths:
        samples = load_audio(path, sample_rate_hz=RATE_HZ).samples
        for excerpt in cut_excerpts(samples, RATE_HZ):
            yield Item(
                f"{path.name}@{excerpt.start_s:.0f}",
                front_end(excerpt.samples),
                labels=None,
                tempo_bpm=None,
                artist=path.stem,
                source=FREE,
                picture=picture_to_log_mel(simulate_picture(excerpt.samples), features),
                teacher=hear(teacher, excerpt.samples) if teacher else None,
            )


def hear(teacher: Teacher, samples: np.ndarray) -> np.ndarray:
    """The teacher's tag logits and embedding of segments spread over an excerpt, float32 (segments, 500)."""
    logits, embedding, _ = teacher.listen_here_and_there(samples, RATE_HZ, SEGMENTS)
    return np.concatenate([logits, embedding], axis=1)
