"""What the teacher's tags say in FluxBeat's labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fluxbeat.training.corpus.teacher import TAGS
from fluxbeat.training.items import RECORDING, Item

# which of MusiCNN's tags speak about a label; MSD: Million Song Dataset, MTT: MagnaTagATune (Pons & Serra 2019).
# It has no tag for reggae and disco.
LABEL_TAGS: dict[str, tuple[tuple[str, str], ...]] = {
    "rock": (("MSD", "rock"),),
    "pop": (("MSD", "pop"),),
    "metal": (("MSD", "metal"), ("MSD", "heavy metal")),
    "hiphop": (("MSD", "Hip-Hop"),),
    "jazz": (("MSD", "jazz"),),
    "blues": (("MSD", "blues"),),
    "country": (("MSD", "country"),),
    "folk": (("MSD", "folk"),),
    "electronic": (("MSD", "electronic"), ("MSD", "electronica"), ("MSD", "electro"), ("MSD", "House")),
    "ambient": (("MSD", "ambient"),),
    "classical": (("MTT", "classical"),),
}

USUAL_SHARE = 0.12
"""How often a genre is taken to be present in music of all kinds."""
SHARPNESS = 1.6
"""The teacher is shy: its tags of music that has the genre are often below 0.5."""
FEWEST_KNOWN = 20
"""Items with a label, and without, from which on they say where the teacher's answers part."""


def tag_probabilities(logits: np.ndarray) -> dict[str, float]:
    """The teacher's answer to one clip in FluxBeat's labels, where it has tags for them.

    Parameters
    ----------
    logits : float array, shape (segments, 100 or more)
        The 50 tags of MSD, the 50 of MTT, and whatever follows.

    Returns
    -------
    dict
        Label to the largest of its tags' mean probability over the segments.
    """
    mean = (1 / (1 + np.exp(-logits.astype(np.float64)))).mean(axis=0)
    offset = {"MSD": 0, "MTT": len(TAGS["MSD"])}
    return {
        label: float(max(mean[offset[corpus] + TAGS[corpus].index(tag)] for corpus, tag in tags))
        for label, tags in LABEL_TAGS.items()
    }


def usual_probabilities(items: Sequence[Item]) -> dict[str, float]:
    """What the teacher says, label by label, where it has as good reasons for the label as against it.

    Of a genre that the recordings (source 'recording') hold among others, it is the mean over all of them. A collection
    without a single ambient piece says nothing about what is usual for ambient: there it is half-way between other
    music that is known to have the label and such that is known not to. Where neither can be had, it is the mean over
    all that the teacher heard.
    """
    heard = [(item, tag_probabilities(item.teacher)) for item in items if item.teacher is not None]
    if not heard:
        return {}
    recordings = [(item, said) for item, said in heard if item.source == RECORDING]
    others = [(item, said) for item, said in heard if item.source != RECORDING]
    usual = {}
    for label in LABEL_TAGS:
        if any(label in (item.labels or ()) for item, _ in recordings):
            usual[label] = float(np.mean([said[label] for _, said in recordings]))
        else:
            between = _between([(item, said[label]) for item, said in others], label)
            usual[label] = float(np.mean([said[label] for _, said in heard])) if between is None else between
    return usual


def _between(heard: Sequence[tuple[Item, float]], label: str) -> float | None:
    """Half-way, in log odds, between the teacher's answers to music with a label and without; None if too few."""
    known = [
        (label in item.labels, _log_odds(said))
        for item, said in heard
        if item.labels is not None and (item.known is None or label in item.known)
    ]
    sides = [[said for present, said in known if present is side] for side in (True, False)]
    if min(map(len, sides)) < FEWEST_KNOWN:
        return None
    return _probability(float(np.mean([np.mean(side) for side in sides])))


def soft_labels(logits: np.ndarray, usual: Mapping[str, float]) -> dict[str, float]:
    """Probability of each label in a clip: the teacher's tags, freed from how often it gives them at all."""
    return {
        label: _probability(SHARPNESS * (_log_odds(said) - _log_odds(usual[label])) + _log_odds(USUAL_SHARE))
        for label, said in tag_probabilities(logits).items()
    }


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 1e-4), 1 - 1e-4)
    return float(np.log(bounded / (1 - bounded)))


def _probability(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))
