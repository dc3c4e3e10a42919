"""Seeds that stand in for a mean and its error, which is what papers print instead of seeds."""

from __future__ import annotations

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def seeds(mean: float, deviation: float, count: int) -> np.ndarray:
    """Values ``[count]`` with exactly this mean and standard deviation over seeds, spread as those of a normal are.

    They are expected normal order statistics, scaled: whatever rests on means and variances is as with the seeds
    themselves, whatever rests on order or tails is as if those were normal.
    """
    if count == 1:
        return np.array([mean])
    scores = stats.norm.ppf((np.arange(count) + 0.5) / count)
    return mean + deviation * scores / scores.std(ddof=1)


def deviation(count: int, *, error: float | None = None, half: float | None = None) -> float:
    """Standard deviation over seeds, from the standard error of their mean or half of its 95% t interval."""
    if error is None:
        assert half is not None
        error = half / stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)
    return float(error * np.sqrt(count))
