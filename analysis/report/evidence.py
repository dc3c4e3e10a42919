"""Everything that a report is written from, gathered and judged once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rl_depth.config import ConfigError
from rl_depth.runs import RunError

from .. import aggregate, difficulty, locations, mirage
from ..difficulty import DifficultyMap
from ..groups import Gathered, Group, collect, gather
from ..locations import LocationRatio
from ..mirage import Finding
from ..series import DEFAULT_METRICS, from_groups
from ..table import Series
from . import inventory
from .inventory import Extrapolated, RunFacts, Setup, Video


@dataclass(frozen=True)
class Level:
    """Capability at one depth: interquartile mean over seeds, and its 95% interval, None for a single seed."""

    depth: int
    seeds: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Ratio:
    """Where the thresholds of two series of one environment and metric lie, second over first."""

    env: str
    metric: str
    first: str
    second: str
    found: LocationRatio


@dataclass(frozen=True)
class Evidence:
    """What runs hold, and what follows.

    Attributes:
      metrics: those that are judged; the first one leads.
      runs: all runs found, usable or not.
      setups: software and hardware of the runs.
      groups: runs that differ in seeds alone, those that can be used.
      series: final capability over depth.
      findings: a verdict on each series.
      ratios: thresholds of looped against stacked series.
      maps: capability per goal difficulty, of the first metric.
      extrapolated: results at test depths.
      videos: what there is to see.
      notes: what was left out, and why.
    """

    metrics: tuple[str, ...]
    runs: tuple[RunFacts, ...]
    setups: tuple[Setup, ...]
    groups: tuple[Group, ...]
    series: tuple[Series, ...]
    findings: tuple[Finding, ...]
    ratios: tuple[Ratio, ...]
    maps: tuple[DifficultyMap, ...]
    extrapolated: tuple[Extrapolated, ...]
    videos: tuple[Video, ...]
    notes: tuple[str, ...]

    @property
    def environments(self) -> list[str]:
        """Environments of the runs that can be used, sorted."""
        return sorted({group.config.env for group in self.groups})

    def of(self, env: str, metric: str) -> list[Series]:
        """The series of one environment and metric."""
        return [one for one in self.series if (one.env, one.metric) == (env, metric)]


def read(paths: Sequence[Path], metrics: Sequence[str] = (), seed: int = 0) -> Evidence:
    """Gather what there is below folders, and judge it.

    Args:
      paths: run folders, or folders that hold some.
      metrics: metrics to judge, the leading one first; by default those of ``DEFAULT_METRICS`` that the runs have.
      seed: of the bootstrap.

    Raises:
      RunError: a path holds no run.
      ConfigError: no run has such a metric; names those there are.
    """
    found = collect(paths)
    try:
        gathered = gather(paths)
    except RunError as error:  # no run can be used yet; their table is still worth a page
        gathered = Gathered((), (str(error),))
    series, notes = (), gathered.notes
    if gathered.groups:
        loaded = from_groups(gathered, metrics)
        series, notes = tuple(loaded.series), loaded.notes
    chosen = tuple(metrics) or tuple(m for m in DEFAULT_METRICS if any(one.metric == m for one in series))
    maps, about_maps = _maps(gathered.groups, chosen)
    extrapolated, about_tests = inventory.extrapolated(paths)
    facts = inventory.describe(found, chosen)
    return Evidence(
        metrics=chosen,
        runs=tuple(facts),
        setups=tuple(inventory.setups(facts)),
        groups=gathered.groups,
        series=series,
        findings=tuple(mirage.judge(series, seed=seed)),
        ratios=tuple(_ratios(series, seed)),
        maps=tuple(maps),
        extrapolated=tuple(extrapolated),
        videos=tuple(inventory.videos(paths)),
        notes=(*notes, *about_maps, *about_tests),
    )


def levels(series: Series, seed: int = 0) -> list[Level]:
    """Capability at each depth of a series."""
    return [_level(int(depth), values, seed) for depth, values in zip(series.depths, series.values, strict=True)]


def _level(depth: int, values: np.ndarray, seed: int) -> Level:
    if len(values) < 2:
        return Level(depth, len(values), float(values[0]), None, None)
    found = aggregate.iqm_interval(values, seed=seed)
    return Level(depth, len(values), float(found.value), float(found.low), float(found.high))


def _maps(groups: Sequence[Group], metrics: Sequence[str]) -> tuple[list[DifficultyMap], list[str]]:
    """Maps of the leading metric, and a note if there are none."""
    if not groups:
        return [], []
    try:
        return difficulty.from_groups(groups, metrics[0]), []
    except ConfigError as error:
        return [], [f"no difficulty map: {error}"]


def _ratios(series: Sequence[Series], seed: int) -> list[Ratio]:
    """Every looped series against its stacked counterpart: of the same further options, or the only one there is."""
    found = []
    for second in series:
        beside = [one for one in series if (one.env, one.metric) == (second.env, second.metric)]
        stacked = [one for one in beside if _kind(one) == "stacked"]
        same = [one for one in stacked if one.block.removeprefix("stacked") == second.block.removeprefix("looped")]
        first = same or stacked
        if _kind(second) != "looped" or len(first) != 1:
            continue
        ratio = locations.compare_locations(
            (first[0].depths, first[0].values),
            (second.depths, second.values),
            higher_is_better=not mirage.lower_is_better(second.metric),
            seed=seed,
        )
        found.append(Ratio(second.env, second.metric, first[0].block, second.block, ratio))
    return found


def _kind(series: Series) -> str:
    """Block of a series, without its further options."""
    return series.block.split(",")[0]
