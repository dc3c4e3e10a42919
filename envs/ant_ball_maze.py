"""The ant that pushes a ball through a maze."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import State

from . import mazes, models
from .ant_objects import BallEnv, ball_spec

_CELL_SIZE = 4.0  # m
_WALL_HEIGHT = 2.0  # m

# As in `mazes`, and B where the ball starts.
_LAYOUTS = {
    "u": """
        #####
        #SGB#
        ###G#
        #GGG#
        #####
    """,
    "big": """
        ########
        #S.##GG#
        #..#GGG#
        ##BGB###
        #GG#GGG#
        #G#GG#G#
        #GGG#GG#
        ########
    """,
}


class AntBallMaze(BallEnv):
    """The ant pushes a ball of 0.5 m radius to the centre of a cell of a maze, with cells of 4 m and walls of 2 m.

    The observation is that of ``AntBall``: 0..28 the joint positions and velocities of the ant (m, rad, m/s, rad/s),
    29..30 the ball x, y, 31..32 the goal x, y (m). Goal indices (29, 30): the ball is to be at the goal. Goal radius
    0.5 m. ``ant_ball_u_maze``: the ball starts two cells from the ant, in the corner; ``ant_ball_maze``: in one of
    two places of the big maze. Walls stop the ant's torso and feet. Difficulty is the path from ball to goal, in cells.
    Action and termination are those of ``Ant``. Both splits draw alike.

    Metrics: ``ball_distance``, from torso to ball (m).

    Source: JaxGCRL's ``AntBallMaze`` (arXiv 2408.11052), equal to it from the same key, its one key for the ball's
    place and the goal included: in the big maze the goal tells where the ball is. Its goal indices are (28, 29), a
    joint's velocity and the ball's x.
    """

    backend_on_cpu: ClassVar[str | None] = "mujoco"
    view: ClassVar[str] = "top"

    def __init__(self, split: str = "train", backend: str | None = None, layout: str = "big"):
        """Build the maze; ``layout`` is "u" or "big"."""
        if layout not in _LAYOUTS:
            raise ValueError(f"layout {layout!r}: AntBallMaze has {', '.join(_LAYOUTS)}")
        grid = np.array([list(line.strip()) for line in _LAYOUTS[layout].strip().splitlines()])
        walls = grid == "#"
        self._start, self._goals, self._balls = (_CELL_SIZE * np.argwhere(grid == letter) for letter in "SGB")
        flat = {letter: np.flatnonzero(grid == letter) for letter in "BG"}
        self._path_lengths = mazes.path_lengths(walls)[np.ix_(flat["B"], flat["G"])]
        spec = ball_spec()
        mazes.add_walls(spec, walls, _CELL_SIZE, _WALL_HEIGHT)
        models.add_target(spec, height=0.01, reach=100, radius=0.9)
        super().__init__(spec, split, backend)

    def reset(self, rng: jax.Array) -> State:
        """Start in the maze's start; draw the ball's place and the goal."""
        place_key, q_key, qd_key, _ = jax.random.split(rng, 4)
        q, qd = self._noisy_start(q_key, qd_key)
        goal, ball = (jax.random.randint(place_key, (1,), 0, len(own))[0] for own in (self._goals, self._balls))
        places = jnp.concatenate([jnp.array(self._balls)[ball], jnp.array(self._goals)[goal]])
        q = q.at[:2].set(self._start[0]).at[-4:].set(places)
        info = {"goal_distance": jnp.array(self._path_lengths, jnp.float32)[ball, goal]}
        return self._begin(q, qd.at[-4:].set(0), info, "ball_distance")
