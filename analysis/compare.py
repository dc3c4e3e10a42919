"""Runs side by side: learning curves and final capability, stacked and looped at equal depth."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth.config import ConfigError
from rl_depth.runs import RunError

from .groups import Gathered, Group, collect, gather, group_runs

__all__ = ["Comparison", "Gathered", "Group", "collect", "compare", "gather", "group_runs", "write"]


@dataclass(frozen=True)
class Comparison:
    """Groups sorted by environment, depth and block, and the metric they are compared by."""

    groups: tuple[Group, ...]
    metric: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per group; values over seeds as median, least and largest."""
        return [_row(group, self.metric) for group in self.groups]


def compare(paths: Iterable[Path | str], metric: str = "success_any") -> Comparison:
    """Read runs and group them.

    Args:
      paths: run folders, or folders that hold some.
      metric: the metric to compare by.

    Raises:
      RunError: no run found, or one without evaluations.
      ConfigError: the runs have no such metric; names those they have.
    """
    runs = collect(paths)
    groups = group_runs(runs)
    shared = set.intersection(*(set(group.curves) for group in groups))
    if metric not in shared:
        raise ConfigError(f"--metric {metric}: the runs have {', '.join(sorted(shared))}")
    return Comparison(tuple(groups), metric)


def _row(group: Group, metric: str) -> dict[str, Any]:
    config = group.config
    row: dict[str, Any] = {
        "env": config.env,
        "block": group.block,
        "depth": group.depth,
        "width": config.width,
        "seeds": len(group.seeds),
        "env_steps": int(group.env_steps[-1]),
        "parameters": group.cost.get("parameters"),
        "flops_per_update": group.cost.get("flops_per_update"),
        "train_seconds": round(group.train_seconds, 1),
    }
    for name in dict.fromkeys([metric, "success_any", "time_at_goal", "dist_final"]):
        values = group.final(name)
        row |= {
            name: float(np.median(values)),
            f"{name}_low": float(values.min()),
            f"{name}_high": float(values.max()),
        }
    return row | {"label": group.label, "runs": list(group.runs)}


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write ``compare.png``, ``compare.csv`` and ``compare.json``'s table into a folder; returns the files."""
    from . import plots

    try:
        out.mkdir(parents=True, exist_ok=True)
        picture, table = out / "compare.png", out / "compare.csv"
        plots.learning_curves(comparison.groups, comparison.metric, picture)
        rows = [{k: v for k, v in row.items() if k != "runs"} for row in comparison.rows]
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error.strerror})") from None
    return [picture, table]
