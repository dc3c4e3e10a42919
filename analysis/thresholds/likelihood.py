"""Likelihood of smooth curves against curves that jump, and data sets simulated from either.

Gaussian likelihoods with one variance choose among curves; no p-value rests on that, since the same ratio is
computed on data sets made from the series' own seed noise (``noise``).

Axes: B data sets, D depths, S_d seeds of a depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import curves
from .curves import Basis

# Seeds that agree to within this share of the series' range count as if they differed by that much.
_RESOLUTION = 0.01


@dataclass(frozen=True)
class Sample:
    """A series brought into form.

    Attributes:
      depths: ``[D]``, ascending.
      x: ``[D]``, log2 of them.
      values: D arrays ``[S_d]``, each sorted: seeds have no order.
    """

    depths: np.ndarray
    x: np.ndarray
    values: tuple[np.ndarray, ...]

    @property
    def counts(self) -> np.ndarray:
        """Seeds per depth ``[D]``."""
        return np.array([len(v) for v in self.values], float)

    @property
    def means(self) -> np.ndarray:
        """Mean over seeds ``[D]``."""
        return np.array([v.mean() for v in self.values])

    @property
    def span(self) -> float:
        """Largest value less the smallest."""
        return float(max(v.max() for v in self.values) - min(v.min() for v in self.values))

    @property
    def within(self) -> float:
        """Sum of squares around the depth means."""
        return float(sum(((v - v.mean()) ** 2).sum() for v in self.values))

    @property
    def deviation(self) -> float:
        """Pooled standard deviation over seeds."""
        return float(np.sqrt(self.within / max(self.counts.sum() - len(self.x), 1)))


@dataclass(frozen=True)
class Draws:
    """B data sets of a series, reduced to what least squares needs.

    Attributes:
      means: ``[B, D]``.
      within: ``[B]``, sum of squares around the depth means.
    """

    means: np.ndarray
    within: np.ndarray


Depths = Sequence[float] | np.ndarray
"""``[D]``."""

Values = Sequence[Sequence[float] | np.ndarray] | np.ndarray
"""``[D, S]``, or D sequences of seeds."""


def sample(depths: Depths, values: Values) -> Sample:
    """Check a series and sort it.

    Args:
      depths: ``[D]``, distinct and positive.
      values: ``[D, S]``, or D sequences of seeds.

    Raises:
      ValueError: lengths differ, a depth is repeated or not positive, a depth has no seed, a value is not finite.
    """
    found = np.asarray(depths, float)
    rows = [np.sort(np.asarray(row, float).ravel()) for row in values]
    if found.ndim != 1 or len(found) != len(rows):
        raise ValueError(f"{len(rows)} rows of values for depths of shape {found.shape}")
    if not len(found):
        raise ValueError("no depth given")
    if not np.all(np.isfinite(found)) or (found <= 0).any():
        raise ValueError("depths must be positive numbers")
    if len(set(found)) < len(found):
        raise ValueError("a depth is given twice; put its seeds into one row")
    for depth, row in zip(found, rows, strict=True):
        if not len(row):
            raise ValueError(f"depth {depth:g} has no values")
        if not np.isfinite(row).all():
            raise ValueError(f"depth {depth:g} has a value that is not finite")
    order = np.argsort(found)
    return Sample(found[order], np.log2(found[order]), tuple(rows[i] for i in order))


Bases = list[tuple[Basis, int]]


class Contest:
    """Smooth curves against curves that jump, on one set of depths and seed counts.

    Attributes:
      smooth, jumping: bases, each with the number of parameters it has beyond the constant.
      seeds: seeds of all depths together.
    """

    def __init__(self, x: np.ndarray, counts: np.ndarray, places: tuple[int, ...] = ()) -> None:
        smooth = [(curves.log_linear(x), 1), (curves.saturating(x), 2), (curves.sigmoid(x), 3), (curves.hinge(x), 2)]
        jumping = [(curves.step(x), 2), (curves.step_then_back(x), 3)]
        if places:
            smooth = [(curves.constant(x), 0), *smooth]
            jumping = [(curves.step(x), 2)]
            smooth = [(curves.beside(x, places, family), size) for family, size in smooth]
            jumping = [(curves.beside(x, places, family), size) for family, size in jumping]
        else:
            smooth += [(curves.sigmoid_and_growth(x), 4), (curves.hump(x), 5)]
            jumping += [(curves.step_and_growth(x), 3), (curves.two_steps(x), 4)]
        self.x, self.counts = x, counts
        self.seeds = counts.sum()
        self.smooth = [(Basis(family, counts), size) for family, size in smooth if len(family.shapes)]
        self.jumping = [(Basis(family, counts), size) for family, size in jumping if len(family.shapes)]

    def ratio(self, draws: Draws, floor: float) -> np.ndarray:
        """Log likelihood ratio ``[B]``: best jumping model, extra parameters charged, over best smooth one."""
        total = self._total(draws)
        null = self.seeds * np.log(total - self.most_gain(self.smooth, draws.means) + floor)
        jumping = [
            self.seeds * np.log(total - basis.fit(draws.means).gain + floor) + (size - 2) * np.log(self.seeds)
            for basis, size in self.jumping
        ]
        return null - np.min(jumping, axis=0)

    def most_gain(self, bases: Bases, means: np.ndarray) -> np.ndarray:
        """Most that any model of these explains of depth means ``[B, D]``: ``[B]``."""
        return np.max([basis.fit(means).gain for basis, _ in bases], axis=0)

    def best(self, bases: Bases, draws: Draws, floor: float) -> tuple[Basis, int]:
        """The model of the first data set with the least charged residual: its basis and index."""
        scores = [self._score(basis, size, draws, floor)[0] for basis, size in bases]
        basis, _ = bases[int(np.argmin(scores))]
        return basis, int(basis.fit(draws.means[:1]).index[0])

    def bic(self, draws: Draws, floor: float) -> dict[str, float]:
        """Bayesian information criterion of each family on the first data set, less the least one."""
        constant = (Basis(curves.constant(self.x), self.counts), 0)
        found: dict[str, float] = {}
        for basis, size in [constant, *self.smooth, *self.jumping]:
            score = float(self._score(basis, size, draws, floor)[0])
            found[basis.family.name] = min(score, found.get(basis.family.name, np.inf))
        least = min(found.values())
        return {name: score - least for name, score in found.items()}

    def places(self, draws: Draws) -> np.ndarray:
        """Where each data set's best single step lies ``[B]``, as an index into the depths."""
        steps, scores = [], []
        for basis, size in self._single:
            own = np.where(basis.family.free, basis.family.steps, -1).max(axis=1)
            steps.append(own[basis.fit(draws.means).index])
            scores.append(self._score(basis, size, draws, 0.0))
        return np.take_along_axis(np.array(steps), np.argmin(scores, axis=0)[None], 0)[0]

    def effect(self, draws: Draws, place: int) -> float:
        """Size of the step at a place in the best single-step model of the first data set that has one there."""
        found = []
        for basis, size in self._single:
            here = basis.restricted(place)
            if here is None:
                continue
            index = int(here.fit(draws.means[:1]).index[0])
            step = np.flatnonzero(here.family.free & (here.family.steps[index] >= 0))[0]
            score = self._score(here, size, draws, 0.0)[0]
            found.append((score, here.amplitudes(draws.means[0], index)[step]))
        return float(min(found)[1])

    @property
    def _single(self) -> Bases:
        """Families with one step of their own."""
        return [(basis, size) for basis, size in self.jumping if basis.family.own_steps == 1]

    def _score(self, basis: Basis, size: int, draws: Draws, floor: float) -> np.ndarray:
        """``N log(residual) + parameters log N`` per data set ``[B]``."""
        residual = self._total(draws) - basis.fit(draws.means).gain + floor
        return self.seeds * np.log(np.maximum(residual, 1e-300)) + size * np.log(self.seeds)

    def _total(self, draws: Draws) -> np.ndarray:
        """Sum of squares around the grand mean ``[B]``."""
        centre = (draws.means * self.counts).sum(axis=1, keepdims=True) / self.seeds
        return draws.within + (self.counts * (draws.means - centre) ** 2).sum(axis=1)


