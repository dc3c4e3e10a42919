"""The half-cheetah."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from brax import base
from brax.envs.base import State

from . import models
from .base import PipelineGoalEnv, check_backend, check_split, observation, physics

_RESET_NOISE = 0.1  # rad or m: half-width of positions; rad/s or m/s: standard deviation of velocities
_GOAL = 5.0  # m
_SOFT_GEAR = (120.0, 90.0, 60.0, 120.0, 100.0, 100.0)
_GOAL_HEIGHT = 0.5  # m, of the drawn marker


class HalfCheetah(PipelineGoalEnv):
    """A planar two-legged robot runs 5 m and stays there.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0, 1 | torso position x and z, z from the model's 0.7 m | m |
    | 2 | torso pitch | rad |
    | 3..5 | joint angles of the back thigh, shin and foot | rad |
    | 6..8 | joint angles of the front thigh, shin and foot | rad |
    | 9, 10 | torso velocity x, z | m/s |
    | 11 | torso pitch velocity | rad/s |
    | 12..17 | joint velocities, in the order of the angles | rad/s |
    | 18 | goal x | m |

    Goal indices (0,), goal radius 0.5 m. The goal is x = 5 m in every episode and both splits; the start is
    near x = 0. Action: joint torques in [-1, 1], in the order of the angles. Never terminates.

    Metrics: ``forward_speed`` (m/s); ``upright``, 1 while the torso is within 90 degrees of level.

    Source: JaxGCRL's ``cheetah`` (arXiv 2408.11052), after Brax's; equal to it from the same key. Dropped:
    the dense reward.
    """

    backends: ClassVar[tuple[str, ...]] = ("mjx", "spring", "positional", "generalized", "mujoco")
    backend_on_cpu: ClassVar[str | None] = "mujoco"

    state_size = 18
    goal_indices = (0,)
    goal_radius = 0.5

    def __init__(self, split: str = "train", backend: str | None = None):
        """Build the robot on an empty plane."""
        self.split = check_split(type(self), split)
        backend = check_backend(type(self), backend)
        spec = models.load_spec("half_cheetah")
        damping = spec.numeric("constraint_ang_damping")
        damping.data, damping.size = [*damping.data, 1.0], len(damping.data) + 1
        models.add_target(spec, height=0.01, reach=20, radius=0.9, axes="x")
        sys, frames = models.to_system(spec), 5
        if backend in ("spring", "positional"):
            sys, frames = models.with_gear(models.with_timestep(sys, 0.003125), _SOFT_GEAR), 16
        super().__init__(spec, sys, backend, frames=frames)

    def reset(self, rng: jax.Array) -> State:
        """Start near the origin."""
        _, q_key, qd_key = jax.random.split(rng, 3)
        noise = jax.random.uniform(q_key, (self.sys.q_size(),), minval=-_RESET_NOISE, maxval=_RESET_NOISE)
        q = (self.sys.init_q + noise).at[-1].set(_GOAL)
        qd = _RESET_NOISE * jax.random.normal(qd_key, (self.sys.qd_size(),))
        pipeline_state = self.pipeline_init(q, qd.at[-1].set(0))
        obs = self._observe(pipeline_state)
        zero = jnp.zeros(())
        metrics = self._measure(obs) | {"success": zero}
        return State(pipeline_state, obs, zero, zero, metrics, info={"goal_distance": metrics["dist"]})

    def step(self, state: State, action: jax.Array) -> State:
        """Run the physics for 0.05 s."""
        pipeline_state = self.pipeline_step(physics(state), action)
        obs = self._observe(pipeline_state)
        metrics = self._measure(obs)
        return self.following(state, pipeline_state, obs, metrics)

    def goal_position(self, state: State) -> jax.Array:
        """The goal, at about the height of the torso."""
        return jnp.array([observation(state)[-1], 0.0, _GOAL_HEIGHT])

    def _observe(self, pipeline_state: base.State) -> jax.Array:
        return jnp.concatenate([pipeline_state.q[:-1], pipeline_state.qd[:-1], pipeline_state.x.pos[-1, :1]])

    def _measure(self, obs: jax.Array) -> dict[str, jax.Array]:
        dist = jnp.abs(obs[0] - obs[-1])
        return {
            "success": (dist < self.goal_radius).astype(jnp.float32),
            "dist": dist,
            "forward_speed": obs[9],
            "upright": (jnp.cos(obs[2]) > 0).astype(jnp.float32),
        }
