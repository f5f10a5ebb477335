"""What the Models tab says of one model, in a listener's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fluxbeat.charts.wording import model_title
from fluxbeat.errors import FluxBeatError
from fluxbeat.models import WindowModel
from fluxbeat.models.consensus import Consensus
from fluxbeat.models.hub.address import SCHEME
from fluxbeat.models.hub.model_card import Card, card_blocks, read_card
from fluxbeat.models.registry import LoadedModel, checkpoint_folder

FAMILY_WORDS = {
    "consensus": "Several models as one: the weighted mean of their answers",
    "cnn": "Convolutions: hears short patterns of sound",
    "crnn": "Convolutions and an LSTM: hears patterns and how they follow each other",
    "vit": "A transformer: relates every part of the sound to every other",
}
HEADLINES = {
    "accuracy": "names the right genre first",
    "accuracy_all_labels": "names it first when all its genres compete",
    "top3": "has the right genre among its first three",
    "tempo_accuracy1": "finds the tempo",
    "tempo_accuracy2": "finds it, or a half, third, double or triple of it",
}


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
            ["Licence", _licence(card)],
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


def _licence(card: Card | None) -> str:
    return (card.licence.upper() if card else "") or "none named: ask its maker before you use it"


def _origin(source: str) -> str:
    if source.startswith(SCHEME):
        return source
    return f"FluxBeat itself ({source})" if source.startswith("checkpoints/") else f"this machine ({source})"


def _headlines(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The first data set on which genres were measured, as sentences; None where there is none."""
    split = next((row.get("split") for row in metrics if row.get("measure") == "accuracy"), None)
    rows: dict[str, Mapping[str, Any]] = {}
    for row in metrics:
        if row.get("split") == split and row.get("measure") in HEADLINES:
            rows.setdefault(str(row["measure"]), row)
    if not rows:
        return None
    tracks = next(iter(rows.values())).get("n")
    return {
        "on": f"Of 100 tracks that it never heard{f' (measured on {tracks:,}: {split})' if tracks else ''}, it",
        "rows": [{"share": _value(row), "words": HEADLINES[name], "range": _range(row)} for name, row in rows.items()],
        "note": "In brackets: where the true number lies with 95 % certainty.",
    }


def _value(row: Mapping[str, Any]) -> str:
    return f"{100 * row['value']:.0f}"


def _range(row: Mapping[str, Any]) -> str:
    interval: Iterable[float] | None = row.get("interval_95")
    return " to ".join(f"{100 * end:.0f}" for end in interval) if interval else ""
