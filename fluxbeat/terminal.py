"""Analyses drawn with characters, for people who work in a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from fluxbeat.charts.wording import clock, no_tempo

if TYPE_CHECKING:
    from fluxbeat.analysis import TrackAnalysis
    from fluxbeat.explanation import Explanation

BARS = " ▁▂▃▄▅▆▇█"
LEAST_SHOWN = 0.15


def progress_bar(console: Console) -> Progress:
    """A bar that is drawn only in a terminal and leaves nothing behind."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


def sparkline(values: np.ndarray, width: int) -> str:
    """Values in 0..1 as `width` block characters, each the mean of its stretch."""
    edges = np.linspace(0, len(values), width + 1)
    means = [values[int(a) : max(int(b), int(a) + 1)].mean() for a, b in itertools.pairwise(edges)]
    return "".join(BARS[min(int(mean * len(BARS)), len(BARS) - 1)] for mean in means)


def draw_analysis(analysis: TrackAnalysis, width: int) -> RenderableType:
    """One track: headline, genres with their timeline, tempo, segments, warnings."""
    parts: list[RenderableType] = [
        Text.assemble((analysis.file, "bold"), f"  {clock(analysis.duration_s)}  ({analysis.model.name})"),
        tempo_line(analysis),
    ]
    timeline = analysis.timeline
    table = Table.grid(padding=(0, 1))
    columns = max(10, min(60, width - 24))
    for genre in analysis.genres:
        curve = timeline.probability[:, timeline.labels.index(genre.label)]
        if genre.active or curve.max() >= LEAST_SHOWN:
            style = "bold" if genre.active else "dim"
            table.add_row(Text(genre.label, style), Text(f"{genre.probability:4.0%}", style), sparkline(curve, columns))
    if table.row_count:
        table.add_row("", "", f"0:00{clock(analysis.duration_s):>{columns - 4}}")
        parts.append(table)
    if len(analysis.segments) > 1:
        for segment in analysis.segments:
            name = ", ".join(segment.labels) or "not sure"
            parts.append(Text(f"  {clock(segment.start_s)} - {clock(segment.end_s)}  {name}"))
    parts += [Text(f"  note: {warning}", "yellow") for warning in analysis.warnings]
    return Group(*parts, Text(""))


def tempo_line(analysis: TrackAnalysis) -> Text:
    """The tempo with its alternatives, or that there is none."""
    tempo = analysis.tempo
    if tempo.bpm is None:
        return Text(no_tempo(analysis))
    others = [f"{candidate.bpm:.0f} ({candidate.probability:.0%})" for candidate in tempo.candidates[1:3]]
    also = f", or {' or '.join(others)}" if others else ""
    return Text(f"{tempo.bpm:.1f} BPM ({tempo.confidence:.0%} sure{also})")


def draw_comparison(analyses: Sequence[TrackAnalysis], apart: np.ndarray | None, width: int) -> RenderableType:
    """The models one under the other, with where they disagree and what each took."""
    table = Table(title=f"{analyses[0].file}  {clock(analyses[0].duration_s)}", title_justify="left")
    columns = max(10, min(40, width - 60))
    for name in ("model", "genres", "tempo", "its first genre along the track", "took"):
        table.add_column(name)
    for analysis in analyses:
        first = analysis.genres[0]
        curve = analysis.timeline.probability[:, analysis.timeline.labels.index(first.label)]
        table.add_row(
            analysis.model.name,
            "\n".join(f"{genre.label} {genre.probability:.0%}" for genre in analysis.genres[:3]),
            no_tempo(analysis) if analysis.tempo.bpm is None else f"{analysis.tempo.bpm:.1f} BPM",
            sparkline(curve, columns),
            f"{analysis.elapsed_s:.2f} s",
        )
    if apart is not None:
        table.add_section()
        table.add_row("apart", f"{apart.mean():.0%} on average", "", sparkline(apart, columns), "")
    notes = dict.fromkeys(warning for analysis in analyses for warning in analysis.warnings)
    return Group(table, *[Text(f"  note: {note}", "yellow") for note in notes])


def draw_explanation(explanation: Explanation) -> RenderableType:
    """One window: what is explained, its strongest places, and how far to trust them."""
    end_s = explanation.start_s + explanation.window_s
    parts: list[RenderableType] = [
        Text.assemble(
            (explanation.file, "bold"),
            f"  {explanation.about} {explanation.probability:.0%}, {explanation.start_s:.1f}–{end_s:.1f} s "
            f"({explanation.model.name})",
        )
    ]
    parts += [Text(f"  {region.words()}  {region.share:.0%} of what speaks for it") for region in explanation.regions]
    if not explanation.regions:
        parts.append(Text("  nothing in this window speaks for it"))
    if explanation.faithfulness:
        parts.append(Text(f"  {faithfulness_words(explanation)}", "dim"))
    return Group(*parts, Text(""))


def faithfulness_words(explanation: Explanation) -> str:
    """How faithful a map is, in words."""
    found = explanation.faithfulness
    if found is None:
        return "not measured"
    return (
        f"trust: {found.in_words()}: without the most marked fifth {explanation.about} falls from "
        f"{explanation.probability:.0%} to {found.map.without_marked:.0%} "
        f"(a random fifth: {found.random.without_marked:.0%}); that fifth alone gives {found.map.marked_alone:.0%}"
    )


