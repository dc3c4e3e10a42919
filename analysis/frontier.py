"""Which way of spending computation on an action buys most: capability against price, and how sure that is.

Axes: ``P`` points (a run under a budget), ``S`` seeds, ``E`` episodes, ``R`` resamples, ``L`` difficulties.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from . import meaning, plots, significance

if TYPE_CHECKING:
    from rl_depth.measured import Spending

PRICES = {"flops": "operations of an action", "serial": "dense layers in sequence of an action"}

_DRAWS = 2000
_ALIKE = 1.25  # prices whose ratio is at most this are called equal
_BINS = 4  # of difficulty
_CEILING = "oracle"  # ways that no policy has: they stand on no front and in no pair


@dataclass(frozen=True)
class Point:
    """One run under one budget.

    Attributes:
      label: the budget.
      run: where several runs are compared, the run; points of one run share its seeds.
      way: what is bought besides depth.
      dials: how much of what is bought, by name.
      flops, serial: price of an action: operations, and dense layers in sequence.
      seeds: their number.
      mean: capability over seeds and episodes.
      low, high: its 95% interval; None below ``significance.LEAST_SEEDS`` seeds.
      on_front: by price, whether no other point has at least the capability for at most the price.
      front_share: by price, the share of resamples in which that is so; None for too few seeds.
      by_difficulty: mean capability per bin of goal distance.
    """

    label: str
    run: str
    way: str
    dials: dict[str, float]
    flops: float
    serial: float
    seeds: int
    mean: float
    low: float | None
    high: float | None
    on_front: dict[str, bool]
    front_share: dict[str, float | None]
    by_difficulty: list[float]


@dataclass(frozen=True)
class Gain:
    """What more of one dial buys, all else equal.

    Attributes:
      run, way, dial: of the points.
      steps: from, to, gain per doubling and its 95% interval, for each two neighbouring values.
      stops: the value up to which every step's interval lies above 0; the first if none does. None for too few seeds.
    """

    run: str
    way: str
    dial: str
    steps: list[dict[str, float | None]]
    stops: float | None


@dataclass(frozen=True)
class Pair:
    """Two ways at one price in operations.

    Attributes:
      first, second: places of the points.
      ratio: the second's price over the first's.
      difference: the first's capability less the second's, with its 95% interval as in `Point`.
      p: corrected for the number of pairs; None for too few seeds.
      outcome: what may be said of the first.
    """

    first: int
    second: int
    ratio: float
    difference: float
    low: float | None
    high: float | None
    p: float | None
    outcome: str


@dataclass(frozen=True)
class Frontier:
    """All of one environment's points, cheapest first.

    Attributes:
      env: environment and split.
      metric: the capability.
      bins: least and largest goal distance of each bin of difficulty.
      points, gains, pairs: see there.
      train_flops: by run, operations of one seed's gradient steps until the checkpoint.
    """

    env: str
    metric: str
    bins: list[tuple[float, float]]
    points: list[Point]
    gains: list[Gain]
    pairs: list[Pair]
    train_flops: dict[str, float]

    def training(self, point: Point) -> float:
        """Operations of one seed's gradient steps, of the agents that a point is of."""
        return self.train_flops[point.run] if point.run else next(iter(self.train_flops.values()))

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return asdict(self)


def frontiers(found: Sequence[Spending], seed: int = 0) -> list[Frontier]:
    """One frontier for each environment and split that was measured."""
    places: dict[str, list[Spending]] = {}
    for one in found:
        options = f" ({one.config.env_options})" if one.config.env_options else ""
        places.setdefault(f"{one.config.env}{options}, {one.split} goals", []).append(one)
    return [_of_place(env, own, seed) for env, own in places.items()]


def _of_place(env: str, found: Sequence[Spending], seed: int) -> Frontier:
    rows: list[tuple[np.ndarray, dict[str, Any]]] = []
    for one in found:
        run, trained = one.label if len(found) > 1 else "", one.config.trunk("actor").depth
        for i, budget in enumerate(one.budgets):
            dials = budget.dials | {"depth": float(budget.depth or trained)}
            price = {"flops": float(one.flops[i]), "serial": float(one.serial[i])}
            rows.append((one.values[i], {"label": str(budget), "run": run, "way": budget.way, "dials": dials, **price}))
    rows.sort(key=lambda row: row[1]["flops"])
    values, notes = [row[0] for row in rows], [row[1] for row in rows]
    distance, metric = found[0].goal_distance, found[0].metric
    sign = -1.0 if meaning.lower_is_better(metric) else 1.0
    runs = [note["run"] for note in notes]
    drawn = resampled(values, runs, distance, seed=seed)
    bins = difficulty_bins(distance)
    points = _points(values, drawn, notes, bins, sign)
    return Frontier(
        env=env,
        metric=metric,
        bins=[(float(distance[own].min()), float(distance[own].max())) for own in bins],
        points=points,
        gains=gains(points, drawn),
        pairs=pairs(points, values, drawn, sign),
        train_flops={one.label: one.train_flops for one in found},
    )


