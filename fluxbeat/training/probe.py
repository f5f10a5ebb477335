"""What pretraining is worth: a checkpoint probed with few labels, beside random weights and a plain control.

Two probes, as in Chen et al. (ICML 2020): a linear classifier on the frozen embedding, and a short supervised run
that starts from the checkpoint. Each is done with a share of one fold's labels and tested on the other fold. The
control is a support vector machine on the means and deviations of cepstral coefficients (Tzanetakis & Cook, IEEE
TSAP 2002; Mandel & Ellis, ISMIR 2005), which any pretraining must beat to be worth its while.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch.optim.swa_utils import update_bn

from fluxbeat.analysis.windows import slide
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.models import Calibration, GenreTempoModel, build_model
from fluxbeat.training.augment import crop_and_stretch
from fluxbeat.training.items import Item
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.run import fit
from fluxbeat.training.supervised import SupervisedTask

CEPSTRA = 20
FOLDS = (1, 2)
DIRECTIONS = ((1, 2), (2, 1))
SHARES = (0.01, 0.1, 1.0)
FINETUNE_EPOCHS = 12
BATCH_WINDOWS = 32
CONTROL = "MFCC"


@dataclass(frozen=True)
class Score:
    """How well one probe names genres.

    Attributes
    ----------
    start : str
        Name of the checkpoint, 'random FAMILY', or 'MFCC'.
    probe : str
        'linear', 'fine-tuned' or 'SVM'.
    share : float
        Share of the labels that was asked for.
    labelled : tuple of int
        Labelled clips in each of the two folds: never fewer than there are genres.
    tested : int
        Test clips, both directions together.
    accuracy : tuple of float
        Share of them that is named right, 0..1, one for each seed.
    """

    start: str
    probe: str
    share: float
    labelled: tuple[int, ...]
    tested: int
    accuracy: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean accuracy over the seeds."""
        return float(np.mean(self.accuracy))

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds (of a sample); 0 for a single seed."""
        return float(np.std(self.accuracy, ddof=1)) if len(self.accuracy) > 1 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """All values, with mean and spread."""
        return {**asdict(self), "mean": round(self.mean, 4), "spread": round(self.spread, 4)}


def draw_labels(labels: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Which clips may show their label.

    Parameters
    ----------
    labels : sequence of str
        One for each clip.
    share : float
        0..1, of the clips.
    seed : int
        With the same seed, a smaller share is part of a larger one.

    Returns
    -------
    int64 array, shape (clips,), rising
        One clip of each genre at the least: `share` is exceeded where it is too small for that.

    Raises
    ------
    FluxBeatError
        If `share` is not within 0..1.
    """
    if not 0 < share <= 1:
        raise FluxBeatError(f"a share of the labels must be above 0 and at most 1, got {share}")
    order = np.random.default_rng(seed).permutation(len(labels))
    shown = np.asarray(labels)[order]
    first = np.sort(np.unique(shown, return_index=True)[1])
    order = np.concatenate([order[first], np.delete(order, first)])
    return np.sort(order[: max(len(first), round(share * len(labels)))])


def cepstra(log_mel: np.ndarray) -> np.ndarray:
    """Means and deviations over a clip of its cepstral coefficients: (mels, frames) -> float64 (2 * CEPSTRA,)."""
    from scipy.fft import dct

    found = dct(log_mel.astype(np.float64), axis=0, norm="ortho")[:CEPSTRA]
    return np.concatenate([found.mean(axis=1), found.std(axis=1)])


