"""What the cards of the shipped checkpoints say beside measures: their data, and what explanations were found to be."""

from __future__ import annotations

import csv
import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fluxbeat.models.hub.model_card import MEASURES
from fluxbeat.training.card import wrapped
from fluxbeat.training.evaluation.catalogue import CATALOGUE_FILE
from fluxbeat.training.evaluation.rankings import Measure

WEAK = (
    "Clips of 2 to 3 s: a window of 10 s is filled by repeating them.",
    "Music from outside America and Europe: little of it was learned from, all of it under few words.",
    "Two genres at once: the louder or the more usual one often hides the other (see the mixes above).",
    "Genres by epoch or scene rather than by sound: the same song is pop to one source, rock or soul to another.",
)
"""What is known beside the measures."""
SEEDED = ("accuracy", "top3", "macro_average_precision", "ece")
"""Measures whose spread over seeds the card tells."""
LICENCES = {
    "CC": "Creative Commons",
    "research": "collected for research, under its owners' copyright",
    "free-to-use": "free to use, as its makers say",
    "own-unlicensed": "posted in public by its makers without a licence",
    "commercial-preview": "excerpts of 30 s of music that is sold",
    "AI-generated": "made by a machine",
    "unknown": "unknown",
}


def counted_data(folder: Path) -> str:
    """How many recordings of each data set and licence there are in each split, as a Markdown table."""
    with (folder / CATALOGUE_FILE).open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    counts: Counter[tuple[str, str, str]] = Counter(
        (row["dataset"], row.get("licence") or "unknown", row["split"]) for row in rows
    )
    lines = ["| data set | licence | train | dev | test |", "|---|---|---|---|---|"]
    for dataset, licence in dict.fromkeys((dataset, licence) for dataset, licence, _ in sorted(counts)):
        cells = " | ".join(str(counts[dataset, licence, split]) for split in ("train", "dev", "test"))
        lines.append(f"| {dataset} | {LICENCES.get(licence, licence)} | {cells} |")
    return "\n".join(lines)


def explained_text(report: Mapping[str, Any]) -> str:
    """Markdown of what `fluxbeat.training.evaluation.explanation_report` found of one model."""
    lines = ["| map | insertion minus deletion | of a random map | of the sound's energy | apart from both |"]
    lines.append("|---|---|---|---|---|")
    for name, found in report["layers"].items():
        faithful = found["insertion_minus_deletion"]
        apart = all((found[beside]["interval_95"] or [0])[0] > 0 for beside in ("beats_random", "beats_energy"))
        cells = " | ".join(_entry(faithful[part]) for part in ("map", "random", "energy"))
        lines.append(f"| {name} | {cells} | {'yes' if apart else 'no'} |")
    about = (
        f"{report['windows']} windows of {report['files']} unseen recordings, each explained for the genre that the "
        "model gives it; 95 % intervals by bootstrap over artists. Deletion takes the marked places away, strongest "
        "first, insertion puts them back."
    )
    return f"{wrapped(about)}\n\n" + "\n".join(lines)


def _entry(found: Mapping[str, Any]) -> str:
    if found.get("value") is None:
        return "-"
    low, high = found["interval_95"]
    return f"{found['value']:.2f} ({low:.2f} to {high:.2f}; n {found['n']})"


TEMPO_SCORES = {
    "accuracy1": "tempo_accuracy1",
    "accuracy2": "tempo_accuracy2",
    "exact": "tempo_exact",
    "beats_f": "beats_f",
}
"""What `python -m tools.known_tempo` prints, and which measures it is. Exact tempi and beats are not always known."""


def tempo_measures(text: str, names: Sequence[str]) -> list[Measure]:
    """What `python -m tools.known_tempo` printed, as measures; a checkpoint goes by its folder's name."""
    found, decoder = [], json.JSONDecoder()
    while text.strip():
        report, end = decoder.raw_decode(text.lstrip())
        text = text.lstrip()[end:]
        for subject, scores in report.items():
            if not isinstance(scores, dict):
                continue
            short = Path(subject).name if Path(subject).name in names else subject
            for key, measure in TEMPO_SCORES.items():
                one = scores.get(key)
                if one is None:
                    continue
                hits = None if key == "beats_f" else round(one["value"] * one["n"])
                split = f"{report['music']}, {report['tempo']} tempo, {report['split']}"
                found.append(Measure(measure, short, split, one["value"], one["n"], hits, tuple(one["interval_95"])))
    return found


def over_seeds(one: Measure, runs: Sequence[Sequence[Measure]]) -> dict[str, Any]:
    """Standard deviation of a measure between runs of other seeds, `sd`, and their number, `seeds`; empty below two."""
    values = _values(one, runs)
    return {"sd": round(statistics.stdev(values), 4), "seeds": len(values)} if len(values) > 1 else {}


def seeds_in_words(own: Sequence[Measure], runs: Sequence[Sequence[Measure]]) -> list[str]:
    """A paragraph for the card with mean and deviation over seeds of what was measured of them; none below two runs."""
    parts = []
    for one in own:
        values = _values(one, runs)
        if one.measure in SEEDED and len(values) > 1:
            mean, deviation = statistics.fmean(values), statistics.stdev(values)
            parts.append(f"{MEASURES[one.measure].lower()} on {one.split} {mean:.3f} ± {deviation:.3f}")
    about = f"Mean and standard deviation over {len(runs)} runs that differ in their seed alone"
    return [f"{about}: {'; '.join(parts)}."] if parts else []


def _values(one: Measure, runs: Sequence[Sequence[Measure]]) -> list[float]:
    same = [next((o for o in run if (o.measure, o.split) == (one.measure, one.split)), None) for run in runs]
    return [found.value for found in same if found is not None and found.value is not None]
