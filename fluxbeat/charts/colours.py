"""One colour per genre, the same in every tab and in both themes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PALETTE = (
    "#745cac",
    "#9cacec",
    "#bc846c",
    "#3c8424",
    "#b4147c",
    "#b4b474",
    "#b47cfc",
    "#1474dc",
    "#ec2c1c",
    "#449cc4",
    "#fc9414",
    "#2c34f4",
    "#c45c8c",
    "#942c2c",
    "#44c4b4",
    "#1c5c5c",
    "#8414b4",
)
"""Seventeen colours chosen by farthest-point search in Oklab, over normal sight and three kinds of colour blindness
(matrices: Machado, Oliveira & Fernandes, IEEE TVCG 2009), among those that show on a light and on a dark page. Their
order is such that of the bundled genres, which take them by the alphabet, neighbours in music are far apart in hue."""

PATTERNS = ("", "/", ".", "x")
"""When the colours are used up they come again with a hatching."""


@dataclass(frozen=True)
class Paint:
    """How a genre is drawn: a fill colour, the ink that is readable on it, and a hatching (empty for none)."""

    fill: str
    ink: str
    pattern: str


def genre_paints(labels: Iterable[str]) -> dict[str, Paint]:
    """Give each label its paint, by its place in the alphabet, so that it is the same whatever the order."""
    return {label: _paint(index) for index, label in enumerate(sorted(set(labels)))}


def more_paints(paints: Mapping[str, Paint], labels: Iterable[str]) -> dict[str, Paint]:
    """Paints for labels that came later; those of the labels that have one stay as they are."""
    new = sorted(set(labels) - set(paints))
    return {label: _paint(len(paints) + index) for index, label in enumerate(new)}


def _paint(index: int) -> Paint:
    fill = PALETTE[index % len(PALETTE)]
    return Paint(fill, ink_on(fill), PATTERNS[index // len(PALETTE) % len(PATTERNS)])


def ink_on(fill: str) -> str:
    """Black or white, whichever is read better on a colour."""
    # at this luminance either has a contrast of 4.58, where AA asks for 4.5
    return "#000000" if luminance(fill) > 0.179 else "#ffffff"


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2) of a colour written as #rrggbb: 0 black, 1 white."""
    channels = [byte / 255 for byte in bytes.fromhex(colour[1:])]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