def embeddings(model: GenreTempoModel, items: Sequence[Item]) -> np.ndarray:
    """Mean embedding of each clip's windows, which overlap by half: float32 (items, d)."""
    hop_s = model.config.window_s / 2
    return np.stack([slide(model, item.log_mel.astype(np.float32), hop_s).embedding.mean(axis=0) for item in items])


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips of two folds, each clip with one genre.

    Attributes
    ----------
    items : dict of int to list of Item
    labels : dict of int to list of str
        Genres of the items.
    genres : tuple of str
        All of them, in order of the alphabet.
    """

    items: dict[int, list[Item]]
    labels: dict[int, list[str]]
    genres: tuple[str, ...]

    @classmethod
    def of(cls, items: Sequence[Item]) -> Clips:
        """Those items that have a label and are in fold 1 or 2.

        Raises
        ------
        FluxBeatError
            If the folds do not hold the same genres, two at the least.
        """
        chosen = {fold: [item for item in items if item.labels and item.fold == fold] for fold in FOLDS}
        labels = {fold: [(item.labels or ("",))[0] for item in chosen[fold]] for fold in FOLDS}
        genres = {fold: tuple(sorted(set(labels[fold]))) for fold in FOLDS}
        if genres[1] != genres[2] or len(genres[1]) < 2:
            raise FluxBeatError(
                "both folds must hold the same genres, at least two, "
                f"got {', '.join(genres[1])} in fold 1 and {', '.join(genres[2])} in fold 2"
            )
        return cls(chosen, labels, genres[1])


@dataclass(frozen=True, eq=False)
class Start:
    """Where a probe begins: at a model, or at random weights of the same shape."""

    name: str
    model: GenreTempoModel
    is_random: bool = False

    def weights(self, genres: Sequence[str], seed: int) -> GenreTempoModel:
        """A model with a new, untrained genre head for `genres`; what is random is decided by `seed`."""
        labels, thresholds = tuple(genres), (0.5,) * len(genres)
        config = replace(self.model.config, labels=labels, thresholds=thresholds, calibration=Calibration(), metrics=())
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            fresh = build_model(config)
        if not self.is_random:
            new_head = {name: value for name, value in fresh.state_dict().items() if name.startswith("genre_head.")}
            fresh.load_state_dict({**self.model.state_dict(), **new_head}, strict=True)
        return fresh.eval()


def probe(
    models: Mapping[str, GenreTempoModel],
    read: Callable[[FeatureConfig], Iterable[Item]],
    seeds: int = 3,
    shares: Sequence[float] = SHARES,
    finetune_epochs: int = FINETUNE_EPOCHS,
    report: Callable[[str], None] | None = None,
) -> list[Score]:
    """Probe models with few labels, beside the same models with random weights and beside the control.

    The spread over seeds is that of the drawn labels, and of what is random in training and in random weights; how
    much pretraining would differ if it were done again is not in it.

    Parameters
    ----------
    models : mapping of str to GenreTempoModel
        By the name they are reported under. None may have seen the music, which cannot be checked here.
    read : callable
        Features to clips, each with one genre and a fold, 1 or 2.
    seeds : int
        How often labels are drawn.
    shares : sequence of float
        Shares of a fold's labels, above 0 and at most 1.
    finetune_epochs : int
        Length of the supervised runs; 0 leaves them out.
    report : callable, optional
        Called with what is about to be done.

    Returns
    -------
    list of Score
        The control, then each model after its family with random weights.

    Raises
    ------
    FluxBeatError
        If there is no seed, a share is not within 0..1, or the folds do not hold the same genres.
    """
    if seeds < 1:
        raise FluxBeatError(f"at least one seed is needed, got {seeds}")
    tell = report or (lambda doing: None)
    clips: dict[str, Clips] = {}
    scores: list[Score] = []
    for start in _starts(models):
        features = start.model.config.features
        if features.hash not in clips:
            clips[features.hash] = Clips.of(list(read(features)))
        heard = clips[features.hash]
        if not scores:
            tell(f"{CONTROL}, SVM")
            scores += _judge(CONTROL, "SVM", heard, seeds, shares, _control(heard))
        tell(f"{start.name}, linear")
        scores += _judge(start.name, "linear", heard, seeds, shares, _linear(start, heard, seeds))
        if finetune_epochs:
            tell(f"{start.name}, fine-tuned")
            scores += _judge(start.name, "fine-tuned", heard, seeds, shares, _fine_tuned(start, heard, finetune_epochs))
    return scores


def _starts(models: Mapping[str, GenreTempoModel]) -> list[Start]:
    starts: list[Start] = []
    shapes = set()
    for name, model in models.items():
        config = model.config
        shape = (config.family, repr(config.architecture), config.features.hash, config.window_s)
        if shape not in shapes:
            starts.append(Start(f"random {config.family}", model, is_random=True))
            shapes.add(shape)
        starts.append(Start(name, model))
    return starts


Answer = Callable[[int, int, np.ndarray], Sequence[str]]
"""Seed, training fold and rows of its clips that show their label -> genres of the other fold's clips."""


