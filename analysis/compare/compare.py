"""Runs side by side: learning curves, final capability over seeds, and stacked against looped at equal cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth.config import ConfigError

from .. import meaning
from ..aggregate import Contrast, contrast
from ..runs.groups import Gathered, Group, collect, gather, group_runs
from ..runs.series import DEFAULT_METRICS, arrange, tables_among
from .matched import Match, matched, settled
from .rows import missing, profile, summary
from .tabled import TableComparison, compare_tables

__all__ = ["Comparison", "Gathered", "Group", "collect", "compare", "compare_inputs", "gather", "group_runs"]


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
        """Looped groups against stacked ones at equal depth, parameters, FLOPs and training time.

        Which are better is settled beside the comparisons of ``deeper``.
        """
        found = matched(self.groups, self.metric)
        return settled(found, {("deeper", place): better.p for place, (_, better) in self.deeper.items()})

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
                better = contrast(*pair, lower_is_better=meaning.lower_is_better(self.metric))
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
        row["deeper"] = None
        if _place(group) in self.deeper:
            first, better = self.deeper[_place(group)]
            row["deeper"] = {"than": first.label, "than_depth": first.depth} | better.to_json()
        mine = [match for match in self.matches if (match.env, match.looped) == (group.config.env, group.label)]
        row["matched"] = [match.to_json() for match in mine]
        every = [other.final(self.metric) for other in self.groups if other.config.env == group.config.env]
        lower = meaning.lower_is_better(self.metric)
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
