"""Runs side by side: learning curves and final capability, stacked and looped at equal depth."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth.config import Config, ConfigError
from rl_depth.runs import Run, RunError, find_runs

# Final capability is the mean over this many last evaluations, since a single one is noisy.
_LAST = 3

_SEED_FIELDS = {"seed", "seeds"}


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seeds.

    Attributes:
      config: their configuration (the first run's).
      runs: their folders.
      seeds: ``[S]``, sorted.
      env_steps: ``[N]``, evaluations that all seeds have.
      curves: metric to ``[S, N]``.
      cost: parameters and operations, as ``meta.json`` holds them.
      train_seconds: seconds of collection and gradient steps, per seed.
      label: what tells it from the other groups of a comparison.
    """

    config: Config
    runs: tuple[str, ...]
    seeds: np.ndarray
    env_steps: np.ndarray
    curves: dict[str, np.ndarray]
    cost: dict[str, int]
    train_seconds: float
    label: str

    def final(self, metric: str) -> np.ndarray:
        """Mean of the last evaluations, per seed ``[S]``."""
        return self.curves[metric][:, -_LAST:].mean(axis=1)


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


def collect(paths: Iterable[Path | str]) -> list[Run]:
    """All runs at or below the given paths, each once.

    Raises:
      RunError: a path holds none.
    """
    found: dict[Path, Run] = {}
    for path in paths:
        below = find_runs(path)
        if not below:
            raise RunError(f"{path}: no run folder there")
        found |= {run.path.resolve(): run for run in below}
    return list(found.values())


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Put runs together that differ in their seeds alone, sorted by environment, depth and block.

    Raises:
      RunError: a run has no evaluation yet, or two runs share a seed.
    """
    members: dict[Any, list[Run]] = defaultdict(list)
    for run in runs:
        config = run.config()
        members[tuple(getattr(config, name) for name in _names())].append(run)
    varying = [name for i, name in enumerate(_names()) if len({key[i] for key in members}) > 1]
    groups = [_group(own, dict(zip(_names(), key, strict=True)), varying) for key, own in members.items()]
    return sorted(groups, key=lambda g: (g.config.env, g.config.depth, g.config.block, g.label))


def _names() -> list[str]:
    return [field.name for field in fields(Config) if field.name not in _SEED_FIELDS]


def _group(runs: Sequence[Run], options: dict[str, Any], varying: Sequence[str]) -> Group:
    by_seed: dict[int, dict[int, dict[str, Any]]] = {}
    for run in runs:
        rows = run.metrics()
        if not rows:
            raise RunError(f"{run.path}: no evaluation yet")
        for row in rows:
            by_seed.setdefault(row["seed"], {})
            if row["env_steps"] in by_seed[row["seed"]]:
                raise RunError(f"{run.path}: seed {row['seed']} appears in another of the runs too")
            by_seed[row["seed"]][row["env_steps"]] = row
    seeds = sorted(by_seed)
    steps = sorted(set.intersection(*(set(by_seed[seed]) for seed in seeds)))
    if not steps:
        raise RunError(f"{runs[0].path}: its seeds have no evaluation in common")
    first = by_seed[seeds[0]][steps[0]]
    places = {"epoch", "env_steps", "grad_steps", "seed"}
    metrics = [name for name, value in first.items() if isinstance(value, int | float) and name not in places]
    curves = {m: np.array([[by_seed[s][n][m] for n in steps] for s in seeds], float) for m in metrics}
    timings = [run.timing()[-1]["train_seconds"] / run.config().seeds for run in runs]
    return Group(
        config=runs[0].config(),
        runs=tuple(str(run.path) for run in runs),
        seeds=np.array(seeds),
        env_steps=np.array(steps),
        curves=curves,
        cost=runs[0].meta().get("cost", {}),
        train_seconds=float(np.mean(timings)),
        label=_label(options, varying),
    )


def _label(options: dict[str, Any], varying: Sequence[str]) -> str:
    """``stacked, depth 16`` and whatever else differs between the groups."""
    parts = [f"{options['block']}, depth {options['depth']}"]
    parts += [f"{n.replace('_', ' ')} {options[n]}" for n in varying if n not in ("env", "block", "depth")]
    return ", ".join(parts)


def _row(group: Group, metric: str) -> dict[str, Any]:
    config = group.config
    row: dict[str, Any] = {
        "env": config.env,
        "block": config.block,
        "depth": config.depth,
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
