"""A point mass in a maze that is new in every episode: needed computation grows with the path."""

from __future__ import annotations

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from brax.envs.base import State

from .point_maze import STEPS_PER_CELL, PointEnv

_DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def carve(key: jax.Array, size: int) -> jax.Array:
    """A random maze without loops, by depth-first search from a random room.

    Rooms are the cells with odd coordinates; the search breaks the wall to a random unvisited neighbour, or
    steps back where there is none. Corridors come out long and winding. As the maze is a tree, the depth of
    the search at a cell is the shortest path to it.

    Args:
      key: random key.
      size: rows and columns, walls included; odd.

    Returns:
      Shortest path (cells) from the first room to each cell, -1 for walls: ``[size, size]``, int32.
    """
    side = (size - 1) // 2
    root_key, choice_key = jax.random.split(key)
    root = 1 + 2 * jax.random.randint(root_key, (2,), 0, side)
    steps = jnp.array(_DIRECTIONS)
    # a ring of visited cells around the maze spares the search its bounds checks
    lengths = jnp.pad(jnp.full((size, size), -1), 1)
    parents = jnp.zeros((size + 2, size + 2), jnp.int32)

    def advance(carry: tuple[jax.Array, ...], noise: jax.Array) -> tuple[tuple[jax.Array, ...], None]:
        room, lengths, parents = carry
        ahead = room + 2 * steps
        unvisited = lengths[ahead[:, 0], ahead[:, 1]] < 0
        choice = jnp.argmax(jnp.where(unvisited, noise, -1.0))
        go = unvisited.any()
        door, found = room + steps[choice], ahead[choice]
        length = lengths[room[0], room[1]]
        lengths = lengths.at[door[0], door[1]].set(jnp.where(go, length + 1, lengths[door[0], door[1]]))
        lengths = lengths.at[found[0], found[1]].set(jnp.where(go, length + 2, lengths[found[0], found[1]]))
        back = parents[room[0], room[1]]
        parents = parents.at[found[0], found[1]].set(jnp.where(go, choice, parents[found[0], found[1]]))
        room = jnp.where(go, found, room - 2 * steps[back])
        return (room, lengths, parents), None

    root = root + 1
    lengths = lengths.at[root[0], root[1]].set(0)
    noise = jax.random.uniform(choice_key, (2 * (side**2 - 1), len(_DIRECTIONS)))
    (_, lengths, _), _ = jax.lax.scan(advance, (root, lengths, parents), noise)
    return lengths[1:-1, 1:-1]


class RandomPointMaze(PointEnv):
    """A point mass in a random maze, new in every episode and part of the observation.

    Observation, for ``n = max_size ** 2``:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0, 1 | position x, y | m |
    | 2, 3 | velocity x, y | m/s |
    | 4 .. 3 + n | 1 for wall and 0 for free, row by row of the ``max_size`` x ``max_size`` grid | 1 |
    | 4 + n, 5 + n | goal x, y | m |

    Goal indices (0, 1), goal radius 0.3 m. Action, body and dynamics are those of ``PointMaze``.

    The maze has ``size`` rows and columns of cells of 1 m, walls included, and no loops, so that there is
    one path to the goal; it lies anywhere in the grid, all else being wall. Start: the first room carved;
    goal: any other free cell; both within 0.25 m of the centre, on each axis. ``goal_distance`` is the
    length of the path (cells). The splits ``train`` and ``eval`` draw mazes of ``size``, ``large`` mazes of
    ``max_size``: train on small ones, test on larger ones, under one observation size. Never terminates; an
    episode lasts 2.4 times the time that a path through all cells would take, rounded up to 50 steps.

    Source: our own; the mazes are carved by randomised depth-first search.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "eval", "large")

    def __init__(
        self,
        split: str = "train",
        backend: str | None = None,
        size: int = 7,
        max_size: int = 11,
        seed: int = 0,
    ):
        """Check the sizes.

        Args:
          split: one of ``splits``.
          backend: "planar".
          size: rows and columns of a maze, walls included; odd, 5 or more.
          max_size: rows and columns of the grid that is observed; odd, ``size`` or more.
          seed: another seed draws other mazes from the same keys.

        Raises:
          ValueError: a size is even, too small or too large.
        """
        super().__init__(split, backend)
        if size % 2 == 0 or size < 5:
            raise ValueError(f"size {size}: a random maze needs an odd size of 5 or more")
        if max_size % 2 == 0 or max_size < size:
            raise ValueError(f"max_size {max_size}: must be odd and at least size ({size})")
        self._size = max_size if split == "large" else size
        self._max_size = max_size
        self._seed = seed
        self.state_size = 4 + max_size**2
        cells = (self._size - 1) ** 2 // 2
        self.episode_length = 50 * math.ceil(2.4 * cells * STEPS_PER_CELL / 50)

    def reset(self, rng: jax.Array) -> State:
        """Carve a maze, place it and draw a goal."""
        rng = jax.random.fold_in(rng, self._seed)
        maze_key, place_key, goal_key, offset_key = jax.random.split(rng, 4)
        corner = jax.random.randint(place_key, (2,), 0, self._max_size - self._size + 1)
        lengths = jnp.full((self._max_size, self._max_size), -1)
        lengths = jax.lax.dynamic_update_slice(lengths, carve(maze_key, self._size), corner).reshape(-1)
        goal_cell = jnp.argmax(jnp.where(lengths > 0, jax.random.uniform(goal_key, lengths.shape), -1.0))
        info = {
            "goal_distance": lengths[goal_cell].astype(jnp.float32),
            "path_lengths": lengths.astype(jnp.float32),
        }
        maze = (lengths < 0).astype(jnp.float32)
        start, goal = self._centre(jnp.argmax(lengths == 0)), self._centre(goal_cell)
        return self._begin(offset_key, start, goal, maze, info)

    def walls(self, obs: jax.Array) -> jax.Array:
        """Read from the observation."""
        return (obs[4:-2] > 0.5).reshape(self._max_size, self._max_size)

    def path_from_start(self, info: dict[str, jax.Array], position: jax.Array) -> jax.Array:
        """Looked up in the lengths that carving left behind."""
        cell = jnp.round(position).astype(jnp.int32)
        return info["path_lengths"][cell[0] * self._max_size + cell[1]]

    def _centre(self, cell: jax.Array) -> jax.Array:
        """Position ``[2]`` (m) of a flat cell index."""
        return jnp.stack([cell // self._max_size, cell % self._max_size]).astype(jnp.float32)
