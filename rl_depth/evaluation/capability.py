"""Capability of trained agents: so many episodes at each goal difficulty, for every seed and test depth."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_depth.envs.base import GoalEnv

from .. import runs
from ..config import Budget, Config, ConfigError, Halt, check_depth, check_halt
from ..device import physics_options
from ..training import metrics, rollout
from ..training.acting import Halting, Plain
from ..training.footprint import check_episodes
from ..training.trainer import eval_split, make_env
from .policy import Policy, Which, load

# Resets drawn per episode that is wanted at each difficulty; rarer difficulties get fewer episodes.
_DRAWS_PER_EPISODE = 64


@dataclass(frozen=True)
class Protocol:
    """What is measured.

    Attributes:
      split: where starts and goals come from; the evaluation split if None.
      episodes: episodes at each goal difficulty.
      stochastic: draw actions from the policy instead of its mode.
      depths: test depths; the trained depth if empty.
      halt: let each state choose its depth by this rule instead.
      budgets: what an action may cost instead; `spending` measures them.
      seed: seed of the episodes; the same ones for all agents and depths.
      which: the agents.
    """

    split: str | None = None
    episodes: int = 32
    stochastic: bool = False
    depths: tuple[int, ...] = ()
    halt: Halt | None = None
    budgets: tuple[Budget, ...] = ()
    seed: int = 0
    which: Which = Which()  # noqa: RUF009 - frozen

    def name(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """What a file of these results is called: no two protocols, and no two epochs, have the same."""
        parts = [str(rows[0]["split"]), "stochastic" if self.stochastic else "mode"]
        if self.budgets:
            parts[1:] = [_budgets_named(self.budgets)]
        parts += (
            [_depths_named(self.depths)] if self.depths else [str(self.halt).replace(":", "-")] if self.halt else []
        )
        parts += [f"episodes{self.episodes}", f"seed{self.seed}"]
        parts += [f"agent{self.which.seed}"] if self.which.seed is not None else []
        epochs = sorted({row["epoch"] for row in rows})
        best = ["best"] if self.which.epoch == "best" else []
        return "-".join([*parts, *best, "epoch" + ".".join(map(str, epochs))])


def evaluate_run(run: runs.Run, protocol: Protocol) -> list[dict[str, Any]]:
    """Evaluate every seed of a run at every test depth.

    Returns:
      A row per seed and depth: ``seed``, ``depth``, ``split``, ``stochastic``, ``epoch``, the means of all
      metrics of `rollout.evaluate`, and ``by_difficulty``, a list of the same per difficulty. With a halting
      rule ``depth`` is None, ``halt`` names the rule, and ``depth_mean`` and ``depth_share`` ({depth: share of
      steps}) stand beside the metrics.

    Raises:
      ConfigError: no such split, or a depth that the agents cannot act with.
    """
    config = protocol.which.of(run)
    env = make_env(config, protocol.split or eval_split(make_env(config), config))
    depths = _depths(config, protocol)
    reset_key, run_key = jax.random.split(jax.random.key(protocol.seed))
    reset_keys = stratified_keys(env, protocol.episodes, reset_key)
    check_episodes(env, len(reset_keys), f"--episodes {protocol.episodes}")
    rows = []
    program = None
    for seed in range(config.seed, config.seed + config.seeds):
        policy = load(run, seed, epoch=protocol.which.epoch)
        program = program or _program(policy, env, protocol)
        for depth in depths:
            found = jax.device_get(program(policy.params, jnp.int32(depth or 0), reset_keys, run_key))
            row = {"seed": seed, "depth": depth, "split": env.split, "stochastic": protocol.stochastic}
            row |= {"halt": str(protocol.halt)} if protocol.halt else {}
            row |= {"epoch": policy.epoch, "episodes": len(reset_keys)}
            rows.append(row | summary(found, config.trunk("actor").turn_layers))
    return rows


_LONGEST = 60  # characters of a list in a file's name


def _depths_named(depths: Sequence[int]) -> str:
    text = "depths" + ".".join(map(str, depths))
    return text if len(text) <= _LONGEST else f"depths{depths[0]}to{depths[-1]}-{_digest(text)}"


def _budgets_named(budgets: Sequence[Budget]) -> str:
    text = "+".join(str(budget).replace("=", "").replace(",", "-") for budget in budgets)
    return f"budgets-{text if len(text) <= _LONGEST else _digest(text)}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _depths(config: Config, protocol: Protocol) -> list[int | None]:
    trunk = config.trunk("actor")
    if protocol.halt is not None:
        try:
            check_halt(config, protocol.halt)
        except ValueError as error:
            raise ConfigError(f"--halt {protocol.halt}: {error}") from None
        return [None]
    try:
        return [check_depth(trunk, depth) for depth in protocol.depths or [trunk.depth]]
    except ValueError as error:
        raise ConfigError(f"--depths: {error}") from None


def summary(found: dict[str, np.ndarray], layers: int) -> dict[str, Any]:
    """Means over all episodes, and per difficulty."""
    spent = found.pop("spent", None)
    levels = metrics.by_difficulty(found)
    row: dict[str, Any] = metrics.summarise(found)
    if spent is not None:
        row |= _depth_spent(spent, layers)
        for level, group in zip(levels, metrics.groups(found["goal_distance"]), strict=True):
            level.update(_depth_spent(spent[group], layers))
    return row | {"by_difficulty": levels}


def _depth_spent(spent: np.ndarray, layers: int) -> dict[str, Any]:
    """Mean depth and the share of steps that took each, from steps per count ``[E, most]``."""
    share = spent.sum(axis=0) / spent.sum()
    depths = layers * np.arange(1, len(share) + 1)
    return {
        "depth_mean": float(share @ depths),
        "depth_share": {str(depth): float(s) for depth, s in zip(depths, share, strict=True) if s > 0},
    }


def _program(policy: Policy, env: GoalEnv, protocol: Protocol) -> Any:
    """One compiled program for all seeds and depths."""
    agent, halt = policy.agent, protocol.halt
    layers = agent.actor.trunk_config.turn_layers

    def run(params: dict[str, Any], depth: jax.Array, reset_keys: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        def act(observed: jax.Array, goal: jax.Array, action_key: jax.Array) -> Any:
            drawn = action_key if protocol.stochastic else None
            if halt is None:
                return agent.act(params, observed, goal, drawn, depth)
            action, taken = agent.act_until(params, observed, goal, halt, drawn)
            return action, taken // layers

        acting = Plain(act) if halt is None else Halting(act, halt.max_depth // layers)
        return rollout.evaluate(env, acting, reset_keys, key)

    return jax.jit(run, compiler_options=physics_options(env))


def stratified_keys(env: GoalEnv, episodes: int, key: jax.Array) -> jax.Array:
    """Reset keys of ``episodes`` episodes for each goal difficulty that the split has."""
    pool = jax.random.split(key, episodes * _DRAWS_PER_EPISODE)
    measure = jax.jit(jax.vmap(lambda k: env.reset(k).info["goal_distance"]), compiler_options=physics_options(env))
    distance = np.asarray(measure(pool))
    chosen = [np.flatnonzero(group)[:episodes] for group in metrics.groups(distance)]
    return pool[np.concatenate(chosen)]
