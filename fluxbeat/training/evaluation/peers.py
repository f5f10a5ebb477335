"""What others say of the same music: librosa's and Essentia's tempo, MusiCNN's genres."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.corpus.teacher import Teacher
from fluxbeat.training.evaluation.cases import Case, Sound
from fluxbeat.training.teacher_labels import tag_probabilities


def librosa_bpm(case: Case) -> float:
    """`librosa.feature.tempo` with its own settings."""
    import librosa

    return float(librosa.feature.tempo(y=_sound(case)(22_050), sr=22_050)[0])


def essentia_bpm(case: Case) -> float:
    """Essentia's RhythmExtractor2013, multifeature (Zapata, Davies & Gómez, IEEE TASLP 2014), with its own settings.

    Raises
    ------
    FluxBeatError
        If Essentia is not installed.
    """
    try:
        import essentia

        essentia.log.infoActive = False
        from essentia.standard import RhythmExtractor2013
    except ModuleNotFoundError as error:
        raise FluxBeatError(
            f"the peer essentia needs the module {error.name}: pip install essentia (AGPL; not needed otherwise), "
            "or leave it out of --peers"
        ) from error
    return float(RhythmExtractor2013(method="multifeature")(_sound(case)(44_100))[0])


TEMPO_PEERS: dict[str, Callable[[Case], float]] = {"librosa": librosa_bpm, "essentia": essentia_bpm}


def ask_peers(cases: Iterable[Case], tempo_peers: Sequence[str], teacher: Teacher | None = None) -> Iterator[Case]:
    """The cases with what the peers say of them.

    Parameters
    ----------
    cases : iterable of Case
    tempo_peers : sequence of str
        Keys of `TEMPO_PEERS`; asked where there is audio and a tempo is known.
    teacher : Teacher, optional
        Asked where there is audio and genres are known. Tag logits that a case already holds are taken as they are.

    Raises
    ------
    FluxBeatError
        If a peer is not known or not installed.
    """
    unknown = sorted(set(tempo_peers) - set(TEMPO_PEERS))
    if unknown:
        raise FluxBeatError(f"no tempo estimator {unknown[0]!r}: expected {' or '.join(TEMPO_PEERS)}")
    for case in cases:
        bpm = {}
        if case.sound is not None and case.tempo_bpm:
            bpm = {peer: TEMPO_PEERS[peer](case) for peer in tempo_peers}
        logits = case.teacher
        if logits is None and teacher is not None and case.sound is not None and case.labels is not None:
            logits, _ = teacher.listen(_sound(case)(22_050), 22_050)
        yield replace(case, peer_bpm=bpm, peer_genres={} if logits is None else tag_probabilities(logits))


def _sound(case: Case) -> Sound:
    if case.sound is None:
        raise FluxBeatError(f"{case.track.file}: only its spectrogram is at hand, and the peers need its sound")
    return case.sound
