"""Curves of capability over depth: shapes that are smooth, shapes that jump, and their least-squares fits.

Every model is ``a + b_1 g_1(x) + .. + b_R g_R(x)`` on ``x = log2 depth``. The amplitudes ``b`` enter linearly;
whatever does not (centre, width, place of a step) runs over a grid, so that a family of K models is an array
of shapes and a batch of B data sets is fitted by one matrix product.

Axes: B data sets, D depths, S seeds, K models of a family, R shapes within a model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

# A curve whose rise from 10% to 90% takes this many doublings of depth, or more, is smooth.
SMOOTH_DOUBLINGS = 2.0

# 10-90 width of 1 / (1 + exp(-x / s)), and of exp(-exp(-x / s)), in units of s.
_LOGISTIC_WIDTH = 2 * np.log(9.0)
_GOMPERTZ_WIDTH = np.log(np.log(10.0) / np.log(10.0 / 9.0))

# How far a hump falls, as a share of its rise.
_FALLS = np.array([0.15, 0.3, 0.5, 0.75, 1.0])

# A step leads the growth after it if that is, in the first doubling, at most this share of the step.
_LED = 0.5

# Doublings between the places where a hinge may bend.
_BEND = 0.125

# Data sets fitted at a time, so that what is computed for them stays in the cache.
_BATCH = 50

# A plateau between two steps must hold at least this many depths, or the two are one slope.
_PLATEAU = 2


@dataclass(frozen=True)
class Family:
    """K models of R shapes each.

    Attributes:
      name: for reports.
      shapes: ``[K, R, D]``, without the constant, which every model has.
      steps: ``[K, R]``, index of the first depth at the new level for shapes that are steps, else -1.
      pair: what binds the two amplitudes of a model (R = 2): "" for nothing, "opposite" in sign, "same" in sign, or
        "led": the second has the first one's sign and at most half of its size.
      given: how many of the R shapes, the first ones, are the same steps in every model (see ``beside``).
    """

    name: str
    shapes: np.ndarray
    steps: np.ndarray
    pair: str = ""
    given: int = 0

    @property
    def free(self) -> np.ndarray:
        """Which shapes differ between models ``[R]``."""
        return np.arange(self.shapes.shape[1]) >= self.given

    @property
    def own_steps(self) -> int:
        """Steps of a model that are its own, not given."""
        return int(((self.steps >= 0) & self.free).sum(axis=1).max())

    def __post_init__(self) -> None:
        models, parts, _ = self.shapes.shape
        assert self.steps.shape == (models, parts)
        assert parts == 2 or not self.pair


@dataclass(frozen=True)
class Fit:
    """The best model of a family for each of B data sets.

    Attributes:
      gain: ``[B]``, weighted sum of squares explained beyond a constant.
      index: ``[B]``, which model.
    """

    gain: np.ndarray
    index: np.ndarray


class Basis:
    """A family made orthonormal for given weights, ready to fit.

    Args:
      family: the models.
      weights: ``[D]``, weight of each depth's mean: its number of seeds.
    """

    def __init__(self, family: Family, weights: np.ndarray) -> None:
        self.family, self.weights = family, weights
        root = np.sqrt(weights)
        constant = root / np.linalg.norm(root)
        scaled = family.shapes * root  # [K, R, D]
        scaled = scaled - (scaled @ constant)[..., None] * constant
        models, parts, depths = scaled.shape
        self.rows = np.zeros((parts, models, depths))
        self.triangle = np.zeros((models, parts, parts))  # shape_r = sum_q triangle[r, q] rows[q]
        for r in range(parts):
            rest = scaled[:, r]
            for q in range(r):
                self.triangle[:, r, q] = np.einsum("kd,kd->k", rest, self.rows[q])
                rest = rest - self.triangle[:, r, q, None] * self.rows[q]
            length = np.linalg.norm(rest, axis=1)
            independent = length > 1e-6 * np.maximum(np.linalg.norm(scaled[:, r], axis=1), 1e-12)
            self.triangle[:, r, r] = np.where(independent, length, np.inf)
            self.rows[r] = np.where(independent[:, None], rest / np.maximum(length, 1e-12)[:, None], 0.0)

    def fit(self, means: np.ndarray) -> Fit:
        """Fit every model to depth means ``[B, D]`` and keep the best."""
        pieces = [self._fit(means[i : i + _BATCH]) for i in range(0, len(means), _BATCH)]
        return Fit(np.concatenate([piece.gain for piece in pieces]), np.concatenate([piece.index for piece in pieces]))

    def _fit(self, means: np.ndarray) -> Fit:
        parts = [(means * np.sqrt(self.weights)) @ rows.T for rows in self.rows]  # R of [B, K]
        gains = parts[0] ** 2
        for part in parts[1:]:
            gains += part**2
        if self.family.pair:
            second = parts[1] / self.triangle[:, 1, 1]
            first = (parts[0] - second * self.triangle[:, 1, 0]) / self.triangle[:, 0, 0]
            gains[~_bound(self.family.pair, first, second)] = 0.0
        index = gains.argmax(axis=1)
        return Fit(gains[np.arange(len(gains)), index], index)

    def amplitudes(self, means: np.ndarray, index: int) -> np.ndarray:
        """Amplitudes ``[R]`` of one model for depth means ``[D]``."""
        scaled = means * np.sqrt(self.weights)
        parts = len(self.rows)
        found = np.zeros(parts)
        for r in reversed(range(parts)):
            above = sum(found[q] * self.triangle[index, q, r] for q in range(r + 1, parts))
            found[r] = (self.rows[r, index] @ scaled - above) / self.triangle[index, r, r]
        return found

    def predict(self, means: np.ndarray, index: int) -> np.ndarray:
        """Fitted curve ``[D]`` of one model for depth means ``[D]``."""
        curve = self.amplitudes(means, index) @ self.family.shapes[index]
        return curve + np.average(means - curve, weights=self.weights)

    def restricted(self, place: int) -> Basis | None:
        """Only those models that have a step of their own at a place; None if none has."""
        family = self.family
        keep = ((family.steps == place) & family.free).any(axis=1)
        if not keep.any():
            return None
        return Basis(replace(family, shapes=family.shapes[keep], steps=family.steps[keep]), self.weights)

    def largest_step(self, means: np.ndarray, index: int) -> int:
        """Where one model's largest step is: index of the first depth at the new level."""
        steps, free = self.family.steps[index], self.family.free
        size = np.where((steps >= 0) & free, np.abs(self.amplitudes(means, index)), -1.0)
        return int(steps[size.argmax()])


