"""Everything that a report is written from, gathered and judged once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth.runs import RunError

from .. import aggregate, meaning
from ..compare.matched import Match, matched, settled
from ..compare.rows import Agents
from ..compare.tabled import Cell, compare_tables
from ..frontier import Frontier
from ..runs.groups import Group, collect, gather
from ..runs.precision import Precision, precision
from ..runs.series import DEFAULT_METRICS, tables_among, with_draws
from ..runs.table import Series
from ..thresholds import mirage, verdicts
from ..thresholds.difficulty import DifficultyMap
from ..thresholds.locations import Agreement
from ..thresholds.mirage import Finding
from ..thresholds.verdicts import Verdicts
from . import budgets, inventory
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
      cells: the same of tables, in the first metric: seeds of one environment, block and depth. A report is of runs or
        of tables; of tables there are no runs, setups, groups, maps, test depths and videos.
      series: final capability over depth.
      findings: a verdict on each series.
      agreements: thresholds of looped against stacked series.
      matches: looped against stacked agents at equal cost, in the first metric, by mode and by draws where both are.
      maps: capability per goal difficulty.
      extrapolated: results at test depths.
      frontiers: results under budgets.
      videos: what there is to see.
      precisions: by environment and block, how exactly the evaluations know the shares among the metrics.
      disagreements: where the mode of the policy and its draws lead to different verdicts, a line each.
      notes: what was left out or cannot be said, and why.
    """

    metrics: tuple[str, ...]
    runs: tuple[RunFacts, ...]
    setups: tuple[Setup, ...]
    groups: tuple[Group, ...]
    cells: tuple[Cell, ...]
    series: tuple[Series, ...]
    findings: tuple[Finding, ...]
    agreements: tuple[Agreement, ...]
    matches: tuple[Match, ...]
    maps: tuple[DifficultyMap, ...]
    extrapolated: tuple[Extrapolated, ...]
    frontiers: tuple[Frontier, ...]
    videos: tuple[Video, ...]
    precisions: tuple[tuple[str, str, Precision], ...]
    disagreements: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def environments(self) -> list[str]:
        """Environments of the runs that can be used, or of the tables, sorted."""
        return sorted({one.env for one in self.agents})

    @property
    def agents(self) -> tuple[Agents, ...]:
        """Groups of runs, or cells of tables."""
        return self.groups or self.cells

    def seeds(self, env: str) -> int:
        """Fewest seeds of an agent in an environment."""
        metric = self.metrics[0]
        own = [one for one in self.agents if one.env == env]
        return min(len(one.seeds if isinstance(one, Group) else one.final(metric)) for one in own)

    def of(self, env: str, metric: str) -> list[Series]:
        """The series of one environment and metric, stacked ones first."""
        own = [one for one in self.series if (one.env, one.metric) == (env, metric)]
        return sorted(own, key=lambda one: _stacked_first(one.block))


def read(paths: Sequence[Path], metrics: Sequence[str] = (), seed: int = 0) -> Evidence:
    """Gather what there is below folders, and judge it.

    Args:
      paths: run folders, or folders that hold some; or tables (``runs.table``).
      metrics: metrics to judge, the leading one first; by default those of ``DEFAULT_METRICS`` that the runs have, and
        all of tables.
      seed: of the bootstrap.

    Raises:
      RunError: a path holds no run, or is no table; or they are both.
      ConfigError: no run has such a metric; names those there are.
    """
    tables = tables_among(paths)
    return _of_tables(tables, metrics, seed) if tables else _of_runs(paths, metrics, seed)


def _of_tables(paths: Sequence[Path], metrics: Sequence[str], seed: int) -> Evidence:
    judged = verdicts.judge(paths, metrics, seed=seed)
    there = list(dict.fromkeys(one.metric for one in judged.series))
    usual = [metric for metric in DEFAULT_METRICS if metric in there]
    chosen = tuple(metrics) or tuple(dict.fromkeys([*usual, *there]))
    compared = compare_tables(paths, chosen[0])
    return Evidence(
        metrics=chosen,
        runs=(),
        setups=(),
        groups=(),
        cells=tuple(compared.cells),
        matches=tuple(compared.matches),
        maps=(),
        extrapolated=(),
        frontiers=(),
        videos=(),
        precisions=(),
        **_judged(judged, chosen),
    )


