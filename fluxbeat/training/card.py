"""The model card that lies beside a checkpoint, written from its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fluxbeat.models import GenreTempoModel
from fluxbeat.training.recipe import Recipe

NAMES = {"cnn": "BaselineCNN", "crnn": "CRNN", "vit": "AudioTransformer (ViT)"}
REASONS = Path(__file__).with_name("feature_reasons.md")

_TEXT = """---
license: mit
library_name: fluxbeat
pipeline_tag: audio-classification
tags: [music, genre, tempo]
---

# FluxBeat {name}

Says which of {n_labels} genres are present in {window_s:g} seconds of music (several may be), and how fast it goes.
{parameters:,} parameters. Made for FluxBeat, which slides it over whole tracks.

## What it was trained on

- 630 clips of GTZAN (Tzanetakis & Cook 2002) as 30 s spectrogram pictures, with human tempo annotations and artist
  groups, and 102 of them as recordings of 15 to 30 s. GTZAN's music is under its owners' copyright and was collected
  for research; none of it is in this repository, and no clip can be played back from these weights.
- {synthetic} rhythms and beatless sounds drawn by `fluxbeat/training/synthetic.py`: they teach tempo, not genre.

The shipped weights saw all of these. The numbers below come from two models of the same recipe, each trained on one
of two artist-disjoint folds and tested on the other. One seed ({seed}); intervals are 95 % (Wilson).

## How good it is

{table}

Average precision per label, pictures, both directions (positives in brackets): {precision}.

Probabilities are calibrated on those unseen clips (scale {scale:g}, bias {bias:g}). A label counts as present from:
{thresholds}. A tempo is given where at least {tempo_threshold:.2f} of its distribution lies at one tempo and its
octaves: more than in any of 60 drawn sounds without a beat.

## Features, and why these

{features}

{reasons}

## What it must not be used for

- Genres beyond these {n_labels}: music of other kinds gets the nearest of them, or none.
- Judging music, people or rights. GTZAN is small (630 clips here), mostly American and British, recorded before 2002;
  its labels are disputed (Sturm 2013). On today's recordings expect clearly less than the numbers above.
- Tempo where no steady beat is: rubato, drones, speech.
"""


def write_card(model: GenreTempoModel, report: dict[str, Any], recipe: Recipe, folder: Path) -> None:
    """Write README.md beside the weights."""
    config = model.config
    precision = report["pictures"]["average_precision"]
    text = _TEXT.format(
        name=NAMES.get(config.family, config.family),
        n_labels=len(config.labels),
        window_s=config.window_s,
        parameters=model.n_parameters,
        synthetic=recipe.data.synthetic,
        seed=recipe.seed,
        table=_table(report),
        precision=", ".join(f"{label} {ap['value']:.2f} ({ap['positives']})" for label, ap in precision.items()),
        scale=config.calibration.scale,
        bias=config.calibration.bias,
        thresholds=", ".join(
            f"{label} {threshold:.2f}" for label, threshold in zip(config.labels, config.thresholds, strict=True)
        ),
        tempo_threshold=config.tempo_threshold,
        features=", ".join(f"{name} {value}" for name, value in config.features.to_dict().items()),
        reasons=REASONS.read_text(encoding="utf-8").strip(),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _table(report: dict[str, Any]) -> str:
    lines = [
        "| measured on | tracks | accuracy | in first three | tempo Accuracy1 / 2 | librosa's |",
        "|---|---|---|---|---|---|",
    ]
    for split, values in report.items():
        lines.append(
            f"| {split} | {values['tracks']} | {_percent(values.get('accuracy'))} | {_percent(values.get('top3'))} "
            f"| {_tempo(values.get('tempo'))} | {_tempo(values.get('librosa_tempo'))} |"
        )
    return "\n".join(lines)


def _percent(value: dict[str, Any] | None) -> str:
    if not value:
        return "-"
    low, high = value["interval_95"]
    return f"{100 * value['value']:.1f} % ({100 * low:.0f}-{100 * high:.0f})"


def _tempo(values: dict[str, Any] | None) -> str:
    if not values:
        return "-"
    return f"{100 * values['accuracy1']['value']:.1f} / {100 * values['accuracy2']['value']:.1f} %"
