"""Tables in the terminal."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import envs

_COLUMNS = ("success_any", "time_at_goal", "dist_final")

# Columns of a pipe or a file, which have no width of their own.
_WIDTH = 140


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    """An empty table with text columns, then columns of numbers."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name.replace("_", " "), justify="right", overflow="fold")
    return table


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table)


def show_evaluation(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line per test depth and goal difficulty; over several seeds, the median and range."""
    first = rows[0]
    goals = "drawn actions" if first["stochastic"] else "mode of the policy"
    table = _table(f"{first['split']} goals, {goals}", (), ("depth", "goal distance", "episodes", *_COLUMNS))
    by_depth: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_depth[row["depth"]].append(row)
    for depth, agents in by_depth.items():
        for levels in zip(*(agent["by_difficulty"] for agent in agents), strict=True):
            distance = f"{levels[0]['goal_distance']:.3g}"
            table.add_row(str(depth), distance, str(levels[0]["episodes"]), *_cells(levels))
        table.add_row(str(depth), "all", str(agents[0]["episodes"]), *_cells(agents), end_section=True)
    _print(table)


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [spread([row[name] for row in rows]) for name in _COLUMNS]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """One value, or the median and the range of several."""
    low, middle, high = (f"{f(values):.{digits}f}" for f in (np.min, np.median, np.max))
    return middle if len(values) == 1 else f"{middle} ({low}-{high})"


def show_environments(*, check: bool) -> None:
    """Every registered environment with sizes, splits and backends; with ``check``, steps per second of each."""
    rates = ("steps/s, 64 copies",) if check else ()
    sizes = ("state", "goal", "action", "radius (m)", "episode (steps)")
    table = _table("environments", ("name", "splits", "backends", *rates), sizes)
    for name in envs.names():
        env = envs.make(name)
        cells = [name, " ".join(env.splits), " ".join(env.backends)]
        if check:
            cells.append(", ".join(f"{backend} {_rate(name, backend)}" for backend in env.backends))
        numbers = (env.state_size, env.goal_size, env.action_size, env.goal_radius, env.episode_length)
        cells += [f"{number:g}" for number in numbers]
        table.add_row(*cells)
    _print(table)


def _rate(name: str, backend: str, copies: int = 64, steps: int = 20) -> str:
    """Steps per second under random actions, after compiling; "non-finite" if the simulation breaks."""
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
    return f"{copies * steps / seconds:,.0f}" if bool(jnp.all(jnp.isfinite(state.obs))) else "non-finite"


def show_comparison(comparison: Any) -> None:
    """One line per group of an `analysis.compare.Comparison`."""
    names = list(dict.fromkeys([comparison.metric, "success_any", "time_at_goal", "dist_final"]))
    left = ("environment", "block")
    right = ("depth", "seeds", "parameters", "MFLOP/update", "train s/seed", *names)
    table = _table("final capability: median over seeds (range)", left, right)
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
    _print(table)


def _interval(row: Mapping[str, Any], name: str) -> str:
    return spread([row[f"{name}_low"], row[name], row[f"{name}_high"]]) if row["seeds"] > 1 else f"{row[name]:.2f}"