def _bound(pair: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether two amplitudes are as ``Family.pair`` binds them."""
    if pair == "opposite":
        return first * second < 0
    same = first * second > 0
    return same if pair == "same" else same & (np.abs(second) <= _LED * np.abs(first))


def logistic(x: np.ndarray, centre: np.ndarray | float, doublings: np.ndarray | float) -> np.ndarray:
    """``1 / (1 + exp(-(x - centre) / s))`` with ``s`` such that 10% to 90% takes that many doublings."""
    return 1 / (1 + np.exp(np.clip(-(x - centre) / (doublings / _LOGISTIC_WIDTH), -60, 60)))


def gompertz(x: np.ndarray, centre: np.ndarray | float, doublings: np.ndarray | float) -> np.ndarray:
    """``exp(-exp(-(x - centre) / s))``: leaves its lower level faster than it reaches the upper one."""
    return np.exp(-np.exp(np.clip(-(x - centre) / (doublings / _GOMPERTZ_WIDTH), -60, 60)))


def _grid(x: np.ndarray, spacing: float, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres and widths of sigmoids that bend somewhere in sight, both ``[K, 1]``."""
    pairs = [(c, w) for w in widths for c in np.arange(x[0] - 0.7 * w, x[-1] + 0.7 * w + 1e-9, spacing * w / 2)]
    found = np.array(pairs)
    return found[:, :1], found[:, 1:]


def constant(x: np.ndarray) -> Family:
    """No dependence on depth."""
    return Family("constant", np.zeros((1, 1, len(x))), np.full((1, 1), -1))


def log_linear(x: np.ndarray) -> Family:
    """Straight in log2 depth."""
    return Family("log-linear", x[None, None, :], np.full((1, 1), -1))


def saturating(x: np.ndarray) -> Family:
    """``depth**-k``: towards a level (k > 0) or away from one (k < 0), 10-90 in SMOOTH_DOUBLINGS at least."""
    fastest = np.log2(9.0) / SMOOTH_DOUBLINGS
    rates = fastest * np.geomspace(0.1, 1.0, 12)
    rates = np.concatenate([rates, -rates])[:, None]
    curves = np.exp2(-rates * (x - np.where(rates > 0, x[0], x[-1])))
    return Family("saturating", curves[:, None, :], np.full((len(rates), 1), -1))


def sigmoid(x: np.ndarray) -> Family:
    """Logistic and Gompertz curves (either way round), 10-90 rise of SMOOTH_DOUBLINGS at least."""
    centres, widths = _grid(x, 0.25, SMOOTH_DOUBLINGS * np.array([1.0, 1.2, 1.5, 2.0, 3.0]))
    mirrored = gompertz(-x, -centres, widths)
    curves = np.concatenate([logistic(x, centres, widths), gompertz(x, centres, widths), mirrored])
    return Family("logistic", curves[:, None, :], np.full((len(curves), 1), -1))


def hinge(x: np.ndarray) -> Family:
    """Level up to some place, then straight in log2 depth; or straight up to a place, then level."""
    places = np.arange(x[0], x[-1], _BEND)[:, None]
    curves = np.concatenate([np.maximum(x - places, 0.0), np.minimum(x - places[1:], 0.0)])
    return Family("hinge", curves[:, None, :], np.full((len(curves), 1), -1))


def sigmoid_and_growth(x: np.ndarray) -> Family:
    """A curve of ``sigmoid`` on top of growth, the same way, that is straight in log2 depth."""
    curves = sigmoid(x).shapes[:, 0]
    shapes = np.stack([curves, np.broadcast_to(x, curves.shape)], axis=1)
    return Family("logistic and growth", shapes, np.full((len(curves), 2), -1), pair="same")


def hump(x: np.ndarray) -> Family:
    """A rise followed by a fall to a share of its height, each taking SMOOTH_DOUBLINGS at least from 10% to 90%."""
    centres, widths = _grid(x, 0.5, SMOOTH_DOUBLINGS * np.array([0.8, 1.0, 1.5, 2.5]))
    first, second = np.nonzero(centres < centres.T)
    first, second = (a.repeat(len(_FALLS)) for a in (first, second))
    falls = np.tile(_FALLS, len(first) // len(_FALLS))[:, None]

    def curves(at: np.ndarray) -> np.ndarray:
        rise, fall = (logistic(at, centres[i], widths[i]) for i in (first, second))
        return np.concatenate([rise * (1 - falls * fall), (1 - falls * (1 - rise)) * (1 - fall)])

    fine = np.linspace(x[0] - 8, x[-1] + 8, 24 * int(np.ceil(x[-1] - x[0] + 16)))
    smooth = doublings_of_humps(fine, curves(fine)) >= SMOOTH_DOUBLINGS
    found = curves(x)[smooth]
    return Family("hump", found[:, None, :], np.full((len(found), 1), -1))


def doublings_of_humps(x: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Doublings ``[K]`` that the faster side of each hump ``[K, D]`` takes between 10% and 90% of its height."""
    peak = curves.argmax(axis=1)[:, None]
    at = np.arange(len(x))
    found = []
    for side, start in ((at <= peak, curves[:, :1]), (at >= peak, curves[:, -1:])):
        level = (curves - start) / np.maximum(curves.max(axis=1, keepdims=True) - start, 1e-9)
        between = side & (level > 0.1) & (level < 0.9)
        found.append(between.sum(axis=1) * (x[1] - x[0]))
    return np.min(found, axis=0)


def step(x: np.ndarray) -> Family:
    """Two levels: below, and from a depth on."""
    places = np.arange(1, len(x))
    return Family("step", _steps(x, places)[:, None, :], places[:, None])


def step_then_back(x: np.ndarray) -> Family:
    """A step, and from some depth on a straight way back in log2 depth."""
    pairs = [(k, m) for k in range(1, len(x) - 2) for m in range(k, len(x) - 1)]
    shapes = [np.stack([_steps(x, np.array([k]))[0], np.maximum(x - x[m], 0.0)]) for k, m in pairs]
    places = np.array([(k, -1) for k, _ in pairs]).reshape(-1, 2)
    return Family("step", np.array(shapes).reshape(-1, 2, len(x)), places, pair="opposite")


def step_and_growth(x: np.ndarray) -> Family:
    """A step, and growth from there on: straight in log2 depth, or by half as much with each doubling.

    The growth has the step's sign, and is in the first doubling at most half as large: what grows as fast as it rises
    is a slope. Two depths at least stand on either side, or the step could be a part of the growth.
    """
    places = np.arange(2, len(x) - 1)
    beyond = np.maximum(x - x[places][:, None], 0.0)
    steps = _steps(x, places)
    shapes = np.concatenate([np.stack([steps, growth], axis=1) for growth in (beyond, 2 - 2 * 2.0**-beyond)])
    index = np.stack([np.tile(places, 2), np.full(2 * len(places), -1)], axis=1)
    return Family("step and growth", shapes.reshape(-1, 2, len(x)), index.reshape(-1, 2), pair="led")


def two_steps(x: np.ndarray) -> Family:
    """Three levels, the middle one held for at least two depths."""
    pairs = np.array([(k, m) for k in range(1, len(x)) for m in range(k + _PLATEAU, len(x))], int).reshape(-1, 2)
    return Family("two steps", _steps(x, pairs), pairs)


def beside(x: np.ndarray, places: tuple[int, ...], family: Family) -> Family:
    """A family with steps at given depths added to each of its models; steps that would touch those are dropped."""
    near = np.array([[any(s >= 0 and abs(s - p) < _PLATEAU for p in places) for s in row] for row in family.steps])
    keep = ~near.reshape(len(family.steps), -1).any(axis=1)
    fixed = np.array(places)
    models = keep.sum()
    shapes = np.concatenate([np.broadcast_to(_steps(x, fixed), (models, len(fixed), len(x))), family.shapes[keep]], 1)
    steps = np.concatenate([np.broadcast_to(fixed, (models, len(fixed))), family.steps[keep]], axis=1)
    return Family(family.name, shapes, steps, given=len(fixed))


def _steps(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """``[.., D]``: 0 below the depth of index ``places[..]`` and 1 from it on."""
    return (np.arange(len(x)) >= places[..., None]).astype(float)
