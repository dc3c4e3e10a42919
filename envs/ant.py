"""The ant, and what every environment with an ant shares."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
from brax import base
from brax.envs.base import State

from . import models
from .base import PipelineGoalEnv, check_backend, check_split, physics

FEET = ("left_foot_geom", "right_foot_geom", "third_foot_geom", "fourth_foot_geom")
"""Geoms of the ant that touch the ground."""

_HEALTHY_HEIGHT = (0.2, 1.0)  # m; the episode ends outside
_RESET_NOISE = 0.1  # rad or m: half-width of positions; rad/s or m/s: standard deviation of velocities
_GOAL_CIRCLE = 10.0  # m
_Q_SIZE, _QD_SIZE = 15, 14  # free joint and eight hinges


class AntEnv(PipelineGoalEnv):
    """An ant of eight actuated joints with a goal body (the last two joint positions) in its world.

    Subclasses build the model and draw the reset.
    """

    goal_radius = 0.5

    def __init__(self, spec: mujoco.MjSpec, split: str, backend: str | None):
        """Compile ``spec`` for the backend with the timesteps that the peer packages use."""
        self.split = check_split(type(self), split)
        backend = check_backend(type(self), backend)
        sys, frames = models.to_system(spec), 5
        if backend in ("spring", "positional"):
            sys, frames = models.with_timestep(sys, 0.005), 10
        if backend == "positional":
            sys = models.with_gear(sys, [200.0] * sys.act_size())
        if backend == "mjx":
            sys = self._tune_for_mjx(sys)
        super().__init__(spec, sys, backend, frames=frames)

    def observe(self, pipeline_state: base.State) -> jax.Array:
        """Joint positions and velocities of the ant, what ``objects`` adds, the goal."""
        ant_q, ant_qd = pipeline_state.q[:_Q_SIZE], pipeline_state.qd[:_QD_SIZE]
        goal = pipeline_state.x.pos[-1, :2]
        return jnp.concatenate([ant_q, ant_qd, *self.objects(pipeline_state), goal])

    def objects(self, pipeline_state: base.State) -> tuple[jax.Array, ...]:
        """Observed quantities of other bodies."""
        del pipeline_state
        return ()

    def behaviour(self, state: State, pipeline_state: base.State) -> dict[str, jax.Array]:
        """Metrics of the task's own, given the state before and the physics after a step."""
        del state, pipeline_state
        return {}

    def step(self, state: State, action: jax.Array) -> State:
        """Run the physics for 0.05 s."""
        before = physics(state)
        after = self.pipeline_step(before, action)
        obs = self.observe(after)
        dist = self._distance(obs)
        success = (dist < self.goal_radius).astype(jnp.float32)
        height = after.x.pos[0, 2]
        low, high = _HEALTHY_HEIGHT
        metrics = {
            "success": success,
            "dist": dist,
            "torso_height": height,
            "speed": jnp.linalg.norm(after.x.pos[0, :2] - before.x.pos[0, :2]) / self.dt,
            **self.behaviour(state, after),
        }
        return self.following(state, after, obs, metrics, fell=(height < low) | (height > high))

    def goal_position(self, state: State) -> jax.Array:
        """The goal, at the height of an object to reach with the torso."""
        return jnp.append(physics(state).q[-2:], 0.5)

    def _tune_for_mjx(self, sys: base.System) -> base.System:
        return models.with_newton(sys, iterations=1, line_search_iterations=4)

    def _noisy_start(self, q_key: jax.Array, qd_key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Joint positions and velocities near the initial ones, the goal body among them."""
        noise = jax.random.uniform(q_key, (self.sys.q_size(),), minval=-_RESET_NOISE, maxval=_RESET_NOISE)
        qd = _RESET_NOISE * jax.random.normal(qd_key, (self.sys.qd_size(),))
        return self.sys.init_q + noise, qd

    def _begin(self, q: jax.Array, qd: jax.Array, info: dict[str, jax.Array], *behaviours: str) -> State:
        """The first state of an episode; ``behaviours`` names the task's own metrics."""
        pipeline_state = self.pipeline_init(q, qd)
        obs = self.observe(pipeline_state)
        zero = jnp.zeros(())
        metrics = dict.fromkeys(("success", "speed", *behaviours), zero)
        metrics |= {"dist": self._distance(obs), "torso_height": pipeline_state.x.pos[0, 2]}
        return State(pipeline_state, obs, reward=zero, done=zero, metrics=metrics, info=info)

    def _distance(self, obs: jax.Array) -> jax.Array:
        return jnp.linalg.norm(self.achieved_goal(obs) - obs[self.state_size :])


class Ant(AntEnv):
    """The ant walks to a point on a circle of 10 m around the origin, where it starts.

    ``ant_random_start``: that point is drawn alike, and the ant starts anywhere on the circle of 10 m around it.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0..2 | torso position x, y, z | m |
    | 3..6 | torso orientation, quaternion w, x, y, z | 1 |
    | 7..14 | joint angles: hip and ankle of legs 1 (front left), 2 (front right), 3, 4 (back) | rad |
    | 15..17 | torso velocity x, y, z | m/s |
    | 18..20 | torso angular velocity x, y, z | rad/s |
    | 21..28 | joint velocities, in the order of the angles | rad/s |
    | 29, 30 | goal x, y | m |

    Goal indices (0, 1), goal radius 0.5 m. Action: torques of hip and ankle of legs 4, 1, 2, 3, in [-1, 1].
    The episode ends when the torso is lower than 0.2 m or higher than 1 m. Both splits draw from the same
    circle.

    Source: JaxGCRL's ``ant`` and ``ant_random_start`` (arXiv 2408.11052), after Brax's; equal to them from the same
    key. Dropped: the dense reward, and metrics that were constant or not of behaviour.
    """

    state_size = 29
    goal_indices = (0, 1)

    def __init__(self, split: str = "train", backend: str | None = None, random_start: bool = False):
        """Build the ant on an empty plane; ``random_start`` has it start around its goal."""
        self._random_start = random_start
        spec = models.load_spec("ant")
        models.set_initial_qpos(spec, extra=2)
        models.add_target(spec, height=0.01, reach=20, radius=0.9)
        super().__init__(spec, split, backend)

    def reset(self, rng: jax.Array) -> State:
        """Start near the origin, or around the goal; draw the goal's direction."""
        goal_key, q_key, qd_key = jax.random.split(rng, 3)
        q, qd = self._noisy_start(q_key, qd_key)
        start_key, _, angle_key = jax.random.split(goal_key, 3)
        goal = _on_circle(angle_key)
        if self._random_start:
            q = q.at[:2].set(goal + _on_circle(jax.random.split(start_key, 3)[2]))
        info = {"goal_distance": jnp.linalg.norm(goal - q[:2])}
        return self._begin(q.at[-2:].set(goal), qd.at[-2:].set(0), info)


def _on_circle(key: jax.Array) -> jax.Array:
    """A point of the circle of goals around the origin, m: ``[2]``."""
    angle = 2 * jnp.pi * jax.random.uniform(key)
    return _GOAL_CIRCLE * jnp.array([jnp.cos(angle), jnp.sin(angle)])