def resampled(
    values: Sequence[np.ndarray], runs: Sequence[str], distance: np.ndarray, *, draws: int = _DRAWS, seed: int = 0
) -> np.ndarray:
    """Means ``[R, P]`` over seeds and episodes that are drawn with replacement, the same ones for all that share them.

    Args:
      values: of each point, ``[S, E]``. Points of one run have the same seeds, all points the same episodes.
      runs: which run each point belongs to.
      distance: difficulty of each episode ``[E]``, within which episodes are drawn.
      draws: resamples ``R``.
      seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    episodes = np.zeros((draws, len(distance)))
    for level in np.unique(distance):
        own = np.flatnonzero(distance == level)
        episodes[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=draws)
    found = np.zeros((draws, len(values)))
    for run in dict.fromkeys(runs):
        own = [i for i, name in enumerate(runs) if name == run]
        count = len(values[own[0]])
        seeds = rng.multinomial(count, np.full(count, 1 / count), size=draws) / count
        for i in own:
            found[:, i] = np.einsum("re,re->r", seeds @ values[i], episodes) / len(distance)
    return found


def on_front(price: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Which of ``scores [..., P]`` no other one reaches or exceeds for at most its ``price [P]``: ``[..., P]``.

    Of two alike in both, both stand on the front.
    """
    cheaper = price[:, None] <= price  # [other, own]
    better = scores[..., :, None] >= scores[..., None, :]
    strictly = (price[:, None] < price) | (scores[..., :, None] > scores[..., None, :])
    return ~np.any(cheaper & better & strictly, axis=-2)


def difficulty_bins(distance: np.ndarray) -> list[np.ndarray]:
    """Masks ``[E]`` of at most four bins of goal distance, each of about as many distances."""
    parts = np.array_split(np.unique(distance), _BINS)
    return [np.isin(distance, part) for part in parts if len(part)]


def _points(
    values: Sequence[np.ndarray],
    drawn: np.ndarray,
    notes: Sequence[Mapping[str, Any]],
    bins: Sequence[np.ndarray],
    sign: float,
) -> list[Point]:
    means = np.array([own.mean() for own in values])
    real = np.array([_CEILING not in note["way"] for note in notes])
    front, share = {}, {}
    for name in PRICES:
        price = np.array([note[name] for note in notes])
        front[name], share[name] = np.zeros(len(notes), bool), np.zeros(len(notes))
        front[name][real] = on_front(price[real], sign * means[real])
        share[name][real] = on_front(price[real], sign * drawn[:, real]).mean(axis=0)
    enough = min(len(own) for own in values) >= significance.LEAST_SEEDS
    found = []
    for i, note in enumerate(notes):
        low, high = _interval(drawn[:, i], len(values[i]))
        found.append(
            Point(
                **note,
                seeds=len(values[i]),
                mean=float(means[i]),
                low=low,
                high=high,
                on_front={name: bool(front[name][i]) for name in PRICES},
                front_share={name: float(share[name][i]) if enough else None for name in PRICES},
                by_difficulty=[float(values[i][:, own].mean()) for own in bins],
            )
        )
    return found


def _interval(drawn: np.ndarray, seeds: int) -> tuple[float | None, float | None]:
    """95% interval of ``[R]``; none for too few seeds, of which it would be too narrow."""
    if seeds < significance.LEAST_SEEDS:
        return None, None
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def gains(points: Sequence[Point], drawn: np.ndarray) -> list[Gain]:
    """Gain per doubling along every dial that alone differs between some points; ``drawn [R, P]`` as of `resampled`.

    In units of the metric, so that of a distance a gain is negative.
    """
    families: dict[tuple[Any, ...], list[int]] = {}
    for i, point in enumerate(points):
        for dial, value in point.dials.items():
            others = tuple(sorted((name, own) for name, own in point.dials.items() if name != dial))
            if value > 0:
                families.setdefault((point.run, point.way, dial, others), []).append(i)
    found = []
    for (run, way, dial, _), own in families.items():
        own.sort(key=lambda i, dial=dial: points[i].dials[dial])
        if len(own) > 1:
            steps = [_step(points, drawn, dial, a, b) for a, b in pairwise(own)]
            found.append(Gain(run, way, dial, steps, _stops(steps, points[own[0]].dials[dial])))
    return found


