"""Tables in the terminal."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import envs

from .terminal import empty_table, show, spread

_COLUMNS = ("success_any", "time_at_goal", "dist_final")

_COPIES = 64


def show_evaluation(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line per test depth and goal difficulty; over several seeds, the median and range.

    A halting rule's depth is the mean it spent.
    """
    first = rows[0]
    goals = "drawn actions" if first["stochastic"] else "mode of the policy"
    goals += f", halting by {first['halt']}" if "halt" in first else ""
    table = empty_table(f"{first['split']} goals, {goals}", (), ("depth", "goal distance", "episodes", *_COLUMNS))
    by_depth: dict[int | None, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_depth[row["depth"]].append(row)
    for depth, agents in by_depth.items():
        for levels in zip(*(agent["by_difficulty"] for agent in agents), strict=True):
            distance = f"{levels[0]['goal_distance']:.3g}"
            table.add_row(_depth(levels, depth), distance, str(levels[0]["episodes"]), *_cells(levels))
        table.add_row(_depth(agents, depth), "all", str(agents[0]["episodes"]), *_cells(agents), end_section=True)
    show(table)


def _depth(rows: Sequence[Mapping[str, Any]], depth: int | None) -> str:
    return str(depth) if depth is not None else spread([row["depth_mean"] for row in rows], digits=1)


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [spread([row[name] for row in rows]) for name in _COLUMNS]


def show_environments(names: Sequence[str]) -> None:
    """Environments with sizes, splits and backends."""
    sizes = ("state", "goal", "action", "radius (m)", "episode (steps)")
    table = empty_table("environments", ("name", "splits", "backends"), sizes)
    for name in names:
        env = envs.make(name)
        numbers = (env.state_size, env.goal_size, env.action_size, env.goal_radius, env.episode_length)
        table.add_row(name, " ".join(env.splits), " ".join(env.backends), *(f"{number:g}" for number in numbers))
    show(table)


def check_environments(names: Sequence[str]) -> list[str]:
    """Step environments on each of their backends, a line as each is done; returns those that broke."""
    print(f"{'environment':24} {'backend':12} {'steps/s, ' + str(_COPIES) + ' copies':>20}")
    broken = []
    for name in names:
        for backend in envs.make(name).backends:
            rate = _rate(name, backend)
            print(f"{name:24} {backend:12} {f'{rate:,.0f}' if rate else 'non-finite':>20}", flush=True)
            broken += [] if rate else [f"{name} on {backend}"]
    return broken


def _rate(name: str, backend: str, copies: int = _COPIES, steps: int = 20) -> float | None:
    """Steps per second under random actions, after compiling; None if the simulation breaks."""
    import jax
    import jax.numpy as jnp

    env = envs.make(name, backend=backend)
    state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), copies))

    def run(state: Any, key: jax.Array) -> Any:
        def step(state: Any, key: jax.Array) -> tuple[Any, None]:
            action = jax.random.uniform(key, (copies, env.action_size), minval=-1.0, maxval=1.0)
            return jax.vmap(env.step)(state, action), None

        return jax.lax.scan(step, state, jax.random.split(key, steps))[0]

    program = jax.jit(run)
    state = jax.block_until_ready(program(state, jax.random.key(1)))
    began = time.perf_counter()
    state = jax.block_until_ready(program(state, jax.random.key(2)))
    seconds = time.perf_counter() - began
    return copies * steps / seconds if bool(jnp.all(jnp.isfinite(state.obs))) else None


def show_comparison(comparison: Any) -> None:
    """One line per group of an `analysis.compare.Comparison`."""
    names = list(dict.fromkeys([comparison.metric, "success_any", "time_at_goal", "dist_final"]))
    left = ("environment", "block")
    right = ("depth", "seeds", "parameters", "MFLOP/update", "train s/seed", *names)
    table = empty_table("final capability: median over seeds (range)", left, right)
    depth = None
    for row in comparison.rows:
        if depth not in (None, row["depth"]):
            table.add_section()
        depth = row["depth"]
        counts = (row["parameters"], row["flops_per_update"])
        cells = [
            row["env"],
            row["label"].replace(f", depth {depth}", ""),
            str(depth),
            str(row["seeds"]),
            f"{counts[0]:,}" if counts[0] else "",
            f"{counts[1] / 1e6:,.0f}" if counts[1] else "",
            f"{row['train_seconds']:.0f}",
        ]
        table.add_row(*cells, *(_interval(row, name) for name in names))
    show(table)


def _interval(row: Mapping[str, Any], name: str) -> str:
    return spread([row[f"{name}_low"], row[name], row[f"{name}_high"]]) if row["seeds"] > 1 else f"{row[name]:.2f}"


def show_findings(findings: Sequence[Any]) -> None:
    """One line per series of `analysis.mirage.Finding`, in words."""
    table = empty_table("thresholds of capability over depth", ("environment", "block", "metric", "verdict"), ())
    for finding in findings:
        table.add_row(finding.env, finding.block, finding.metric, finding.text)
    show(table)


def show_inspections(found: Sequence[Any]) -> None:
    """One line per run and depth of `inspecting.inspect`: medians over seeds (range)."""
    title = "effective and 99% rank of the representations; rank correlation of energy with nearness to the goal"
    measures = ("rank phi", "rank psi", "99% phi", "99% psi", "by path", "straight")
    table = empty_table(title, ("environment", "run"), ("depth", "seeds", *measures))
    for one in found:
        ranks, drawn = one.ranks(), one.energy_map
        numbers = [ranks[network][kind] for kind in ("effective", "variance") for network in ("phi", "psi")]
        numbers += [drawn.path_correlation, drawn.straight_correlation] if drawn is not None else [(), ()]
        cells = [spread([float(value) for value in values], 2 if i > 3 else 1) for i, values in enumerate(numbers)]
        table.add_row(one.config.env, one.run.name, str(one.shown_depth), str(len(one.seeds)), *cells)
    show(table)


def show_grid(found: Any) -> None:
    """One line per cell of an `analysis.grid.Grid`."""
    left = [*found.panel_options, found.y, found.x]
    table = empty_table(f"{found.metric}: interquartile mean over seeds", left, ("seeds", "mean", "95% interval"))
    for row in found.rows:
        interval = f"{row['low']:.3g} to {row['high']:.3g}" if row["seeds"] > 1 else ""
        cells = ["none" if row[name] is None else str(row[name]) for name in left]
        table.add_row(*cells, str(row["seeds"]), f"{row['iqm']:.3g}", interval)
    show(table)


def show_extrapolation(found: Sequence[Any], judged: Sequence[Any], metric: str) -> None:
    """The matrix of runs and test depths, and how far each run carries (`analysis.extrapolation`)."""
    depths = [str(depth) for depth in found[0].depths]
    right = (*depths, "trained", "best", "reach / trained", "beyond")
    table = empty_table(f"{metric} by test depth: median over seeds", ("environment", "train recurrence"), right)
    for one, verdict in zip(found, judged, strict=True):
        middle = [f"{value:.2f}" for value in np.median(one.capability[metric], axis=0)]
        ratio = f"{verdict.ratio:.3g}"
        ratio += f" ({verdict.low:.3g}-{verdict.high:.3g})" if verdict.low is not None else ""
        cells = [*middle, str(one.trained), str(verdict.best_depth), ratio, verdict.breakdown]
        table.add_row(one.config.env, one.label, *cells)
    show(table)
