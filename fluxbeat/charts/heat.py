"""What carried the genres of a whole track, as a heat map over time and frequency."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fluxbeat.charts.colours import Paint
from fluxbeat.charts.plots import ROOM_FOR_TICKS, START_MS, Figure, time_figure
from fluxbeat.explanation.whole_track import TrackEvidence

COLUMNS, ROWS = 600, 40
TICKS_HZ = (60, 250, 1000, 4000)
FULL_COLOUR = 0.06
"""Evidence in one second and one drawn row, in units of the logit, that is drawn at full strength."""


def heat_rows(evidence: np.ndarray) -> np.ndarray:
    """How strongly evidence is drawn, 0..1, in rows of several bands: (mels, columns) -> (rows, columns).

    Parameters
    ----------
    evidence : float array, shape (mels, columns)
        In units of the logit per second, 0 or more.
    """
    bands = len(evidence)
    rows = min(bands, ROWS)
    first_bands = np.arange(rows + 1) * bands // rows
    share = bands / rows / np.diff(first_bands)[:, None]  # a row that holds one band more is not brighter for it
    drawn = np.add.reduceat(evidence, first_bands[:-1], axis=0) * share
    return np.sqrt((drawn / FULL_COLOUR).clip(0, 1))


def track_heat_figure(found: TrackEvidence, duration_s: float, paints: Mapping[str, Paint]) -> Figure:
    """One heat map per label in its colour, where segments carry it; see-through where nothing speaks for it."""
    bands, columns = next(iter(found.evidence.values())).shape
    group = max(1, -(-columns // COLUMNS))
    rows = min(bands, ROWS)
    time_ms = START_MS + (np.arange(-(-columns // group)) + 0.5) * group * found.column_s * 1000
    maps = []
    for label, evidence in found.evidence.items():
        padded = np.pad(evidence, ((0, 0), (0, -columns % group)))
        grouped = padded.reshape(bands, -1, group).mean(axis=2)
        red, green, blue = bytes.fromhex(paints[label].fill[1:])
        maps.append(
            {
                "type": "heatmap",
                "x": time_ms.tolist(),
                "y": list(range(rows)),
                "z": np.round(heat_rows(grouped), 3).tolist(),
                "zmin": 0,
                "zmax": 1,
                "colorscale": [[0, f"rgba({red},{green},{blue},0)"], [1, f"rgba({red},{green},{blue},1)"]],
                "showscale": False,
                "name": label,
                "hovertemplate": f"{label}<extra></extra>",
                "meta": {"role": "heat", "label": label},
            }
        )
    at_row = np.interp(TICKS_HZ, found.band_hz, np.arange(bands)) * rows / bands
    return time_figure(
        duration_s,
        maps,
        margin={"l": 44, "r": 12, "t": 30, "b": 26},
        hovermode="closest",
        yaxis={
            "visible": True,
            "fixedrange": True,
            "zeroline": False,
            **ROOM_FOR_TICKS,
            "tickvals": at_row.round(2).tolist(),
            "ticktext": [f"{hz:,} Hz" for hz in TICKS_HZ],
            "range": [-0.5, rows - 0.5],
        },
    )
