"""What the teacher's tags say in FluxBeat's labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fluxbeat.training.corpus.teacher import TAGS
from fluxbeat.training.items import Item

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
    """What the teacher says on average of recordings of all kinds, label by label; no annotation plays a part.

    Measured over the recordings (source 'recording') where there are any, else over all that the teacher heard.
    """
    heard = [item for item in items if item.teacher is not None]
    chosen = [item for item in heard if item.source == "recording"] or heard
    answers = [tag_probabilities(item.teacher) for item in chosen if item.teacher is not None]
    return {label: float(np.mean([answer[label] for answer in answers])) for label in LABEL_TAGS} if answers else {}


def soft_labels(logits: np.ndarray, usual: Mapping[str, float]) -> dict[str, float]:
    """Probability of each label in a clip: the teacher's tags, freed from how often it gives them at all."""

    def log_odds(probability: float) -> float:
        bounded = min(max(probability, 1e-4), 1 - 1e-4)
        return float(np.log(bounded / (1 - bounded)))

    return {
        label: float(1 / (1 + np.exp(-SHARPNESS * (log_odds(said) - log_odds(usual[label])) - log_odds(USUAL_SHARE))))
        for label, said in tag_probabilities(logits).items()
    }
