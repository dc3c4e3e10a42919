"""A point mass in a maze: the cheapest environment, with dynamics of its own."""

from __future__ import annotations

import abc
from dataclasses import replace
from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from brax.envs.base import State

from . import mazes
from .base import GoalEnv, check_backend, check_split, observation
from .waypoints import OnFloor

_TIMESTEP = 0.1  # s
_MAX_SPEED = 2.4  # m/s
_LAG = 0.5  # share of the gap to the commanded velocity that one step closes
_HALF_WIDTH = 0.2  # m
_SKIN = 1e-4  # m; how much a contact may overlap before it counts, above float32 rounding
_JITTER = 0.25  # m; starts and goals lie within this of their cell's centre, on each axis
_CELL_SIZE = 1.0  # m
_WALL_HEIGHT = 0.5  # m

STEPS_PER_CELL = _CELL_SIZE / (_MAX_SPEED * _TIMESTEP)
"""Steps that a cell takes at full speed."""


def move(position: jax.Array, velocity: jax.Array, walls: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Advance a square body by one timestep; walls stop the velocity across them, not along them.

    The axes move one after the other, each swept up to the first wall, so that a body can neither pass
    through a wall (a step is shorter than a cell) nor cut a corner.

    Args:
      position: centre of the body ``[2]``, m.
      velocity: ``[2]``, m/s.
      walls: ``[rows, columns]``, True where there is a wall.

    Returns:
      The new position ``[2]`` and velocity ``[2]``.
    """
    for axis in (0, 1):
        position, velocity = _move_axis(position, velocity, walls, axis)
    return position, velocity


def _move_axis(position: jax.Array, velocity: jax.Array, walls: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """Advance along one axis; two probes on the leading edge look for walls."""
    flat, columns = walls.reshape(-1), walls.shape[1]
    side = jnp.where(velocity[axis] < 0, -1.0, 1.0)
    moved = position[axis] + _TIMESTEP * velocity[axis]
    lead = jnp.floor((moved + side * _HALF_WIDTH) / _CELL_SIZE + 0.5).astype(jnp.int32)
    edges = position[1 - axis] + jnp.array([-1.0, 1.0]) * (_HALF_WIDTH - _SKIN)
    across = jnp.floor(edges / _CELL_SIZE + 0.5).astype(jnp.int32)
    cells = lead * columns + across if axis == 0 else across * columns + lead
    hit = flat[cells].any()
    contact = (lead - 0.5 * side) * _CELL_SIZE - side * _HALF_WIDTH
    position = position.at[axis].set(jnp.where(hit, contact, moved))
    velocity = velocity.at[axis].set(jnp.where(hit, 0.0, velocity[axis]))
    return position, velocity


def steer(velocity: jax.Array, action: jax.Array) -> jax.Array:
    """Velocity ``[2]`` (m/s) one timestep into a commanded velocity, ``action`` in [-1, 1] of the largest."""
    return velocity + _LAG * (_MAX_SPEED * jnp.clip(action, -1.0, 1.0) - velocity)


def build_scene(walls: np.ndarray) -> mujoco.MjModel:
    """A model to look at: floor, walls and the body on two slide joints."""
    spec = mujoco.MjSpec()
    rows, columns = walls.shape
    spec.worldbody.add_light(
        pos=[rows / 2, columns / 2, 10], dir=[0, 0, -1], type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    )
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=[(rows - 1) * _CELL_SIZE / 2, (columns - 1) * _CELL_SIZE / 2, 0],
        size=[rows * _CELL_SIZE / 2, columns * _CELL_SIZE / 2, 0.1],
        rgba=[0.93, 0.93, 0.95, 1],
    )
    mazes.add_walls(spec, walls, _CELL_SIZE, _WALL_HEIGHT)
    body = spec.worldbody.add_body(name="point", pos=[0, 0, _HALF_WIDTH])
    for name, axis in (("x", [1, 0, 0]), ("y", [0, 1, 0])):
        body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
    body.add_geom(name="point", type=mujoco.mjtGeom.mjGEOM_BOX, size=[_HALF_WIDTH] * 3, rgba=[0.16, 0.44, 0.85, 1])
    return spec.compile()


class PointEnv(OnFloor, GoalEnv):
    """A point mass among walls; the observation is the whole state, and ``pipeline_state`` is None.

    The observation begins with position and velocity and ends with the goal, x and y each. Subclasses draw
    the reset, know the walls and measure paths.
    """

    backends: ClassVar[tuple[str, ...]] = ("planar",)
    view: ClassVar[str] = "top"

    goal_indices = (0, 1)
    goal_radius = 0.3
    cell_size = _CELL_SIZE
    jitter = _JITTER

    def __init__(self, split: str, backend: str | None):
        """Check split and backend."""
        self.split = check_split(type(self), split)
        self._backend = check_backend(type(self), backend)

    @abc.abstractmethod
    def walls(self, obs: jax.Array) -> jax.Array:
        """Where the walls are: ``[rows, columns]``, bool."""

    @abc.abstractmethod
    def path_from_start(self, info: dict[str, jax.Array], position: jax.Array) -> jax.Array:
        """Shortest path (cells) from the episode's start to the cell of a position ``[2]`` (m)."""

    @property
    def action_size(self) -> int:
        """Entries of the action: commanded velocity x, y."""
        return 2

    @property
    def backend(self) -> str:
        """``planar``, the dynamics in this file."""
        return self._backend

    def step(self, state: State, action: jax.Array) -> State:
        """Steer, move and slide for 0.1 s."""
        before = observation(state)
        position, velocity, goal = before[:2], before[2:4], before[-2:]
        position, velocity = move(position, steer(velocity, action), self.walls(before))
        dist = jnp.linalg.norm(position - goal)
        success = (dist < self.goal_radius).astype(jnp.float32)
        reached = self.path_from_start(state.info, position)
        metrics = {
            "success": success,
            "dist": dist,
            "speed": jnp.linalg.norm(velocity),
            "farthest_cell": jnp.maximum(state.metrics["farthest_cell"], reached),
        }
        obs = jnp.concatenate([position, velocity, before[4:]])
        return replace(state, obs=obs, reward=success, metrics={**state.metrics, **metrics})

    def floor(self, state: State) -> mazes.Floor:
        """The maze of an episode."""
        return mazes.Floor(np.asarray(self.walls(observation(state))), _CELL_SIZE)

    def lift(self, state: jax.Array, goal: jax.Array) -> jax.Array:
        """``state [..., X]`` at rest where ``goal [..., 2]`` is achieved."""
        return super().lift(state, goal).at[..., 2:4].set(0.0)

    def observe_at(self, state: State, position: jax.Array, goal: jax.Array) -> jax.Array:
        """What ``state`` would observe at another position, with another goal, ``[2]`` each (m)."""
        return jnp.concatenate([position, observation(state)[2:-2], goal])

    def scene(self, state: State) -> mujoco.MjModel:
        """Floor, walls and the point."""
        return build_scene(np.asarray(self.walls(observation(state))))

    def qpos(self, state: State) -> jax.Array:
        """Position x, y (m)."""
        return observation(state)[:2]

    def goal_position(self, state: State) -> jax.Array:
        """The goal, at the height of the body's centre."""
        return jnp.append(observation(state)[-2:], _HALF_WIDTH)

    def _begin(
        self, key: jax.Array, start: jax.Array, goal: jax.Array, maze: jax.Array, info: dict[str, jax.Array]
    ) -> State:
        """The first state of an episode: at rest near the centres ``start`` and ``goal`` ``[2]`` (m)."""
        offsets = jax.random.uniform(key, (2, 2), minval=-_JITTER, maxval=_JITTER)
        start, goal = start + offsets[0], goal + offsets[1]
        zero = jnp.zeros(())
        metrics = dict.fromkeys(("success", "speed", "farthest_cell"), zero)
        return State(
            pipeline_state=None,
            obs=jnp.concatenate([start, jnp.zeros(2), maze, goal]),
            reward=zero,
            done=zero,
            metrics=metrics | {"dist": jnp.linalg.norm(start - goal)},
            info=info,
        )


class PointMaze(PointEnv):
    """A point mass in a maze, steered by a velocity command.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0, 1 | position x, y | m |
    | 2, 3 | velocity x, y | m/s |
    | 4, 5 | goal x, y | m |

    Goal indices (0, 1), goal radius 0.3 m, cells of 1 m. Action: commanded velocity x, y in [-1, 1] of
    2.4 m/s, which the velocity approaches by half the gap in each step of 0.1 s; the 6 cells of the u maze
    take about 27 steps. The body is a square of 0.4 m that slides along walls. Training starts in any free cell
    with any other as goal, so that a minute on a CPU is enough; evaluation starts and ends where the layout
    says. Both are drawn within 0.25 m of their cell's centre, on each axis. Never terminates; the episode is
    four times as long as the longest path of the layout takes, rounded to 50 steps: 100 for u.

    Source: our own, after the point mazes of D4RL (Fu et al. 2020, arXiv 2004.07219); it stands in for
    JaxGCRL's simple mazes, which put a sphere through rigid-body physics.
    """

    state_size = 4

    def __init__(
        self,
        split: str = "train",
        backend: str | None = None,
        layout: str = "u",
        stitch: bool = False,
    ):
        """Read the maze.

        Args:
          split: "train" or "eval".
          backend: "planar".
          layout: a name in ``mazes.LAYOUTS`` or the text of a layout.
          stitch: pair all free cells, near ones in train and far ones in eval (see ``mazes``).
        """
        super().__init__(split, backend)
        self._task = mazes.MazeTask(layout, split, _CELL_SIZE, stitch=stitch, roam=True)
        self._walls = jnp.array(self._task.maze.walls)
        longest = int(self._task.maze.path_lengths.max())
        self.episode_length = 50 * max(1, round(4 * longest * STEPS_PER_CELL / 50))

    def reset(self, rng: jax.Array) -> State:
        """Draw a start and a goal."""
        pair_key, offset_key = jax.random.split(rng)
        start, goal, goal_distance = self._task.draw(pair_key)
        info = {"goal_distance": goal_distance, "start": start}
        return self._begin(offset_key, start, goal, jnp.zeros(0), info)

    def walls(self, obs: jax.Array) -> jax.Array:
        """The layout's walls."""
        del obs
        return self._walls

    def path_from_start(self, info: dict[str, jax.Array], position: jax.Array) -> jax.Array:
        """Looked up in the layout's table."""
        return self._task.path_length(info["start"], position)
