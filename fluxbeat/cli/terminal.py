"""Analyses drawn with characters, for people who work in a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.analysis.track import Progress as Report
from fluxbeat.charts.wording import clock, confidence, no_tempo, segment_name, tempo_choice
from fluxbeat.cli.output import FAILED, can_hold, complain
from fluxbeat.errors import FluxBeatError
from fluxbeat.explanation.result import Explanation
from fluxbeat.explanation.whole_track import SegmentEvidence

BARS = " ▁▂▃▄▅▆▇█"
PLAIN_BARS = " .:-=+*#%"
"""Where the output has no block characters."""
LEAST_SHOWN = 0.15


def progress_bar() -> Progress:
    """A bar on standard error that is drawn only in a terminal and leaves nothing behind."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def progress_of(name: str) -> Iterator[Report]:
    """A bar for one thing; what it gives is called with the finished share and what is being done."""
    with progress_bar() as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda share, doing: bar.update(task, completed=share, description=f"{name}: {doing}")


def file_by_file(files: Sequence[str], work: Callable[[int, Report], None]) -> int:
    """Call `work` with the place of each file, under a progress bar of its own; returns the exit status.

    A file that fails is named, and the others go on.
    """
    status = 0
    for number, path in enumerate(files):
        place = f"{number + 1} of {len(files)}, " if len(files) > 1 else ""
        try:
            with progress_of(place + Path(path).name[:30]) as on_progress:
                work(number, on_progress)
        except FluxBeatError as error:
            complain(error)
            status = FAILED
    return status


def show(drawn: RenderableType) -> None:
    """Print what was drawn on standard output."""
    Console().print(drawn)


def sparkline(values: np.ndarray, width: int) -> str:
    """Values in 0..1 as `width` block characters, each the mean of its part."""
    edges = np.linspace(0, len(values), width + 1)
    means = [values[int(a) : max(int(b), int(a) + 1)].mean() for a, b in itertools.pairwise(edges)]
    bars = BARS if can_hold(BARS) else PLAIN_BARS
    return "".join(bars[min(int(mean * len(bars)), len(bars) - 1)] for mean in means)


def draw_analysis(analysis: TrackAnalysis) -> RenderableType:
    """One track: headline, answer, tempo, genres with their timeline, segments, warnings."""
    parts: list[RenderableType] = [
        Text.assemble((analysis.file, "bold"), f"  {clock(analysis.duration_s)}  ({analysis.model.name})"),
        Text(analysis.summary),
        tempo_text(analysis),
    ]
    timeline = analysis.timeline
    table = Table.grid(padding=(0, 1))
    columns = max(10, min(60, Console().width - 24))
    for genre in analysis.genres:
        curve = timeline.probability[:, timeline.labels.index(genre.label)]
        if genre.active or curve.max() >= LEAST_SHOWN:
            style = "bold" if genre.active else "dim"
            table.add_row(Text(genre.label, style), Text(genre.presence, style), sparkline(curve, columns))
    if table.row_count:
        table.add_row("", "", f"0:00{clock(analysis.duration_s):>{columns - 4}}")
        parts.append(table)
    if len(analysis.segments) > 1:
        for segment in analysis.segments:
            parts.append(Text(f"  {clock(segment.start_s)} - {clock(segment.end_s)}  {segment_name(segment)}"))
    parts += [Text(f"  note: {warning.text}", "yellow") for warning in analysis.warnings]
    return Group(*parts, Text(""))


def draw_found_labels(analysis: TrackAnalysis, word: str) -> RenderableType:
    """What a model says of the labels with a word in their name, also of those that are not drawn."""
    drawn = zip(analysis.timeline.labels, analysis.timeline.probability.T, strict=True)
    most = {label: (float(curve.max()), float(analysis.timeline.centre_s[curve.argmax()])) for label, curve in drawn}
    most |= {one.label: (one.most, one.at_s) for one in analysis.others}
    found = sorted(
        (-share, label, at_s) for label, (share, at_s) in most.items() if word.casefold() in label.casefold()
    )
    if not found:
        return Text(f"  no label of {analysis.model.name} has {word!r} in its name", "yellow")
    table = Table.grid(padding=(0, 2))
    for share, label, at_s in found:
        table.add_row(Text(f"  {label}"), f"at most {-share:.1%}", f"at {clock(at_s)}")
    return table


def tempo_text(analysis: TrackAnalysis) -> Text:
    """The tempo, what it could be as well and how sure that is; or that there is none."""
    tempo = analysis.tempo
    if tempo.bpm is None:
        return Text(no_tempo(analysis))
    sure = "your word" if tempo.corrected else confidence(tempo.confidence)
    return Text(f"{tempo_choice(tempo)} ({tempo.bpm:.1f}, {sure})")


