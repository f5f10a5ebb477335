"""The part of a model card that says how far the model's explanations may be trusted."""

from __future__ import annotations

import textwrap
from typing import Any

from fluxbeat.explanation import DEFAULT_LAYER
from fluxbeat.explanation.report import PASSES_BELOW

_TEXT = """## How far its explanations may be trusted

`fluxbeat explain --report FOLDER` measures this on any music. Here: {windows} windows of {files} unseen recordings, by
the two models of the folds, each window explained for the label that the model gives it; a splice is a quarter of a
window, of another recording that gets another label. 95 % intervals by bootstrap. Deletion takes the marked places
away, strongest first, insertion puts them back, with the usual music's mean spectrum in their place.

{table}

{chosen}

{failures}

"""

_WHY = """the network's layer whose maps are meant to be faithful and to say when in a window something sounds.
{others}.
`convolutions` is plain Grad-CAM of the network, and its maps are shown as what they are: a look inside, no
explanation."""

_ROWS = (
    ("insertion minus deletion", ("insertion_minus_deletion", "map")),
    ("the same of a random map", ("insertion_minus_deletion", "random")),
    ("the same of the sound's energy", ("insertion_minus_deletion", "energy")),
    ("share of the map inside a splice", ("splice_mass",)),
    ("the same where the splice lifts its label", ("splice_mass_where_noticed",)),
    ("rank correlation of two labels' maps", ("class_contrast",)),
)


def explanation_section(report: dict[str, Any]) -> str:
    """Markdown of what `fluxbeat.explanation.report.pooled_report` found."""
    layers = report["layers"]
    lines = [f"| | {' | '.join(f'`{layer}`' for layer in layers)} |", "|---" * (len(layers) + 1) + "|"]
    for name, path in _ROWS:
        lines.append(f"| {name} | {' | '.join(_cell(found, path) for found in layers.values())} |")
    for part in next(iter(layers.values()))["randomisation"]["likeness"]:
        cells = [f"{found['randomisation']['likeness'][part]['value']:.2f}" for found in layers.values()]
        lines.append(f"| likeness to the map with random weights from `{part}` up | {' | '.join(cells)} |")
    return _TEXT.format(
        windows=report["windows"],
        files=report["files"],
        table="\n".join(lines),
        chosen=_wrapped(f"The model is explained at `{DEFAULT_LAYER}`, {_WHY.format(others=_beside(layers))}"),
        failures=_wrapped(_failures(layers)),
    )


def _beside(layers: dict[str, Any]) -> str:
    """How faithful each other layer is, and how much of its map lies in a splice, beside those of the default one."""
    chosen, said = layers[DEFAULT_LAYER], []
    for layer, found in layers.items():
        if layer != DEFAULT_LAYER:
            faithful = _compared(found["insertion_minus_deletion"]["map"], chosen["insertion_minus_deletion"]["map"])
            inside = _compared(found["splice_mass"], chosen["splice_mass"])
            amount = inside[0].replace("about as", "about as much")
            said.append(
                f"`{layer}` is {faithful[0]} faithful ({faithful[1]}), with {amount} of its map inside a splice "
                f"({inside[1]})"
            )
    return "; ".join(said)


def _compared(entry: dict[str, Any], other: dict[str, Any]) -> tuple[str, str]:
    """In a word and in numbers; 'about as' where one of the two is not known or their intervals overlap."""
    if entry["value"] is None or other["value"] is None:
        return "about as", "not measured for both"
    (low, high), (other_low, other_high) = entry["interval_95"], other["interval_95"]
    word = "more" if low > other_high else "less" if high < other_low else "about as"
    return word, f"{entry['value']:.2f} beside {other['value']:.2f}"


def _failures(layers: dict[str, Any]) -> str:
    said = []
    for layer, found in layers.items():
        if not found["randomisation"]["passes"]:
            said.append(
                f"`{layer}` fails randomisation: with random weights its map stays {PASSES_BELOW} or more alike"
            )
        low = min(found[beside]["interval_95"][0] for beside in ("beats_random", "beats_energy"))
        if low <= 0:
            said.append(f"`{layer}` is not clearly more faithful than a random map or the energy")
        if (found["splice_mass"]["value"] or 0) < 0.6:
            said.append(f"`{layer}` leaves more than 40 % of its map outside a splice")
    return f"Failures: {'; '.join(said)}." if said else "No layer failed."


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120, break_on_hyphens=False)


def _cell(found: dict[str, Any], path: tuple[str, ...]) -> str:
    entry: Any = found
    for key in path:
        entry = entry[key]
    if entry["value"] is None:
        return "-"
    low, high = entry["interval_95"]
    return f"{entry['value']:.2f} ({low:.2f} to {high:.2f}; n {entry['n']})"
