"""Trained agents under budgets: what each action may cost, what it then costs, and what comes of it.

Axes: ``S`` seeds, ``B`` budgets, ``E`` episodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from rl_depth.envs.base import GoalEnv

from .. import runs
from ..agents import Algorithm
from ..agents.cost import action_price, agent_cost
from ..config import Budget, Config, ConfigError
from ..device import physics_options
from ..measured import Spending
from ..training import rollout
from ..training.footprint import check_episodes
from ..training.trainer import eval_split, make_env
from . import beyond
from .budgeted import Budgeted, Shape, Spend, check_budget
from .capability import Protocol, stratified_keys, summary
from .policy import Policy, load


@dataclass(frozen=True)
class _Measured:
    """One agent's episodes under one budget; every array ``[E]``."""

    seed: int
    epoch: int
    budget: Budget
    split: str
    episodes: dict[str, np.ndarray]


def evaluate_budgets(run: runs.Run, protocol: Protocol) -> list[dict[str, Any]]:
    """Evaluate every seed of a run under every budget of a protocol, on the same episodes.

    Returns:
      A row per seed and budget: as of `capability.evaluate_run`, and ``budget``, its text, and ``flops`` and
      ``serial``, the mean price of an action.

    Raises:
      ConfigError: no such split, or a budget that the agents cannot spend.
    """
    config = protocol.which.of(run)
    layers, sizes = config.trunk("actor").turn_layers, _sizes(config)
    rows = []
    for one in _episodes(run, protocol):
        depth = one.budget.depth or config.trunk("actor").depth
        price = action_price(config, one.budget, *sizes)
        row = {"seed": one.seed, "depth": depth, "budget": str(one.budget), **vars(price)}
        row |= {"split": one.split, "stochastic": False, "epoch": one.epoch}
        row |= {"episodes": len(one.episodes["success_any"])}
        rows.append(row | summary(one.episodes, layers))
    return rows


def measure(found: Sequence[runs.Run], protocol: Protocol, metric: str) -> list[Spending]:
    """Evaluate runs under every budget of a protocol, on the same episodes where they share an environment.

    Args:
      found: the runs.
      protocol: how to evaluate.
      metric: what to keep of each episode.

    Raises:
      ConfigError: no such split or metric, a budget that the agents cannot spend, or seeds that are no replicates.
    """
    names = beyond.labels([run.config() for run in found])
    names = [f"{one} ({run.name})" if names.count(one) > 1 else one for one, run in zip(names, found, strict=True)]
    return [_spending(run, label, protocol, metric) for run, label in zip(found, names, strict=True)]


def _spending(run: runs.Run, label: str, protocol: Protocol, metric: str) -> Spending:
    config = protocol.which.of(run)
    if config.per_seed:
        raise ConfigError(f"{run.path}: its seeds differ (--per-seed {config.per_seed}), so they are no replicates")
    values, distance, split, epoch = [], np.array([]), "", 0
    for one in _episodes(run, protocol):
        if metric not in one.episodes:
            raise ConfigError(f"--metric {metric}: there are {', '.join(sorted(one.episodes))}")
        values.append(one.episodes[metric])
        distance, split, epoch = one.episodes["goal_distance"], one.split, one.epoch
    sizes = _sizes(config)
    prices = [action_price(config, budget, *sizes) for budget in protocol.budgets]
    return Spending(
        label=label,
        path=run.path,
        config=config,
        split=split,
        budgets=protocol.budgets,
        flops=np.array([price.flops for price in prices]),
        serial=np.array([price.serial for price in prices]),
        metric=metric,
        values=np.array(values).reshape(config.seeds, len(prices), -1).swapaxes(0, 1),
        goal_distance=distance,
        train_flops=epoch * config.updates * float(agent_cost(config, *sizes).flops_per_update),
    )


def _sizes(config: Config) -> tuple[int, int, int]:
    env = make_env(config)
    return env.state_size, env.goal_size, env.action_size


def _episodes(run: runs.Run, protocol: Protocol) -> Iterator[_Measured]:
    """Episodes of each seed under each budget; budgets of one shape share a program."""
    config = protocol.which.of(run)
    env = make_env(config, protocol.split or eval_split(make_env(config), config))
    reset_key, run_key = jax.random.split(jax.random.key(protocol.seed))
    reset_keys = stratified_keys(env, protocol.episodes, reset_key)
    check_episodes(env, len(reset_keys), f"--episodes {protocol.episodes}")
    program: Any = None
    for seed in range(config.seed, config.seed + config.seeds):
        policy = load(run, seed, epoch=protocol.which.epoch)
        if program is None:
            check(policy, protocol.budgets, "--budget" if len(protocol.budgets) == 1 else "--budgets")
            program = _program(policy.agent, env, reset_keys, run_key)
        for budget in protocol.budgets:
            given = policy.params, Spend.of(budget, config), policy.states_for(budget)
            yield _Measured(seed, policy.epoch, budget, env.split, jax.device_get(program(*given, Shape.of(budget))))


def check(policy: Policy, budgets: Sequence[Budget], option: str) -> None:
    """Raise `ConfigError` for the first budget that a policy cannot spend."""
    for budget in budgets:
        try:
            check_budget(policy.config, policy.env, policy.agent, budget)
        except ValueError as error:
            raise ConfigError(f"{option} {budget}: {error}") from None


def _program(agent: Algorithm, env: GoalEnv, reset_keys: jax.Array, run_key: jax.Array) -> Any:
    """One program for all seeds, and one compilation for each shape of budget."""

    def run(params: dict[str, Any], spend: Spend, states: jax.Array | None, shape: Shape) -> dict[str, jax.Array]:
        return rollout.evaluate(env, Budgeted(agent, params, env, shape, spend, states), reset_keys, run_key)

    return jax.jit(run, static_argnums=3, compiler_options=physics_options(env))
