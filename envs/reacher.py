"""A two-joint planar arm."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from brax import base
from brax.envs.base import State

from . import models
from .base import PipelineGoalEnv, check_backend, check_split, observation, physics

_TIP = (0.11, 0.0, 0.0)  # m, in the frame of the second link
_REACH = 0.2  # m


class Reacher(PipelineGoalEnv):
    """The tip of a planar arm reaches a point within 0.2 m of its base.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0, 1 | cosine of the joint angles | 1 |
    | 2, 3 | sine of the joint angles | 1 |
    | 4..6 | tip position x, y, z | m |
    | 7..9 | tip velocity x, y, z | m/s |
    | 10..12 | goal x, y, z (z constant) | m |

    Goal indices (4, 5, 6), goal radius 0.05 m. Action: joint torques in [-1, 1]. Never terminates. Both
    splits draw from the same disc, denser towards its centre.

    Source: JaxGCRL's ``reacher`` (arXiv 2408.11052), after Brax's; equal to it from the same key.
    """

    backends: ClassVar[tuple[str, ...]] = ("generalized", "spring", "positional", "mjx", "mujoco")
    view: ClassVar[str] = "top"

    state_size = 10
    goal_indices = (4, 5, 6)
    goal_radius = 0.05

    def __init__(self, split: str = "train", backend: str | None = None):
        """Build the arm."""
        self.split = check_split(type(self), split)
        backend = check_backend(type(self), backend)
        spec = models.load_spec("reacher")
        spec.geom("target").rgba = [0, 0, 0, 0]
        sys, frames = models.to_system(spec), 2
        if backend in ("spring", "positional"):
            sys, frames = models.with_gear(models.with_timestep(sys, 0.005), [25.0, 25.0]), 4
        super().__init__(spec, sys, backend, frames=frames)

    def reset(self, rng: jax.Array) -> State:
        """Start near the stretched pose; draw the goal."""
        goal_key, q_key, qd_key = jax.random.split(rng, 3)
        q = self.sys.init_q + jax.random.uniform(q_key, (self.sys.q_size(),), minval=-0.1, maxval=0.1)
        qd = jax.random.uniform(qd_key, (self.sys.qd_size(),), minval=-0.005, maxval=0.005)
        _, radius_key, angle_key = jax.random.split(goal_key, 3)
        angle = 2 * jnp.pi * jax.random.uniform(angle_key)
        goal = _REACH * jax.random.uniform(radius_key) * jnp.array([jnp.cos(angle), jnp.sin(angle)])
        pipeline_state = self.pipeline_init(q.at[2:].set(goal), qd.at[2:].set(0))
        obs = self._observe(pipeline_state)
        dist = self._distance(obs)
        zero = jnp.zeros(())
        metrics = {"success": zero, "dist": dist, "tip_speed": zero}
        return State(pipeline_state, obs, zero, zero, metrics, info={"goal_distance": dist})

    def step(self, state: State, action: jax.Array) -> State:
        """Run the physics for 0.02 s."""
        pipeline_state = self.pipeline_step(physics(state), action)
        obs = self._observe(pipeline_state)
        dist = self._distance(obs)
        success = (dist < self.goal_radius).astype(jnp.float32)
        metrics = {"success": success, "dist": dist, "tip_speed": jnp.linalg.norm(obs[7:10])}
        return self.following(state, pipeline_state, obs, metrics)

    def goal_position(self, state: State) -> jax.Array:
        """The goal."""
        return observation(state)[10:13]

    def _observe(self, pipeline_state: base.State) -> jax.Array:
        tip = base.Transform.create(pos=jnp.array(_TIP))
        angles = pipeline_state.q[:2]
        tip_position = pipeline_state.x.take(1).do(tip).pos
        tip_velocity = tip.do(pipeline_state.xd.take(1)).vel
        goal = pipeline_state.x.pos[2]
        return jnp.concatenate([jnp.cos(angles), jnp.sin(angles), tip_position, tip_velocity, goal])

    def _distance(self, obs: jax.Array) -> jax.Array:
        return jnp.linalg.norm(obs[10:13] - self.achieved_goal(obs))
