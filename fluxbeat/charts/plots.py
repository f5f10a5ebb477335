"""The Plotly figures. Time is in milliseconds on a date axis, so that ticks read as a clock.

Colours that depend on the theme are left open: a trace's `meta` names its role, and the page's script paints it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from fluxbeat.analysis import Envelope, Segment, Tempo, TrackAnalysis
from fluxbeat.charts.colours import Paint
from fluxbeat.charts.smoothing import fine_curves
from fluxbeat.charts.wording import clock, segment_name

Figure = dict[str, Any]

MARGIN = {"l": 34, "r": 12, "t": 30, "b": 26}
STAGE_MARGIN = {"l": 10, "r": 10, "t": 0, "b": 22}
START_MS = 24 * 3600 * 1000
"""Time 0 on the axis, as `chart.js` has it too: the second day, as Plotly reads numbers of four digits as years."""
CLOCK = "%-M:%S"
LONG_CLOCK = "%-H:%M:%S"
HOVER_LABELS, HOVER_AT_LEAST = 6, 3
HOVER_LEAST = 0.15
SEGMENT_LABELS = 2
MOST_CURVE_POINTS, MOST_WAVEFORM_POINTS = 1500, 1000
TEMPO_TICKS = [30, 40, 60, 80, 100, 120, 150, 200, 240, 300]


def timeline_figure(analysis: TrackAnalysis, paints: Mapping[str, Paint], order: Sequence[str]) -> Figure:
    """The river, under it the segments as a ribbon, under that the waveform: one time axis."""
    figure = empty_figure(analysis.duration_s)
    _add_river(figure, analysis, paints, order, "y")
    _add_ribbon(figure, analysis.segments, paints)
    _add_waveform(figure, analysis.envelope)
    figure.update_layout(
        yaxis={"domain": [0.4, 1.0]},
        yaxis2=_bare_axis([0.22, 0.36], [0.0, 1.0]),
        yaxis3=_bare_axis([0.0, 0.18], [-1.0, 1.0]),
        uniformtext={"mode": "hide", "minsize": 9},
        bargap=0,
    )
    return figure.to_dict()


def stage_figure(analysis: TrackAnalysis, paints: Mapping[str, Paint], order: Sequence[str]) -> Figure:
    """The stage without its numbers: an axis per layer, and a trace for each thing that its script fills.

    What is drawn depends on the part that is in view and on what is hidden, so the page fills in the curves
    (`stage_traces.js`), from the same windows that everything else on the page reads.
    """
    figure: Figure = empty_figure(analysis.duration_s).to_dict()
    lines: dict[str, Any] = {"type": "scatter", "x": [], "y": [], "mode": "lines", "hoverinfo": "skip"}
    stacked = {**lines, "stackgroup": "river", "yaxis": "y"}
    # dictionaries as they are: Plotly's own checks of so many traces would take longer than reading the song
    figure["data"] = [
        {**stacked, "line": {"width": 0}, "fillcolor": "rgba(0,0,0,0)", "meta": {"role": "ground"}},
        *({**stacked, **_stream(label, paints[label])} for label in order),
        {**lines, "yaxis": "y2", "line": {"width": 2}, "meta": {"role": "loudness", "label": None}},
        *(
            {
                **lines,
                "yaxis": "y2",
                "line": {"width": 2, "color": paints[label].fill},
                "meta": {"role": "loudness", "label": label},
            }
            for label in order
        ),
        {**lines, "yaxis": "y3", "line": {"width": 2.5}, "connectgaps": False, "meta": {"role": "tempo"}},
        *({**lines, "yaxis": "y5", "line": {"width": 1.5}, "meta": {"role": role}} for role in ("beats", "downbeats")),
        # an axis without a trace is not drawn, nor is the image that lies on it
        {**lines, "x": [START_MS], "y": [0.5], "yaxis": "y4", "opacity": 0, "meta": {"role": "spectrogram"}},
    ]
    figure["layout"] |= {
        "margin": STAGE_MARGIN,
        "hovermode": False,
        "yaxis2": _bare_axis([0.0, 1.0], [-1.0, 1.0]),
        "yaxis3": _bare_axis([0.0, 1.0], [0.0, 1.0]),
        "yaxis4": _bare_axis([0.0, 1.0], [0.0, 1.0]),
        "yaxis5": {**_bare_axis([0.0, 1.0], [0.0, 1.0]), "overlaying": "y3"},
    }
    return figure


def _stream(label: str, paint: Paint) -> dict[str, Any]:
    """How a genre's stream is drawn."""
    return {
        "name": escape(label),
        "line": {"width": 0.8, "color": paint.fill},
        "fillcolor": paint.fill,
        "fillpattern": {"shape": paint.pattern, "fgcolor": paint.ink, "fgopacity": 0.5, "size": 6},
        "meta": {"role": "area", "label": label},
    }


