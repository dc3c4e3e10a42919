"""Run folders as training leaves them, without training: what the analysis reads, with answers that are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth import runs
from rl_depth.agents.cost import agent_cost
from rl_depth.config import Budget, Config
from rl_depth.measured import Spending

SIZES = (4, 2, 2)  # state, goal and action of the point maze
EPISODE = 100  # steps
DISTANCE = np.repeat([2.0, 4.0, 6.0, 8.0], 16)  # of the goals of episodes under budgets

Success = float | Callable[[float], float]
"""Final success, of all goals or of a goal distance."""


def fabricate(
    path: Path,
    success: Success,
    *,
    noise: float = 0.04,
    distances: Sequence[float] = (2, 4, 6),
    until: float = 1.0,
    diverged: Mapping[int, int] | None = None,
    seconds_per_epoch: float | None = None,
    **options: Any,
) -> runs.Run:
    """Write a run folder whose agents learn evenly up to ``success``.

    Args:
      path: the folder; its parents appear too.
      success: final share of goals reached; distance and time at goal follow from it.
      noise: standard deviation over seeds.
      distances: goal distances of the evaluation, 40 episodes each.
      until: share of the evaluations that were made before the run was stopped.
      diverged: seed to the epoch in which it diverged.
      seconds_per_epoch: training time of one seed; by default proportional to the depth.
      options: of `Config`.
    """
    config = Config(**{"evals": 5, "env_steps": 16_000, "width": 32, "batch_size": 128} | options)
    diverged = dict(diverged or {})
    origin = [config.depth, config.width, config.block == "looped"]
    seeds = range(config.seed, config.seed + config.seeds)
    offset = {seed: noise * np.random.default_rng([seed, *origin]).standard_normal() for seed in seeds}
    epochs = config.eval_epochs()[: round(until * len(config.eval_epochs()))]
    pace = seconds_per_epoch if seconds_per_epoch is not None else 0.1 * config.depth
    with runs.hold(path, config, resume=False) as run:
        run.write_meta(_meta(config))
        for epoch in epochs:
            place = {"epoch": epoch, "env_steps": epoch * config.epoch_env_steps, "grad_steps": epoch * config.updates}
            rows = [
                place | {"seed": seed, "split": "eval"} | _row(success, epoch / config.epochs, offset[seed], distances)
                for seed in offset
                if epoch < diverged.get(seed, config.epochs + 1)
            ]
            seconds = pace * epoch * config.seeds
            run.append(rows, place | {"train_seconds": seconds, "eval_seconds": 0.1 * epoch})
        state = "finished" if until == 1 else "interrupted"
        state = "failed" if set(diverged) == set(offset) else state
        last = epochs[-1] if epochs else 0
        run.write_status(
            {
                "state": state,
                "epoch": last,
                "epochs": config.epochs,
                "env_steps": last * config.epoch_env_steps,
                "grad_steps": last * config.updates,
                "diverged": {str(seed): epoch for seed, epoch in diverged.items()},
            }
        )
    return run


def _row(success: Success, progress: float, offset: float, distances: Sequence[float]) -> dict[str, Any]:
    levels = []
    for distance in distances:
        reached = success(distance) if callable(success) else success
        level = float(np.clip(progress * reached + offset, 0, 1))
        levels.append(
            {
                "goal_distance": float(distance),
                "episodes": 40,
                "time_at_goal": 0.8 * EPISODE * level,
                "success_any": level,
                "success_final": 0.9 * level,
                "dist_mean": distance * (1 - 0.5 * level),
                "dist_min": distance * (1 - level),
                "dist_final": distance * (1 - 0.9 * level),
            }
        )
    means = {name: float(np.mean([level[name] for level in levels])) for name in levels[0] if name != "episodes"}
    critic = {"infonce": 3 - 2 * means["success_any"], "categorical_accuracy": 0.1 + 0.8 * means["success_any"]}
    return means | critic | {"by_difficulty": levels}


def _meta(config: Config) -> dict[str, Any]:
    names = ("state_size", "goal_size", "action_size")
    env = dict(zip(names, SIZES, strict=True)) | {"goal_radius": 0.3, "episode_length": EPISODE, "backend": "planar"}
    session = {
        "started": "2026-01-01T00:00:00+0000",
        "command": ["rl-depth", "train"],
        "versions": {"rl-depth": "0.1.0", "python": "3.11.7"},
        "device": {"platform": "cpu", "kind": "cpu", "count": 1},
        "host": {"cpu_cores": 2, "machine": "x86_64", "system": "Linux"},
        "git": None,
    }
    return {"env": env, "cost": agent_cost(config, *SIZES).to_dict(), "sessions": [session]}


def spending(
    levels: dict[str, tuple[float, float]], *, seeds: int = 8, label: str = "", metric: str = "success_any", **options
) -> Spending:
    """Agents that reach a share of their goals for so many operations: by budget, ``(share, operations)``.

    Goals beyond a distance of 6 are reached half as often. Seeds and episodes are the same for all budgets.
    """
    rng = np.random.default_rng(0)
    luck = rng.uniform(size=(seeds, len(DISTANCE))) + rng.normal(0, 0.03, (seeds, 1))
    far = np.where(DISTANCE > 6, 0.5, 1.0)
    return Spending(
        label=label,
        path=Path(label or "run"),
        config=Config(seeds=seeds, **options),
        split="eval",
        budgets=tuple(Budget.parse(text) for text in levels),
        flops=np.array([price for _, price in levels.values()], float),
        serial=np.array([1 + np.log2(price) for _, price in levels.values()]),
        metric=metric,
        values=np.array([luck < share * far for share, _ in levels.values()], float),
        goal_distance=DISTANCE,
        train_flops=1e9,
    )
