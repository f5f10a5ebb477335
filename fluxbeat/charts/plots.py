"""The Plotly figures. Time is in milliseconds on a date axis, whose labels `wording.js` writes where it is drawn.

Colours that depend on the theme are left open: a trace's `meta` names its role, and the page's script paints it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from fluxbeat.analysis.result import Envelope, Segment, Tempo, TrackAnalysis
from fluxbeat.charts.colours import Paint
from fluxbeat.charts.smoothing import fine_curves
from fluxbeat.charts.wording import clock, segment_name, whole_bpm

Figure = dict[str, Any]
"""Traces (`data`) and `layout`, as Plotly reads them."""

MARGIN = {"l": 34, "r": 12, "t": 30, "b": 26}
START_MS = 24 * 3600 * 1000
"""Time 0 on the axis, as `wording.js` has it too: the second day, as Plotly reads numbers of four digits as years."""
TEMPO_TICKS = [30, 40, 60, 80, 100, 120, 150, 200, 240, 300]
HATCHING = {"fillmode": "overlay", "solidity": 0.2, "size": 6}
ROOM_FOR_TICKS = {"automargin": True, "ticks": ""}
_INVISIBLE = "rgba(0,0,0,0)"


def timeline_figure(analysis: TrackAnalysis, paints: Mapping[str, Paint], order: Sequence[str]) -> Figure:
    """The river, under it the segments as a ribbon, under that the waveform: one time axis."""
    rise = river_rise([analysis])
    return time_figure(
        analysis.duration_s,
        [*_river(analysis, paints, order, rise), _ribbon(analysis.segments, paints), _waveform(analysis.envelope)],
        yaxis=_bare_axis([0.4, 1.0], [0.0, rise]),
        yaxis2=_bare_axis([0.22, 0.36], [0.0, 1.0]),
        yaxis3=_bare_axis([0.0, 0.18], [-1.0, 1.0]),
        uniformtext={"mode": "hide", "minsize": 9},
        bargap=0,
    )


def stage_figure(analysis: TrackAnalysis, paints: Mapping[str, Paint], order: Sequence[str]) -> Figure:
    """The stage without its numbers: an axis per layer, and a trace for each thing that its script fills.

    What is drawn depends on the part that is in view and on what is hidden, so the page fills in the curves
    (`stage_traces.js`), from the same windows that everything else on the page reads.
    """
    lines: dict[str, Any] = {"type": "scatter", "x": [], "y": [], "mode": "lines", "hoverinfo": "skip"}
    stacked = {**lines, "stackgroup": "river", "yaxis": "y"}
    loudness = {**lines, "yaxis": "y2"}
    traces = [
        {**stacked, "line": {"width": 0}, "fillcolor": _INVISIBLE, "meta": {"role": "ground"}},
        *({**stacked, **_stream(label, paints[label])} for label in order),
        {**loudness, "line": {"width": 2}, "meta": {"role": "loudness", "label": None}},
        *(
            {
                **loudness,
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
    return time_figure(
        analysis.duration_s,
        traces,
        margin={"l": 10, "r": 10, "t": 0, "b": 22},
        hovermode=False,
        yaxis2=_bare_axis([0.0, 1.0], [-1.0, 1.0]),
        yaxis3=_bare_axis([0.0, 1.0], [0.0, 1.0]),
        yaxis4=_bare_axis([0.0, 1.0], [0.0, 1.0]),
        yaxis5={**_bare_axis([0.0, 1.0], [0.0, 1.0]), "overlaying": "y3"},
    )


def _stream(label: str, paint: Paint) -> dict[str, Any]:
    """How a genre's stream is drawn."""
    return {
        "name": escape(label),
        "line": {"width": 0.8, "color": paint.fill},
        "fillcolor": paint.fill,
        "fillpattern": {"shape": paint.pattern, "fgcolor": paint.ink, "fgopacity": 0.5, **HATCHING},
        "meta": {"role": "area", "label": label},
    }


