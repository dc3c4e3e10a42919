"""Runs side by side: learning curves, final capability over seeds, and stacked against looped at equal cost."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth.config import ConfigError
from rl_depth.runs import RunError

from . import mirage
from .aggregate import Contrast, contrast, iqm_interval, performance_profile
from .groups import Gathered, Group, collect, gather, group_runs
from .matched import Match, matched
from .series import DEFAULT_METRICS, arrange

__all__ = ["Comparison", "Gathered", "Group", "collect", "compare", "gather", "group_runs", "write"]

_THRESHOLDS = 21  # of a performance profile


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
            row |= _summary(name, group.final(name) if name in group.curves else np.array([]))
        first, better = self.deeper.get(_place(group), (None, None))
        row["deeper"] = {"than": first.label, "than_depth": first.depth} | better.to_json() if first else None
        mine = [match for match in self.matches if (match.env, match.looped) == (group.config.env, group.label)]
        row["matched"] = [match.to_json() for match in mine]
        row["profile"] = self._profile(group)
        return row | {"label": group.label, "runs": list(group.runs)}

    def _profile(self, group: Group) -> dict[str, list[float] | None]:
        every = [other.final(self.metric) for other in self.groups if other.config.env == group.config.env]
        taus = np.linspace(min(v.min() for v in every), max(v.max() for v in every), _THRESHOLDS)
        sign = -1 if mirage.lower_is_better(self.metric) else 1
        found = performance_profile(sign * group.final(self.metric), sign * taus)
        several = len(group.seeds) > 1
        return {
            "threshold": taus.tolist(),
            "share": found.value.tolist(),
            "low": found.low.tolist() if several else None,
            "high": found.high.tolist() if several else None,
        }


def _place(group: Group) -> str:
    return f"{group.config.env}, {group.label}"


def _summary(name: str, values: np.ndarray) -> dict[str, float | None]:
    """Statistics over seeds ``[S]``; all None for none."""
    names = [name, *(f"{name}_{part}" for part in ("low", "high", "median", "min", "max"))]
    if not len(values):
        return dict.fromkeys(names)
    middle = iqm_interval(values)
    ends = (float(middle.low), float(middle.high)) if len(values) > 1 else (None, None)
    numbers = (float(middle.value), *ends, float(np.median(values)), float(values.min()), float(values.max()))
    return dict(zip(names, numbers, strict=True))


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
    notes = [*gathered.notes, *(f"left out, no {metric}: {place}" for place in lacking), *_missing(groups)]
    return Comparison(tuple(groups), metric, tuple(notes))


def _missing(groups: Iterable[Group]) -> list[str]:
    """What keeps groups from being compared: single seeds, single depths, one kind of block."""
    notes = []
    for env in dict.fromkeys(group.config.env for group in groups):
        own = [group for group in groups if group.config.env == env]
        single = [group.label for group in own if len(group.seeds) == 1]
        if single:
            places = "; ".join(single[:3]) + (f" and {len(single) - 3} more" if len(single) > 3 else "")
            notes.append(f"one seed, so no intervals: {env}, {places}")
        blocks, depths = {group.block for group in own}, {group.depth for group in own}
        if len(blocks) == 1:
            notes.append(f"only {blocks.pop()} runs, so nothing to compare blocks by: {env}")
        if len(depths) == 1:
            notes.append(f"only depth {depths.pop()}, so nothing is said of depth: {env}")
    return notes


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write figures, table and JSON into a folder; returns the files.

    ``compare.png`` (learning curves), ``profile.png`` (performance profiles), ``matched.png`` if looped and stacked
    runs are there, ``compare.csv`` and ``compare.json``.

    Raises:
      RunError: the folder cannot be written.
    """
    from . import plots

    files = [out / name for name in ("compare.png", "profile.png", "compare.csv", "compare.json")]
    try:
        out.mkdir(parents=True, exist_ok=True)
        plots.learning_curves(comparison.groups, comparison.metric, files[0])
        plots.profiles(comparison.groups, comparison.metric, files[1])
        (out / "matched.png").unlink(missing_ok=True)  # an earlier comparison's
        if any(match.contrast for match in comparison.matches):
            files.insert(2, out / "matched.png")
            plots.matched(comparison.matches, files[2])
        _write_table(comparison, out / "compare.csv")
        (out / "compare.json").write_text(json.dumps(comparison.rows, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error.strerror})") from None
    return files


def _write_table(comparison: Comparison, file: Path) -> None:
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