def _step(points: Sequence[Point], drawn: np.ndarray, dial: str, a: int, b: int) -> dict[str, float | None]:
    doublings = np.log2(points[b].dials[dial] / points[a].dials[dial])
    low, high = _interval((drawn[:, b] - drawn[:, a]) / doublings, points[a].seeds)
    gain = float((points[b].mean - points[a].mean) / doublings)
    return {"from": points[a].dials[dial], "to": points[b].dials[dial], "gain": gain, "low": low, "high": high}


def _stops(steps: Sequence[Mapping[str, float | None]], first: float) -> float | None:
    if steps[0]["low"] is None:
        return None
    reached = first
    for step in steps:
        low = step["low"]
        if low is None or low <= 0:
            break
        reached = step["to"]
    return reached


def pairs(points: Sequence[Point], values: Sequence[np.ndarray], drawn: np.ndarray, sign: float) -> list[Pair]:
    """Points of different ways at about the same price in operations, each with the nearest of another way.

    Points of one run share seeds and episodes, and are tested by the differences of their seeds
    (`significance.paired_test`); others by `significance.rank_test`. P-values are corrected for their number (Holm).
    """
    chosen: dict[tuple[int, int], float] = {}
    for i, one in enumerate(points):
        nearest: dict[tuple[str, str], int] = {}
        for j, other in enumerate(points):
            ratio = abs(np.log(other.flops / one.flops))
            if (one.run, one.way) == (other.run, other.way) or ratio > np.log(_ALIKE):
                continue
            if _CEILING in one.way or _CEILING in other.way:
                continue
            key = (other.run, other.way)
            if key not in nearest or ratio < abs(np.log(points[nearest[key]].flops / one.flops)):
                nearest[key] = j
        for j in nearest.values():
            chosen[min(i, j), max(i, j)] = points[max(i, j)].flops / points[min(i, j)].flops
    raw: dict[Hashable, float | None] = {pair: _p(points, values, *pair) for pair in chosen}
    corrected = significance.adjusted(raw)
    found = []
    for (i, j), ratio in chosen.items():
        low, high = _interval(drawn[:, i] - drawn[:, j], min(points[i].seeds, points[j].seeds))
        difference, p = points[i].mean - points[j].mean, corrected[i, j]
        said = significance.outcome(p, sign * difference > 0)
        found.append(Pair(i, j, float(ratio), difference, low, high, p, said))
    return found


def _p(points: Sequence[Point], values: Sequence[np.ndarray], i: int, j: int) -> float | None:
    one, other = values[i].mean(axis=1), values[j].mean(axis=1)
    if points[i].run == points[j].run:
        return significance.paired_test(one - other)
    return significance.rank_test(one, other)


def draw(found: Sequence[Frontier], file: Path) -> None:
    """One row per environment: capability against either price, a colour per way, and the front as a line.

    The more often a point is on the front when seeds and episodes are drawn anew, the darker it is.
    """
    size = (5.6 * len(PRICES) + 2.4, 4.0 * len(found))
    figure, panels = plt.subplots(len(found), len(PRICES), figsize=size, squeeze=False, layout="constrained")
    for row, one in zip(panels, found, strict=True):
        ways = list(dict.fromkeys((point.run, point.way) for point in one.points))
        for panel, (price, label) in zip(row, PRICES.items(), strict=True):
            front = sorted((getattr(p, price), p.mean) for p in one.points if p.on_front[price])
            panel.step(*zip(*front, strict=True), where="post", color="#888888", lw=1, zorder=0)
            for place, way in enumerate(ways):
                own = [point for point in one.points if (point.run, point.way) == way]
                _ways(panel, own, price, ", ".join(filter(None, way)), f"C{place % 10}")
            plots.style(panel)
            panel.set_xscale("log")
            panel.set_xlabel(label)
        row[0].set_ylabel(plots.metric_label(one.metric))
        row[0].set_title(one.env, fontsize=10)
        row[-1].legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    plots.save(figure, file)


def _ways(panel: Axes, points: Sequence[Point], price: str, label: str, colour: str) -> None:
    for i, point in enumerate(points):
        at = getattr(point, price)
        bars = None
        if point.low is not None and point.high is not None:
            bars = [[point.mean - point.low], [point.high - point.mean]]
        share = point.front_share[price]
        shade = 1.0 if share is None else 0.3 + 0.7 * share
        name = label if i == 0 else None
        panel.errorbar(at, point.mean, yerr=bars, fmt="o", ms=5, color=colour, alpha=shade, label=name)
        panel.annotate(point.label, (at, point.mean), fontsize=5, xytext=(3, 3), textcoords="offset points")