EXPLANATION_MEASURES = {
    "insertion_minus_deletion.map": "insertion minus deletion",
    "insertion_minus_deletion.random": "the same of a random map",
    "insertion_minus_deletion.energy": "the same of the energy",
    "splice_mass": "map inside a splice (a quarter of the window)",
    "splice_mass_where_noticed": "the same where the model notices it",
    "class_contrast": "likeness of two genres' maps",
}


def draw_explanation_report(report: dict[str, Any]) -> RenderableType:
    """How far a model's explanations may be trusted, layer by layer."""
    layers = list(report["layers"])
    title = f"{report['model']['name']}: {report['windows']} windows of {report['files']} files"
    table = Table("measure", *layers, title=title, title_justify="left")
    for path, name in EXPLANATION_MEASURES.items():
        table.add_row(name, *(_with_interval(_at(report["layers"][layer], path)) for layer in layers))
    for part in next(iter(report["layers"].values()))["randomisation"]["likeness"]:
        shown = [report["layers"][layer]["randomisation"]["likeness"][part] for layer in layers]
        table.add_row(f"likeness, random from {part} up", *(f"{one['value']:.2f}" for one in shown))
    passes = ["passes" if report["layers"][layer]["randomisation"]["passes"] else "FAILS" for layer in layers]
    table.add_row("randomisation", *passes)
    return table


def _with_interval(entry: dict[str, Any] | None) -> str:
    if not entry or entry["value"] is None:
        return "-"
    low, high = entry["interval_95"]
    return f"{entry['value']:.2f} ({low:.2f} to {high:.2f}, n {entry['n']})"


MEASURES = {
    "accuracy": "genre accuracy",
    "accuracy_all_labels": "of all labels",
    "top3": "in first three",
    "macro_average_precision": "average precision, mean of labels",
    "macro_roc_auc": "ROC-AUC, mean of labels",
    "calibration.ece": "calibration error",
    "calibration.first_label_ece": "calibration error, first label",
    "musicnn.own_macro": "average precision, MusiCNN's labels",
    "musicnn.macro": "MusiCNN's on the same",
    "musicnn.difference": "more than MusiCNN",
    "tempo.accuracy1": "tempo Accuracy1",
    "tempo.accuracy2": "tempo Accuracy2",
    "pictures_of_the_recordings.accuracy": "genre accuracy, their pictures",
    "gap": "pictures minus recordings",
    "mixes.both_in_top3": "both genres of a mix in first three",
    "splices.precision": "borders within 3 s, precision",
    "splices.recall": "borders within 3 s, recall",
    "splices.f1": "borders within 3 s, F1",
}


def draw_evaluation(report: dict[str, Any]) -> RenderableType:
    """The numbers of `fluxbeat evaluate` with what they were measured on, counts, intervals, and spread over seeds."""
    runs = report.get("models", [report])
    numbers = report.get("over_seeds", report)
    title = f"{', '.join(run['model']['name'] for run in runs)}: {report['split']}"
    table = Table("measure", "value", "n", "95 % interval", title=title, title_justify="left")
    if len(runs) > 1:
        table.add_column(f"sd over {len(runs)} seeds")
    for path, name in MEASURES.items():
        _add_measure(table, name, _at(numbers, path))
    for peer in (key.removesuffix("_tempo") for key in numbers if key.endswith("_tempo")):
        for measure in ("accuracy1", "accuracy2"):
            name = f"{peer}'s tempo {measure.capitalize()}"
            _add_measure(table, name, _at(numbers, f"{peer}_tempo.{measure}"))
    parts: list[RenderableType] = [table]
    if "average_precision" in numbers:
        parts.append(_per_label(numbers))
    if "calibration" in report and report["calibration"]["reliability"]:
        reliability = Table("said", "was true", "answers", title="Calibration", title_justify="left")
        for row in report["calibration"]["reliability"]:
            reliability.add_row(f"{row['said']:.1%}", f"{row['true']:.1%}", str(row["n"]))
        parts.append(reliability)
    if "labels_the_model_lacks" in runs[0]:
        parts.append(Text(f"not judged, for the model lacks them: {', '.join(runs[0]['labels_the_model_lacks'])}"))
    return Group(*parts)


def _per_label(numbers: dict[str, Any]) -> Table:
    table = Table("label", "average precision", "95 % interval", "ROC-AUC", "tracks with it", "of")
    peers = (_at(numbers, "musicnn.average_precision") or {}) if "musicnn" in numbers else {}
    if peers:
        table.add_column("MusiCNN's")
    for label, entry in numbers["average_precision"].items():
        shown = ["-", "-", "-"]
        if entry["positives"] and entry["interval_95"]:
            low, high = entry["interval_95"]
            roc = numbers["roc_auc"][label]["value"]
            shown = [f"{entry['value']:.3f}", f"{low:.3f} - {high:.3f}", "-" if roc is None else f"{roc:.3f}"]
        row = [label, *shown, str(entry["positives"]), str(entry["n"])]
        table.add_row(*row, *([f"{peers[label]['value']:.3f}" if label in peers else "-"] if peers else []))
    return table


def _at(numbers: dict[str, Any], path: str) -> dict[str, Any] | None:
    """The entry at `outer.inner`, or None."""
    found: Any = numbers
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _add_measure(table: Table, name: str, entry: dict[str, Any] | None) -> None:
    if not entry or entry.get("value") is None:
        return
    low, high = entry["interval_95"]
    spread = entry.get("sd")
    row = [name, f"{entry['value']:.1%}", str(entry["n"]), f"{low:.1%} - {high:.1%}"]
    table.add_row(*row, *([f"{spread:.1%}"] if spread is not None else []))
