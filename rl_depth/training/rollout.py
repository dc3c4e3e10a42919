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

from rl_depth.envs.base import GoalEnv, observation

from ..networks.together import when
from .acting import Carry, Policy, begin_all
from .replay import Transitions

# Folded into a key for what policies draw when an episode begins: the key itself draws the episode.
_BEGIN = 1


class Rollout(flax.struct.PyTreeNode):
    """Environments in mid-episode."""

    env: State  # leaves [E, ...]
    steps: jax.Array  # [E] int32: steps taken in the present episode
    carry: Carry = ()  # leaves [E, ...]: the policy's


def start(env: GoalEnv, policy: Policy, num_envs: int, key: jax.Array) -> Rollout:
    """Fresh episodes in ``num_envs`` environments."""
    keys = jax.random.split(key, num_envs)
    carry = begin_all(policy, num_envs, jax.random.fold_in(key, _BEGIN))
    return Rollout(env=jax.vmap(env.reset)(keys), steps=jnp.zeros(num_envs, jnp.int32), carry=carry)


def collect(
    env: GoalEnv, policy: Policy, rollout: Rollout, length: int, key: jax.Array, reached: bool = False
) -> tuple[Rollout, Transitions]:
    """Take ``length`` steps in every environment; finished episodes give way to fresh ones.

    Transitions tell what was ``reached`` by each if asked to.
    """

    def step(rollout: Rollout, key: jax.Array) -> tuple[Rollout, Transitions]:
        action_key, reset_key = jax.random.split(key)
        state, goal = split_observation(env, observation(rollout.env))
        action, carry = policy.act(rollout.carry, state, goal, action_key)
        env_state = jax.vmap(env.step)(rollout.env, action)
        steps = rollout.steps + 1
        done = (env_state.done > 0) | (steps >= env.episode_length)
        led_to = _reached(env, state, observation(env_state)) if reached else None
        env_state = _reset_finished(env, env_state, done, reset_key)
        fresh = begin_all(policy, done.shape[0], jax.random.fold_in(reset_key, _BEGIN))
        carry = jax.tree.map(lambda new, old: jnp.where(_along(done, new), new, old), fresh, carry)
        steps = jnp.where(done, 0, steps)
        return Rollout(env=env_state, steps=steps, carry=carry), Transitions(state, action, done, led_to)

    return jax.lax.scan(step, rollout, jax.random.split(key, length))


def _reached(env: GoalEnv, before: jax.Array, obs: jax.Array) -> jax.Array:
    """The goal ``[E, G]`` achieved in the observations after a step; where the physics diverged, that of before."""
    after = env.achieved_goal(split_observation(env, obs)[0])
    return jnp.where(jnp.isfinite(after).all(axis=-1, keepdims=True), after, env.achieved_goal(before))


def split_observation(env: GoalEnv, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """State ``[..., X]`` and commanded goal ``[..., G]`` of an observation."""
    return obs[..., : env.state_size], obs[..., env.state_size :]


def _reset_finished(env: GoalEnv, state: State, done: jax.Array, key: jax.Array) -> State:
    """``state`` with a fresh episode wherever ``done [E]``."""

    def fresh(state: State) -> State:
        reset = jax.vmap(env.reset)(jax.random.split(key, done.shape[0]))
        return jax.tree.map(lambda new, old: jnp.where(_along(done, new), new, old), reset, state)

    # Most steps end no episode, and a reset costs about as much as a step.
    return when(done.any(), fresh, state)


def _along(mask: jax.Array, leaf: jax.Array) -> jax.Array:
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))


def evaluate(env: GoalEnv, policy: Policy, reset_keys: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
    """Run one whole episode from each of ``reset_keys [E]``.

    Args:
      env: the environment.
      policy: acts.
      reset_keys: one per episode.
      key: for the policy's draws.

    Returns:
      Per episode ``[E]``, over the steps until it ended: ``time_at_goal`` (steps within the goal radius),
      ``success_any`` (reached at least once), ``success_final``, ``steps_to_success`` (1, 2, ...: the first step
      within the radius; the episode's length where there is none), ``solved_at_start`` (1 if the episode began within
      the radius), ``episode_steps``, ``goal_distance`` (difficulty, as the environment defines it), ``dist_mean``,
      ``dist_min``, ``dist_final`` (m), and ``<name>_mean`` and ``<name>_max`` of every further metric of the
      environment; of a policy with ``most`` also ``spent [E, most]``: steps that took 1, 2, ... applications.
    """
    state = jax.vmap(env.reset)(reset_keys)
    episodes = reset_keys.shape[0]
    totals = _Totals.start(tuple(state.metrics), episodes)
    spent = jnp.zeros((episodes, policy.most))

    def step(running: tuple[Any, ...], key: jax.Array) -> tuple[tuple[Any, ...], None]:
        state, totals, spent, carry = running
        action, carry = policy.act(carry, *split_observation(env, observation(state)), key)
        if policy.most:
            spent = spent + totals.alive[:, None] * jax.nn.one_hot(policy.spent(carry) - 1, policy.most)
        state = jax.vmap(env.step)(state, action)
        return (state, totals.add(state), spent, carry), None

    observed, goal = split_observation(env, observation(state))
    apart = env.distance(env.achieved_goal(observed), goal)
    begun = {"goal_distance": state.info["goal_distance"], "solved_at_start": (apart < env.goal_radius).astype(float)}
    carry = begin_all(policy, episodes, jax.random.fold_in(key, _BEGIN))
    keys = jax.random.split(key, env.episode_length)
    (_, totals, spent, _), _ = jax.lax.scan(step, (state, totals, spent, carry), keys)
    found = {**begun, **totals.summary()}
    return found | {"spent": spent} if policy.most else found


class _Totals(flax.struct.PyTreeNode):
    """Running statistics of an episode's metrics; frozen once the episode has ended."""

    alive: jax.Array  # [E] bool: the episode still runs
    steps: jax.Array  # [E]
    until: jax.Array  # [E]: steps up to the first success; all so far where there was none
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
            until=jnp.zeros(episodes),
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
            until=self.until + (self.alive & ~(self.largest["success"] > 0)),
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
            "steps_to_success": self.until,
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

    def step(running: tuple[State, Carry], key: jax.Array) -> tuple[tuple[State, Carry], dict[str, jax.Array]]:
        state, carry = running
        observed, goal = split_observation(env, observation(state))
        action, carry = policy.act(carry, observed[None], goal[None], key)
        state = env.step(state, action[0])
        return (state, carry), show(state)

    carry = begin_all(policy, 1, jax.random.fold_in(run_key, _BEGIN))
    _, rest = jax.lax.scan(step, (first, carry), jax.random.split(run_key, env.episode_length))
    return first, jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), show(first), rest)