def river_figure(analysis: TrackAnalysis, paints: Mapping[str, Paint], order: Sequence[str], rise: float) -> Figure:
    """The river alone, `rise` being the height of its axis so that rows can be compared."""
    return time_figure(
        analysis.duration_s,
        _river(analysis, paints, order, rise),
        margin={**MARGIN, "t": 6},
        yaxis=_bare_axis([0.0, 1.0], [0.0, rise]),
    )


def tempo_curve_figure(analysis: TrackAnalysis) -> Figure:
    """Tempo along the track, with gaps where there is no beat."""
    timeline = analysis.timeline
    stride = -(-len(timeline.bpm) // 1500)  # more points are not seen
    found = [None if np.isnan(value) else float(value) for value in timeline.bpm[::stride]]
    bpm = [None if value is None else round(value, 1) for value in found]
    lonely = sum(value is not None for value in bpm) < 3
    curve = {
        "type": "scatter",
        "x": _moments(timeline.centre_s[::stride]),
        "y": bpm,
        "mode": "lines+markers" if lonely else "lines",
        "line": {"width": 2.5, "shape": "spline", "smoothing": 0.6},
        "connectgaps": False,
        "customdata": ["" if value is None else whole_bpm(value) for value in found],
        "hovertemplate": "%{customdata} BPM<extra></extra>",
        "meta": {"role": "tempo"},
    }
    axis = {"visible": True, "fixedrange": True, "nticks": 5, **ROOM_FOR_TICKS}
    return time_figure(analysis.duration_s, [curve], hovermode="x", yaxis=axis)


def tempo_spread_figure(tempo: Tempo) -> Figure:
    """How probable each tempo is, over the whole track, on a scale where doubling is always the same step."""
    share = tempo.distribution / max(float(tempo.distribution.max()), 1e-12)
    curve = {
        "type": "scatter",
        "x": _rounded(tempo.grid_bpm, 2),
        "y": _rounded(share),
        "mode": "lines",
        "fill": "tozeroy",
        "line": {"width": 2, "shape": "spline", "smoothing": 0.6},
        "customdata": [whole_bpm(bpm) for bpm in tempo.grid_bpm],
        "hovertemplate": "%{customdata} BPM<extra></extra>",
        "meta": {"role": "spread"},
    }
    layout = {
        "showlegend": False,
        "margin": {**MARGIN, "t": 34, "l": 16},
        "hovermode": "closest",
        "xaxis": {
            "type": "log",
            "range": np.log10(tempo.grid_bpm[[0, -1]]).tolist(),
            "tickvals": TEMPO_TICKS,
            "ticktext": [str(tick) for tick in TEMPO_TICKS],
            "fixedrange": True,
            "showgrid": True,
            "zeroline": False,
        },
        "yaxis": {"visible": False, "fixedrange": True, "range": [0.0, 1.12]},
    }
    return {"data": [curve], "layout": layout}


def river_rise(analyses: Sequence[TrackAnalysis]) -> float:
    """Height of the axis on which all these rivers fit; at least one sure genre high."""
    return max(1.0, *(float(analysis.timeline.probability.sum(axis=1).max()) for analysis in analyses))


def _river(
    analysis: TrackAnalysis, paints: Mapping[str, Paint], order: Sequence[str], rise: float
) -> list[dict[str, Any]]:
    """Stacked areas about a middle line; the first trace is the bare ground below, which centres them."""
    timeline = analysis.timeline
    time_s, fine = fine_curves(timeline.centre_s, timeline.probability, analysis.duration_s)
    curves = dict(zip(timeline.labels, fine.T, strict=True))
    most = dict(zip(timeline.labels, timeline.probability.max(axis=0).tolist(), strict=True))
    ranked = sorted(most, key=lambda label: -most[label])
    named = ranked[:3] + [label for label in ranked[3:6] if most[label] >= 0.15]
    shared: dict[str, Any] = {"type": "scatter", "stackgroup": "river", "mode": "lines", "yaxis": "y"}
    # the moments are evenly apart: in numbers of their own they would be half of what the page is sent
    shared |= {"x0": START_MS, "dx": round(float(time_s[1] - time_s[0]) * 1000, 3)}
    ground = {
        **shared,
        "y": _rounded((rise - fine.sum(axis=1)).clip(0.0) / 2, 3),
        "hoverinfo": "skip",
        "line": {"width": 0},
        "fillcolor": _INVISIBLE,
        "meta": {"role": "ground", "rise": round(rise, 4)},
    }
    streams = []
    for label in order:
        hover = {"hovertemplate": "%{y:.0%}"} if label in named else {"hoverinfo": "skip"}
        streams.append({**shared, "y": _rounded(curves[label], 3), **_stream(label, paints[label]), **hover})
    return [ground, *streams]


def _ribbon(segments: Sequence[Segment], paints: Mapping[str, Paint]) -> dict[str, Any]:
    """Each segment as a band; where several genres are present it is split among the first two."""
    bands = []
    for segment in segments:
        labels = segment.labels[:2] or (None,)
        bands += [(segment, label, index, len(labels)) for index, label in enumerate(labels)]
    names = [escape(label or segment_name(segment)) for segment, label, _, _ in bands]
    spans = [f"{clock(segment.start_s)} to {clock(segment.end_s)}" for segment, _, _, _ in bands]
    nothing = Paint("rgba(128,128,128,0.18)", "#808691", "")
    painted = [paints[label] if label else nothing for _, label, _, _ in bands]
    return {
        "type": "bar",
        "orientation": "h",
        "base": _moments(np.array([segment.start_s for segment, _, _, _ in bands])),
        "x": [round((segment.end_s - segment.start_s) * 1000) for segment, _, _, _ in bands],
        "y": [1 - (index + 0.5) / count for _, _, index, count in bands],
        "width": [0.96 / count for _, _, _, count in bands],
        "text": names,
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"size": 12, "color": [paint.ink for paint in painted]},
        "marker": {
            "color": [paint.fill for paint in painted],
            "pattern": {"shape": [paint.pattern for paint in painted], **HATCHING},
            "line": {"width": 0},
        },
        "customdata": list(zip(names, spans, strict=True)),
        "hovertemplate": "%{customdata[0]}, %{customdata[1]}<extra></extra>",
        "yaxis": "y2",
        "meta": {"role": "ribbon"},
    }


