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

if TYPE_CHECKING:
    from fluxbeat.analysis import TrackAnalysis

BARS = " ▁▂▃▄▅▆▇█"
LEAST_SHOWN = 0.15


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss from an hour on."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


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
        return Text("no steady beat")
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
            "no beat" if analysis.tempo.bpm is None else f"{analysis.tempo.bpm:.1f} BPM",
            sparkline(curve, columns),
            f"{analysis.elapsed_s:.2f} s",
        )
    if apart is not None:
        table.add_section()
        table.add_row("apart", f"{apart.mean():.0%} on average", "", sparkline(apart, columns), "")
    notes = dict.fromkeys(warning for analysis in analyses for warning in analysis.warnings)
    return Group(table, *[Text(f"  note: {note}", "yellow") for note in notes])


def draw_evaluation(report: dict[str, Any]) -> RenderableType:
    """The numbers of `fluxbeat evaluate` with counts and intervals."""
    table = Table("measure", "value", "tracks", "95 % interval")
    for name, entry in (("genre accuracy", report.get("accuracy")), ("in first three", report.get("top3"))):
        if entry:
            _add_share(table, name, entry)
    for who, name in (("tempo", "tempo"), ("librosa_tempo", "librosa's tempo")):
        for measure in ("accuracy1", "accuracy2"):
            if who in report:
                _add_share(table, f"{name} {measure.capitalize()}", report[who][measure])
    parts: list[RenderableType] = [table]
    if "average_precision" in report:
        per_label = Table("label", "average precision", "tracks with it")
        for label, entry in report["average_precision"].items():
            shown = f"{entry['value']:.3f}" if entry["positives"] else "-"
            per_label.add_row(label, shown, str(entry["positives"]))
        macro = report["macro_average_precision"]
        per_label.add_row("mean", "-" if macro is None else f"{macro:.3f}", "")
        parts.append(per_label)
    return Group(*parts)


def _add_share(table: Table, name: str, entry: dict[str, Any]) -> None:
    low, high = entry["interval_95"]
    table.add_row(name, f"{entry['value']:.1%}", str(entry["n"]), f"{low:.1%} - {high:.1%}")
