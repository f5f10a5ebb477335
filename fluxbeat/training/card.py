"""The model card that lies beside a checkpoint, written from its numbers."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from fluxbeat.models import GenreTempoModel
from fluxbeat.training.calibration import BEATLESS_CASES, BEATLESS_QUANTILE
from fluxbeat.training.explanation_card import explanation_section
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.teacher_labels import USUAL_SHARE

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
{corpus}- {synthetic} rhythms and beatless sounds drawn by `fluxbeat/training/synthetic.py`: they teach tempo, never a
  genre.

The shipped weights saw all of these. The GTZAN numbers below come from two models of the same recipe, each trained on
one of two artist-disjoint folds and tested on the other; those on free music come from the shipped weights, which saw
none of its test packages. Seed {seed}; intervals are 95 %: Wilson's for shares, else a bootstrap over artists or
packages.

## How good it is

{table}

{further}

Average precision per label (ROC-AUC; positives of tracks of which it is known):

{precision}

{calibrated}
{lowered}
{explained}## Features, and why these

{features}

{reasons}

## What it must not be used for

- Genres beyond these {n_labels}: music of other kinds gets the nearest of them, or none.
- Judging music, people or rights. GTZAN is small (630 clips here), mostly American and British, recorded before 2002;
  its labels are disputed (Sturm 2013). On today's recordings expect clearly less than the numbers above.
- Tempo where no steady beat is: rubato, drones, speech.
"""


_CALIBRATED = """Probabilities are calibrated on unseen music (scale {scale:g}, bias {bias:g}; measured across the
folds, ECE {ece}). A label counts as present from: {thresholds}. Thresholds of labels that only the free music shows
rest on the same music as their average precision, which no threshold changes. A tempo is given where at least
{tempo_threshold:.2f} of its distribution lies at one tempo and its octaves: more than in {share:g} % of {cases} drawn
sounds without a beat."""

_LOWERED = """The logits of labels that only the free music shows are lowered ({lowered}), for there they are far more
common than elsewhere: by half of what would bring their mean probability over GTZAN's pictures, which were collected
for other genres, down to {share:g}."""

_CORPUS = """- Real, freely licensed music of games from Debian packages, in excerpts of 30 s, split by package
  (`fluxbeat/training/splits/free_music.txt`), with genres from its tags or guessed by ear, and a few Creative Commons
  songs of which no genre is known, several of them under non-commercial licences. On all of it, and on the 102
  recordings, MusiCNN (Pons & Serra 2019, ISC licence) was the teacher: its tags stand in where nobody said whether a
  genre is present, and have a say about the corpus's own labels.
{blends}"""

_BLENDS = """- Blends of two pieces each (of the packages for training, recordings, and accompaniments that MMA and
  FluidSynth played), faster or slower, filtered, some distorted: only the teacher says what is in them. No model was
  tested on a recording that is in its blends.
"""


