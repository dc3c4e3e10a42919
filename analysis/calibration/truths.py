"""Known curves and seed noise, on which the detection of thresholds is judged.

A truth draws a curve ``[D]`` over ``u``, doublings of depth above the shallowest, in units in which the metric's
range is 1; a place is drawn anew for every data set, since a method may fail at one place only. Noise draws
seeds ``[D, S]`` around a curve. Those marked held out took no part in choosing the method's settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..thresholds.curves import gompertz, logistic

Curve = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, tuple[int, ...]]]
Noise = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Truth:
    """A kind of curve.

    Attributes:
      name: for tables.
      draw: ``(u [D], rng)`` to the curve ``[D]`` and the indices of its jumps.
      kind: "flat", "gradual" or "jump".
      held_out: whether the method was fixed before it saw this.
      least_depths: depths that it takes to hold it.
    """

    name: str
    draw: Curve
    kind: str
    held_out: bool = False
    least_depths: int = 5


def _smooth(shape: Callable[[np.ndarray, float], np.ndarray], low: float = 0.1, high: float = 0.9) -> Curve:
    """A curve that bends at a random place, scaled to go from ``low`` to ``high`` at most."""

    def draw(u: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, ...]]:
        centre = rng.uniform(1.0, u[-1] - 1.0)
        return low + (high - low) * shape(u, centre), ()

    return draw


def _normalised(shape: Callable[[np.ndarray], np.ndarray]) -> Curve:
    """A curve without a place of its own, stretched to 0.1 to 0.9 over the depths there are."""

    def draw(u: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, ...]]:
        del rng
        curve = shape(u)
        return 0.1 + 0.8 * (curve - curve.min()) / (curve.max() - curve.min()), ()

    return draw


def step(height: float, edge: int = 2, decline: float = 0.0) -> Curve:
    """A step with at least ``edge`` depths on either side, then a fall of ``decline`` per doubling."""

    def draw(u: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, ...]]:
        place = int(rng.integers(edge, len(u) - edge + 1))
        low = rng.uniform(0.0, 1.0 - height)
        after = np.arange(len(u)) >= place
        return low + height * after - decline * np.maximum(u - u[place], 0.0), (place,)

    return draw


def _edge_step(height: float) -> Curve:
    """A step with a single depth on one side."""

    def draw(u: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, ...]]:
        place = int(rng.choice([1, len(u) - 1]))
        return 0.2 + height * (np.arange(len(u)) >= place), (place,)

    return draw


def _two_steps(height: float) -> Curve:
    """Two equal steps, at least three depths apart, and two from either end."""

    def draw(u: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, ...]]:
        first = int(rng.integers(2, len(u) - 4))
        second = int(rng.integers(first + 3, len(u) - 1))
        index = np.arange(len(u))
        return 0.1 + height * (index >= first) + height * (index >= second), (first, second)

    return draw


def _step_and_growth(height: float, share: float, *, halving: bool = False) -> Curve:
    """A step, two depths from either end, and growth after it: ``share`` of the step in the first doubling.

    The growth goes on straight in log2 depth, to 0.4 at most, or halves with each doubling.
    """

    def draw(u: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, ...]]:
        place = int(rng.integers(2, len(u) - 1))
        beyond = np.maximum(u - u[place], 0.0)
        rate = share * height if halving else min(share * height, 0.4 / beyond[-1])
        growth = 2 * rate * (1 - 2.0**-beyond) if halving else rate * beyond
        return 0.08 + height * (np.arange(len(u)) >= place) + growth, (place,)

    return draw


def _bent(shape: Callable[[np.ndarray], np.ndarray], least: float) -> Curve:
    """Level at 0.1, then growth from a random place to 0.9, ``least`` doublings before the deepest or more."""

    def draw(u: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, ...]]:
        beyond = np.maximum(u - rng.uniform(0.5, max(u[-1] - least, 0.5)), 0.0)
        curve = shape(beyond)
        return 0.1 + 0.8 * curve / curve.max(), ()

    return draw


def _rise_and_growth(u: np.ndarray, centre: float) -> np.ndarray:
    """Half a smooth rise, half growth that is straight in log2 depth."""
    return 0.5 * logistic(u, centre, 2.5) + 0.5 * u / u[-1]


def _hump(rise: float, fall: float) -> Callable[[np.ndarray, float], np.ndarray]:
    """Rise and fall, of given 10-90 widths in doublings, two and a half to four doublings apart."""

    def shape(u: np.ndarray, centre: float) -> np.ndarray:
        first = 0.5 * centre
        curve = logistic(u, first, rise) - 0.8 * logistic(u, first + max(rise, fall) + 0.5, fall)
        return curve / np.max(curve)

    return shape


def _shoulders(u: np.ndarray, centre: float) -> np.ndarray:
    """Two smooth rises, one after the other."""
    return 0.5 * logistic(u, 0.4 * centre, 2.0) + 0.5 * logistic(u, 0.4 * centre + 4.0, 2.0)


TRUTHS = (
    Truth("flat", lambda u, rng: (np.full(len(u), 0.4), ()), "flat"),
    Truth("flat at zero", lambda u, rng: (np.full(len(u), 0.02), ()), "flat", held_out=True),
    Truth("log-linear", _normalised(lambda u: u), "gradual"),
    Truth("saturating 1 - 1/depth", _normalised(lambda u: 1 - 2.0**-u), "gradual"),
    Truth("logistic, 2 doublings", _smooth(lambda u, c: logistic(u, c, 2.0)), "gradual"),
    Truth("logistic, 3 doublings", _smooth(lambda u, c: logistic(u, c, 3.0)), "gradual"),
    Truth("rise and fall", _smooth(_hump(2.5, 4.0)), "gradual"),
    Truth("hinge", _bent(lambda v: v, 2.0), "gradual"),
    Truth("logistic, 2.5 doublings, small", _smooth(lambda u, c: logistic(u, c, 2.5), 0.3, 0.6), "gradual", True),
    Truth("logistic, 5 doublings", _smooth(lambda u, c: logistic(u, c, 5.0)), "gradual", True),
    Truth("Gompertz, 2 doublings", _smooth(lambda u, c: gompertz(u, c, 2.0)), "gradual", True),
    Truth("ramp over 2.5 doublings", _smooth(lambda u, c: np.clip((u - c) / 2.5 + 0.5, 0, 1)), "gradual", True),
    Truth("square root of depth", _normalised(lambda u: 2.0 ** (u / 2)), "gradual", True),
    Truth("linear in depth", _normalised(lambda u: 2.0**u), "gradual", True),
    Truth("rise and steep fall", _smooth(_hump(3.0, 2.0)), "gradual", True),
    Truth("two smooth rises", _smooth(_shoulders), "gradual", True),
    Truth("rise to a level, straight", _smooth(lambda u, c: np.minimum(u / max(c, 2.5), 1.0)), "gradual", True),
    Truth("logistic, 2.5 doublings, and growth", _smooth(_rise_and_growth), "gradual", True),
    Truth("hinge that steepens", _bent(lambda v: v**1.5, 2.0), "gradual", True),
    Truth("bend, then 1 - 2^-v", _bent(lambda v: 1 - 2.0**-v, 3.0), "gradual", True),
    Truth("step 0.3", step(0.3), "jump"),
    Truth("step 0.4", step(0.4), "jump"),
    Truth("step 0.6", step(0.6), "jump"),
    Truth("step 0.8", step(0.8), "jump"),
    Truth("step 0.6, then decline", step(0.6, decline=0.08), "jump"),
    Truth("step 0.4 and growth", _step_and_growth(0.4, 0.3), "jump"),
    Truth("two steps of 0.4", _two_steps(0.4), "jump", least_depths=7),
    Truth("step 0.4 and growth that halves", _step_and_growth(0.4, 0.35, halving=True), "jump", True),
    Truth("step 0.4 at the edge", _edge_step(0.4), "jump", True),
    Truth("step 0.6 at the edge", _edge_step(0.6), "jump", True),
    Truth("step 0.5, then slight rise", step(0.5, decline=-0.02), "jump", True),
    Truth("step 0.5, then slow decline", step(0.5, decline=0.04), "jump", True),
)


def gaussian(curve: np.ndarray, seeds: int, rng: np.random.Generator, deviation: float = 0.08) -> np.ndarray:
    """Equal deviation everywhere."""
    return curve[:, None] + deviation * rng.standard_normal((len(curve), seeds))


def clipped(curve: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian of deviation 0.08, cut off at 0 and 1 as a success rate is."""
    return np.clip(gaussian(curve, seeds, rng), 0.0, 1.0)


