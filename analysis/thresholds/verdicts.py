"""All that can be said about thresholds in runs or a table: verdicts, whether blocks agree, maps of difficulty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import meaning
from ..runs import series
from ..runs.table import Series
from . import difficulty, mirage
from .detect import LEAST_DEPTHS, LEAST_SEEDS
from .difficulty import DifficultyMap
from .locations import Agreement, agreements
from .mirage import Finding


@dataclass(frozen=True)
class Verdicts:
    """What was judged and found.

    Attributes:
      series: the values.
      findings: a verdict per series, in the same order.
      agreements: looped series against stacked ones, where both are there.
      maps: goal difficulty by depth, of runs that record it.
      notes: a line for each thing that was left out or cannot be said, and where the mode and draws disagree.
    """

    series: list[Series]
    findings: list[Finding]
    agreements: list[Agreement]
    maps: list[DifficultyMap]
    notes: tuple[str, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """One item per series.

        ``Finding.to_json`` with ``against``: per stacked series that a looped one was compared with, its block and the
        ratio of locations (looped over stacked); and ``difficulty``: the map of this series, or None.
        """
        maps = {(one.env, one.block, one.metric): one for one in self.maps}
        found = []
        for finding in self.findings:
            own = [
                {"block": one.stacked} | vars(one.found)
                for one in self.agreements
                if (one.env, one.looped, one.metric) == (finding.env, finding.block, finding.metric)
            ]
            levels = maps.get((finding.env, finding.block, finding.metric))
            found.append(finding.to_json() | {"against": own, "difficulty": levels.to_json() if levels else None})
        return found


def judge(inputs: Sequence[Path], metrics: Sequence[str] = (), *, seed: int = 0) -> Verdicts:
    """Judge every series of run folders, or of tables.

    Args:
      inputs: see ``series.read``.
      metrics: names; see ``series.read`` for the default. The map of difficulty is of the first that runs record per
        difficulty.
      seed: of the random numbers.

    Raises:
      RunError: an input holds nothing that can be used.
      ConfigError: nothing has such a metric.
    """
    loaded = series.read(inputs, metrics)
    notes = list(loaded.notes)
    judged = [_replicated(one, notes) for one in loaded.series]
    notes += [note for one in judged for note in copied(one)]
    findings = mirage.judge(judged, seed=seed)
    order = [(one.env, one.block, one.metric) for one in judged]
    findings.sort(key=lambda finding: order.index((finding.env, finding.block, finding.metric)))
    maps = _maps(loaded, metrics or series.DEFAULT_METRICS) if loaded.groups else []
    agreed = agreements(findings, judged, seed)
    notes += [*mirage.disagreements(findings), *_missing(judged, agreed)]
    return Verdicts(judged, findings, agreed, maps, tuple(notes))


def _replicated(one: Series, notes: list[str]) -> Series:
    """A series without the depths of a single seed, if those of several suffice for a verdict."""
    kept = [i for i, values in enumerate(one.values) if len(values) >= LEAST_SEEDS]
    if len(kept) == len(one.values) or len(kept) < LEAST_DEPTHS:
        return one
    single = ", ".join(str(depth) for i, depth in enumerate(one.depths) if i not in kept)
    note = f"left out of the verdicts, a single seed: {one.env}, {one.block}, depth {single}"
    notes += [note] if note not in notes else []
    values, seeds = (tuple(part[i] for i in kept) for part in (one.values, one.seeds))
    return replace(one, depths=one.depths[kept], values=values, seeds=seeds)


def copied(one: Series) -> list[str]:
    """Notes on seeds that look like copies: equal values at every depth, or all seeds of a depth alike.

    Shares that are all 0 or all 1 are alike without being copies.
    """
    by_seed: dict[str, dict[int, float]] = {}
    for depth, names, values in zip(one.depths, one.seeds, one.values, strict=True):
        for name, value in zip(names, values, strict=True):
            by_seed.setdefault(name, {})[int(depth)] = float(value)
    same: dict[tuple[tuple[int, float], ...], list[str]] = {}
    for name, course in by_seed.items():
        if len(course) > 1 and not set(course.values()) <= {0.0, 1.0}:
            same.setdefault(tuple(course.items()), []).append(name)
    notes = [
        f"seeds {', '.join(names)} have equal values at every depth, as copies would: {one.name}"
        for names in same.values()
        if len(names) > 1
    ]
    alike = [
        str(depth)
        for depth, values in zip(one.depths, one.values, strict=True)
        if len(values) > 2 and np.ptp(values) == 0 and values[0] not in (0.0, 1.0)
    ]
    if alike and not notes:
        notes.append(f"all seeds have one value at depth {', '.join(alike)}, as copies would: {one.name}")
    return notes


def _maps(loaded: series.Loaded, metrics: Sequence[str]) -> list[DifficultyMap]:
    """Of the first metric that runs record per difficulty, by mode and by draws."""
    known = {name for group in loaded.groups for levels in group.levels for level in levels for name in level}
    first = next((metric for metric in metrics if metric in known), None)
    found = series.with_draws([first], known) if first else []
    return [one for metric in found for one in difficulty.from_groups(loaded.groups, metric)]


def _missing(found: Sequence[Series], agreed: Sequence[Agreement]) -> list[str]:
    """What keeps stacked and looped from being compared, and jumps of success from being confirmed."""
    notes = []
    for env in dict.fromkeys(one.env for one in found):
        own = [one for one in found if one.env == env]
        metrics: dict[str, set[str]] = {}
        for one in own:
            metrics.setdefault(one.block.split(",")[0], set()).add(one.metric)
        kinds = metrics.keys() & {"stacked", "looped"}
        if len(kinds) == 1:
            other = "looped" if "stacked" in kinds else "stacked"
            notes.append(f"no {other} series, so no comparison of where thresholds fall: {env}")
        elif len(kinds) == 2 and not metrics["stacked"] & metrics["looped"]:
            notes.append(f"no metric that stacked and looped share, so where thresholds fall is not compared: {env}")
        else:
            placed = {one.looped for one in agreed if one.env == env}
            loops = dict.fromkeys(one.block for one in own if one.block.split(",")[0] == "looped")
            alone = [block for block in loops if block not in placed]
            if alone:
                notes.append(f"no stacked series with the same options to compare thresholds with: {env}, {alone[0]}")
        confirming = any(meaning.continuous(one.metric) for one in own)
        if not confirming and any(meaning.thresholded(one.metric) for one in own):
            notes.append(f"no continuous metric (distance, time at goal), so no jump can be confirmed: {env}")
    return notes
