"""What the Models tab says of one model, in a listener's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fluxbeat.charts.wording import model_title
from fluxbeat.errors import FluxBeatError
from fluxbeat.hub.address import SCHEME
from fluxbeat.hub.model_card import MEASURES, Card, card_blocks, read_card
from fluxbeat.zoo import ZooModel, checkpoint_folder

FAMILY_WORDS = {
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
SHARES = frozenset({*HEADLINES, "both_in_top3", "precision", "recall"})


def model_facts(model: ZooModel) -> dict[str, Any]:
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
            ["Size", f"{model.network.n_parameters:,} parameters"],
            ["Hears", f"{config.window_s:g} s at a time"],
            ["Licence", _licence(card)],
            ["Came from", _origin(model.info.source)],
            ["Revision", model.info.revision],
        ],
        "headlines": _headlines(config.metrics),
        "numbers": _numbers(config.metrics),
        "card": card_blocks(card.text) if card else [],
        "trouble": trouble,
    }


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


def _numbers(metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All that was measured of the model itself: a table, with its head, for each data set."""
    tables: dict[str, list[list[str]]] = {}
    for row in metrics:
        if row.get("measure") in MEASURES:
            head = [["What", "Result", "95 % interval", "Number"]]
            unit = " %" if row["measure"] in SHARES else ""
            line = [MEASURES[row["measure"]], f"{_value(row)}{unit}", _range(row), str(row.get("n", ""))]
            tables.setdefault(str(row.get("split", "")), head).append(line)
    return [{"on": split, "rows": rows} for split, rows in tables.items()]


def _value(row: Mapping[str, Any]) -> str:
    return _number(row["value"], row["measure"])


def _range(row: Mapping[str, Any]) -> str:
    interval: Iterable[float] | None = row.get("interval_95")
    return " to ".join(_number(end, row["measure"]) for end in interval) if interval else ""


def _number(value: Any, measure: str) -> str:
    if not isinstance(value, int | float):
        return "?"
    return f"{100 * value:.0f}" if measure in SHARES else f"{value:.2f}"