def skewed(curve: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Exponential, mean zero and deviation 0.08: most seeds a little worse, a few far better."""
    return curve[:, None] + 0.08 * (rng.exponential(size=(len(curve), seeds)) - 1)


def beta(curve: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Beta of concentration 30: bounded, skewed near the bounds, deviation 0.09 at one half."""
    mean = np.clip(curve, 0.01, 0.99)[:, None]
    return rng.beta(30 * mean, 30 * (1 - mean), (len(curve), seeds))


def binomial(curve: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Successes in 32 episodes."""
    return rng.binomial(32, np.clip(curve, 0, 1)[:, None], (len(curve), seeds)) / 32


def growing(curve: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Deviation from 0.03 at the shallowest depth to 0.13 at the deepest."""
    deviation = np.linspace(0.03, 0.13, len(curve))[:, None]
    return curve[:, None] + deviation * rng.standard_normal((len(curve), seeds))


def failing(curve: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian of deviation 0.05, and one seed in ten that has learnt little more than half."""
    failed = rng.random((len(curve), seeds)) < 0.1
    return np.where(failed, 0.6, 1.0) * curve[:, None] + 0.05 * rng.standard_normal((len(curve), seeds))


NOISES: dict[str, Noise] = {"gaussian": gaussian, "clipped": clipped, "skewed": skewed}
HELD_OUT_NOISES: dict[str, Noise] = {"beta": beta, "binomial": binomial, "growing": growing, "failing seeds": failing}
