"""From one value per window to smooth curves over the whole track."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d


def fine_curves(centre_s: np.ndarray, values: np.ndarray, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Curves through the windows' values that never leave their range (PCHIP), from the first to the last second.

    Parameters
    ----------
    centre_s : float array, shape (windows,)
        The moment each window stands for.
    values : float array, shape (windows, curves)
    duration_s : float
        Length of the track, above 0; the first and last value are held to its ends.

    Returns
    -------
    time_s : float array, shape (points,)
    fine : float array, shape (points, curves)
    """
    points = min(max(4 * len(centre_s), 200), 1200)
    time_s = np.linspace(0.0, duration_s, points)
    keep = np.concatenate([[True], np.diff(centre_s) > 1e-6])
    at, heights = centre_s[keep], values[keep]
    if len(at) < 2:
        return time_s, np.repeat(heights[:1], points, axis=0)
    windows_per_point = len(at) / points
    if windows_per_point > 1:
        heights = gaussian_filter1d(heights, windows_per_point / 2, axis=0, mode="nearest")
    fine = PchipInterpolator(at, heights, axis=0)(np.clip(time_s, at[0], at[-1]))
    hop_points = float(np.median(np.diff(at))) / (time_s[1] - time_s[0])
    # neighbouring windows share most of their music, so their differences within this reach are no news
    return time_s, gaussian_filter1d(fine, hop_points, axis=0, mode="nearest")
