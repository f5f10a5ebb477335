"""A report as one HTML file that needs nothing else: charts as in the app, tables that read without a script."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import jinja2
import numpy as np

from fluxbeat import __version__
from fluxbeat.analysis.result import Tempo, TrackAnalysis
from fluxbeat.charts import FIGURES_CSS, PAINTED_JS, WORDING_JS, wording
from fluxbeat.charts.colours import Paint, genre_paints
from fluxbeat.charts.plotly_script import plotly_script
from fluxbeat.charts.plots import Figure, tempo_curve_figure, tempo_spread_figure, timeline_figure
from fluxbeat.errors import ExportError
from fluxbeat.export.formats import CaptionedImage

_FOLDER = Path(__file__).with_name("report")


def to_html_report(analysis: TrackAnalysis, images: Sequence[CaptionedImage] = ()) -> bytes:
    """The report as UTF-8; it asks no host for anything, and its own policy forbids it to.

    Parameters
    ----------
    analysis : TrackAnalysis
    images : sequence of (str, bytes)
        Captions and PNG files that explain the analysis; their section is left out where there are none.

    Raises
    ------
    ExportError
        If an image is not a PNG file.
    """
    for number, (caption, content) in enumerate(images, 1):
        if not content.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ExportError(f"picture {number} of the report ({caption}) is not a PNG file: give its bytes as PNG")
    paints = genre_paints(analysis.timeline.labels)
    page = _environment().get_template("report.html.jinja")
    text: str = page.render(
        analysis=analysis,
        wording=wording,
        paints=paints,
        images=[(caption, base64.b64encode(content).decode()) for caption, content in images],
        figures=_figures(analysis, paints),
        version=__version__,
        css=FIGURES_CSS.read_text("utf-8") + (_FOLDER / "report.css").read_text("utf-8"),
        script="".join(file.read_text("utf-8") for file in (PAINTED_JS, WORDING_JS, _FOLDER / "report.js")),
        plotly=_packed_plotly(),
    )
    return text.encode()


def _figures(analysis: TrackAnalysis, paints: Mapping[str, Paint]) -> dict[str, Figure]:
    """By the id of the place in the page that each is drawn at."""
    figures = {"timeline": timeline_figure(analysis, paints, [genre.label for genre in analysis.genres])}
    if analysis.tempo.bpm is None:
        return figures
    steady = analysis.timeline.bpm[~np.isnan(analysis.timeline.bpm)]
    if len(steady):
        curve = tempo_curve_figure(analysis)
        curve["layout"]["yaxis"]["range"] = _room(float(steady.min()), float(steady.max()))
        figures["curve"] = curve
    return figures | {"spread": _marked(tempo_spread_figure(analysis.tempo), analysis.tempo)}


def _room(least: float, most: float) -> list[float]:
    """Limits of the tempo axis, never so near that a steady tempo looks restless."""
    room = max((most - least) * 0.15, 12 - (most - least) / 2, 4)
    return [round(least - room, 1), round(most + room, 1)]


def _marked(figure: Figure, tempo: Tempo) -> Figure:
    """The spread of tempo with a line at each candidate."""
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": {"color": "#808691", "width": 1, "dash": "dot"}}
    word = {"y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False, "font": {"size": 12}}
    marks = [candidate.bpm for candidate in tempo.candidates[:4]]
    figure["layout"]["shapes"] = [{**line, "x0": bpm, "x1": bpm} for bpm in marks]
    figure["layout"]["annotations"] = [
        {**word, "x": float(np.log10(bpm)), "text": wording.whole_bpm(bpm)} for bpm in marks
    ]
    return figure


@cache
def _packed_plotly() -> str:
    """What charts need of Plotly's script, gzip in base64: half a MB where the script itself has 1.15."""
    return base64.b64encode(gzip.compress(plotly_script().encode(), mtime=0)).decode()


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
    return made