@lru_cache(maxsize=64)
def _cached(x: tuple[float, ...], counts: tuple[float, ...], places: tuple[int, ...]) -> Contest:
    return Contest(np.array(x), np.array(counts), places)


def contest(x: np.ndarray, counts: np.ndarray, places: tuple[int, ...] = ()) -> Contest:
    """The contest on log2 depths ``[D]`` and seed counts ``[D]``, built once for each."""
    return _cached(tuple(x.tolist()), tuple(counts.tolist()), places)


def noise(series: Sample, counts: np.ndarray, size: int, rng: np.random.Generator) -> Draws:
    """Seed noise alone: each depth's own residuals, drawn with replacement and scaled to an unbiased variance.

    Args:
      series: whose residuals.
      counts: ``[D]``, seeds to draw per depth.
      size: B.
      rng: random numbers.
    """
    least = _RESOLUTION * series.span
    means, within = np.empty((size, len(series.x))), np.zeros(size)
    for d, (values, count) in enumerate(zip(series.values, counts.astype(int), strict=True)):
        pool = (values - values.mean()) * np.sqrt(len(values) / max(len(values) - 1, 1))
        drawn = pool[rng.integers(len(pool), size=(size, count))] + least * rng.standard_normal((size, count))
        means[:, d] = drawn.mean(axis=1)
        within += ((drawn - drawn.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    return Draws(means, within)


def around(curve: np.ndarray, seeds: Draws) -> Draws:
    """Data sets with a given mean ``[D]`` per depth and given seed noise."""
    assert curve.shape == seeds.means.shape[1:]
    return Draws(curve + seeds.means, seeds.within)


def observed(series: Sample) -> Draws:
    """The series itself as one data set."""
    return Draws(series.means[None], np.array([series.within]))


def variance_floor(series: Sample, counts: np.ndarray) -> float:
    """What is added to every residual sum of squares, so that seeds that all agree do not make it zero."""
    return float(counts.sum() * (_RESOLUTION * series.span) ** 2)
