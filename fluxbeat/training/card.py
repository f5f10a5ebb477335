"""The model card beside a trained checkpoint: one template, filled from what was measured."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fluxbeat.models.base import ModelConfig
from fluxbeat.models.hub.model_card import MEASURES, MUST_NOT, thresholds_in_words
from fluxbeat.models.registry import TITLES
from fluxbeat.training.evaluation.rankings import Measure

CARD_FILE = "README.md"
PER_LABEL, OF_PAIRS = "average_precision", "logit_correlation"
WEAK_LABELS = 4

_TEMPLATE = """---
{licence}library_name: fluxbeat
pipeline_tag: audio-classification
tags: [music, genre, tempo]
---

# {title}

Says which of {count} genres are present in {window_s:g} seconds of music (several may be), whether it is music at all,
and how fast it goes. {parameters:,} parameters. Made for FluxBeat, which slides it over whole tracks.

{labels}

## What it was trained on

{data}

## How good it is

{measured}

{probabilities}
{sections}
## What it is bad at

{weak}

{must_not}.
- Tempo where no steady beat is: rubato, drones, speech.
"""


@dataclass(frozen=True)
class CardFacts:
    """What a card says beside what stands in the configuration.

    Attributes
    ----------
    title : str
        `cnn`, or the name of a person's own checkpoint; the measures' subject of this name is the model.
    parameters : int
    data : str
        Markdown: what the weights were learned from and calibrated on, and the seed.
    measures : sequence of Measure
        Of this model, its peers and its siblings.
    notes : sequence of str
        Markdown blocks below the tables: paragraphs, which are wrapped, tables and lists.
    licence : str
        Of the weights, as the Hub names it; empty where a person still has to choose one.
    sections : mapping of str to str
        Markdown of further sections by their headings.
    weak : sequence of str
        What it is bad at, beside what the measures show.
    """

    title: str
    parameters: int
    data: str
    measures: Sequence[Measure] = ()
    notes: Sequence[str] = ()
    licence: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)
    weak: Sequence[str] = ()


def write_card(folder: Path, config: ModelConfig, facts: CardFacts) -> None:
    """Write README.md into a checkpoint's folder."""
    (folder / CARD_FILE).write_text(card_text(config, facts), encoding="utf-8")


def card_text(config: ModelConfig, facts: CardFacts) -> str:
    """A checkpoint's card as Markdown, with the Hub's front matter."""
    text = _TEMPLATE.format(
        licence=f"license: {facts.licence}\n" if facts.licence else "",
        title=f"{facts.title}: a FluxBeat {TITLES.get(config.family, config.family)}",
        count=len(config.labels),
        window_s=config.window_s,
        parameters=facts.parameters,
        labels=wrapped(f"Genres: {', '.join(config.labels)}."),
        data=facts.data.strip(),
        measured="\n\n".join([*_tables(facts), *map(_block, facts.notes)]) or "Not measured.",
        probabilities=wrapped(thresholds_in_words(config)),
        sections="".join(f"\n## {heading}\n\n{text.strip()}\n" for heading, text in facts.sections.items()),
        weak="\n".join(f"- {wrapped(line, '  ')}" for line in _weak(facts)),
        must_not=MUST_NOT.format(count=len(config.labels)),
    )
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _tables(facts: CardFacts) -> list[str]:
    """One table of all who were measured, one of this model beside its siblings, and one of its genres."""
    single = [one for one in facts.measures if one.measure not in (PER_LABEL, OF_PAIRS)]
    # this model first, then whoever was measured beside it
    subjects = sorted(dict.fromkeys(one.subject for one in single), key=lambda name: name != facts.title)
    order = {measure: place for place, measure in enumerate(MEASURES)}
    keys = sorted(
        dict.fromkeys((one.measure, one.split) for one in single), key=lambda key: order.get(key[0], len(order))
    )
    cells = {(one.measure, one.split, one.subject): cell(one) for one in single}
    rows = [
        [MEASURES.get(measure, measure), split, *(cells.get((measure, split, name), "-") for name in subjects)]
        for measure, split in keys
    ]
    pairs = [one for one in facts.measures if one.measure == OF_PAIRS and facts.title in one.subject.split(" and ")]
    tables = [
        table(["", "on", *subjects], rows),
        table([MEASURES[OF_PAIRS], "on", ""], [[one.subject, one.split, cell(one)] for one in pairs]),
        table(
            ["genre", "average precision", "recordings that have it"],
            [[one.split, cell(one), str(one.n)] for one in _of_genres(facts)],
        ),
    ]
    return [found for found in tables if found]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; empty where there are no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines]) if rows else ""


def _of_genres(facts: CardFacts) -> list[Measure]:
    """The average precision of each of this model's genres."""
    return [one for one in facts.measures if one.measure == PER_LABEL and one.subject == facts.title]


def cell(measure: Measure) -> str:
    """A value with its count and interval, in few characters."""
    if measure.value is None:
        return "-"
    counted = measure.hits is not None and measure.measure not in ("f1", "precision", "recall")
    value = f"{measure.hits}/{measure.n} = {measure.value:.2f}" if counted else f"{measure.value:.3f}"
    if measure.interval_95 is None:
        return value
    low, high = measure.interval_95
    digits = 2 if counted else 3
    return f"{value} ({low:.{digits}f} to {high:.{digits}f})"


def _weak(facts: CardFacts) -> list[str]:
    """What the measures show it to be bad at, worst first, and what is known beside."""
    lines = []
    labels = [one for one in _of_genres(facts) if one.value is not None]
    split = labels[-1].split.split(", ")[-1] if labels else ""
    worst = sorted((one for one in labels if one.split.endswith(split)), key=lambda one: one.value or 0.0)[:WEAK_LABELS]
    if worst:
        named = ", ".join(f"{one.split.split(', ')[0]} ({one.value:.2f}, {one.n} recordings)" for one in worst)
        lines.append(f"Genres that it finds least well on {split}, by average precision: {named}.")
    return [*lines, *facts.weak]


def _block(text: str) -> str:
    """A paragraph wrapped, a table or list as it is."""
    return text.strip() if text.startswith(("|", "- ")) else wrapped(text)


def wrapped(text: str, indent: str = "") -> str:
    """One paragraph in lines of at most 120 characters."""
    return textwrap.fill(" ".join(text.split()), 120, subsequent_indent=indent, break_on_hyphens=False)
