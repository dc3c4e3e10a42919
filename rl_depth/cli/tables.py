"""Tables in the terminal."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl_depth import envs

from ..device import physics_options
from ..terminal import empty_table, show, spread

_COLUMNS = ("success_any", "time_at_goal", "dist_final")

_COPIES = 64


def show_evaluation(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line per test depth and goal difficulty; over several seeds, the median and range.

    A halting rule's depth is the mean it spent, beside the depths between which the middle 80% of all steps lie.
    """
    first = rows[0]
    if "budget" in first:
        _show_budgets(rows)
        return
    goals = "drawn actions" if first["stochastic"] else "mode of the policy"
    goals += f", halting by {first['halt']}" if "halt" in first else ""
    halted = ("10% to 90%",) if "halt" in first else ()
    columns = ("depth", *halted, "goal distance", "episodes", *_COLUMNS)
    table = empty_table(f"{first['split']} goals, {goals}", (), columns)
    by_depth: dict[int | None, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_depth[row["depth"]].append(row)
    for depth, agents in by_depth.items():
        for levels in zip(*(agent["by_difficulty"] for agent in agents), strict=True):
            distance = f"{levels[0]['goal_distance']:.3g}"
            table.add_row(*_depth(levels, depth), distance, str(levels[0]["episodes"]), *_cells(levels))
        table.add_row(*_depth(agents, depth), "all", str(agents[0]["episodes"]), *_cells(agents), end_section=True)
    show(table)


def _show_budgets(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line per budget and goal difficulty, with the price of an action."""
    columns = ("kFLOP", "layers", "goal distance", "episodes", *_COLUMNS)
    title = f"{rows[0]['split']} goals; operations and dense layers in sequence of an action"
    table = empty_table(title, ("budget",), columns)
    by_budget: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_budget[row["budget"]].append(row)
    for budget, agents in by_budget.items():
        price = [f"{agents[0]['flops'] / 1e3:,.0f}", f"{agents[0]['serial']:.3g}"]
        for levels in zip(*(agent["by_difficulty"] for agent in agents), strict=True):
            place = [f"{levels[0]['goal_distance']:.3g}", str(levels[0]["episodes"])]
            table.add_row(budget, *price, *place, *_cells(levels))
        table.add_row(budget, *price, "all", str(agents[0]["episodes"]), *_cells(agents), end_section=True)
    show(table)


def _depth(rows: Sequence[Mapping[str, Any]], depth: int | None) -> list[str]:
    if depth is not None:
        return [str(depth)]
    depths = sorted({int(depth) for row in rows for depth in row["depth_share"]})
    share = np.mean([[row["depth_share"].get(str(depth), 0.0) for depth in depths] for row in rows], axis=0)
    low, high = (depths[int(np.argmax(np.cumsum(share) >= part - 1e-6))] for part in (0.1, 0.9))
    return [spread([row["depth_mean"] for row in rows], digits=1), f"{low} to {high}"]


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
    options = physics_options(env)
    reset = jax.jit(jax.vmap(env.reset), compiler_options=options)
    state = reset(jax.random.split(jax.random.key(0), copies))

    def run(state: Any, key: jax.Array) -> Any:
        def step(state: Any, key: jax.Array) -> tuple[Any, None]:
            action = jax.random.uniform(key, (copies, env.action_size), minval=-1.0, maxval=1.0)
            return jax.vmap(env.step)(state, action), None

        return jax.lax.scan(step, state, jax.random.split(key, steps))[0]

    program = jax.jit(run, compiler_options=options)
    state = jax.block_until_ready(program(state, jax.random.key(1)))
    began = time.perf_counter()
    state = jax.block_until_ready(program(state, jax.random.key(2)))
    seconds = time.perf_counter() - began
    return copies * steps / seconds if bool(jnp.all(jnp.isfinite(state.obs))) else None


def show_comparison(comparison: Any) -> None:
    """An `analysis.compare.Comparison`: a line per group, then one per pair of looped and stacked groups."""
    names = comparison.metrics
    right = ("depth", "seeds", "parameters", "MFLOP", "train s", *names, "P(improves)")
    title = (
        "final capability: interquartile mean over seeds [95% interval]; MFLOP per gradient step; train s per seed\n"
        "P(improves): probability of improvement over the shallowest agents of the same kind"
    )
    table = empty_table(title, ("environment", "agents"), right)
    place = None
    for row in comparison.rows:
        if place not in (None, (row["env"], row["depth"])):
            table.add_section()
        place = (row["env"], row["depth"])
        counts = (row["parameters"], row["flops_per_update"], row["train_seconds"])
        cells = [
            row["env"],
            row["label"].replace(f", depth {row['depth']}", ""),
            str(row["depth"]),
            str(row["seeds"]),
            f"{counts[0]:,}" if counts[0] else "",
            f"{counts[1] / 1e6:,.0f}" if counts[1] else "",
            f"{counts[2]:.0f}" if counts[2] is not None else "",
        ]
        better = row["deeper"]["improvement"] if row["deeper"] else None
        table.add_row(*cells, *(_interval(row, name) for name in names), _estimate(better) if better else "")
    show(table)
    if comparison.matches:
        show_matches(comparison.matches)


def show_matches(matches: Sequence[Any]) -> None:
    """A line per `analysis.matched.Match`; what has no partner says why."""
    title = f"looped against stacked, {matches[0].metric}: difference, and probability of improvement [95% interval]"
    left = ("environment", "looped", "equal", "against")
    table = empty_table(title, left, ("difference", "P(improves)", "corrected p", "looped is"))
    looped = None
    for match in matches:
        if looped not in (None, (match.env, match.looped)):
            table.add_section()
        looped = (match.env, match.looped)
        found = match.to_json()
        against, cells = match.stacked, [_estimate(found[name]) for name in ("difference", "improvement")]
        if against is None:
            against, cells = match.text.removeprefix(f"{match.looped}: "), ["", ""]
        p = "" if match.p is None else f"{match.p:.2g}"
        table.add_row(match.env, match.looped, match.axis.replace("_", " "), against, *cells, p, match.outcome)
    show(table)


def _interval(row: Mapping[str, Any], name: str) -> str:
    return _estimate({"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]})


def _estimate(found: Mapping[str, float | None] | None) -> str:
    """``0.71 [0.62,0.80]``; without an interval the value alone, nothing for none."""
    if found is None or found["value"] is None:
        return ""
    parts = (found[name] for name in ("value", "low", "high"))
    value, low, high = (None if part is None else f"{part:.{2 if abs(part) < 10 else 1}f}" for part in parts)
    return f"{value}" if low is None or high is None else f"{value} [{low},{high}]"


def show_verdicts(verdicts: Any) -> None:
    """An `analysis.verdicts.Verdicts`: each series in words, blocks against each other, critical depths of goals."""
    table = empty_table("thresholds of capability over depth", ("environment", "block", "metric", "verdict"), ())
    for finding in verdicts.findings:
        table.add_row(finding.env, finding.block, finding.metric, finding.text)
    show(table)
    if verdicts.agreements:
        title = "do thresholds fall at the same effective depth? ratio, looped over stacked [95% interval]"
        table = empty_table(title, ("environment", "metric", "finding"), ())
        for one in verdicts.agreements:
            table.add_row(one.env, one.metric, one.text)
        show(table)
    for one in verdicts.maps:
        show_difficulty(one)


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


def show_frontiers(found: Sequence[Any]) -> None:
    """Of each `analysis.frontier.Frontier` its points, what doubling buys, and ways at one price."""
    for one in found:
        far = [f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}" for low, high in one.bins]
        right = ("kFLOP", "layers", "TFLOP", "seeds", one.metric, *far, "front (FLOP)", "front (layers)")
        title = (
            f"{one.env}: mean [95% interval], all and by goal distance; price of an action in operations and in dense\n"
            "layers in sequence, and of a seed's gradient steps (TFLOP); front: * where no other is as good for as\n"
            "little, and in which share of resamples"
        )
        table = empty_table(title, ("run", "budget"), right)
        for point in one.points:
            price = [f"{point.flops / 1e3:,.0f}", f"{point.serial:.3g}", f"{one.training(point) / 1e12:.3g}"]
            price.append(str(point.seeds))
            levels = [f"{value:.2f}" for value in point.by_difficulty]
            front = [_on_front(point.on_front[name], point.front_share[name]) for name in ("flops", "serial")]
            mean = _estimate({"value": point.mean, "low": point.low, "high": point.high})
            table.add_row(point.run, point.label, *price, mean, *levels, *front)
        show(table)
        _show_gains(one)
        _show_pairs(one)


def _on_front(there: bool, share: float | None) -> str:
    return " ".join(filter(None, ("" if share is None else f"{share:.2f}", "*" if there else "")))


def _show_gains(one: Any) -> None:
    if not one.gains:
        return
    table = empty_table("gain per doubling [95% interval]", ("run", "way", "dial"), ("from", "to", "gain"))
    for gain in one.gains:
        for step in gain.steps:
            ends = (f"{step['from']:g}", f"{step['to']:g}")
            found = _estimate({"value": step["gain"], "low": step["low"], "high": step["high"]})
            table.add_row(gain.run, gain.way, gain.dial, *ends, found)
        table.add_section()
    show(table)


def _show_pairs(one: Any) -> None:
    if not one.pairs:
        return
    title = f"ways at one price in operations: {one.metric} of the first less the second [95% interval]"
    right = ("price ratio", "difference", "corrected p", "first is")
    table = empty_table(title, ("first", "second"), right)
    for pair in one.pairs:
        names = [", ".join(filter(None, (one.points[i].run, one.points[i].label))) for i in (pair.first, pair.second)]
        found = _estimate({"value": pair.difference, "low": pair.low, "high": pair.high})
        table.add_row(*names, f"{pair.ratio:.2f}", found, "" if pair.p is None else f"{pair.p:.2g}", pair.outcome)
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


def show_difficulty(levels: Any) -> None:
    """An `analysis.difficulty.DifficultyMap`: a line per goal distance, easiest first."""
    title = f"{levels.metric} by goal distance and depth: mean over seeds; {levels.env}, {levels.block}"
    right = ("goal distance", *(str(depth) for depth in levels.depths), "critical depth")
    table = empty_table(title, (), right)
    for distance, means, critical in zip(levels.distances, levels.means, levels.critical, strict=True):
        cells = ["" if np.isnan(mean) else f"{mean:.2f}" for mean in means]
        table.add_row(f"{distance:.3g}", *cells, _depth_range(critical))
    show(table)


def _depth_range(critical: Any) -> str:
    """``32 [16,64]``; "none" where no depth passes."""
    ends = [f"{end:g}" if end is not None else "none" for end in (critical.depth, critical.low, critical.high)]
    return ends[0] if len(set(ends)) == 1 else f"{ends[0]} [{ends[1]},{ends[2]}]"


def show_extrapolation(found: Sequence[Any], verdicts: Sequence[Mapping[str, Any]]) -> None:
    """The matrix of runs and test depths for each capability, and how far each run carries.

    Args:
      found: `extrapolating.Findings` of each run.
      verdicts: of each run, `analysis.extrapolation.Extrapolation` by metric.
    """
    depths = [str(depth) for depth in found[0].depths]
    right = (*depths, "trained", "best", "noise", "reach / trained", "beyond")
    places = ", ".join(sorted({one.config.env for one in found}))
    for metric in found[0].capability:
        title = f"{places}: {metric.replace('_', ' ')} by test depth, mean over seeds"
        table = empty_table(title, ("train recurrence",), right)
        for one, by_metric in zip(found, verdicts, strict=True):
            verdict = by_metric[metric]
            means = [f"{value:.2f}" for value in one.capability[metric].mean(axis=0)]
            ends = [str(one.trained), str(verdict.best_depth), f"{verdict.noise:.2g}", _carries(verdict)]
            end = verdict.breakdown if verdict.breaks_at is None else f"{verdict.breakdown} at {verdict.breaks_at}"
            table.add_row(one.label, *means, *ends, end)
        show(table)


def _carries(verdict: Any) -> str:
    """The ratio, a lower bound where no test depth broke it, with its interval; nothing where nothing is carried."""
    if not verdict.reach:
        return ""
    ratio = ("at least " if verdict.breaks_at is None else "") + f"{verdict.ratio:.3g}"
    return ratio if verdict.low is None else f"{ratio} ({verdict.low:.3g}-{verdict.high:.3g})"