def write_card(model: GenreTempoModel, report: dict[str, Any], recipe: Recipe, folder: Path) -> None:
    """Write README.md beside the weights."""
    config = model.config
    text = _TEXT.format(
        name=NAMES.get(config.family, config.family),
        n_labels=len(config.labels),
        window_s=config.window_s,
        parameters=model.n_parameters,
        corpus=_CORPUS.format(blends=_BLENDS if recipe.data.blend_share else "") if recipe.data.corpus else "",
        synthetic=recipe.data.synthetic,
        seed=recipe.seed,
        table=_table(report),
        further="\n".join(_wrapped(line, "  ") for line in _further(report)),
        precision=_precision(report),
        calibrated=_wrapped(
            _CALIBRATED.format(
                scale=config.calibration.scale,
                bias=config.calibration.bias,
                ece=_number(report["pictures"]["calibration"]["ece"]),
                thresholds=", ".join(
                    f"{label} {threshold:.2f}"
                    for label, threshold in zip(config.labels, config.thresholds, strict=True)
                ),
                tempo_threshold=config.tempo_threshold,
                share=100 * BEATLESS_QUANTILE,
                cases=BEATLESS_CASES,
            )
        ),
        lowered=_lowered(report.get("lowered", {})),
        explained=explanation_section(report["explanations"]) if "explanations" in report else "",
        features=_wrapped(", ".join(f"{name} {value}" for name, value in config.features.to_dict().items())),
        reasons=REASONS.read_text(encoding="utf-8").strip(),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _lowered(by_label: dict[str, float]) -> str:
    if not by_label:
        return ""
    values = ", ".join(f"{label} by {by:.2f}" for label, by in by_label.items())
    return "\n" + _wrapped(_LOWERED.format(lowered=values, share=USUAL_SHARE)) + "\n"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(" ".join(text.split()), 120, subsequent_indent=indent, break_on_hyphens=False)


def _table(report: dict[str, Any]) -> str:
    lines = [
        "| measured on | tracks | accuracy | in first three | tempo Accuracy1 / 2 | librosa's | Essentia's |",
        "|---|---|---|---|---|---|---|",
    ]
    for split, values in report.items():
        if "tracks" in values:
            tempi = " | ".join(_tempo(values.get(who)) for who in ("tempo", "librosa_tempo", "essentia_tempo"))
            lines.append(
                f"| {split} | {values['tracks']} | {_percent(values.get('accuracy'))} "
                f"| {_percent(values.get('top3'))} | {tempi} |"
            )
    return "\n".join(lines)


def _further(report: dict[str, Any]) -> list[str]:
    """What does not fit into the table, one line each."""
    lines = []
    seeds = report.get("pictures, over seeds", {}).get("accuracy")
    if seeds:
        values = ", ".join(f"{100 * value:.1f}" for value in seeds["values"])
        lines.append(
            f"- Accuracy on pictures over {seeds['seeds']} seeds: {100 * seeds['value']:.1f} %, standard deviation "
            f"{100 * seeds['sd']:.1f} ({values})."
        )
    of_all = {
        split: values["accuracy_all_labels"]
        for split, values in report.items()
        if "accuracy_all_labels" in values and "->" not in split
    }
    if of_all:
        named = "; ".join(f"{split} {_percent(value)}" for split, value in of_all.items())
        lines.append(f"- Right genre first of all labels, also those of which the source says nothing: {named}.")
    if "gap" in report:
        lines.append(
            f"- Pictures minus recordings of the same clips, in points of accuracy: {_number(report['gap'], 100)}."
        )
        both = report["mixes"]["both_in_top3"]
        lines.append(f"- Mixes of two unseen recordings: both genres among the first three in {_percent(both)}.")
        lines.append(
            f"- Borders within 3 s in tracks spliced from unseen recordings: F1 {_number(report['splices']['f1'])}."
        )
    beside = report.get("free music", {}).get("musicnn")
    if beside:
        lines.append(
            f"- Free music, macro average precision over the {beside['macro']['n']} labels that MusiCNN has too: "
            f"{_number(beside['own_macro'])}, MusiCNN's {_number(beside['macro'])}, difference "
            f"{_number(beside['difference'])}."
        )
    return lines


def _precision(report: dict[str, Any]) -> str:
    """A table of labels: GTZAN's pictures, and free music with MusiCNN's beside it."""
    free = report.get("free music", {})
    peer = free.get("musicnn", {}).get("average_precision", {})
    lines = ["| label | GTZAN pictures | free music | MusiCNN on free music |", "|---|---|---|---|"]
    for label in report["pictures"]["average_precision"]:
        cells = [_label_cell(values, label) for values in (report["pictures"], free)]
        theirs = f"{peer[label]['value']:.2f}" if label in peer else "-"
        lines.append(f"| {label} | {' | '.join(cells)} | {theirs} |")
    return "\n".join(lines)


def _label_cell(values: dict[str, Any], label: str) -> str:
    entry = values.get("average_precision", {}).get(label)
    if not entry or not entry["positives"]:
        return "-"
    return f"{entry['value']:.2f} ({values['roc_auc'][label]['value']:.2f}; {entry['positives']} of {entry['n']})"


def _number(entry: dict[str, Any], factor: float = 1.0) -> str:
    digits = 1 if factor > 1 else 3
    if not entry.get("interval_95"):
        return f"{factor * entry['value']:.{digits}f}"
    low, high = entry["interval_95"]
    return f"{factor * entry['value']:.{digits}f} ({factor * low:.{digits}f} to {factor * high:.{digits}f})"


def _percent(value: dict[str, Any] | None) -> str:
    if not value:
        return "-"
    low, high = value["interval_95"]
    return f"{100 * value['value']:.1f} % ({100 * low:.0f}-{100 * high:.0f})"


def _tempo(values: dict[str, Any] | None) -> str:
    if not values:
        return "-"
    return f"{100 * values['accuracy1']['value']:.1f} / {100 * values['accuracy2']['value']:.1f} %"
