"""Charts as JSON that page.js draws: lines with bands over depth or steps, and maps of goal difficulty by depth.

Numbers are rounded to four digits, and curves thinned to a few hundred points: the files beside the page hold all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import meaning, plots
from ..compare.matched import AXES, Match, axis_label
from ..frontier import Frontier
from ..runs.groups import Group
from ..thresholds.difficulty import DifficultyMap
from . import budgets
from .evidence import Evidence, levels
from .inventory import Extrapolated
from .markup import plain

Chart = dict[str, Any]

_MOST_POINTS = 200  # of a curve in the page


def thresholds(evidence: Evidence) -> list[Chart]:
    """One chart per environment and metric: seeds, interquartile means with intervals, and jumps."""
    places = [(env, metric) for env in evidence.environments for metric in evidence.metrics]
    return [_thresholds(evidence, env, metric) for env, metric in places if evidence.of(env, metric)]


def _thresholds(evidence: Evidence, env: str, metric: str) -> Chart:
    findings = {(one.env, one.block, one.metric): one for one in evidence.findings}
    lines = []
    for series in evidence.of(env, metric):
        verdict = findings[env, series.block, metric].verdict
        found = levels(series)
        lines.append(
            _line(series.block, [one.depth for one in found], [one.value for one in found], block=series.block)
            | {
                "low": _numbers([np.nan if one.low is None else one.low for one in found]),
                "high": _numbers([np.nan if one.high is None else one.high for one in found]),
                "dots": [[int(d), number(v)] for d, own in zip(series.depths, series.values, strict=True) for v in own],
                "spans": [{"low": jump.low, "high": jump.high, "at": jump.depth} for jump in verdict.jumps],
                "note": verdict.verdict,
            }
        )
    _set_apart(lines)
    title = f"{env}: {plots.metric_label(metric)} against depth"
    y = plots.metric_label(metric)
    return _chart(title, lines, env=env, metric=metric, x="depth (dense layers)", y=y, log=True)


def learning(evidence: Evidence) -> list[Chart]:
    """One chart per environment and metric: medians over seeds and their range, a line per group of runs."""
    charts = []
    for env in evidence.environments:
        groups = [group for group in evidence.groups if group.config.env == env]
        depths = sorted({group.depth for group in groups})
        for metric in evidence.metrics:
            lines = [_learning_line(g, metric, depths) for g in groups if metric in g.curves]
            if lines:
                _set_apart(lines)
                title = f"{env}: {plots.metric_label(metric)} while training"
                label = plots.metric_label(metric)
                x = "environment steps (per seed)"
                charts.append(_chart(title, lines, env=env, metric=metric, x=x, y=label))
    return charts


def _learning_line(group: Group, metric: str, depths: Sequence[int]) -> Chart:
    at = _thinned(len(group.env_steps))
    curves = group.curves[metric][:, at]
    steps = [int(step) for step in group.env_steps[at]]
    shade = (depths.index(group.depth) + 1) / len(depths)
    line = _line(group.label, steps, np.median(curves, axis=0), block=group.variant, depth=str(group.depth))
    several = len(curves) > 1
    return line | {
        "shade": shade,
        "low": _numbers(curves.min(axis=0)) if several else None,
        "high": _numbers(curves.max(axis=0)) if several else None,
        "note": f"{len(curves)} seed{'s' if several else ''}{'' if group.finished else ', not finished'}",
    }


def matched(evidence: Evidence) -> list[Chart]:
    """One chart per environment, kind of cost and way of acting: looped less stacked by looped depth."""
    places: dict[tuple[str, str, str], list[Match]] = {}
    for match in evidence.matches:
        if match.contrast is not None:
            places.setdefault((match.env, match.axis, match.metric), []).append(match)
    metrics = list(dict.fromkeys(match.metric for match in evidence.matches))
    order = sorted(places, key=lambda place: (place[0], AXES.index(place[1]), metrics.index(place[2])))
    return [_matched(evidence, places[place]) for place in order]


def _matched(evidence: Evidence, own: Sequence[Match]) -> Chart:
    """Matches of one environment, axis and metric."""
    env, metric, axis = own[0].env, own[0].metric, axis_label(own[0].axis)
    variants = {group.label: group.variant for group in evidence.groups if group.config.env == env}
    by_variant: dict[str, list[Match]] = {}
    for match in own:
        by_variant.setdefault(variants.get(match.looped, _without_depth(match)), []).append(match)
    lines = []
    for variant, pairs in by_variant.items():
        gaps = [match.contrast.difference for match in pairs if match.contrast is not None]
        line = _line(variant, [match.looped_depth for match in pairs], [float(gap.value) for gap in gaps], cost=axis)
        line |= {end: _numbers([float(getattr(gap, end)) for gap in gaps]) for end in ("low", "high")}
        lines.append(line | {"bars": True})
    _set_apart(lines)
    y = f"looped less stacked, {plots.metric_label(metric)}"
    chart = _chart(
        f"{env}: {y}, at equal {axis}", lines, env=env, metric=metric, x="looped depth (dense layers)", y=y, log=True
    )
    who = meaning.actor(metric)
    return chart | {"caption": plain(f"{env}, equal {axis}{', ' + who if who else ''}"), "zero": True}


def _without_depth(match: Match) -> str:
    """The looped cell's block, of a table."""
    return match.looped.removesuffix(f", depth {match.looped_depth}")


