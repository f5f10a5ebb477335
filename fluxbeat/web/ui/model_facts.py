"""What the Models tab says of one model, in a listener's words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fluxbeat.charts.wording import model_title
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.base import WindowModel
from fluxbeat.models.consensus import Consensus
from fluxbeat.models.hub.address import SCHEME
from fluxbeat.models.hub.model_card import card_blocks, read_card
from fluxbeat.models.registry import LoadedModel, checkpoint_folder

FAMILY_WORDS = {
    "consensus": "Several models as one: the weighted mean of their answers",
    "cnn": "Convolutions: hears short patterns of sound",
    "crnn": "Convolutions and an LSTM: hears patterns and how they follow each other",
    "vit": "A transformer: relates every part of the sound to every other",
}
HEADLINES = {
    "accuracy": "first genre right in",
    "accuracy_all_labels": "first genre right when all its genres compete in",
    "top3": "right genre among its first three in",
    "tempo_accuracy1": "tempo right in",
    "tempo_accuracy2": "tempo right, or a half, third, double or triple of it, in",
}


def accuracy(metrics: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    """How often a model's first genre is right, `right in 4 of 10 songs`, and how measured; None if not at all.

    `metrics` are those of the model's checkpoint.
    """
    row = _measured(metrics).get("accuracy")
    return {"words": f"right in {_of_ten(row['value'])} songs", "why": f"{_exactly(row)}. {_on(row)}."} if row else None


def model_facts(model: LoadedModel) -> dict[str, Any]:
    """Everything on a model's card that does not change while the page is open."""
    config, card, trouble = model.network.config, None, ""
    try:
        card = read_card(checkpoint_folder(model))
    except FluxBeatError as error:
        trouble = str(error)
    return {
        "name": model.info.name,
        "title": model_title(model.info.name),
        "family": FAMILY_WORDS.get(config.family, config.family),
        "labels": list(config.labels),
        "facts": [
            *_members(model.network),
            ["Size", f"{model.network.n_parameters:,} parameters"],
            ["Hears", f"{config.window_s:g} s at a time"],
            ["Licence", (card and card.licence.upper()) or "none named: ask its maker before you use it"],
            ["Came from", _origin(model.info.source)],
            ["Revision", model.info.revision],
        ],
        "headlines": _headlines(config.metrics),
        "card": card_blocks(card.text) if card else [],
        "trouble": trouble,
    }


def _members(network: WindowModel) -> list[list[str]]:
    """Of what a consensus is the mean, and by what shares; nothing for a model of its own."""
    if not isinstance(network, Consensus):
        return []
    shares = zip(network.names, network.weights, strict=True)
    return [["Mean of", ", ".join(f"{model_title(name)} {100 * share:.0f} %" for name, share in shares)]]


def _origin(source: str) -> str:
    if source.startswith(SCHEME):
        return source
    return f"FluxBeat itself ({source})" if source.startswith("checkpoints/") else f"this machine ({source})"


def _headlines(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What was measured on the first data set on which genres were, in words; None where there is none."""
    rows = _measured(metrics)
    if not rows:
        return None
    shares = [
        {"measure": HEADLINES[name], "share": _of_ten(row["value"]), "exactly": _exactly(row)}
        for name, row in rows.items()
    ]
    return {"on": f"{_on(next(iter(rows.values())))}.", "rows": shares}


def _measured(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The first data set on which genres were measured, by measure."""
    split = next((row.get("split") for row in metrics if row.get("measure") == "accuracy"), None)
    rows: dict[str, Mapping[str, Any]] = {}
    for row in metrics:
        if row.get("split") == split and row.get("measure") in HEADLINES and row.get("value") is not None:
            rows.setdefault(str(row["measure"]), row)
    return rows


def _of_ten(value: float) -> str:
    """A share as one says it: `4 of 10`; all and none are said only where it was all or none."""
    tenths = math.floor(10 * value + 0.5)
    if tenths == 10 and value < 1:
        return "more than 9 of 10"
    return "fewer than 1 of 10" if tenths == 0 and value > 0 else f"{tenths} of 10"


def _exactly(row: Mapping[str, Any]) -> str:
    """`45 of 100; with 95 % certainty 34 to 57`."""
    interval = row.get("interval_95")
    sure = f"; with 95 % certainty {' to '.join(f'{100 * end:.0f}' for end in interval)}" if interval else ""
    return f"{100 * row['value']:.0f} of 100{sure}"


def _on(row: Mapping[str, Any]) -> str:
    """`Measured on 119 tracks that it never heard (popular and public, test)`."""
    tracks = f"{row['n']:,} tracks" if row.get("n") else "tracks"
    return f"Measured on {tracks} that it never heard ({row['split']})"
