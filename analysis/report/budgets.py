"""What actions under budgets are worth, as ``rl-depth frontier`` found it: read, charted, tabled and told."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import plots, significance
from ..frontier import PRICES, Frontier, Gain, Pair, Point
from ..runs.groups import DAMAGE

_OUTCOMES = (significance.BETTER, significance.WORSE, significance.ALIKE, significance.TOO_FEW)

Table = tuple[str, list[str], list[list[Any]], set[int]]
"""Caption, names of columns, rows, and which columns hold numbers."""


def read(roots: Iterable[Path]) -> tuple[list[Frontier], list[str]]:
    """Results of ``rl-depth frontier`` at or below folders, and a note for each file that is none."""
    files = {file.resolve(): file for root in roots for file in sorted(root.rglob("frontier.json"))}
    found, notes = [], []
    for file in files.values():
        try:
            found += [_frontier(entry) for entry in json.loads(file.read_text(encoding="utf-8"))["frontiers"]]
        except DAMAGE as error:
            notes.append(f"left out, not as rl-depth frontier writes it ({type(error).__name__}): {file}")
    return found, notes


def _frontier(entry: Mapping[str, Any]) -> Frontier:
    bins = [(_number(low), _number(high)) for low, high in entry["bins"]]
    points = [_point(own, len(bins)) for own in entry["points"]]
    train_flops = {str(run): _number(flops) for run, flops in entry["train_flops"].items()}
    if not points or not train_flops or {point.run for point in points} - {"", *train_flops}:
        raise ValueError("no points, or runs that are not told of")
    return Frontier(
        env=str(entry["env"]),
        metric=str(entry["metric"]),
        bins=bins,
        points=points,
        gains=[_gain(own) for own in entry["gains"]],
        pairs=[_pair(own, len(points)) for own in entry["pairs"]],
        train_flops=train_flops,
    )


def _point(entry: Mapping[str, Any], bins: int) -> Point:
    levels = [_number(value) for value in entry["by_difficulty"]]
    prices = {name: _number(entry[name]) for name in PRICES}
    if len(levels) != bins or min(prices.values()) <= 0:
        raise ValueError(f"{len(levels)} levels of {bins}, or a price that is not positive")
    return Point(
        label=str(entry["label"]),
        run=str(entry["run"]),
        way=str(entry["way"]),
        dials={str(name): _number(value) for name, value in entry["dials"].items()},
        seeds=int(entry["seeds"]),
        mean=_number(entry["mean"]),
        low=_number_or_none(entry["low"]),
        high=_number_or_none(entry["high"]),
        on_front={name: bool(entry["on_front"][name]) for name in PRICES},
        front_share={name: _number_or_none(entry["front_share"][name]) for name in PRICES},
        by_difficulty=levels,
        **prices,
    )


def _gain(entry: Mapping[str, Any]) -> Gain:
    ends = {"from": _number, "to": _number, "gain": _number, "low": _number_or_none, "high": _number_or_none}
    steps = [{name: take(step[name]) for name, take in ends.items()} for step in entry["steps"]]
    return Gain(str(entry["run"]), str(entry["way"]), str(entry["dial"]), steps, _number_or_none(entry["stops"]))


def _pair(entry: Mapping[str, Any], points: int) -> Pair:
    first, second = int(entry["first"]), int(entry["second"])
    if not (0 <= first < points and 0 <= second < points and entry["outcome"] in _OUTCOMES):
        raise ValueError(f"pair {first}, {second}: {entry['outcome']!r}")
    low, high, p = (_number_or_none(entry[name]) for name in ("low", "high", "p"))
    return Pair(first, second, _number(entry["ratio"]), _number(entry["difference"]), low, high, p, entry["outcome"])


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _number_or_none(value: Any) -> float | None:
    return None if value is None else _number(value)


def name(one: Frontier, place: int) -> str:
    """What a point is called: its budget, and its run where there are several."""
    point = one.points[place]
    return f"{point.run}, {point.label}" if point.run else point.label


def lines(one: Frontier) -> list[tuple[str, list[Point]]]:
    """Points by run and way, each by price."""
    ways: dict[str, list[Point]] = {}
    for point in one.points:
        ways.setdefault(f"{point.run}, {point.way}" if point.run else point.way, []).append(point)
    return list(ways.items())


def tables(one: Frontier) -> list[Table]:
    """Points; gains per doubling; ways at one price."""
    far = [f"at {low:.3g}" if low == high else f"at {low:.3g} to {high:.3g}" for low, high in one.bins]
    names = ["run", "budget", "kFLOP", "layers", "seeds", "training GFLOP", one.metric.replace("_", " "), *far]
    names += ["front (FLOP)", "front (layers)"]
    rows: list[list[Any]] = []
    for point in one.points:
        price = [f"{point.flops / 1e3:,.4g}", f"{point.serial:.3g}", point.seeds]
        price.append(f"{one.training(point) / 1e9:,.4g}")
        levels = [f"{value:.3g}" for value in point.by_difficulty]
        front = [_front(point.on_front[price], point.front_share[price]) for price in PRICES]
        rows.append([point.run, point.label, *price, _interval(point.mean, point.low, point.high), *levels, *front])
    caption = f"{one.env}: what an action may cost, its price, and what comes of it, by goal distance too"
    found: list[Table] = [(caption, names, rows, {2, 3, 4, 5, *range(7, 7 + len(far))})]
    steps = [
        [gain.run, gain.way, gain.dial, f"{step['from']:g}", f"{step['to']:g}", _gained(step), _stops(gain)]
        for gain in one.gains
        for step in gain.steps
    ]
    if steps:
        names = ["run", "way", "dial", "from", "to", "gain", "pays up to"]
        found.append((f"{one.env}: gain per doubling", names, steps, {3, 4}))
    if one.pairs:
        pairs = [_paired(one, pair) for pair in one.pairs]
        names = ["first", "second", "price ratio", "first less second", "corrected p", "first is"]
        found.append((f"{one.env}: ways at one price in operations", names, pairs, {2}))
    return found


def _paired(one: Frontier, pair: Pair) -> list[Any]:
    difference = _interval(pair.difference, pair.low, pair.high)
    p = "" if pair.p is None else f"{pair.p:.2g}"
    return [name(one, pair.first), name(one, pair.second), f"{pair.ratio:.2f}", difference, p, pair.outcome]


def _front(there: bool, share: float | None) -> str:
    return " ".join(filter(None, ("" if share is None else f"{share:.2f}", "on it" if there else "")))


def _gained(step: Mapping[str, float | None]) -> str:
    return _interval(step["gain"] or 0.0, step["low"], step["high"])


def _stops(gain: Gain) -> str:
    return "" if gain.stops is None else f"{gain.stops:g}"


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3g}" if low is None or high is None else f"{value:.3g} [{low:.3g}, {high:.3g}]"


def sentences(one: Frontier) -> list[str]:
    """What buys most, in words: the front, dials whose first doubling pays, and ways at one price that differ."""
    what = plots.metric_label(one.metric)
    front = [i for i, point in enumerate(one.points) if point.on_front["flops"]]
    told = "; ".join(f"{name(one, i)}{_share(one.points[i])}: {_told(one.points[i])}" for i in front)
    found = [f"{what[:1].upper()}{what[1:]} by operations of an action, what none reaches for less: {told}."]
    for gain in one.gains:
        if gain.stops is None:
            continue
        first = gain.steps[0]["from"]
        own = f"{gain.run}, {gain.way}" if gain.run else gain.way
        pays = f"pays up to {gain.stops:g}" if gain.stops != first else f"does not pay beyond {first:g}"
        found.append(f"More {gain.dial} ({own}) {pays}; first doubling {_gained(gain.steps[0])}.")
    known = [pair for pair in one.pairs if pair.outcome in (significance.BETTER, significance.WORSE)]
    for pair in known:
        numbers = _interval(pair.difference, pair.low, pair.high)
        found.append(
            f"{name(one, pair.first)} is {pair.outcome} than {name(one, pair.second)} at "
            f"{pair.ratio:.2f} times its price: {numbers}."
        )
    alike = sum(pair.outcome == significance.ALIKE for pair in one.pairs)
    if alike:
        found.append(f"{alike} of {len(one.pairs)} pairs of ways at one price are not told apart.")
    return found


def _share(point: Point) -> str:
    share = point.front_share["flops"]
    return "" if share is None else f" (in {share:.0%} of resamples)"


def _told(point: Point) -> str:
    return f"{_interval(point.mean, point.low, point.high)} for {point.flops / 1e3:,.3g} kFLOP"


def columns(found: Sequence[Frontier]) -> tuple[list[str], list[list[Any]]]:
    """All points as a table of numbers."""
    names = ["env", "metric", "run", "budget", "way", "flops", "serial", "train_flops", "seeds", "mean", "low", "high"]
    names += [f"{part}_{price}" for part in ("on_front", "front_share") for price in PRICES]
    rows: list[list[Any]] = []
    for one in found:
        for point in one.points:
            row: list[Any] = [one.env, one.metric, point.run, point.label, point.way, point.flops, point.serial]
            row += [one.training(point), point.seeds, point.mean, point.low, point.high]
            rows.append([*row, *point.on_front.values(), *point.front_share.values()])
    return names, rows
