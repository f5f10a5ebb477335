"""The whole evaluation of checkpoints on one kind of test music, in one order, with the music named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.training.corpus.teacher import Teacher, load_teacher
from fluxbeat.training.evaluation.answers import Answer, ask
from fluxbeat.training.evaluation.cases import Case, Sound, archive_genres, item_cases, picture_items, recording_cases
from fluxbeat.training.evaluation.corpus_music import corpus_items, corpus_sounds
from fluxbeat.training.evaluation.mixtures import mix_cases, mix_items
from fluxbeat.training.evaluation.peers import ask_peers
from fluxbeat.training.evaluation.splices import splice_cases, splice_items
from fluxbeat.training.evaluation.summary import (
    over_seeds,
    paired_gap,
    summarise,
    summarise_borders,
    summarise_mixes,
)
from fluxbeat.training.items import Item
from fluxbeat.training.pictures import archive_recordings
from fluxbeat.training.recordings import Recording, read_table
from fluxbeat.zoo import ZooModel


@dataclass(frozen=True)
class Protocol:
    """What is asked of the models; exactly one of `archive`, `table` and `corpus` names the test music.

    Attributes
    ----------
    archive : str
        Stem of a picture archive.
    recordings : str
        Folder with the audio of some of its clips: those are judged, beside their pictures.
    fold : int
        Only clips of this fold of the archive; 0: all.
    table : str
        CSV of recordings.
    corpus : str
        Folder that `fluxbeat corpus` built: its split 'test'.
    mixes, splices : int
        Number of mixes of two clips and of tracks spliced from several to be made of the test music.
    peers : tuple of str
        Tempo estimators to ask as well.
    teacher : str
        Folder with MusiCNN's weights, to ask it as well; a corpus that was taught needs none.
    seed : int
        Of the mixes and splices.
    """

    archive: str = ""
    recordings: str = ""
    fold: int = 0
    table: str = ""
    corpus: str = ""
    mixes: int = 0
    splices: int = 0
    peers: tuple[str, ...] = ("librosa",)
    teacher: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if sum(map(bool, (self.archive, self.table, self.corpus))) != 1:
            raise FluxBeatError("evaluation needs one kind of test music: --gtzan-archive, --data or --corpus")
        if (self.recordings or self.fold) and not self.archive:
            raise FluxBeatError("--recordings and --fold go with --gtzan-archive")

    @property
    def split(self) -> str:
        """The test music in words."""
        if self.table:
            return f"recordings of {Path(self.table).name}"
        if self.corpus:
            return "free-music recordings, packages apart"
        kind = "recordings" if self.recordings else "pictures"
        return f"{kind} of {Path(self.archive).name}" + (f", fold {self.fold}" if self.fold else "")


@dataclass(frozen=True, eq=False)
class Material:
    """The music of a protocol: `main`, the same clips in their other form, and what was made of the music."""

    main: list[Case]
    pictures: list[Case]
    mixes: list[Case]
    splices: list[Case]


def judge(models: Sequence[ZooModel], protocol: Protocol) -> tuple[dict[str, Any], list[list[Answer]]]:
    """Ask every model about the same music.

    Parameters
    ----------
    models : sequence of ZooModel
        Several: runs of one recipe that differ in their seed.
    protocol : Protocol

    Returns
    -------
    report : dict
        Of one model: `model`, `split`, what `summarise` says of the test music, and where asked for
        `pictures_of_the_recordings`, `gap` (see `paired_gap`), `mixes`, `splices`. Of several: `models` with a report
        of each, and `over_seeds` with mean and spread.
    answers : list of list of Answer
        On the test music itself, per model.

    Raises
    ------
    FluxBeatError
        If there is no test music, or too little for mixes and splices, or a peer is missing.
    """
    music: dict[FeatureConfig, Material] = {}
    reports, answers = [], []
    for model in models:
        features = model.network.config.features
        if features not in music:
            music[features] = read_music(protocol, features)
        report, said = _judge(model, protocol, music[features])
        reports.append(report)
        answers.append(said)
    if len(reports) == 1:
        return reports[0], answers
    return {"split": protocol.split, "models": reports, "over_seeds": over_seeds(reports)}, answers


def read_music(protocol: Protocol, features: FeatureConfig) -> Material:
    """The test music of a protocol, heard by the peers, as models with these features take it; errors as in `judge`."""
    recordings: list[Recording] = []
    items: list[Item] = []
    pictures: list[Case] = []
    sounds: dict[str, Sound] = {}
    known = None
    if protocol.table:
        recordings = read_table(protocol.table)
    elif protocol.corpus:
        items, sounds = corpus_items(protocol.corpus, features), corpus_sounds(protocol.corpus)
    else:
        items = list(picture_items(protocol.archive, features, protocol.fold))
        known = archive_genres(protocol.archive)
        if protocol.recordings:
            found = archive_recordings(protocol.archive, protocol.recordings)
            recordings = [recording for recording in found if not protocol.fold or recording.fold == protocol.fold]
            heard = {recording.path.stem for recording in recordings}
            pictures = list(item_cases((item for item in items if item.item_id in heard), features))
    cases = recording_cases(recordings, features, known) if recordings else item_cases(items, features, sounds)
    main = list(ask_peers(cases, protocol.peers, _teacher(protocol)))
    if not main:
        raise FluxBeatError("no tracks to judge: the fold, the table or the corpus's split 'test' is empty")
    mixes: list[Case] = []
    splices: list[Case] = []
    if protocol.mixes and recordings:
        mixes = list(mix_cases(recordings, features, protocol.mixes, protocol.seed, known))
    elif protocol.mixes:
        mixes = list(mix_items(items, features, protocol.mixes, protocol.seed))
    if protocol.splices and recordings:
        splices = list(splice_cases(recordings, features, protocol.splices, protocol.seed))
    elif protocol.splices:
        splices = list(splice_items(items, features, protocol.splices, protocol.seed))
    return Material(main, pictures, mixes, splices)


def _judge(model: ZooModel, protocol: Protocol, music: Material) -> tuple[dict[str, Any], list[Answer]]:
    answers = ask(model, music.main)
    report: dict[str, Any] = {"model": vars(model.info), "split": protocol.split, **summarise(answers)}
    if music.pictures:
        pictures = ask(model, music.pictures)
        report["pictures_of_the_recordings"] = summarise(pictures)
        report["gap"] = paired_gap(answers, pictures)
    if music.mixes:
        report["mixes"] = summarise_mixes(ask(model, music.mixes))
    if music.splices:
        report["splices"] = summarise_borders(ask(model, music.splices))
    return report, answers


def _teacher(protocol: Protocol) -> Teacher | None:
    return load_teacher(protocol.teacher) if protocol.teacher else None