def _judge(start: str, kind: str, clips: Clips, seeds: int, shares: Sequence[float], answer: Answer) -> Iterator[Score]:
    tested = sum(len(clips.items[fold]) for fold in FOLDS)
    for share in shares:
        labelled, accuracy = [0, 0], []
        for seed in range(seeds):
            hits = 0
            for row, (fold, other) in enumerate(DIRECTIONS):
                drawn = draw_labels(clips.labels[fold], share, seed)
                labelled[row] = len(drawn)
                said = answer(seed, fold, drawn)
                hits += sum(a == b for a, b in zip(said, clips.labels[other], strict=True))
            accuracy.append(hits / tested)
        yield Score(start, kind, share, tuple(labelled), tested, tuple(accuracy))


def _control(clips: Clips) -> Answer:
    heard = {fold: np.stack([cepstra(item.log_mel) for item in clips.items[fold]]) for fold in FOLDS}
    return lambda seed, fold, drawn: _classify(SVC(), heard[fold], clips.labels[fold], drawn, heard[3 - fold])


def _linear(start: Start, clips: Clips, seeds: int) -> Answer:
    heard: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
    if start.is_random:
        for seed, (fold, other) in itertools.product(range(seeds), DIRECTIONS):
            model = start.weights(clips.genres, seed)
            _settle(model, clips.items[fold], seed)
            heard[seed, fold] = embeddings(model, clips.items[fold]), embeddings(model, clips.items[other])
    else:
        model = start.weights(clips.genres, seed=0)
        found = {fold: embeddings(model, clips.items[fold]) for fold in FOLDS}
        heard = {(seed, fold): (found[fold], found[3 - fold]) for seed in range(seeds) for fold in FOLDS}

    def answer(seed: int, fold: int, drawn: np.ndarray) -> Sequence[str]:
        known, unknown = heard[seed, fold]
        return _classify(LogisticRegression(max_iter=2000), known, clips.labels[fold], drawn, unknown)

    return answer


def _classify(
    classifier: LogisticRegression | SVC,
    known: np.ndarray,
    labels: Sequence[str],
    drawn: np.ndarray,
    unknown: np.ndarray,
) -> Sequence[str]:
    """Names of the rows of `unknown`; all of `known` decide the scale, its `drawn` rows alone show their labels."""
    scale = StandardScaler().fit(known)
    classifier.fit(scale.transform(known[drawn]), np.asarray(labels)[drawn])
    names: list[str] = classifier.predict(scale.transform(unknown)).tolist()
    return names


def _settle(model: GenreTempoModel, items: Sequence[Item], seed: int) -> None:
    """Let a model with random weights hear the training clips once: its batch norms need their statistics."""
    rng, frames = np.random.default_rng(seed), model.config.window_frames
    windows = [crop_and_stretch(item.log_mel.astype(np.float32), frames, 0.0, rng)[0] for item in items]
    batches = torch.from_numpy(np.stack(windows)).split(BATCH_WINDOWS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        update_bn(batches, model)
    model.eval()


def _fine_tuned(start: Start, clips: Clips, epochs: int) -> Answer:
    def answer(seed: int, fold: int, drawn: np.ndarray) -> Sequence[str]:
        config = start.model.config
        recipe = Recipe(
            family=config.family,
            labels=clips.genres,
            features=config.features,
            tempo_grid=config.tempo_grid,
            architecture=config.architecture,
            window_s=config.window_s,
            epochs=epochs,
            tempo_weight=0.0,
            seed=seed,
        )
        shown = [clips.items[fold][row] for row in drawn]
        # few clips are heard more often: every run is as long as one with all labels
        shown *= -(-len(clips.items[fold]) // len(shown))
        with tempfile.TemporaryDirectory() as folder:
            task = SupervisedTask(recipe, start.weights(clips.genres, seed))
            model = fit(task, shown, Path(folder), progress=False).averaged
        hop_s = config.window_s / 2
        heard = [slide(model, item.log_mel.astype(np.float32), hop_s) for item in clips.items[3 - fold]]
        return [clips.genres[int(found.genre_logits.mean(axis=0).argmax())] for found in heard]

    return answer
