"""The ant with something to push: a ball to a goal, a box out of its way."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco
from brax import base
from brax.envs.base import State

from . import models
from .ant import FEET, AntEnv
from .mazes import WALL_RGBA

_BALL_RADIUS = 0.5  # m
_BALL_GOAL_CIRCLE = 5.0  # m

# centre x, y and half-widths of the walls, m; the arena is 5 x 5 cells of 8 m, the box in its middle
_PUSH_WALLS = (
    (-4, 20, 8, 8),
    (8, 24, 4, 4),
    (20, 20, 8, 8),
    (-8, 4, 4, 8),
    (24, 8, 4, 4),
    (20, -4, 8, 8),
    (0, -8, 12, 4),
)
_PUSH_WALL_HEIGHT = 4.0  # m
_BOX_HALF_SIZE = (3.6, 3.6, 1.8)  # m
_BOX_START = (8.0, 8.0, 2.0)  # m
_BOX_MASS = 0.0002  # kg
_PUSH_GOALS = (16.0, 8.0)  # m


class BallEnv(AntEnv):
    """An ant with a ball to push, whose place is the goal; subclasses draw the reset."""

    state_size = 31
    goal_indices = (29, 30)

    def __init__(self, spec: mujoco.MjSpec, split: str, backend: str | None):
        """Compile ``spec``, which `ball_spec` began and a target ended."""
        super().__init__(spec, split, backend)
        self._ball = self.sys.link_names.index("object")

    def objects(self, pipeline_state: base.State) -> tuple[jax.Array, ...]:
        """Position of the ball."""
        return (pipeline_state.x.pos[self._ball, :2],)

    def behaviour(self, state: State, pipeline_state: base.State) -> dict[str, jax.Array]:
        """``ball_distance``: distance from torso to ball, m."""
        del state
        offset = pipeline_state.x.pos[self._ball, :2] - pipeline_state.x.pos[0, :2]
        return {"ball_distance": jnp.linalg.norm(offset)}


def ball_spec() -> mujoco.MjSpec:
    """The ant and its ball on an empty plane."""
    spec = models.load_spec("ant")
    models.set_initial_qpos(spec, extra=4)
    models.collide(spec, ["torso_geom", *FEET])
    ball = spec.worldbody.add_body(name="object", pos=[0, 0, _BALL_RADIUS])
    for name, axis in (("object_x", [1, 0, 0]), ("object_y", [0, 1, 0])):
        ball.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=axis,
            range=[-100, 100],
            damping=[0, 0, 0],
        )
    ball.add_geom(
        name="object",
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[_BALL_RADIUS, 0, 0],
        density=1.1,
        contype=1,
        rgba=models.OBJECT_RGBA,
    )
    return spec


class AntBall(BallEnv):
    """The ant pushes a ball of 0.5 m radius to a point on a circle of 5 m around the origin.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0..28 | joint positions and velocities of the ant, as for ``Ant`` | m, rad, m/s, rad/s |
    | 29, 30 | ball position x, y | m |
    | 31, 32 | goal x, y | m |

    Goal indices (29, 30): the ball is to be at the goal. Goal radius 0.5 m. The ball starts within 1 m of
    one fifth of the way to the goal. Action and termination are those of ``Ant``. Both splits draw alike.

    Source: JaxGCRL's ``ant_ball`` (arXiv 2408.11052), whose state and goal indices are kept;
    equal to it from the same key, its drawing of the ball's y offset from the goal's angle included.
    """

    view: ClassVar[str] = "follow"

    def __init__(self, split: str = "train", backend: str | None = None):
        """Build the ant and its ball on an empty plane."""
        spec = ball_spec()
        models.add_target(spec, height=0.01, reach=100, radius=0.9)
        super().__init__(spec, split, backend)

    def reset(self, rng: jax.Array) -> State:
        """Start near the origin; draw the goal and put the ball on the way to it."""
        goal_key, q_key, qd_key, _ = jax.random.split(rng, 4)
        q, qd = self._noisy_start(q_key, qd_key)
        _, angle_key, ball_key = jax.random.split(goal_key, 3)
        angle = 2 * jnp.pi * jax.random.uniform(angle_key)
        goal = _BALL_GOAL_CIRCLE * jnp.array([jnp.cos(angle), jnp.sin(angle)])
        ball_angle = 2 * jnp.pi * jax.random.uniform(ball_key)
        ball = 0.2 * goal + jnp.array([jnp.cos(ball_angle), jnp.sin(angle)])
        q = q.at[-4:].set(jnp.concatenate([ball, goal]))
        info = {"goal_distance": jnp.linalg.norm(goal - ball)}
        return self._begin(q, qd.at[-4:].set(0), info, "ball_distance")


class AntPush(AntEnv):
    """The ant pushes a box out of a narrow passage to walk to a goal behind it.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0..28 | joint positions and velocities of the ant, as for ``Ant`` | m, rad, m/s, rad/s |
    | 29, 30 | box position x, y | m |
    | 31, 32 | goal x, y | m |

    Goal indices (0, 1), goal radius 0.5 m. The goal lies within 2 m beyond (16, 8) or (8, 16). Action and
    termination are those of ``Ant``. Both splits draw alike.

    Source: JaxGCRL's ``ant_push`` (arXiv 2408.11052), equal to it from the same key; on MJX alone, where
    the contacts are stable.
    """

    backends: ClassVar[tuple[str, ...]] = ("mjx", "mujoco")
    backend_on_cpu: ClassVar[str | None] = "mujoco"
    view: ClassVar[str] = "top"

    state_size = 31
    goal_indices = (0, 1)

    def __init__(self, split: str = "train", backend: str | None = None):
        """Build the ant, the walls and the box."""
        spec = models.load_spec("ant")
        models.set_initial_qpos(spec, extra=5, height=0.75)
        spec.geom("torso_geom").contype = 1
        _add_push_arena(spec)
        models.add_target(spec, height=0.01, reach=20, radius=0.9)
        for geom in spec.geoms:
            geom.density = 40
            geom.solimp = [0.995, 0.995, 0.01, 0.5, 2]
        super().__init__(spec, split, backend)
        self._box = self.sys.link_names.index("box")

    def reset(self, rng: jax.Array) -> State:
        """Start near the origin; draw the goal."""
        goal_key, q_key, qd_key, _ = jax.random.split(rng, 4)
        q, qd = self._noisy_start(q_key, qd_key)
        _, order_key, noise_key = jax.random.split(goal_key, 3)
        goal = jax.random.permutation(order_key, jnp.array(_PUSH_GOALS))
        goal = goal + 2 * jax.random.uniform(noise_key, (2,))
        info = {"goal_distance": jnp.linalg.norm(goal - q[:2])}
        return self._begin(q.at[-2:].set(goal), qd.at[-4:].set(0), info, "box_moved")

    def objects(self, pipeline_state: base.State) -> tuple[jax.Array, ...]:
        """Position of the box."""
        return (pipeline_state.x.pos[self._box, :2],)

    def behaviour(self, state: State, pipeline_state: base.State) -> dict[str, jax.Array]:
        """``box_moved``: distance of the box from where it stood in the model, m."""
        del state
        return {"box_moved": jnp.linalg.norm(pipeline_state.x.pos[self._box, :2] - jnp.array(_BOX_START[:2]))}

    def _tune_for_mjx(self, sys: base.System) -> base.System:
        return models.with_newton(sys, iterations=4, line_search_iterations=8)


def _add_push_arena(spec: mujoco.MjSpec) -> None:
    """Add the fixed walls, and the box on three slide joints."""
    height = _PUSH_WALL_HEIGHT / 2
    for number, (x, y, half_x, half_y) in enumerate(_PUSH_WALLS):
        spec.worldbody.add_geom(
            name=f"wall_{number}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[x, y, height],
            size=[half_x, half_y, height],
            conaffinity=1,
            rgba=WALL_RGBA,
        )
    box = spec.worldbody.add_body(name="box", pos=_BOX_START)
    box.add_geom(
        name="box",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=_BOX_HALF_SIZE,
        mass=_BOX_MASS,
        contype=1,
        conaffinity=1,
        rgba=models.OBJECT_RGBA,
    )
    for name, axis in (("box_x", [1, 0, 0]), ("box_y", [0, 1, 0]), ("box_z", [0, 0, 1])):
        box.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=axis,
            limited=mujoco.mjtLimited.mjLIMITED_FALSE,
            armature=0,
            damping=[0, 0, 0],
            margin=0.01,
        )
