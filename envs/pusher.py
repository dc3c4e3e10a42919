"""An arm that pushes a puck over a table."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from brax import base, math
from brax.envs.base import State

from . import models
from .base import PipelineGoalEnv, check_backend, check_split, observation, physics

_PUCK_LOW, _PUCK_HIGH = (-0.3, -0.2), (-1e-6, 0.2)  # m: along y, along x, from the puck's place in the model
_GOAL_BOXES = {
    "easy": ((-0.55, -0.2), (-0.25 - 1e-6, 0.2)),
    "hard": ((-0.65, -0.55), (0.35, 0.45)),
}
_MIN_DISTANCE = 0.17  # m
_ARM_JOINTS = 7


class Pusher(PipelineGoalEnv):
    """A seven-joint arm pushes a puck to a point on a table, without gravity.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0..6 | joint angles: shoulder pan and lift, upper arm roll, elbow, forearm roll, wrist flex and roll | rad |
    | 7..9 | tip of the arm x, y, z | m |
    | 10..12 | puck position x, y, z (z constant) | m |
    | 13..19 | joint velocities, in the order of the angles | rad/s |
    | 20..22 | goal x, y, z (z constant, 0.048 m below the puck) | m |

    Goal indices (10, 11, 12): the puck is to be at the goal. Goal radius 0.1 m. ``pusher_easy`` draws goals
    from 0.3 m x 0.4 m beside the puck's region, ``pusher_hard`` from 1 m x 1 m around it. A puck drawn within
    0.17 m of its goal is moved away from the place it has in the model, which leaves some nearer. Action:
    joint torques in [-1, 1] of 1 N m, of 20 N m on spring and positional. Never terminates. Both splits draw
    alike.

    Metrics: ``puck_distance``, from the tip to the puck (m); ``puck_speed`` (m/s).

    Source: JaxGCRL's ``pusher_easy`` and ``pusher_hard`` (arXiv 2408.11052), after Brax's; equal to it from
    the same key, except that success is of the state after the step, not before. Dropped: the dense reward.
    """

    backends: ClassVar[tuple[str, ...]] = ("generalized", "spring", "positional", "mjx", "mujoco")
    view: ClassVar[str] = "top"

    state_size = 20
    goal_indices = (10, 11, 12)
    goal_radius = 0.1

    def __init__(self, split: str = "train", backend: str | None = None, kind: str = "easy"):
        """Build the arm, the table and the puck; ``kind`` is "easy" or "hard"."""
        self.split = check_split(type(self), split)
        backend = check_backend(type(self), backend)
        if kind not in _GOAL_BOXES:
            raise ValueError(f"kind {kind!r}: Pusher has {', '.join(_GOAL_BOXES)}")
        self._goal_box = _GOAL_BOXES[kind]
        spec = models.load_spec("pusher")
        spec.geom("object_geom").rgba = models.OBJECT_RGBA
        for geom in spec.body("goal").geoms:
            geom.rgba = [0, 0, 0, 0]
        sys, frames = models.to_system(spec), 5
        if backend in ("spring", "positional"):
            sys, frames = models.with_gear(models.with_timestep(sys, 0.001), [20.0] * sys.act_size()), 50
        super().__init__(spec, sys, backend, frames=frames)
        # the tips are fused with the wrist's last link; the one before it stands for them, as in Brax
        self._tip, self._puck, self._goal = map(self.sys.link_names.index, ("r_wrist_flex_link", "object", "goal"))

    def reset(self, rng: jax.Array) -> State:
        """Start from the stretched pose; draw puck and goal."""
        puck_y_key, puck_x_key, goal_y_key, goal_x_key, qd_key = jax.random.split(rng, 5)
        puck = _draw(puck_y_key, puck_x_key, _PUCK_LOW, _PUCK_HIGH)
        goal = _draw(goal_y_key, goal_x_key, *self._goal_box)
        distance = math.safe_norm(puck - goal)
        puck = puck * jnp.where(distance < _MIN_DISTANCE, _MIN_DISTANCE / distance, 1.0)
        q = self.sys.init_q.at[-4:].set(jnp.concatenate([puck, goal]))
        qd = jax.random.uniform(qd_key, (self.sys.qd_size(),), minval=-0.005, maxval=0.005)
        pipeline_state = self.pipeline_init(q, qd.at[-4:].set(0))
        obs = self._observe(pipeline_state)
        zero = jnp.zeros(())
        metrics = self._measure(obs) | {"success": zero, "puck_speed": zero}
        return State(pipeline_state, obs, zero, zero, metrics, info={"goal_distance": metrics["dist"]})

    def step(self, state: State, action: jax.Array) -> State:
        """Run the physics for 0.05 s."""
        pipeline_state = self.pipeline_step(physics(state), action)
        obs = self._observe(pipeline_state)
        puck_speed = jnp.linalg.norm(obs[10:13] - observation(state)[10:13]) / self.dt
        metrics = self._measure(obs) | {"puck_speed": puck_speed}
        return self.following(state, pipeline_state, obs, metrics)

    def goal_position(self, state: State) -> jax.Array:
        """The goal."""
        return observation(state)[20:23]

    def _observe(self, pipeline_state: base.State) -> jax.Array:
        centres = base.Transform.create(pos=self.sys.link.inertia.transform.pos)
        position = pipeline_state.x.vmap().do(centres).pos
        angles, velocities = pipeline_state.q[:_ARM_JOINTS], pipeline_state.qd[:_ARM_JOINTS]
        return jnp.concatenate(
            [angles, position[self._tip], position[self._puck], velocities, position[self._goal]],
        )

    def _measure(self, obs: jax.Array) -> dict[str, jax.Array]:
        dist = jnp.linalg.norm(obs[10:13] - obs[20:23])
        return {
            "success": (dist < self.goal_radius).astype(jnp.float32),
            "dist": dist,
            "puck_distance": jnp.linalg.norm(obs[10:13] - obs[7:10]),
        }


def _draw(y_key: jax.Array, x_key: jax.Array, low: tuple[float, float], high: tuple[float, float]) -> jax.Array:
    """A point (y, x) in a box, m: ``[2]``."""
    y = jax.random.uniform(y_key, minval=low[0], maxval=high[0])
    x = jax.random.uniform(x_key, minval=low[1], maxval=high[1])
    return jnp.array([y, x])
