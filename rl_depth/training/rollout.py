"""Stepping environments: collection for training, episodes for evaluation and for showing.

Axes: ``E`` environments, ``L`` steps, ``X`` state, ``A`` action.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from brax.envs.base import State

from rl_depth.envs.base import GoalEnv

from .replay import Transitions

# (observed state [E, X], goal [E, G], key) -> action [E, A]
Policy = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
# The same for a policy that chooses how often it applies its block -> action [E, A], count [E]
HaltingPolicy = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


class Rollout(flax.struct.PyTreeNode):
    """Environments in mid-episode."""

    env: State  # leaves [E, ...]
    steps: jax.Array  # [E] int32: steps taken in the present episode


def start(env: GoalEnv, num_envs: int, key: jax.Array) -> Rollout:
    """Fresh episodes in ``num_envs`` environments."""
    keys = jax.random.split(key, num_envs)
    return Rollout(env=jax.vmap(env.reset)(keys), steps=jnp.zeros(num_envs, jnp.int32))


def collect(env: GoalEnv, policy: Policy, rollout: Rollout, length: int, key: jax.Array) -> tuple[Rollout, Transitions]:
    """Take ``length`` steps in every environment; finished episodes give way to fresh ones."""

    def step(rollout: Rollout, key: jax.Array) -> tuple[Rollout, Transitions]:
        action_key, reset_key = jax.random.split(key)
        state, goal = split_observation(env, rollout.env.obs)
        action = policy(state, goal, action_key)
        env_state = jax.vmap(env.step)(rollout.env, action)
        steps = rollout.steps + 1
        done = (env_state.done > 0) | (steps >= env.episode_length)
        env_state = _reset_finished(env, env_state, done, reset_key)
        return Rollout(env=env_state, steps=jnp.where(done, 0, steps)), Transitions(state, action, done)

    return jax.lax.scan(step, rollout, jax.random.split(key, length))


def split_observation(env: GoalEnv, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """State ``[..., X]`` and commanded goal ``[..., G]`` of an observation."""
    return obs[..., : env.state_size], obs[..., env.state_size :]


def _reset_finished(env: GoalEnv, state: State, done: jax.Array, key: jax.Array) -> State:
    """``state`` with a fresh episode wherever ``done [E]``."""

    def fresh(_: None) -> State:
        reset = jax.vmap(env.reset)(jax.random.split(key, done.shape[0]))
        return jax.tree.map(lambda new, old: jnp.where(_along(done, new), new, old), reset, state)

    # Most steps end no episode, and a reset costs about as much as a step.
    return jax.lax.cond(done.any(), fresh, lambda _: state, None)


def _along(mask: jax.Array, leaf: jax.Array) -> jax.Array:
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))


def evaluate(
    env: GoalEnv, policy: Policy | HaltingPolicy, reset_keys: jax.Array, key: jax.Array, most: int = 0
) -> dict[str, jax.Array]:
    """Run one whole episode from each of ``reset_keys [E]``.

    Args:
      env: the environment.
      policy: acts.
      reset_keys: one per episode.
      key: for the policy's draws.
      most: the largest count of a policy that chooses it; 0 for one that does not.

    Returns:
      Per episode ``[E]``, over the steps until it ended:
      ``time_at_goal`` (steps within the goal radius), ``success_any`` (reached at least once),
      ``success_final``, ``episode_steps``, ``goal_distance`` (difficulty, as the environment defines it),
      ``dist_mean``, ``dist_min``, ``dist_final`` (m), and ``<name>_mean`` and ``<name>_max`` of every further
      metric of the environment; with ``most`` also ``spent [E, most]``: steps that took 1, 2, ... applications.
    """
    state = jax.vmap(env.reset)(reset_keys)
    totals = _Totals.start(tuple(state.metrics), reset_keys.shape[0])
    spent = jnp.zeros((reset_keys.shape[0], most))

    def step(carry: tuple[State, _Totals, jax.Array], key: jax.Array) -> tuple[tuple[Any, ...], None]:
        state, totals, spent = carry
        action = policy(*split_observation(env, state.obs), key)
        if most:
            action, count = action
            spent = spent + totals.alive[:, None] * jax.nn.one_hot(count - 1, most)
        state = jax.vmap(env.step)(state, action)
        return (state, totals.add(state), spent), None

    goal_distance = state.info["goal_distance"]
    keys = jax.random.split(key, env.episode_length)
    (_, totals, spent), _ = jax.lax.scan(step, (state, totals, spent), keys)
    found = {"goal_distance": goal_distance, **totals.summary()}
    return found | {"spent": spent} if most else found


class _Totals(flax.struct.PyTreeNode):
    """Running statistics of an episode's metrics; frozen once the episode has ended."""

    alive: jax.Array  # [E] bool: the episode still runs
    steps: jax.Array  # [E]
    total: dict[str, jax.Array]  # [E] each
    largest: dict[str, jax.Array]
    smallest: dict[str, jax.Array]
    final: dict[str, jax.Array]

    @classmethod
    def start(cls, names: tuple[str, ...], episodes: int) -> _Totals:
        """Statistics before the first step."""

        def filled(value: float) -> dict[str, jax.Array]:
            return {name: jnp.full(episodes, value) for name in names}

        return cls(
            alive=jnp.ones(episodes, bool),
            steps=jnp.zeros(episodes),
            total=filled(0.0),
            largest=filled(-jnp.inf),
            smallest=filled(jnp.inf),
            final=filled(0.0),
        )

    def add(self, state: State) -> _Totals:
        """Take in one step's metrics."""

        def update(change: Callable[[jax.Array, jax.Array], jax.Array], old: dict) -> dict:
            return {n: jnp.where(self.alive, change(old[n], state.metrics[n]), old[n]) for n in old}

        return _Totals(
            alive=self.alive & ~(state.done > 0),
            steps=self.steps + self.alive,
            total=update(jnp.add, self.total),
            largest=update(jnp.maximum, self.largest),
            smallest=update(jnp.minimum, self.smallest),
            final=update(lambda _, new: new, self.final),
        )

    def summary(self) -> dict[str, jax.Array]:
        """The statistics under the names that `evaluate` lists."""
        mean = {name: total / self.steps for name, total in self.total.items()}
        out = {
            "episode_steps": self.steps,
            "time_at_goal": self.total["success"],
            "success_any": self.largest["success"],
            "success_final": self.final["success"],
            "dist_mean": mean["dist"],
            "dist_min": self.smallest["dist"],
            "dist_final": self.final["dist"],
        }
        for name in sorted(mean.keys() - {"success", "dist"}):
            out |= {f"{name}_mean": mean[name], f"{name}_max": self.largest[name]}
        return out


def record(env: GoalEnv, policy: Policy, key: jax.Array) -> tuple[State, dict[str, jax.Array]]:
    """One episode for showing.

    Returns:
      The state at reset and, per step, ``qpos [L, nq]``, ``goal [L, 3]`` (m), ``success [L]`` and
      ``done [L]``, where entry 0 is the state at reset and ``L = episode_length + 1``.
    """
    reset_key, run_key = jax.random.split(key)
    first = env.reset(reset_key)

    def show(state: State) -> dict[str, jax.Array]:
        return {
            "qpos": env.qpos(state),
            "goal": env.goal_position(state),
            "success": state.metrics["success"] > 0,
            "done": state.done > 0,
        }

    def step(state: State, key: jax.Array) -> tuple[State, dict[str, jax.Array]]:
        observed, goal = split_observation(env, state.obs)
        state = env.step(state, policy(observed[None], goal[None], key)[0])
        return state, show(state)

    _, rest = jax.lax.scan(step, first, jax.random.split(run_key, env.episode_length))
    return first, jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), show(first), rest)
