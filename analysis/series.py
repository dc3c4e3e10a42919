"""From run folders, or a table of anybody's results, to series over depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rl_depth.runs import RunError

from . import compare, table
from .table import Series

DEFAULT_METRICS = ("success_any", "time_at_goal", "dist_final")


def load(inputs: Sequence[Path], metrics: Sequence[str] = ()) -> list[Series]:
    """Series of the named metrics.

    Args:
      inputs: run folders, or folders that hold some; or CSV files (see ``table.read``).
      metrics: names; for runs ``DEFAULT_METRICS`` if empty, for a table all it has.

    Raises:
      RunError: an input holds nothing, mixes the two kinds, or lacks a metric.
    """
    tables = [path for path in inputs if path.is_file()]
    if tables and len(tables) < len(inputs):
        raise RunError("give run folders or tables, not both at once")
    try:
        found = [one for path in tables for one in table.read(path)] if tables else from_runs(inputs, metrics)
    except ValueError as error:
        raise RunError(str(error)) from None
    known = sorted({one.metric for one in found})
    for metric in metrics:
        if metric not in known:
            raise RunError(f"--metrics {metric}: there are {', '.join(known)}")
    return [one for one in found if not metrics or one.metric in metrics]


def from_runs(paths: Sequence[Path], metrics: Sequence[str] = ()) -> list[Series]:
    """Final capability of runs; what varies besides depth, block and seed goes into the block's name.

    Raises:
      RunError: no runs there, a metric that they do not have, or runs that cannot be put together.
    """
    rows = []
    for group in compare.group_runs(compare.collect(paths)):
        block = group.label.replace(f", depth {group.config.depth}", "")
        for metric in metrics or DEFAULT_METRICS:
            if metric not in group.curves:
                raise RunError(f"--metrics {metric}: {group.runs[0]} has {', '.join(sorted(group.curves))}")
            for seed, value in zip(group.seeds, group.final(metric), strict=True):
                rows.append((group.config.env, block, group.config.depth, str(seed), metric, float(value)))
    return table.from_rows(rows)
