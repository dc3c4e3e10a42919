"""Aggregates over seeds with intervals, as rliable defines them (Agarwal et al. 2021, arXiv:2108.13264).

Scores are ``[S, T]``: seeds by tasks (environments, goal difficulties); ``[S]`` is one task. Intervals are
percentile intervals of the stratified bootstrap: seeds are drawn with replacement within each task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy import stats

from . import significance

_DRAWS = 2000
_CONFIDENCE = 0.95

# Numbers held at a time while resampling; more seeds are drawn in batches.
_HELD = 4_000_000


_Value = TypeVar("_Value", float, np.ndarray)


@dataclass(frozen=True)
class Estimate(Generic[_Value]):
    """A number, or an array of them, with its confidence interval."""

    value: _Value
    low: _Value
    high: _Value

    def to_json(self) -> dict[str, float | None]:
        """Of a single number: value, low and high as plain floats; None for those that are unknown."""
        return {name: float(v) if np.isfinite(v) else None for name, v in vars(self).items()}


@dataclass(frozen=True)
class Contrast:
    """One set of seeds X against another Y, each of one task.

    Attributes:
      difference: interquartile mean of X less that of Y, in units of the metric.
      improvement: probability that a seed of X is better than one of Y.
      p: two-sided p-value of no difference (``significance.rank_test``); None for too few seeds.
    """

    difference: Estimate[float]
    improvement: Estimate[float]
    p: float | None = None

    def to_json(self) -> dict[str, dict[str, float | None]]:
        """Difference and improvement as plain types."""
        return {"difference": self.difference.to_json(), "improvement": self.improvement.to_json()}


def iqm(scores: np.ndarray) -> float:
    """Interquartile mean over seeds and tasks: a quarter of the ``[S, T]`` values is cut off at either end."""
    return float(stats.trim_mean(_scores(scores), 0.25, axis=None))


def iqm_interval(scores: np.ndarray, *, draws: int = _DRAWS, seed: int = 0) -> Estimate[float]:
    """Interquartile mean of ``[S, T]`` with its stratified bootstrap interval."""
    scores = _scores(scores)
    rng = np.random.default_rng(seed)
    return _estimate(np.float64(iqm(scores)), _drawn_iqm(scores, draws, rng))


def mean_interval(values: np.ndarray, *, draws: int = _DRAWS, seed: int = 0) -> Estimate[np.ndarray]:
    """Means over seeds of ``[S, N]``, and intervals of each, ``[N]``; the N belong to a seed and are drawn with it.

    Percentiles of a bootstrap are short of their name for few seeds: of three, the interval is the range of the
    values, which covers the mean of a normal in 75% of cases rather than 95%, and of five in some 85%.
    """
    values = np.asarray(values, float)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"values must be seeds by columns, and not empty: shape {values.shape}")
    rng = np.random.default_rng(seed)
    sizes = _batches(draws, values.size)
    drawn = [values[rng.integers(len(values), size=(size, len(values)))].mean(axis=1) for size in sizes]
    return _estimate(values.mean(axis=0), np.concatenate(drawn))


def probability_of_improvement(scores_x: np.ndarray, scores_y: np.ndarray) -> float:
    """``P(X > Y) + P(X = Y) / 2`` for a seed of each, ``[S_x, T]`` and ``[S_y, T]``, averaged over tasks."""
    x, y = _paired(scores_x, scores_y)
    return float(_wins(x, y))


def improvement_interval(
    scores_x: np.ndarray, scores_y: np.ndarray, *, draws: int = _DRAWS, seed: int = 0
) -> Estimate[float]:
    """Probability of improvement with an interval; seeds of X and Y are drawn independently."""
    x, y = _paired(scores_x, scores_y)
    rng = np.random.default_rng(seed)
    drawn = np.concatenate([_resampled_wins(x, y, size, rng) for size in _batches(draws, x.size + y.size)])
    return _estimate(np.float64(probability_of_improvement(x, y)), drawn)


def difference_interval(
    scores_x: np.ndarray, scores_y: np.ndarray, *, draws: int = _DRAWS, seed: int = 0
) -> Estimate[float]:
    """Difference of interquartile means, X less Y, with an interval; seeds of X and Y are drawn independently."""
    x, y = _paired(scores_x, scores_y)
    rng = np.random.default_rng(seed)
    means = [_drawn_iqm(s, draws, rng) for s in (x, y)]
    return _estimate(np.float64(iqm(x) - iqm(y)), means[0] - means[1])


def contrast(scores_x: np.ndarray, scores_y: np.ndarray, *, lower_is_better: bool = False, seed: int = 0) -> Contrast:
    """Difference and probability of improvement of seeds ``[S_x]`` over ``[S_y]``.

    Fewer than ``significance.LEAST_SEEDS`` of either have no intervals: those of the bootstrap would be too narrow.
    """
    x, y = np.asarray(scores_x, float), np.asarray(scores_y, float)
    sign = -1.0 if lower_is_better else 1.0
    if min(len(x), len(y)) < significance.LEAST_SEEDS:
        values = iqm(x) - iqm(y), probability_of_improvement(sign * x, sign * y)
        difference, improvement = (Estimate(np.float64(value), np.nan, np.nan) for value in values)
        return Contrast(difference, improvement)
    intervals = difference_interval(x, y, seed=seed), improvement_interval(sign * x, sign * y, seed=seed)
    return Contrast(*intervals, p=significance.rank_test(x, y))


def performance_profile(
    scores: np.ndarray, thresholds: np.ndarray, *, draws: int = _DRAWS, seed: int = 0
) -> Estimate[np.ndarray]:
    """Share of the ``[S, T]`` scores above each threshold ``[N]`` (the score distribution), with intervals."""
    scores, thresholds = _scores(scores), np.asarray(thresholds, float)
    rng = np.random.default_rng(seed)

    def profile(values: np.ndarray) -> np.ndarray:
        ordered = np.sort(values.ravel())
        return 1 - np.searchsorted(ordered, thresholds, side="right") / ordered.size

    drawn = [profile(values) for size in _batches(draws, scores.size) for values in _resample(scores, size, rng)]
    return _estimate(profile(scores), np.array(drawn))


def _batches(draws: int, numbers: int) -> list[int]:
    """Sizes of batches of draws, each of that many numbers."""
    size = max(1, _HELD // max(numbers, 1))
    return [min(size, draws - start) for start in range(0, draws, size)]


def _drawn_iqm(scores: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Interquartile means ``[B]`` of resampled ``[S, T]``."""
    sizes = _batches(draws, scores.size)
    batches = (_resample(scores, size, rng).reshape(size, -1) for size in sizes)
    return np.concatenate([stats.trim_mean(batch, 0.25, axis=1) for batch in batches])


def _resampled_wins(x: np.ndarray, y: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """``_wins`` of resampled seeds ``[B]``."""
    drawn = _resample(x, draws, rng), _resample(y, draws, rng)
    return np.array([_wins(one, other) for one, other in zip(*drawn, strict=True)])


def _wins(x: np.ndarray, y: np.ndarray) -> float:
    """Of ``[S_x, T]`` and ``[S_y, T]``, the mean over tasks of the Mann-Whitney statistic per pair."""
    below = [
        np.searchsorted(np.sort(y[:, task]), x[:, task], side=side).sum()
        for task in range(x.shape[1])
        for side in ("left", "right")
    ]
    return float(np.sum(below) / (2 * len(x) * len(y) * x.shape[1]))


def _resample(scores: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """``[B, S, T]``: seeds drawn with replacement, each task by itself."""
    seeds, tasks = scores.shape
    return scores[rng.integers(seeds, size=(draws, seeds, tasks)), np.arange(tasks)]


def _estimate(value: _Value, drawn: np.ndarray) -> Estimate[_Value]:
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
