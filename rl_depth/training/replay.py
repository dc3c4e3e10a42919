"""Trajectory ring buffer on the device, and goals drawn from the future of each transition.

Axes: ``T`` steps kept per environment, ``E`` environments, ``L`` steps inserted at once, ``U`` gradient steps,
``B`` batch, ``X`` state, ``A`` action, ``G`` goal. Time is counted in steps per environment since the start of
the run; the step of time ``t`` lies in row ``t mod T``.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp


class Replay(flax.struct.PyTreeNode):
    """The buffer. ``last`` is all the bookkeeping there is: 4 bytes per transition."""

    state: jax.Array  # [T, E, X]
    action: jax.Array  # [T, E, A]
    last: jax.Array  # [T, E] int32: time of the latest stored step of the same episode; -1 for an empty row
    time: jax.Array  # int32: steps inserted so far, per environment
    open: jax.Array  # [E] bool: the newest step's episode goes on
    reached: jax.Array | None = None  # [T, E, G]: the goal achieved by the state that the action led to


class Transitions(flax.struct.PyTreeNode):
    """Steps to insert."""

    state: jax.Array  # [L, E, X]
    action: jax.Array  # [L, E, A]
    done: jax.Array  # [L, E] bool: last step of its episode
    reached: jax.Array | None = None  # [L, E, G]: the goal achieved by the state that the action led to


def create(steps: int, num_envs: int, state_size: int, action_size: int, goal_size: int | None = None) -> Replay:
    """An empty buffer; with a ``goal_size`` it keeps ``reached``, for goals from the last state of an episode."""
    return Replay(
        state=jnp.zeros((steps, num_envs, state_size)),
        action=jnp.zeros((steps, num_envs, action_size)),
        last=jnp.full((steps, num_envs), -1, jnp.int32),
        time=jnp.int32(0),
        open=jnp.zeros(num_envs, bool),
        reached=None if goal_size is None else jnp.zeros((steps, num_envs, goal_size)),
    )


def insert(replay: Replay, new: Transitions) -> Replay:
    """Append ``L <= T`` steps, the oldest giving way."""
    length, rows = new.done.shape[0], replay.last.shape[0]
    assert length <= rows, (length, rows)
    times = replay.time + jnp.arange(length, dtype=jnp.int32)[:, None]
    newest = replay.time + length - 1
    # Latest step of each new step's episode, so far: the next end at or after it, else the newest step.
    ends = jax.lax.cummin(jnp.where(new.done, times, newest), axis=0, reverse=True)
    # An episode still open before this insert reaches on to where its first new step's episode does.
    continued = (replay.last == replay.time - 1) & replay.open
    last = jnp.where(continued, ends[0], replay.last)
    row = times[:, 0] % rows
    return Replay(
        state=replay.state.at[row].set(new.state),
        action=replay.action.at[row].set(new.action),
        last=last.at[row].set(ends),
        time=replay.time + length,
        open=~new.done[-1],
        reached=None if replay.reached is None else replay.reached.at[row].set(new.reached),
    )


def sample(
    replay: Replay, gamma: jax.Array, batch: int, updates: int, key: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Draw transitions, uniformly among those with a stored future, and the place of a goal for each.

    The offset ``k`` of a goal follows the geometric law truncated at the ``h`` steps that its episode still
    has: ``P(k) = (1 - gamma) gamma^(k-1) / (1 - gamma^h)``, ``k = 1..h``, drawn by inverting its
    distribution function. Where the buffer keeps what was ``reached``, ``h`` counts the state that the last stored
    step led to as well, so that every transition has a future, and a goal stands in the row of the step before it.

    Args:
      replay: the buffer.
      gamma: ratio of the law, or several, ``[S]``, for as many goals of each transition.
      batch: transitions of a gradient step.
      updates: gradient steps.
      key: random key.

    Returns:
      Rows, goal rows and environments, each ``[U, B]`` int32, the goal rows ``[U, B, S]`` for several ratios.
    """
    index_key, offset_key = jax.random.split(key)
    rows, num_envs = replay.last.shape
    newest = replay.time - 1
    times = newest - (newest - jnp.arange(rows, dtype=jnp.int32)) % rows  # [T], of each row
    horizon = (replay.last - times[:, None]).ravel()  # [T * E]: steps of future
    if replay.reached is not None:
        horizon += 1
    eligible = jnp.cumsum(jnp.where(replay.last.ravel() < 0, 0, horizon > 0))
    rank = jax.random.randint(index_key, (updates, batch), 0, eligible[-1])
    index = jnp.searchsorted(eligible, rank, side="right").astype(jnp.int32)
    row, env = index // num_envs, index % num_envs
    ahead, begin = horizon[index], row if replay.reached is None else row - 1
    if jnp.ndim(gamma):
        ahead = jnp.broadcast_to(ahead[..., None], (*ahead.shape, len(gamma)))
        begin = begin[..., None]
    offset = truncated_geometric(offset_key, gamma, ahead)
    return row, (begin + offset) % rows, env


def between(replay: Replay, row: jax.Array, goal_row: jax.Array, key: jax.Array) -> jax.Array:
    """Rows, for `goals`, of states after ``row [...]`` and before the goal, each as likely; the goal itself if none."""
    rows = replay.state.shape[0]
    shift = 0 if replay.reached is None else 1  # then row t stands for the state after step t, not before it
    offset = (goal_row + shift - row) % rows
    return (row + jax.random.randint(key, row.shape, 1, jnp.maximum(offset, 2)) - shift) % rows


def goals(
    replay: Replay, achieved_goal: Callable[[jax.Array], jax.Array], goal_row: jax.Array, env: jax.Array
) -> jax.Array:
    """Goals ``[..., G]`` at places ``[...]`` that `sample` drew; ``achieved_goal`` reads them off states."""
    return achieved_goal(replay.state[goal_row, env]) if replay.reached is None else replay.reached[goal_row, env]


def truncated_geometric(key: jax.Array, gamma: jax.Array | float, horizon: jax.Array) -> jax.Array:
    """Offsets in ``1..horizon`` of the shape of ``horizon`` (int32, at least 1), geometric with ratio ``gamma``."""
    u = jax.random.uniform(key, horizon.shape)
    log_gamma = jnp.log(jnp.float32(gamma))
    # F(k) = (1 - gamma^k) / (1 - gamma^h) >= u at the smallest k >= log(1 - u (1 - gamma^h)) / log gamma.
    mass = -jnp.expm1(horizon * log_gamma)
    offset = jnp.floor(jnp.log1p(-u * mass) / log_gamma).astype(jnp.int32) + 1
    return jnp.clip(offset, 1, horizon)
