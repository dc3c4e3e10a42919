"""Capability per goal difficulty: a map of goal distance by depth, and the critical depth of each distance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth.config import ConfigError

from .. import meaning
from ..runs.groups import Group, gather
from ..runs.series import Line, arrange
from .locations import CriticalDepth, critical_depth

# Distances that are no whole numbers (metres) are put into this many bins of equal width.
_BINS = 4


@dataclass(frozen=True)
class DifficultyMap:
    """One metric of one environment and block, goal difficulty by depth.

    Attributes:
      env, block, metric: what was measured.
      distances: ``[G]``, ascending, as the environment gives them: cells of the shortest path, or centres of
        bins of metres.
      depths: ``[D]``, ascending.
      values: ``[G][D]`` arrays ``[S]``: each seed's mean over the episodes of its last evaluations; empty where no
        seed had a goal at that distance.
      critical: ``[G]``, the critical depth of each distance among the depths that have values.
    """

    env: str
    block: str
    metric: str
    distances: np.ndarray
    depths: np.ndarray
    values: tuple[tuple[np.ndarray, ...], ...]
    critical: list[CriticalDepth]

    @property
    def means(self) -> np.ndarray:
        """Mean over seeds ``[G, D]``; NaN where no seed had such a goal."""
        return np.array([[v.mean() if len(v) else np.nan for v in row] for row in self.values])

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return {
            "env": self.env,
            "block": self.block,
            "metric": self.metric,
            "distances": self.distances.tolist(),
            "depths": self.depths.tolist(),
            "values": [[v.tolist() for v in row] for row in self.values],
            "critical": [one.to_json() for one in self.critical],
        }


def from_runs(paths: Iterable[Path | str], metric: str = "success_any") -> list[DifficultyMap]:
    """Maps of all series that runs hold, sorted by environment and block.

    Args:
      paths: run folders, or folders that hold some.
      metric: a metric of the evaluations.

    Raises:
      RunError: no run there that can be used.
      ConfigError: no run has such a metric per difficulty; names those there are.
    """
    return from_groups(gather(paths).groups, metric)


def from_groups(groups: Sequence[Group], metric: str = "success_any") -> list[DifficultyMap]:
    """Maps of the lines along depth that groups form (``series.arrange``).

    Raises:
      ConfigError: no group has such a metric per difficulty; names those there are.
    """
    known = {name for group in groups for levels in group.levels for level in levels for name in level}
    if metric not in known:
        there = ", ".join(sorted(known - {"goal_distance", "episodes"})) or "none"
        raise ConfigError(f"--metric {metric}: metrics per goal difficulty are {there}")
    edges = {env: _edges([g for g in groups if g.config.env == env]) for env in {g.config.env for g in groups}}
    found = []
    for line in arrange(groups):
        cells = [_by_distance(group, metric, edges[line.env]) for _, group in line.points]
        distances = sorted({distance for cell in cells for distance in cell})
        if distances:
            values = tuple(tuple(np.array(cell.get(d, [])) for cell in cells) for d in distances)
            depths = np.array([depth for depth, _ in line.points])
            found.append(_map(line, metric, np.array(distances), depths, values))
    return found


def _map(
    line: Line, metric: str, distances: np.ndarray, depths: np.ndarray, values: tuple[tuple[np.ndarray, ...], ...]
) -> DifficultyMap:
    best = _best(metric, values)
    critical = []
    for row in values:
        present = [i for i, v in enumerate(row) if len(v)]
        critical.append(
            critical_depth(
                depths[present],
                [row[i] for i in present],
                best=best,
                higher_is_better=not meaning.lower_is_better(metric),
            )
        )
    return DifficultyMap(line.env, line.block, metric, distances, depths, values, critical)


def _best(metric: str, values: Sequence[Sequence[np.ndarray]]) -> float | None:
    """What half is to be passed of: everything for shares, the best of the whole map for times.

    With a level of its own at each distance, goals that every depth reaches and goals that none does look alike.
    """
    if meaning.thresholded(metric):
        return 1.0
    if metric == "time_at_goal":
        return max(float(v.mean()) for row in values for v in row if len(v))
    return None


def _edges(groups: Sequence[Group]) -> np.ndarray | None:
    """Edges of the bins of an environment's distances; None if they are whole numbers, each its own level."""
    every = [level["goal_distance"] for group in groups for levels in group.levels for level in levels]
    if all(float(distance).is_integer() for distance in every):
        return None
    return np.linspace(min(every), max(every), _BINS + 1)


def _by_distance(group: Group, metric: str, edges: np.ndarray | None) -> dict[float, list[float]]:
    """Values of seeds per distance: means over the episodes of all entries there; distances of bins are centres."""
    found: dict[float, list[float]] = defaultdict(list)
    for levels in group.levels:
        weights: dict[float, float] = defaultdict(float)
        totals: dict[float, float] = defaultdict(float)
        for level in levels:
            if metric not in level:
                continue
            place = float(level["goal_distance"])
            if edges is not None:
                i = min(int(np.searchsorted(edges, place, side="right")) - 1, _BINS - 1)
                place = float((edges[i] + edges[i + 1]) / 2)
            weights[place] += level["episodes"]
            totals[place] += level["episodes"] * level[metric]
        for place, weight in weights.items():
            found[place].append(totals[place] / weight)
    return found