def _waveform(envelope: Envelope) -> dict[str, Any]:
    """Loudness, mirrored about its middle line, as one closed shape."""
    group = max(1, -(-len(envelope.peak) // 1000))  # more points are not seen
    peak = np.pad(envelope.scaled, (0, -len(envelope.peak) % group)).reshape(-1, group).max(axis=1)
    time_s = (np.arange(len(peak)) + 0.5) * group * envelope.step_s
    return {
        "type": "scatter",
        "x": _moments(np.concatenate([time_s, time_s[::-1]])),
        "y": _rounded(np.concatenate([peak, -peak[::-1]])),
        "mode": "lines",
        "fill": "toself",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "yaxis": "y3",
        "meta": {"role": "waveform"},
    }


def time_figure(duration_s: float, traces: Sequence[dict[str, Any]], **layout: Any) -> Figure:
    """A figure over the whole track; `layout` has what is its own."""
    end = START_MS + round(duration_s * 1000)
    common = {
        "showlegend": False,
        "margin": MARGIN,
        "dragmode": False,
        "hovermode": "x unified",
        "xaxis": {
            "type": "date",
            "range": [START_MS, end],
            "minallowed": START_MS,
            "maxallowed": end,
            "showgrid": False,
            "zeroline": False,
            "anchor": "free",
            "position": 0,
            "showspikes": False,
            **ROOM_FOR_TICKS,
        },
        "yaxis": {"visible": False, "fixedrange": True},
    }
    return {"data": list(traces), "layout": common | layout}


def _bare_axis(domain: list[float], limits: list[float]) -> dict[str, Any]:
    return {"domain": domain, "range": limits, "visible": False, "fixedrange": True, "anchor": "x"}


def _moments(seconds: np.ndarray) -> list[int]:
    """Places on the time axis."""
    return [START_MS + round(float(second) * 1000) for second in seconds]


def _rounded(values: np.ndarray, digits: int = 4) -> list[float]:
    return [round(float(value), digits) for value in values]
