"""The ant in a maze."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from brax import base
from brax.envs.base import State

from . import mazes, models
from .ant import FEET, AntEnv
from .base import check_split, physics
from .waypoints import OnFloor

_CELL_SIZE = 4.0  # m
_WALL_HEIGHT = 2.0  # m

_HIPS = ("aux_1_geom", "aux_2_geom", "aux_3_geom", "aux_4_geom")


class AntMaze(OnFloor, AntEnv):
    """The ant walks through a maze with cells of 4 m and walls of 2 m.

    The observation is that of ``Ant``: 0..28 the joint positions and velocities (m, rad, m/s, rad/s),
    29..30 the goal x, y (m). Goal indices (0, 1), goal radius 0.5 m; starts and goals are centres of cells.
    Action and termination are those of ``Ant``.

    Source: JaxGCRL's ``ant_*_maze`` (arXiv 2408.11052), whose ``_eval`` names are our eval split, and the
    layouts u2 to u7 of Wang et al. 2025 (arXiv 2503.14858); equal to JaxGCRL from the same key.
    """

    backend_on_cpu: ClassVar[str | None] = "mujoco"
    view: ClassVar[str] = "top"

    state_size = 29
    goal_indices = (0, 1)
    cell_size = _CELL_SIZE

    def __init__(
        self,
        split: str = "train",
        backend: str | None = None,
        layout: str = "u",
        stitch: bool = False,
    ):
        """Build the maze.

        Args:
          split: "train" or "eval".
          backend: one of ``backends``; None for the first.
          layout: a name in ``mazes.LAYOUTS`` or the text of a layout.
          stitch: pair all free cells, near ones in train and far ones in eval (see ``mazes``).
        """
        self._task = mazes.MazeTask(layout, check_split(type(self), split), _CELL_SIZE, stitch=stitch)
        spec = models.load_spec("ant")
        models.set_initial_qpos(spec, extra=2)
        models.collide(spec, ["torso_geom", *_HIPS, *FEET])
        spec.geom("floor").size = [60, 60, 40]
        models.add_target(spec, height=0.01, reach=100, radius=0.9)
        mazes.add_walls(spec, self._task.maze.walls, _CELL_SIZE, _WALL_HEIGHT)
        super().__init__(spec, split, backend)

    def reset(self, rng: jax.Array) -> State:
        """Draw a start and a goal."""
        q_key, qd_key, _, pair_key = jax.random.split(rng, 4)
        q, qd = self._noisy_start(q_key, qd_key)
        start, goal, goal_distance = self._task.draw(pair_key)
        info = {"goal_distance": goal_distance, "start": start}
        q = q.at[:2].set(start).at[-2:].set(goal)
        return self._begin(q, qd.at[-2:].set(0), info, "farthest_cell")

    def walls(self, obs: jax.Array) -> jax.Array:
        """The layout's walls."""
        del obs
        return jnp.array(self._task.maze.walls)

    def floor(self, state: State) -> mazes.Floor:
        """The maze."""
        del state
        return mazes.Floor(self._task.maze.walls, _CELL_SIZE)

    def observe_at(self, state: State, position: jax.Array, goal: jax.Array) -> jax.Array:
        """What the ant of ``state`` would observe at another position, with another goal, ``[2]`` each (m)."""
        q = physics(state).q.at[:2].set(position).at[-2:].set(goal)
        return self.observe(self.pipeline_init(q, physics(state).qd))

    def behaviour(self, state: State, pipeline_state: base.State) -> dict[str, jax.Array]:
        """``farthest_cell``: longest shortest path (cells) from the start to a cell reached so far."""
        reached = self._task.path_length(state.info["start"], pipeline_state.x.pos[0, :2])
        return {"farthest_cell": jnp.maximum(state.metrics["farthest_cell"], reached)}
