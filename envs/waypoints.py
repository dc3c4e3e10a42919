"""Subgoals on the floor of a maze: where they may lie, what a state there is, and where the shortest path leads.

Axes: ``O`` observation, ``X`` state, ``G`` goal, ``N`` subgoals.
"""

from __future__ import annotations

import abc

import jax
import jax.numpy as jnp

_NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))


class OnFloor(abc.ABC):
    """What environments have whose goals ``[2]`` are positions on the floor of a maze, and part of the state.

    Attributes:
      cell_size: side of a cell, m.
      jitter: goals lie within this of their cell's centre, on each axis, m.
    """

    cell_size: float
    jitter: float = 0.0
    goal_indices: tuple[int, ...]

    @abc.abstractmethod
    def walls(self, obs: jax.Array) -> jax.Array:
        """Where an observation ``[O]`` has walls: ``[rows, columns]``, bool."""

    def lift(self, state: jax.Array, goal: jax.Array) -> jax.Array:
        """``state [..., X]`` moved to where ``goal [..., G]`` is achieved."""
        return state.at[..., jnp.array(self.goal_indices)].set(goal)

    def free_goals(self, obs: jax.Array, key: jax.Array, count: int) -> jax.Array:
        """Goals ``[N, 2]`` (m) drawn evenly from the free cells of ``obs [O]``; the first ones whatever the count."""
        free = jnp.cumsum(~self.walls(obs).reshape(-1))
        columns = self.walls(obs).shape[1]

        def draw(key: jax.Array) -> jax.Array:
            cell_key, offset_key = jax.random.split(key)
            cell = jnp.searchsorted(free, jax.random.randint(cell_key, (), 0, free[-1]), side="right")
            offset = jax.random.uniform(offset_key, (2,), minval=-self.jitter, maxval=self.jitter)
            return self.cell_size * jnp.stack([cell // columns, cell % columns]) + offset

        return jax.vmap(lambda i: draw(jax.random.fold_in(key, i)))(jnp.arange(count))

    def goal_ahead(self, obs: jax.Array, steps: jax.Array) -> jax.Array:
        """Centre ``[2]`` (m) of the cell so many steps ahead on a shortest path; the commanded goal once it is nearer.

        ``obs [O]`` holds position and goal. Of several shortest paths it is always the same one.
        """
        walls, goal = self.walls(obs), obs[-2:]
        lengths = _lengths_to(walls, _cell(goal, walls, self.cell_size))
        here = _cell(obs[jnp.array(self.goal_indices)], walls, self.cell_size)

        def step(_: jax.Array, cell: jax.Array) -> jax.Array:
            around = jnp.concatenate([cell[None], cell + jnp.array(_NEIGHBOURS)])
            return around[jnp.argmin(lengths[around[:, 0], around[:, 1]])]  # a border of walls surrounds every cell

        ahead = jax.lax.fori_loop(0, steps, step, here)
        reached = lengths[ahead[0], ahead[1]] == 0
        return jnp.where(reached, goal, self.cell_size * ahead.astype(goal.dtype))


def _cell(position: jax.Array, walls: jax.Array, cell_size: float) -> jax.Array:
    cell = jnp.round(position / cell_size).astype(jnp.int32)
    return jnp.clip(cell, 0, jnp.array(walls.shape) - 1)


def _lengths_to(walls: jax.Array, cell: jax.Array) -> jax.Array:
    """Shortest paths (cells) to ``cell [2]``, more than there are cells where there is none: ``[rows, columns]``."""
    far = walls.size
    lengths = jnp.full(walls.shape, far).at[cell[0], cell[1]].set(0)

    def relax(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        old, _ = carry
        around = jnp.pad(old, 1, constant_values=far)
        nearest = jnp.stack([around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]]).min(axis=0)
        new = jnp.where(walls, far, jnp.minimum(old, nearest + 1))
        return new, (new != old).any()

    return jax.lax.while_loop(lambda carry: carry[1], relax, (lengths, jnp.bool_(True)))[0]