def extrapolated(evidence: Evidence) -> list[Chart]:
    """One chart per environment and capability: mean over seeds with interval by test depth, a line per run."""
    charts = []
    for env in sorted({one.env for one in evidence.extrapolated}):
        own = [one for one in evidence.extrapolated if one.env == env]
        for metric in dict.fromkeys(name for one in own for name in one.capability):
            lines = [_tested(one, metric) for one in own if metric in one.capability]
            for place, line in enumerate(lines):
                line |= {"dash": place % 4, "shade": 1 - 0.6 * place / max(len(lines), 2)}
            title = f"{env}: {plots.metric_label(metric)} at test depths"
            label = plots.metric_label(metric)
            x = "test depth (dense layers)"
            charts.append(_chart(title, lines, env=env, metric=metric, x=x, y=label, log=True))
    return charts


def _tested(one: Extrapolated, metric: str) -> Chart:
    found = one.means[metric]
    return _line(one.label, one.depths.tolist(), found.value, agents=one.label) | {
        "low": _numbers(found.low),
        "high": _numbers(found.high),
        "marks": [{"at": one.trained, "text": f"largest trained depth {one.trained}"}],
        "note": f"trained to depth {one.trained}",
    }


_LOOKS = [(tone, shade) for shade in (1.0, 0.45, 0.15) for tone in ("stacked", "looped", "other")]


def frontiers(evidence: Evidence) -> list[Chart]:
    """Two charts per environment: capability against either price of an action, bars for each way of spending it."""
    prices = (("flops", 1e3, "thousand operations of an action"), ("serial", 1.0, "dense layers in sequence"))
    return [_frontier(one, *price) for one in evidence.frontiers for price in prices]


def _frontier(one: Frontier, price: str, unit: float, x: str) -> Chart:
    drawn = []
    for (name, own), (colour, shade) in zip(budgets.lines(one), itertools.cycle(_LOOKS), strict=False):
        points = sorted(own, key=lambda point: getattr(point, price))
        at = [number(getattr(point, price) / unit) for point in points]
        line = _line(name, at, [point.mean for point in points], way=own[0].way)
        line |= {"tone": colour, "shade": shade, "bars": True, "labels": [plain(point.label) for point in points]}
        for end in ("low", "high"):
            values = [getattr(point, end) for point in points]
            line[end] = _numbers([np.nan if value is None else value for value in values])
        drawn.append(line)
    y = plots.metric_label(one.metric)
    return _chart(f"{one.env}: {y} against {x}", drawn, env=one.env, metric=one.metric, x=x, y=y, log=True)


def maps(evidence: Evidence) -> list[Chart]:
    """One chart per difficulty map; those of one environment share their colours' range."""
    charts = []
    for one in evidence.maps:
        beside = [other.means for other in evidence.maps if (other.env, other.metric) == (one.env, one.metric)]
        every = np.concatenate([means.ravel() for means in beside])
        charts.append(_map(one, float(np.nanmin(every)), float(np.nanmax(every))))
    return charts


def _map(one: DifficultyMap, low: float, high: float) -> Chart:
    rows = [str(number(distance)) for distance in one.distances]
    return {
        "kind": "map",
        "caption": plain(", ".join(part for part in (one.env, one.block, meaning.actor(one.metric)) if part)),
        "title": plain(f"{one.env}, {one.block}: {plots.metric_label(one.metric)} by goal distance and depth"),
        "env": plain(one.env),
        "metric": plain(one.metric),
        "keys": {"block": plain(one.block)},
        "tone": tone(one.block),
        "x": "depth (dense layers)",
        "y": "goal distance",
        "z": plots.metric_label(one.metric),
        "columns": [int(depth) for depth in one.depths],
        "rows": rows,
        "values": [_numbers(row) for row in one.means],
        "seeds": [[len(cell) for cell in row] for row in one.values],
        "critical": [None if at.depth is None else int(at.depth) for at in one.critical],
        "range": [number(low), number(high)],
        "lowIsGood": meaning.lower_is_better(one.metric),
    }


def _chart(title: str, lines: Sequence[Chart], *, env: str, metric: str, x: str, y: str, log: bool = False) -> Chart:
    """A chart of lines over depth or steps; ``log`` counts doublings."""
    return {
        "kind": "lines",
        "title": plain(title),
        "caption": plain(env),
        "env": plain(env),
        "metric": plain(metric),
        "x": x,
        "y": plain(y),
        "log": log,
        "lines": list(lines),
    }


def _line(name: str, x: Sequence[float | None], y: Iterable[float], **keys: str) -> Chart:
    """A line that the page's switches find by its ``keys``."""
    return {
        "name": plain(name),
        "keys": {key: plain(value) for key, value in keys.items()},
        "tone": tone(name),
        "shade": 1.0,
        "dash": 0,
        "x": list(x),
        "y": _numbers(y),
    }


def tone(name: str) -> str:
    """Colour of a series by its block: "stacked", "looped" or "other"."""
    first = name.split(",", maxsplit=1)[0]
    return first if first in ("stacked", "looped") else "other"


def _set_apart(lines: Sequence[Chart]) -> None:
    """Dash lines that colour and shade do not tell apart."""
    seen: dict[tuple[str, float], int] = {}
    for line in lines:
        look = (line["tone"], line["shade"])
        line["dash"] = seen.get(look, 0) % 4
        seen[look] = seen.get(look, 0) + 1


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).round().astype(int))


def number(value: float) -> float | int | None:
    """Four digits; None for what is no number."""
    if not np.isfinite(value):
        return None
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _numbers(values: Iterable[float]) -> list[float | int | None]:
    return [number(float(value)) for value in values]
