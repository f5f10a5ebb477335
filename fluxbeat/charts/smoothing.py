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
        The moment each window stands for, rising.
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
    if len(centre_s) < 2:
        return time_s, np.repeat(values, points, axis=0)
    windows_per_point = len(centre_s) / points
    if windows_per_point > 1:
        values = gaussian_filter1d(values, windows_per_point / 2, axis=0, mode="nearest")
    fine = PchipInterpolator(centre_s, values, axis=0)(np.clip(time_s, centre_s[0], centre_s[-1]))
    hop_points = float(np.median(np.diff(centre_s))) / (time_s[1] - time_s[0])
    # neighbouring windows share most of their music, so their differences within this reach are no news
    return time_s, gaussian_filter1d(fine, hop_points, axis=0, mode="nearest")