def _judged(judged: Verdicts, metrics: Sequence[str], notes: Sequence[str] = ()) -> dict[str, Any]:
    """Series, findings and agreements by environment, stacked ones first; disagreements, and the other notes."""

    def order(one: Finding | Agreement) -> int:
        return metrics.index(one.metric)

    disagreements = mirage.disagreements(judged.findings)
    return {
        "disagreements": tuple(disagreements),
        "notes": (*(note for note in judged.notes if note not in disagreements), *notes),
        "series": tuple(judged.series),
        "findings": tuple(sorted(judged.findings, key=lambda one: (one.env, *_stacked_first(one.block), order(one)))),
        "agreements": tuple(
            sorted(judged.agreements, key=lambda one: (one.env, *_stacked_first(one.looped), order(one)))
        ),
    }


def _of_runs(paths: Sequence[Path], metrics: Sequence[str], seed: int) -> Evidence:
    runs = sorted(collect(paths), key=lambda run: _by_number(run.path))
    try:
        groups, judged = gather(paths).groups, verdicts.judge(paths, metrics, seed=seed)
    except RunError as error:  # no run can be used yet; the table of runs is still worth a page
        groups, judged = (), Verdicts([], [], [], [], (str(error),))
    chosen = tuple(metrics) or tuple(with_draws(DEFAULT_METRICS, {one.metric for one in judged.series}))
    extrapolated, notes = inventory.extrapolated(paths)
    frontiers, unread = budgets.read(paths)
    facts = inventory.describe(runs, chosen)
    return Evidence(
        metrics=chosen,
        runs=tuple(facts),
        setups=tuple(inventory.setups(facts)),
        groups=tuple(sorted(groups, key=lambda group: (group.config.env, *_stacked_first(group.variant)))),
        cells=(),
        matches=tuple(_matched(groups, chosen, seed)) if groups else (),
        maps=tuple(sorted(judged.maps, key=lambda one: (one.env, *_stacked_first(one.block)))),
        extrapolated=tuple(extrapolated),
        frontiers=tuple(frontiers),
        videos=tuple(inventory.videos(paths, inventory.VIDEO_BYTES)),
        precisions=tuple(_precisions(groups, chosen)),
        **_judged(judged, chosen, [*notes, *unread]),
    )


def _matched(groups: Sequence[Group], metrics: Sequence[str], seed: int) -> list[Match]:
    """Looped against stacked in the first metric, by mode and by draws; settled together, as the page shows both."""
    ways = [metric for metric in (metrics[0], meaning.other_way(metrics[0])) if metric in metrics]
    return settled([match for metric in ways for match in matched(groups, metric, seed=seed)])


def _precisions(groups: Sequence[Group], metrics: Sequence[str]) -> list[tuple[str, str, Precision]]:
    found = []
    lines = {(group.env, group.variant) for group in groups}
    for env, block in sorted(lines, key=lambda line: (line[0], *_stacked_first(line[1]))):
        own = [group for group in groups if (group.env, group.variant) == (env, block)]
        told = [precision(own, metric) for metric in metrics if meaning.bare(metric).startswith("success")]
        found += [(env, block, one) for one in told if one is not None]
    return found


def _stacked_first(block: str) -> tuple[bool, str]:
    return not block.startswith("stacked"), block


def _by_number(path: Path) -> list[tuple[str, int]]:
    """Orders ``depth4`` before ``depth16``."""
    return [(word, int(number or 0)) for word, number in re.findall(r"(\D+)(\d*)", str(path))]


def measured(agents: Sequence[Agents], metric: str) -> list[Agents]:
    """Those that have a metric; cells of tables have theirs."""
    return [one for one in agents if not isinstance(one, Group) or metric in one.curves]


def levels(series: Series, seed: int = 0) -> list[Level]:
    """Capability at each depth of a series."""
    return [_level(int(depth), values, seed) for depth, values in zip(series.depths, series.values, strict=True)]


def _level(depth: int, values: np.ndarray, seed: int) -> Level:
    if len(values) < 2:
        return Level(depth, len(values), float(values[0]), None, None)
    found = aggregate.iqm_interval(values, seed=seed)
    return Level(depth, len(values), float(found.value), float(found.low), float(found.high))
