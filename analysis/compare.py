"""Runs side by side: learning curves, final capability over seeds, and stacked against looped at equal cost."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth.config import ConfigError
from rl_depth.runs import written_to

from . import mirage
from .aggregate import Contrast, contrast
from .groups import Gathered, Group, collect, gather, group_runs
from .matched import Match, matched
from .rows import missing, profile, summary
from .series import DEFAULT_METRICS, arrange, tables_among
from .tabled import TableComparison, compare_tables

__all__ = ["Comparison", "Gathered", "Group", "collect", "compare", "compare_inputs", "gather", "group_runs", "write"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups sorted by environment, depth and block, the metric they are compared by, and what the reader must know."""

    groups: tuple[Group, ...]
    metric: str
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """The metric compared by, and the usual ones."""
        return list(dict.fromkeys([self.metric, *DEFAULT_METRICS]))

    @cached_property
    def matches(self) -> list[Match]:
        """Looped groups against stacked ones at equal depth, parameters, FLOPs and training time."""
        return matched(self.groups, self.metric)

    @cached_property
    def deeper(self) -> dict[str, tuple[Group, Contrast]]:
        """By environment and label, the shallowest group on the same line and the contrast with it.

        Groups that were trained for another number of steps, since one has not finished, are passed over.
        """
        found = {}
        for line in arrange(self.groups):
            _, first = line.points[0]
            as_far = [group for _, group in line.points[1:] if group.env_steps[-1] == first.env_steps[-1]]
            for group in as_far:
                pair = (group.final(self.metric), first.final(self.metric))
                better = contrast(*pair, lower_is_better=mirage.lower_is_better(self.metric))
                found.setdefault(_place(group), (first, better))
        return found

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One row per group, of plain types.

        A metric's own name holds its interquartile mean over seeds, ``_low`` and ``_high`` the bootstrap interval
        (None for one seed), ``_median``, ``_min`` and ``_max`` what they say. ``deeper`` compares with the
        shallowest group of the same line, ``matched`` a looped group with stacked ones. ``profile`` is the
        performance profile: the share of seeds better than each threshold, the same ones within an environment.
        """
        return [self._row(group) for group in self.groups]

    def _row(self, group: Group) -> dict[str, Any]:
        seconds = group.train_seconds
        row: dict[str, Any] = {
            "env": group.config.env,
            "block": group.block,
            "depth": group.depth,
            "width": group.config.trunk("actor").width,
            "seeds": len(group.seeds),
            "diverged": len(group.diverged),
            "env_steps": int(group.env_steps[-1]),
            "parameters": group.cost.get("parameters"),
            "flops_per_update": group.cost.get("flops_per_update"),
            "train_seconds": round(seconds, 1) if np.isfinite(seconds) else None,
        }
        for name in self.metrics:
            row |= summary(name, group.final(name) if name in group.curves else np.array([]))
        first, better = self.deeper.get(_place(group), (None, None))
        row["deeper"] = {"than": first.label, "than_depth": first.depth} | better.to_json() if first else None
        mine = [match for match in self.matches if (match.env, match.looped) == (group.config.env, group.label)]
        row["matched"] = [match.to_json() for match in mine]
        every = [other.final(self.metric) for other in self.groups if other.config.env == group.config.env]
        lower = mirage.lower_is_better(self.metric)
        row["profile"] = profile(group.final(self.metric), every, lower_is_better=lower)
        return row | {"label": group.label, "runs": list(group.runs)}


def _place(group: Group) -> str:
    return f"{group.config.env}, {group.label}"


def compare_inputs(inputs: Sequence[Path], metric: str | None = None) -> Comparison | TableComparison:
    """Compare run folders (see ``compare``) or tables (see ``tabled.compare_tables``).

    Raises:
      RunError: nothing there that can be used, or both kinds at once.
      ConfigError: nothing has such a metric; names those there are.
    """
    tables = tables_among(inputs)
    return compare_tables(tables, metric) if tables else compare(inputs, metric or DEFAULT_METRICS[0])


def compare(paths: Iterable[Path | str], metric: str = "success_any") -> Comparison:
    """Read runs and group them; what cannot be compared is left out and noted.

    Args:
      paths: run folders, or folders that hold some.
      metric: the metric to compare by.

    Raises:
      RunError: no run found, or none that can be used.
      ConfigError: no run has such a metric; names those there are.
    """
    gathered = gather(paths)
    groups = [group for group in gathered.groups if metric in group.curves]
    if not groups:
        known = sorted({name for group in gathered.groups for name in group.curves})
        raise ConfigError(f"--metric {metric}: the runs have {', '.join(known)}")
    lacking = [_place(group) for group in gathered.groups if metric not in group.curves]
    notes = [*gathered.notes, *(f"left out, no {metric}: {place}" for place in lacking), *missing(groups, metric)]
    return Comparison(tuple(groups), metric, tuple(notes))


def write(comparison: Comparison | TableComparison, out: Path) -> list[Path]:
    """Write figures, table and JSON into a folder; returns the files.

    ``compare.png`` (learning curves, of runs), ``profile.png`` (performance profiles), ``matched.png`` if looped and
    stacked ones are there, ``compare.csv`` and ``compare.json``.

    Raises:
      RunError: the folder cannot be written.
    """
    from . import plots

    files = [out / name for name in ("profile.png", "compare.csv", "compare.json")]
    with written_to(out):
        for name in ("compare.png", "matched.png"):
            (out / name).unlink(missing_ok=True)  # an earlier comparison's
        if isinstance(comparison, Comparison):
            files.insert(0, out / "compare.png")
            plots.learning_curves(comparison.groups, comparison.metric, files[0])
        agents = comparison.groups if isinstance(comparison, Comparison) else comparison.cells
        plots.profiles(agents, comparison.metric, out / "profile.png")
        if any(match.contrast for match in comparison.matches):
            files.append(out / "matched.png")
            plots.matched(comparison.matches, files[-1])
        _write_table(comparison, out / "compare.csv")
        (out / "compare.json").write_text(json.dumps(comparison.rows, indent=1) + "\n", encoding="utf-8")
    return files


def _write_table(comparison: Comparison | TableComparison, file: Path) -> None:
    """Rows without what is nested; contrasts as flat columns."""
    nested = {"runs", "deeper", "matched", "profile"}
    rows = []
    for row in comparison.rows:
        flat = {name: value for name, value in row.items() if name not in nested}
        flat |= _flat("improvement_over_shallowest", row["deeper"])
        at_depth = next((match for match in row["matched"] if match["axis"] == "depth"), None)
        rows.append(flat | _flat("improvement_over_stacked", at_depth))
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _flat(name: str, found: dict[str, Any] | None) -> dict[str, float | None]:
    pair = (found or {}).get("improvement") or {"value": None, "low": None, "high": None}
    return {name: pair["value"], f"{name}_low": pair["low"], f"{name}_high": pair["high"]}