def river_figure(analysis: TrackAnalysis, paints: Mapping[str, Paint], order: Sequence[str], rise: float) -> Figure:
    """The river alone, `rise` being the height of its axis so that rows can be compared."""
    figure = empty_figure(analysis.duration_s)
    _add_river(figure, analysis, paints, order, "y", rise)
    figure.update_layout(margin={**MARGIN, "t": 6})
    return figure.to_dict()


def tempo_curve_figure(analysis: TrackAnalysis) -> Figure:
    """Tempo along the track, with gaps where there is no beat."""
    figure = empty_figure(analysis.duration_s)
    timeline = analysis.timeline
    stride = -(-len(timeline.bpm) // MOST_CURVE_POINTS)
    bpm = [None if np.isnan(value) else round(float(value), 1) for value in timeline.bpm[::stride]]
    lonely = sum(value is not None for value in bpm) < 3
    figure.add_scatter(
        x=_moments(timeline.centre_s[::stride]),
        y=bpm,
        mode="lines+markers" if lonely else "lines",
        line={"width": 2.5, "shape": "spline", "smoothing": 0.6},
        connectgaps=False,
        hovertemplate="%{y:.0f} BPM<extra></extra>",
        meta={"role": "tempo"},
    )
    figure.update_layout(hovermode="x", yaxis={"visible": True, "fixedrange": True, "nticks": 5, "tickformat": ".0f"})
    return figure.to_dict()


def tempo_spread_figure(tempo: Tempo) -> Figure:
    """How probable each tempo is, over the whole track, on a scale where doubling is always the same step."""
    figure = go.Figure()
    share = tempo.distribution / max(float(tempo.distribution.max()), 1e-12)
    figure.add_scatter(
        x=[round(float(bpm), 2) for bpm in tempo.grid_bpm],
        y=[round(float(value), 4) for value in share],
        mode="lines",
        fill="tozeroy",
        line={"width": 2, "shape": "spline", "smoothing": 0.6},
        hovertemplate="%{x:.0f} BPM<extra></extra>",
        meta={"role": "spread"},
    )
    low, high = float(tempo.grid_bpm[0]), float(tempo.grid_bpm[-1])
    figure.update_layout(
        template=None,
        showlegend=False,
        margin={**MARGIN, "t": 34, "l": 16},
        hovermode="closest",
        xaxis={
            "type": "log",
            "range": [float(np.log10(low)), float(np.log10(high))],
            "tickvals": TEMPO_TICKS,
            "ticktext": [str(tick) for tick in TEMPO_TICKS],
            "fixedrange": True,
            "showgrid": True,
            "zeroline": False,
        },
        yaxis={"visible": False, "fixedrange": True, "range": [0.0, 1.12]},
    )
    return figure.to_dict()


def river_rise(analyses: Sequence[TrackAnalysis]) -> float:
    """Height of the axis on which all these rivers fit; at least one sure genre high."""
    return max(1.0, *(float(analysis.timeline.probability.sum(axis=1).max()) for analysis in analyses))


def _add_river(
    figure: go.Figure,
    analysis: TrackAnalysis,
    paints: Mapping[str, Paint],
    order: Sequence[str],
    axis: str,
    rise: float | None = None,
) -> None:
    """Stacked areas about a middle line; the first trace is the bare ground below, which centres them."""
    timeline = analysis.timeline
    column = {label: index for index, label in enumerate(timeline.labels)}
    time_s, fine = fine_curves(timeline.centre_s, timeline.probability, analysis.duration_s)
    rise = rise or river_rise([analysis])
    ground = (rise - fine.sum(axis=1)).clip(0.0) / 2
    most = {label: float(timeline.probability[:, column[label]].max()) for label in timeline.labels}
    ranked = sorted(timeline.labels, key=lambda label: -most[label])[:HOVER_LABELS]
    told = [label for rank, label in enumerate(ranked) if rank < HOVER_AT_LEAST or most[label] >= HOVER_LEAST]
    shared: dict[str, Any] = {"stackgroup": "river", "mode": "lines", "yaxis": axis}
    # the moments are evenly apart: in numbers of their own they would be half of what the page is sent
    shared |= {"x0": START_MS, "dx": round(float(time_s[1] - time_s[0]) * 1000, 3)}
    figure.add_scatter(
        y=_rounded(ground, 3),
        hoverinfo="skip",
        line={"width": 0},
        fillcolor="rgba(0,0,0,0)",
        meta={"role": "ground", "rise": round(rise, 4)},
        **shared,
    )
    for label in order:
        hover = {"hovertemplate": "%{y:.0%}"} if label in told else {"hoverinfo": "skip"}
        figure.add_scatter(y=_rounded(fine[:, column[label]], 3), **_stream(label, paints[label]), **hover, **shared)
    figure.update_layout(yaxis={"range": [0.0, rise]})


def _add_ribbon(figure: go.Figure, segments: Sequence[Segment], paints: Mapping[str, Paint]) -> None:
    """Each segment as a band; where several genres are present it is split among them."""
    bands = []
    for segment in segments:
        labels = segment.labels[:SEGMENT_LABELS]
        for index, label in enumerate(labels or (None,)):
            bands.append((segment, label, index, max(len(labels), 1)))
    names = [escape(label or segment_name(segment)) for segment, label, _, _ in bands]
    span = [f"{clock(s.start_s)} to {clock(s.end_s)}" for s, _, _, _ in bands]
    paint = [None if label is None else paints[label] for _, label, _, _ in bands]
    figure.add_bar(
        orientation="h",
        base=_moments(np.array([s.start_s for s, _, _, _ in bands])),
        x=[round((s.end_s - s.start_s) * 1000) for s, _, _, _ in bands],
        y=[1 - (index + 0.5) / of for _, _, index, of in bands],
        width=[0.96 / of for _, _, _, of in bands],
        text=names,
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        textfont={"size": 12, "color": [p.ink if p else "#808691" for p in paint]},
        marker={
            "color": [p.fill if p else "rgba(128,128,128,0.18)" for p in paint],
            "pattern": {"shape": [p.pattern if p else "" for p in paint], "size": 6},
            "line": {"width": 0},
        },
        customdata=[[name, when] for name, when in zip(names, span, strict=True)],
        hovertemplate="%{customdata[0]}, %{customdata[1]}<extra></extra>",
        yaxis="y2",
        meta={"role": "ribbon"},
    )


def _add_waveform(figure: go.Figure, envelope: Envelope) -> None:
    """Loudness, mirrored about its middle line, as one closed shape."""
    group = max(1, -(-len(envelope.peak) // MOST_WAVEFORM_POINTS))
    peak = np.pad(envelope.scaled, (0, -len(envelope.peak) % group)).reshape(-1, group).max(axis=1)
    time_s = (np.arange(len(peak)) + 0.5) * group * envelope.step_s
    figure.add_scatter(
        x=_moments(np.concatenate([time_s, time_s[::-1]])),
        y=_rounded(np.concatenate([peak, -peak[::-1]])),
        mode="lines",
        fill="toself",
        line={"width": 0},
        hoverinfo="skip",
        yaxis="y3",
        meta={"role": "waveform"},
    )


def empty_figure(duration_s: float) -> go.Figure:
    """An empty figure over the whole track."""
    end = START_MS + round(duration_s * 1000)
    reading = LONG_CLOCK if duration_s >= 3600 else CLOCK
    layout = {
        "template": None,
        "showlegend": False,
        "margin": MARGIN,
        "dragmode": False,
        "hovermode": "x unified",
        "xaxis": {
            "type": "date",
            "range": [START_MS, end],
            "minallowed": START_MS,
            "maxallowed": end,
            "tickformat": reading,
            "tickformatstops": [
                {"dtickrange": [None, 99], "value": f"{reading}.%2f"},
                {"dtickrange": [100, 999], "value": f"{reading}.%1f"},
            ],
            "hoverformat": reading,
            "showgrid": False,
            "zeroline": False,
            "anchor": "free",
            "position": 0,
            "showspikes": False,
        },
        "yaxis": {"visible": False, "fixedrange": True},
    }
    return go.Figure(layout=layout)


def _bare_axis(domain: list[float], limits: list[float]) -> dict[str, Any]:
    return {"domain": domain, "range": limits, "visible": False, "fixedrange": True, "anchor": "x"}


def _moments(seconds: np.ndarray) -> list[int]:
    """Places on the time axis."""
    return [START_MS + round(float(second) * 1000) for second in seconds]


def _rounded(values: np.ndarray, digits: int = 4) -> list[float]:
    return [round(float(value), digits) for value in values]
