"""Aggregates over seeds with intervals, as rliable defines them (Agarwal et al. 2021, arXiv:2108.13264).

Scores are ``[S, T]``: seeds by tasks (environments, goal difficulties); ``[S]`` is one task. Intervals are
percentile intervals of the stratified bootstrap: seeds are drawn with replacement within each task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

_DRAWS = 2000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number, or an array of them, with its confidence interval."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def to_json(self) -> dict[str, float | None]:
        """Of a single number: value, low and high as plain floats; None for those that are unknown."""
        return {name: float(v) if np.isfinite(v) else None for name, v in vars(self).items()}


@dataclass(frozen=True)
class Contrast:
    """One set of seeds X against another Y, each of one task.

    Attributes:
      difference: interquartile mean of X less that of Y, in units of the metric.
      improvement: probability that a seed of X is better than one of Y.
    """

    difference: Estimate
    improvement: Estimate

    def to_json(self) -> dict[str, dict[str, float | None]]:
        """As plain types."""
        return {"difference": self.difference.to_json(), "improvement": self.improvement.to_json()}


def iqm(scores: np.ndarray) -> float:
    """Interquartile mean over seeds and tasks: a quarter of the ``[S, T]`` values is cut off at either end."""
    return float(stats.trim_mean(_scores(scores), 0.25, axis=None))


def iqm_interval(scores: np.ndarray, *, draws: int = _DRAWS, seed: int = 0) -> Estimate:
    """Interquartile mean of ``[S, T]`` with its stratified bootstrap interval."""
    scores = _scores(scores)
    rng = np.random.default_rng(seed)
    drawn = _resample(scores, draws, rng).reshape(draws, -1)
    return _estimate(np.float64(iqm(scores)), stats.trim_mean(drawn, 0.25, axis=1))


def mean_interval(values: np.ndarray, *, draws: int = _DRAWS, seed: int = 0) -> Estimate:
    """Means over seeds of ``[S, N]``, and intervals of each, ``[N]``; the N belong to a seed and are drawn with it.

    Percentiles of a bootstrap are short of their name for few seeds: of three, the interval is the range of the
    values, which covers the mean of a normal in 75% of cases rather than 95%, and of five in some 85%.
    """
    values = np.asarray(values, float)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"values must be seeds by columns, and not empty: shape {values.shape}")
    picks = np.random.default_rng(seed).integers(len(values), size=(draws, len(values)))
    return _estimate(values.mean(axis=0), values[picks].mean(axis=1))


def probability_of_improvement(scores_x: np.ndarray, scores_y: np.ndarray) -> float:
    """``P(X > Y) + P(X = Y) / 2`` for a seed of each, ``[S_x, T]`` and ``[S_y, T]``, averaged over tasks."""
    x, y = _paired(scores_x, scores_y)
    return float(_wins(x[None], y[None])[0])


def improvement_interval(scores_x: np.ndarray, scores_y: np.ndarray, *, draws: int = _DRAWS, seed: int = 0) -> Estimate:
    """Probability of improvement with an interval; seeds of X and Y are drawn independently."""
    x, y = _paired(scores_x, scores_y)
    rng = np.random.default_rng(seed)
    drawn = _wins(_resample(x, draws, rng), _resample(y, draws, rng))
    return _estimate(np.float64(probability_of_improvement(x, y)), drawn)


def difference_interval(scores_x: np.ndarray, scores_y: np.ndarray, *, draws: int = _DRAWS, seed: int = 0) -> Estimate:
    """Difference of interquartile means, X less Y, with an interval; seeds of X and Y are drawn independently."""
    x, y = _paired(scores_x, scores_y)
    rng = np.random.default_rng(seed)
    means = [stats.trim_mean(_resample(s, draws, rng).reshape(draws, -1), 0.25, axis=1) for s in (x, y)]
    return _estimate(np.float64(iqm(x) - iqm(y)), means[0] - means[1])


def contrast(scores_x: np.ndarray, scores_y: np.ndarray, *, lower_is_better: bool = False, seed: int = 0) -> Contrast:
    """Difference and probability of improvement of seeds ``[S_x]`` over ``[S_y]``; no intervals for a single seed.

    Bootstrap intervals of fewer than about five seeds are too narrow.
    """
    x, y = np.asarray(scores_x, float), np.asarray(scores_y, float)
    sign = -1.0 if lower_is_better else 1.0
    found = Contrast(difference_interval(x, y, seed=seed), improvement_interval(sign * x, sign * y, seed=seed))
    if min(len(x), len(y)) > 1:
        return found
    return Contrast(*(Estimate(one.value, np.nan, np.nan) for one in (found.difference, found.improvement)))


def performance_profile(scores: np.ndarray, thresholds: np.ndarray, *, draws: int = _DRAWS, seed: int = 0) -> Estimate:
    """Share of the ``[S, T]`` scores above each threshold ``[N]`` (the score distribution), with intervals."""
    scores, thresholds = _scores(scores), np.asarray(thresholds, float)
    rng = np.random.default_rng(seed)

    def profile(values: np.ndarray) -> np.ndarray:
        ordered = np.sort(values.ravel())
        return 1 - np.searchsorted(ordered, thresholds, side="right") / ordered.size

    return _estimate(profile(scores), _each(profile, _resample(scores, draws, rng)))


def _each(function: Callable[[np.ndarray], np.ndarray], drawn: np.ndarray) -> np.ndarray:
    return np.array([function(values) for values in drawn])


def _wins(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``[B]`` from ``[B, S_x, T]`` and ``[B, S_y, T]``: mean over tasks of the Mann-Whitney statistic per pair."""
    difference = x[:, :, None] - y[:, None]
    return ((difference > 0) + 0.5 * (difference == 0)).mean(axis=(1, 2, 3))


def _resample(scores: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """``[B, S, T]``: seeds drawn with replacement, each task by itself."""
    seeds, tasks = scores.shape
    return scores[rng.integers(seeds, size=(draws, seeds, tasks)), np.arange(tasks)]


def _estimate(value: np.ndarray, drawn: np.ndarray) -> Estimate:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return Estimate(value, low, high)


def _scores(scores: np.ndarray) -> np.ndarray:
    """``[S, T]``, checked."""
    found = np.asarray(scores, float)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or not found.size:
        raise ValueError(f"scores must be seeds, or seeds by tasks, and not empty: shape {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError("scores hold a value that is not finite")
    return found


def _paired(scores_x: np.ndarray, scores_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = _scores(scores_x), _scores(scores_y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"{x.shape[1]} tasks against {y.shape[1]}")
    return x, y