def draw_comparison(analyses: Sequence[TrackAnalysis], apart: np.ndarray | None) -> RenderableType:
    """The models one under the other, with where they disagree and what each took."""
    table = Table(title=f"{analyses[0].file}  {clock(analyses[0].duration_s)}", title_justify="left")
    columns = max(10, min(40, Console().width - 60))
    for name in ("model", "genres", "tempo", "its first genre along the track", "took"):
        table.add_column(name)
    for analysis in analyses:
        first = analysis.genres[0]
        curve = analysis.timeline.probability[:, analysis.timeline.labels.index(first.label)]
        table.add_row(
            analysis.model.name,
            "\n".join(f"{genre.label} {genre.probability:.0%}" for genre in analysis.genres[:3]),
            tempo_choice(analysis.tempo) or no_tempo(analysis),
            sparkline(curve, columns),
            f"{analysis.elapsed_s:.2f} s",
        )
    if apart is not None:
        table.add_section()
        table.add_row("apart", f"{apart.mean():.0%} on average", "", sparkline(apart, columns), "")
    notes = dict.fromkeys(warning.text for analysis in analyses for warning in analysis.warnings)
    return Group(table, *[Text(f"  note: {note}", "yellow") for note in notes])


def draw_explanation(explanation: Explanation) -> RenderableType:
    """One window: what is explained, its strongest places, and how far to trust them."""
    end_s = explanation.start_s + explanation.window_s
    answer = f"{explanation.about} {explanation.probability:.0%}"
    where = f"{explanation.start_s:.1f}–{end_s:.1f} s ({explanation.model.name})"
    parts: list[RenderableType] = [Text.assemble((explanation.file, "bold"), f"  {answer}, {where}")]
    parts += [Text(f"  {region.words()}  {region.share:.0%} of what speaks for it") for region in explanation.regions]
    if not explanation.regions:
        parts.append(Text("  nothing in this window speaks for it"))
    found = explanation.faithfulness
    if found:
        words = (
            f"  measured: {found.in_words()}: without the most marked fifth {explanation.about} goes from "
            f"{explanation.probability:.0%} to {found.map.without_marked:.0%} "
            f"(a random fifth: {found.random.without_marked:.0%}); that fifth alone gives {found.map.marked_alone:.0%}"
        )
        parts.append(Text(words, "dim"))
    return Group(*parts, Text(""))


def draw_segment_evidence(title: str, found: Sequence[SegmentEvidence]) -> RenderableType:
    """One line per segment and label of a track."""
    lines = [Text(title)]
    for one in found:
        where = "; ".join(region.words() for region in one.regions[:3]) or "nothing speaks for it clearly"
        lines.append(Text(f"  {clock(one.segment.start_s)} - {clock(one.segment.end_s)} {one.label}: {where}"))
    return Group(*lines)


SANITY = {
    "splice_mass": "map inside a splice (a quarter of the window)",
    "splice_mass_where_noticed": "the same where the model notices it",
    "class_contrast": "likeness of two genres' maps",
}


def draw_explanation_report(report: dict[str, Any]) -> RenderableType:
    """How far a model's explanations may be trusted, layer by layer."""
    title = (
        f"{report['model']['name']}: {report['windows']} windows of {report['files']} recordings by "
        f"{report['artists']} artists; explained at {report['chosen']}"
    )
    table = Table("layer and method", "insertion minus deletion", "more than random", "more than energy", title=title)
    table.caption = "bold: its interval lies above those of a random map and of the energy"
    sanity = Table("layer and method", "measure", "value")
    for name, found in report["layers"].items():
        means = (found["insertion_minus_deletion"]["map"], found["beats_random"], found["beats_energy"])
        table.add_row(name, *map(_with_interval, means), style="bold" if found["apart"] else "")
        if "randomisation" in found:
            for measure, words in SANITY.items():
                sanity.add_row(name, words, _with_interval(found[measure]))
            for part, alike in found["randomisation"]["likeness"].items():
                sanity.add_row(name, f"likeness, random from {part} up", f"{alike['value']:.2f}")
            sanity.add_row(name, "randomisation", "passes" if found["randomisation"]["passes"] else "FAILS")
    return Group(table, sanity) if sanity.row_count else table


def _with_interval(entry: dict[str, Any]) -> str:
    if entry["value"] is None:
        return "-"
    low, high = entry["interval_95"]
    return f"{entry['value']:.2f} ({low:.2f} to {high:.2f}, n {entry['n']})"
