"""Everything that a report is written from, gathered and judged once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rl_depth.runs import RunError

from .. import aggregate
from ..compare.matched import Match, matched
from ..runs.groups import Group, collect, gather
from ..runs.series import DEFAULT_METRICS
from ..runs.table import Series
from ..thresholds import verdicts
from ..thresholds.difficulty import DifficultyMap
from ..thresholds.locations import Agreement
from ..thresholds.mirage import Finding
from ..thresholds.verdicts import Verdicts
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
class Evidence:
    """What runs hold, and what follows.

    Attributes:
      metrics: those that are judged; the first one leads.
      runs: all runs found, usable or not.
      setups: software and hardware of the runs.
      groups: runs that differ in seeds alone, those that can be used.
      series: final capability over depth.
      findings: a verdict on each series.
      agreements: thresholds of looped against stacked series.
      matches: looped against stacked agents at equal cost, in the first metric.
      maps: capability per goal difficulty.
      extrapolated: results at test depths.
      videos: what there is to see.
      notes: what was left out or cannot be said, and why.
    """

    metrics: tuple[str, ...]
    runs: tuple[RunFacts, ...]
    setups: tuple[Setup, ...]
    groups: tuple[Group, ...]
    series: tuple[Series, ...]
    findings: tuple[Finding, ...]
    agreements: tuple[Agreement, ...]
    matches: tuple[Match, ...]
    maps: tuple[DifficultyMap, ...]
    extrapolated: tuple[Extrapolated, ...]
    videos: tuple[Video, ...]
    notes: tuple[str, ...]

    @property
    def environments(self) -> list[str]:
        """Environments of the runs that can be used, sorted."""
        return sorted({group.config.env for group in self.groups})

    def of(self, env: str, metric: str) -> list[Series]:
        """The series of one environment and metric, stacked ones first."""
        own = [one for one in self.series if (one.env, one.metric) == (env, metric)]
        return sorted(own, key=lambda one: _stacked_first(one.block))


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
    runs = sorted(collect(paths), key=lambda run: _by_number(run.path))
    try:
        groups, judged = gather(paths).groups, verdicts.judge(paths, metrics, seed=seed)
    except RunError as error:  # no run can be used yet; the table of runs is still worth a page
        groups, judged = (), Verdicts([], [], [], [], (str(error),))
    chosen = tuple(metrics) or tuple(m for m in DEFAULT_METRICS if any(one.metric == m for one in judged.series))
    extrapolated, notes = inventory.extrapolated(paths)
    facts = inventory.describe(runs, chosen)

    def order(one: Finding | Agreement) -> int:
        return chosen.index(one.metric)

    return Evidence(
        metrics=chosen,
        runs=tuple(facts),
        setups=tuple(inventory.setups(facts)),
        groups=tuple(sorted(groups, key=lambda group: (group.config.env, *_stacked_first(group.variant)))),
        series=tuple(judged.series),
        findings=tuple(sorted(judged.findings, key=lambda one: (one.env, *_stacked_first(one.block), order(one)))),
        agreements=tuple(sorted(judged.agreements, key=lambda one: (one.env, *_stacked_first(one.looped), order(one)))),
        matches=tuple(matched(groups, chosen[0], seed=seed)) if groups else (),
        maps=tuple(sorted(judged.maps, key=lambda one: (one.env, *_stacked_first(one.block)))),
        extrapolated=tuple(extrapolated),
        videos=tuple(inventory.videos(paths, inventory.VIDEO_BYTES)),
        notes=(*judged.notes, *notes),
    )


def _stacked_first(block: str) -> tuple[bool, str]:
    return not block.startswith("stacked"), block


def _by_number(path: Path) -> list[tuple[str, int]]:
    """Orders ``depth4`` before ``depth16``."""
    return [(word, int(number or 0)) for word, number in re.findall(r"(\D+)(\d*)", str(path))]


def levels(series: Series, seed: int = 0) -> list[Level]:
    """Capability at each depth of a series."""
    return [_level(int(depth), values, seed) for depth, values in zip(series.depths, series.values, strict=True)]


def _level(depth: int, values: np.ndarray, seed: int) -> Level:
    if len(values) < 2:
        return Level(depth, len(values), float(values[0]), None, None)
    found = aggregate.iqm_interval(values, seed=seed)
    return Level(depth, len(values), float(found.value), float(found.low), float(found.high))
