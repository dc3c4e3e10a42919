"""Capability of trained agents: so many episodes at each goal difficulty, for every seed and test depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.base import GoalEnv

from . import metrics, rollout, runs
from .config import ConfigError
from .policy import Policy, check_depth, load
from .training import eval_split, make_env

# Resets drawn per episode that is wanted at each difficulty; rarer difficulties get fewer episodes.
_DRAWS_PER_EPISODE = 64


def evaluate_run(
    run: runs.Run,
    *,
    split: str | None = None,
    episodes: int = 32,
    stochastic: bool = False,
    depths: Sequence[int] = (),
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Evaluate every seed of a run at every test depth.

    Args:
      run: the run.
      split: where starts and goals come from; the evaluation split if None.
      episodes: episodes at each goal difficulty.
      stochastic: draw actions from the policy instead of its mode.
      depths: test depths; the trained depth if empty.
      seed: seed of the episodes; the same ones for all agents.

    Returns:
      A row per seed and depth: ``seed``, ``depth``, ``split``, ``stochastic``, ``epoch``, the means of all
      metrics of `rollout.evaluate`, and ``by_difficulty``, a list of the same per difficulty.

    Raises:
      ConfigError: no such split, or a depth that the agents cannot act with.
    """
    config = run.config()
    train_env = make_env(config)
    env = make_env(config, split or eval_split(train_env))
    trunk = config.trunk("actor")
    try:
        depths = [check_depth(trunk, depth) for depth in depths or [trunk.depth]]
    except ValueError as error:
        raise ConfigError(f"--depths: {error}") from None
    reset_key, run_key = jax.random.split(jax.random.key(seed))
    reset_keys = _stratified_keys(env, episodes, reset_key)
    rows = []
    program = None
    for agent_seed in range(config.seed, config.seed + config.seeds):
        policy = load(run, agent_seed)
        program = program or _program(policy, env, stochastic)
        for depth in depths:
            found = jax.device_get(program(policy.params, jnp.int32(depth), reset_keys, run_key))
            row = {"seed": agent_seed, "depth": depth, "split": env.split, "stochastic": stochastic}
            row |= {"epoch": policy.epoch, "episodes": len(reset_keys), **metrics.summarise(found)}
            rows.append(row | {"by_difficulty": metrics.by_difficulty(found)})
    return rows


def _program(policy: Policy, env: GoalEnv, stochastic: bool) -> Any:
    """One compiled program for all seeds and depths."""

    def run(params: dict[str, Any], depth: jax.Array, reset_keys: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        def act(observed: jax.Array, goal: jax.Array, action_key: jax.Array) -> jax.Array:
            return policy.agent.act(params, observed, goal, action_key if stochastic else None, depth)

        return rollout.evaluate(env, act, reset_keys, key)

    return jax.jit(run)


def _stratified_keys(env: GoalEnv, episodes: int, key: jax.Array) -> jax.Array:
    """Reset keys of ``episodes`` episodes for each goal difficulty that the split has."""
    pool = jax.random.split(key, episodes * _DRAWS_PER_EPISODE)
    distance = np.asarray(jax.jit(jax.vmap(lambda k: env.reset(k).info["goal_distance"]))(pool))
    chosen = [np.flatnonzero(group)[:episodes] for group in metrics.groups(distance)]
    return pool[np.concatenate(chosen)]
