"""A person's own genres from a handful of songs: a head on a network that stays as it is, and how good it is.

How good is measured on songs that were not learned from: artist by artist is left out, learned without, and asked
about. Copies and parts of one recording always go together.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from fluxbeat.errors import FluxBeatError
from fluxbeat.features.fingerprint import originals, same_recordings
from fluxbeat.features.overlap import sharing
from fluxbeat.library.songs import Song
from fluxbeat.library.workers import GoOn
from fluxbeat.models.base import GenreTempoModel
from fluxbeat.models.checkpoint import save_checkpoint
from fluxbeat.models.config_file import LONGEST_LABEL, MOST_LABELS
from fluxbeat.models.fingerprint_file import write_fingerprints
from fluxbeat.models.hub.model_card import MUST_NOT, Card, card_to_publish, thresholds_in_words
from fluxbeat.models.label_calibration import LabelledWindows, fit_labels, fit_thresholds, wilson
from fluxbeat.models.quick_head import crossed_logits, fit_head, with_head
from fluxbeat.models.registry import LoadedModel, checkpoint_folder

BASE = "crnn"
"""The bundled network whose embedding a head is taught on: see USER_GUIDE.md for how it compares."""
LEAST_SONGS, LEAST_GROUPS = 5, 3
"""Of each genre, for a measurement to be worth a word: songs, and artists where these are known."""
LEAST_PER_LABEL = 2
OWN_SPLIT = {"artists": "own songs, artists apart", "recordings": "own songs, artists not known"}
_PART = re.compile(
    r"[\s_.,(\[-]*\b(?:part|pt|teil|side|half)[\s_.-]*(?:\d{1,2}|[ivx]{1,4}|[a-d])\b[)\]]?$", re.IGNORECASE
)

Apart = Literal["artists", "recordings"]


@dataclass(frozen=True, eq=False)
class Example:
    """One song, and what a person says it is.

    Attributes
    ----------
    song : Song
    genres : tuple of str
        One at least.
    artist : str
        From a folder or a table; empty: what the song's own tags or name say.
    """

    song: Song
    genres: tuple[str, ...]
    artist: str = ""

    @property
    def whose(self) -> str:
        """The artist, however it is spelled; empty where nobody knows."""
        return " ".join(unicodedata.normalize("NFKC", self.artist or self.song.artist).casefold().split())


@dataclass(frozen=True)
class Judgement:
    """How good a head is on songs that it did not learn from.

    Attributes
    ----------
    sentences : list of str
        All of it in words.
    hits, n : int
        Songs whose first genre was right, of how many; n is 0 where too little was there to measure.
    interval : tuple of float
        95 % of the share (Wilson 1927), of as many independent answers as there are artists.
    apart : 'artists' or 'recordings'
        Whether no artist was on both sides, or whose the songs are is not known of all.
    """

    sentences: list[str]
    hits: int = 0
    n: int = 0
    interval: tuple[float, float] = (0.0, 1.0)
    apart: Apart = "recordings"


@dataclass(frozen=True, eq=False)
class OwnGenres:
    """A network with a head of its own, and what is known of it.

    Attributes
    ----------
    network : GenreTempoModel
        With labels, calibration, thresholds and metrics in its configuration.
    base : LoadedModel
        Whose embedding it rests on.
    examples : tuple of Example
        What it learned from.
    judgement : Judgement
    """

    network: GenreTempoModel
    base: LoadedModel
    examples: tuple[Example, ...]
    judgement: Judgement

    @property
    def counts(self) -> dict[str, int]:
        """Songs of each genre."""
        found = Counter(label for example in self.examples for label in example.genres)
        return {label: found[label] for label in self.network.config.labels}


def check_genres(names: Collection[str]) -> None:
    """Refuse genres that no checkpoint can hold, or that leave nothing to tell apart.

    Raises
    ------
    FluxBeatError
        If there are fewer than two or too many, or one has no possible name.
    """
    if len(names) < 2:
        found = "".join(f"only {name!r}" for name in names) or "none"
        raise FluxBeatError(f"at least two genres are needed to tell apart, found {found}")
    if len(names) > MOST_LABELS:
        raise FluxBeatError(f"{len(names):,} genres are more than the {MOST_LABELS:,} that a checkpoint holds")
    for name in names:
        check_genre(name)


def check_genre(name: str) -> None:
    """Refuse a name that no checkpoint can hold.

    Raises
    ------
    FluxBeatError
        If it is empty, too long or cannot be printed.
    """
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_LABEL:
        shown = repr(name[:LONGEST_LABEL])
        raise FluxBeatError(f"{shown} is no name for a genre: it takes 1 to {LONGEST_LABEL} characters that show")


@threadpool_limits.wrap(limits=1)  # of matrices this small threads cost more than they gain
def teach(examples: Sequence[Example], base: LoadedModel, go_on: GoOn = lambda: None) -> OwnGenres:
    """Teach a head these songs' genres, read by `base`'s single network, and measure it where they are enough.

    `go_on` is called now and then; whatever it raises ends the work.

    Raises
    ------
    FluxBeatError
        If there are fewer than two songs of a genre, or as `check_genres`.
    """
    network = base.network
    assert isinstance(network, GenreTempoModel)  # SongReader takes no other
    counts = Counter(label for example in examples for label in example.genres)
    labels = tuple(sorted(counts))
    check_genres(labels)
    rare = min(labels, key=lambda label: counts[label])
    if counts[rare] < LEAST_PER_LABEL:
        raise FluxBeatError(f"{rare!r} has {counts[rare]} song, every genre needs {LEAST_PER_LABEL} at least: add one")
    truth = np.array([[label in example.genres for label in labels] for example in examples])
    embedding = np.concatenate([example.song.embedding for example in examples])
    row = np.repeat(np.arange(len(examples)), [len(example.song.embedding) for example in examples])
    groups = groups_of(examples)
    head = fit_head(embedding, row, truth)
    missing = _missing(labels, truth, groups)
    if missing:
        made = with_head(network, labels, head)
        judgement = Judgement([f"Too few songs to say how good it is. What is missing: {missing}."])
    else:
        windows = LabelledWindows(row, crossed_logits(embedding, row, truth, groups, go_on), np.ones(len(row)), truth)
        calibration = fit_labels(windows)
        probability = windows.probability(calibration)
        # one for all: genres are named in order of their odds above their thresholds, and few songs stand behind each
        (least,) = fit_thresholds(probability.reshape(-1, 1), truth.reshape(-1, 1))
        judgement = _judgement(labels, truth, probability, groups, sum(not example.whose for example in examples))
        made = with_head(network, labels, head, calibration)
        made.config = replace(made.config, thresholds=(least,) * len(labels), metrics=(_metric(judgement),))
    return OwnGenres(made, base, tuple(examples), judgement)


def groups_of(examples: Sequence[Example]) -> list[int]:
    """Which songs must not be parted, a number for each.

    Those of one artist, one recording in two files, recordings that share a passage, and parts of one piece.
    """
    prints = [example.song.fingerprint for example in examples]
    linked = same_recordings(prints, prints) + sharing([example.song.course for example in examples])
    first: dict[str, int] = {}
    for place, example in enumerate(examples):
        for key in filter(None, (example.whose and f"by {example.whose}", _piece(example.song.name))):
            linked.append((first.setdefault(key, place), place))
    one, other = np.array(linked, int).reshape(-1, 2).T
    pairs = coo_array((np.ones(len(one)), (one, other)), shape=(len(examples),) * 2)
    return list(connected_components(pairs, directed=False)[1].tolist())


def without_repeats(examples: Sequence[Example], merge: bool = True) -> tuple[list[Example], list[tuple[str, str]]]:
    """Every recording once, and the names of each copy left out and of what it repeats.

    With `merge` the first has the genres of all its copies; without, those that it came with.
    """
    kept: dict[int, Example] = {}
    repeats: list[tuple[str, str]] = []
    for example, original in zip(examples, originals([example.song.fingerprint for example in examples]), strict=True):
        first = kept.setdefault(original, example)
        if first is not example:
            repeats.append((example.song.name, first.song.name))
            if merge:
                genres = dict.fromkeys([*first.genres, *example.genres])
                kept[original] = replace(first, genres=tuple(genres))
    return list(kept.values()), repeats


def save_own_genres(own: OwnGenres, folder: Path, title: str = "") -> None:
    """Write the checkpoint: config.json, weights, model card, and fingerprints of the songs it learned from.

    Licences that lie beside the base's weights go along.
    """
    save_checkpoint(own.network, folder)
    write_fingerprints(folder, [example.song.fingerprint for example in own.examples])
    beside = checkpoint_folder(own.base)
    for licence in beside.glob("LICENSE.*"):
        (folder / licence.name).write_bytes(licence.read_bytes())
    config, name = own.network.config, title or folder.resolve().name
    text = card_to_publish(config, Card({}, _card(own, name)), name)
    (folder / "README.md").write_text(text, encoding="utf-8")


def _piece(name: str) -> str:
    """What parts of one piece have in common by their file names; empty where the name tells of no part."""
    stem = PurePath(name).stem
    shorter = _PART.sub("", stem)
    return f"part of {PurePath(name).parent}/{shorter.casefold()}" if shorter and shorter != stem else ""


def _missing(labels: Sequence[str], truth: np.ndarray, groups: Sequence[int]) -> str:
    """What a measurement needs beyond these songs, in words; empty where they are enough."""
    wanted: dict[tuple[int, int], list[str]] = {}
    for label, has_label in zip(labels, truth.T, strict=True):
        others = max(0, LEAST_GROUPS - len(set(np.array(groups)[has_label])))
        songs = max(LEAST_SONGS - int(has_label.sum()), others)
        if songs > 0:
            wanted.setdefault((songs, others), []).append(label)
    return "; ".join(_more(*count, alike) for count, alike in wanted.items())


def _more(songs: int, artists: int, labels: Sequence[str]) -> str:
    words = "1 more song" if songs == 1 else f"{songs} more songs"
    by = f", by {artists} other artist{'' if artists == 1 else 's'} at least" if artists else ""
    return f"{words} {'each ' if len(labels) > 1 else ''}of {', '.join(labels)}{by}"


def _judgement(
    labels: Sequence[str], truth: np.ndarray, scores: np.ndarray, groups: Sequence[int], unknown: int
) -> Judgement:
    """How good these scores are; of `unknown` songs nobody names the artist."""
    n, artists = len(truth), len(set(groups))
    right = truth[np.arange(n), scores.argmax(axis=1)]
    hits, share = int(right.sum()), float(right.mean())
    interval = wilson(round(artists * share), artists)
    low, high = (f"{end:.0%}" for end in interval)
    # what the most frequent genre alone would have right
    guessing = float(truth.mean(axis=0).max())
    each = [f"{label} {right[own].sum()} of {own.sum()}" for label, own in zip(labels, truth.T, strict=True)]
    new = "that it had not learned from" if unknown else "by artists that it had not learned from"
    sentences = [
        f"Right first on {hits} of {n} songs {new}: {share:.0%}, and with 95 % certainty "
        f"between {low} and {high} of other songs like these. Guessing would be right on {guessing:.0%}.",
        f"By genre: {', '.join(each)}.",
    ]
    if unknown:
        whose = "any song" if unknown == n else f"{unknown} of {n} songs"
        sentences.append(
            f"Nobody says who made {whose} (no tag, no “Artist - Title”): copies and parts of one recording were "
            "kept apart, artists were not, so for other artists the true number may be lower."
        )
    return Judgement(sentences, hits, n, interval, "recordings" if unknown else "artists")


def _metric(judgement: Judgement) -> dict[str, Any]:
    return {
        "measure": "accuracy",
        "value": round(judgement.hits / judgement.n, 4),
        "n": judgement.n,
        "split": OWN_SPLIT[judgement.apart],
        "interval_95": list(judgement.interval),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    }


def _card(own: OwnGenres, title: str) -> str:
    config, info = own.network.config, own.base.info
    counts = "\n".join(f"| {label} | {count} |" for label, count in own.counts.items())
    measured = "\n".join(f"- {sentence}" for sentence in own.judgement.sentences)
    calibrated = (
        "Probabilities and thresholds were fitted on these very answers."
        if own.judgement.n
        else "Probabilities are not calibrated, every threshold is the plain default."
    )
    return f"""# {title}: genres of one's own, for FluxBeat

Says which of {len(config.labels)} genres are present in {config.window_s:g} seconds of music. Its genre head was taught
on {len(own.examples)} songs; all else is FluxBeat's {info.name} ({info.source}, revision {info.revision}), unchanged.

## What it was trained on

| genre | songs |
|---|---|
{counts}

fingerprints.safetensors beside the weights knows these recordings again; it holds no sound and no name.

## How good it is

{measured}

{calibrated} {thresholds_in_words(config)}

{MUST_NOT.format(count=len(config.labels))}: a handful of artists is not a genre.
"""
