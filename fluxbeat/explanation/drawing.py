"""An explanation as PNG: the spectrogram, the map over it, and how far to trust it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from fluxbeat.explanation.result import Explanation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FULL_COLOUR = 0.012
"""Evidence per place that is drawn at full strength, in units of the logit over one band and a tenth of a second: the
same for all maps, so that weak evidence looks weak. Sure answers reach it in their strongest places."""
TICKS_HZ = (250, 500, 1000, 2000, 4000, 8000)


def strength(explanation: Explanation) -> np.ndarray:
    """How strongly each place is drawn: 0..1, shape (mels, frames), on the one absolute scale."""
    per_tenth = explanation.map * (explanation.frame_rate_hz / 10.0)
    return np.asarray(np.sqrt((per_tenth / FULL_COLOUR).clip(0.0, 1.0)))


def draw_png(explanation: Explanation) -> bytes:
    """Spectrogram and map, side by side, as PNG.

    Frequency is in Hz on the mel scale, time in seconds of the track.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    _spectrogram(left, explanation)
    left.set_title(f"{explanation.file}, {explanation.model.name}", fontsize=10)
    left.set_ylabel("Hz")
    _spectrogram(right, explanation)
    shown = strength(explanation)
    right.imshow(
        np.ones_like(shown), cmap="inferno", vmin=0, vmax=1.4, alpha=0.85 * shown, origin="lower", aspect="auto",
        extent=_extent(explanation), interpolation="bilinear",
    )  # fmt: skip
    right.set_title(f"what speaks for {explanation.about} ({explanation.probability:.0%})", fontsize=10)
    caption = "seconds"
    if explanation.faithfulness:
        without, alone = explanation.faithfulness.map.without_marked, explanation.faithfulness.map.marked_alone
        caption += f".  Without its most marked fifth: {without:.0%}; that fifth alone: {alone:.0%}"
    figure.supxlabel(caption, fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()


def _spectrogram(axes: Axes, explanation: Explanation) -> None:
    axes.imshow(
        explanation.log_mel, cmap="gray", vmin=-2.5, vmax=2.5, origin="lower", aspect="auto",
        extent=_extent(explanation), interpolation="nearest",
    )  # fmt: skip
    bands = np.interp(TICKS_HZ, explanation.band_hz, np.arange(len(explanation.band_hz)) + 0.5)
    axes.set_yticks(bands, [f"{hz:,}" for hz in TICKS_HZ])


def _extent(explanation: Explanation) -> tuple[float, float, float, float]:
    bands, frames = explanation.map.shape
    end_s = explanation.start_s + frames / explanation.frame_rate_hz
    return (explanation.start_s, end_s, 0.0, float(bands))
