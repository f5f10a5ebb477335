"""The model card of a checkpoint that a user trained on their own music."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbeat.models import GenreTempoModel
from fluxbeat.training.card import NAMES

if TYPE_CHECKING:
    from fluxbeat.training.own_data import OwnTraining

_TEXT = """---
library_name: fluxbeat
pipeline_tag: audio-classification
tags: [music, genre, tempo]
---

# {title}: a FluxBeat {name}

Says which of {n_labels} genres are present in {window_s:g} seconds of music (several may be), and how fast it goes.
{parameters:,} parameters.

## What it was trained on

{counts}

Recordings that are there twice count once. {start} Tempo: as annotated, else as the model it started from hears it.
{epochs} epochs, seed {seed}. Which recording was used for what stands in split.txt.

## How good it is

{measured}

A label counts as present from: {thresholds}.

## What it must not be used for

- Genres beyond these {n_labels}: music of other kinds gets the nearest of them, or none.
- Music unlike that it was trained on: a handful of artists is not a genre.
- Judging music, people or rights.
- Tempo where no steady beat is: rubato, drones, speech.

What may be done with these weights also depends on the rights in the recordings above; add a licence before you
publish them.
"""
_UNMEASURED = """Not measured: too few recordings to set some aside (a genre needs about 20, by at least five artists).
Everything was learned from, probabilities are not calibrated, and every threshold is the plain default."""


def write_own_card(model: GenreTempoModel, made: OwnTraining) -> None:
    """Write README.md beside the weights."""
    config = model.config
    text = _TEXT.format(
        title=made.folder.resolve().name,
        name=NAMES.get(config.family, config.family),
        n_labels=len(config.labels),
        window_s=config.window_s,
        parameters=model.n_parameters,
        counts=_counts(made),
        start="It started from random weights." if made.start == "none" else f"It started from {made.start}.",
        epochs=made.recipe.epochs,
        seed=made.recipe.seed,
        measured=_measured(made, model) if made.report else _UNMEASURED,
        thresholds=", ".join(
            f"{label} {threshold:.2f}" for label, threshold in zip(config.labels, config.thresholds, strict=True)
        ),
    )
    (made.folder / "README.md").write_text(text, encoding="utf-8")


def _counts(made: OwnTraining) -> str:
    lines = ["| genre | recordings learned from | set aside, other artists |", "|---|---|---|"]
    lines += [f"| {label} | {made.trained.get(label, 0)} | {made.held_out.get(label, 0)} |" for label in made.labels]
    return "\n".join(lines)


def _measured(made: OwnTraining, model: GenreTempoModel) -> str:
    precision = made.report["average_precision"]
    lines = [
        f"On {made.report['tracks']} recordings of artists that it did not hear: the most probable genre is right in "
        f"{_percent(made.report['accuracy'])}, one of the first three in {_percent(made.report['top3'])}.",
        "Average precision per label (recordings in brackets): "
        + ", ".join(f"{label} {entry['value']:.2f} ({entry['positives']})" for label, entry in precision.items())
        + ".",
    ]
    calibration = model.config.calibration
    if made.calibrated:
        lines.append(
            f"Probabilities (scale {calibration.scale:g}, bias {calibration.bias:g}) and thresholds were fitted on "
            "recordings set aside."
        )
    else:
        lines.append("Too few were set aside to calibrate: every threshold is the plain default.")
    return "\n".join(lines)


def _percent(value: dict[str, Any]) -> str:
    low, high = value["interval_95"]
    return f"{100 * value['value']:.0f} % ({100 * low:.0f} to {100 * high:.0f} %, 95 %)"
