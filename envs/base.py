"""The contract that every goal-conditioned environment meets."""

from __future__ import annotations

import abc
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import mujoco
from brax import base
from brax.base import System
from brax.envs.base import Env, PipelineEnv, State

from .engine import Engine, EngineState


def observation(state: State) -> jax.Array:
    """What is observed in a state, ``[..., observation_size]``: one array, where Brax allows several by name."""
    return cast("jax.Array", state.obs)


def physics(state: State) -> Any:
    """The physics of a state: a `brax.base.State` with what the backend adds to it, where Brax also allows none."""
    return state.pipeline_state


class GoalEnv(Env, abc.ABC):
    """A Brax environment whose observation is ``concat(state, goal)``.

    ``reset`` draws a fresh start and goal from its key; nothing is cached between episodes. ``step`` sets
    ``done`` only when the episode truly terminates (the robot fell, or the physics diverged): cutting episodes at
    ``episode_length`` is the caller's work. Reward is ``metrics["success"]``.

    Attributes:
      splits: names of the goal distributions; the first is the one trained on.
      backends: physics backends that the environment runs on; the first is the default.
      backend_on_cpu: the default where JAX runs on a CPU, if it is another.
      view: "top" to be drawn from above, "follow" for a camera that follows the robot.
      split: the split this instance draws its starts and goals from.
      state_size: leading entries of the observation that are the state.
      goal_indices: where in the state the achieved goal is read.
      goal_radius: a goal is reached when the achieved goal is nearer than this, in metres.
      episode_length: steps after which an episode is cut.

    ``State.metrics`` carries at least ``success`` (0 or 1: within the radius in this step) and ``dist``
    (distance from achieved to commanded goal, m). ``State.info["goal_distance"]`` is the difficulty of
    the commanded goal as known at reset: shortest path in cells for a maze, straight distance in metres
    elsewhere.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "eval")
    backends: ClassVar[tuple[str, ...]] = ("spring", "positional", "generalized", "mjx", "mujoco")
    backend_on_cpu: ClassVar[str | None] = None
    view: ClassVar[str] = "follow"

    split: str
    state_size: int
    goal_indices: tuple[int, ...]
    goal_radius: float
    episode_length: int = 1000

    @property
    def goal_size(self) -> int:
        """Entries of the goal."""
        return len(self.goal_indices)

    @property
    def observation_size(self) -> int:
        """Entries of the observation: state and commanded goal."""
        return self.state_size + self.goal_size

    def achieved_goal(self, state_obs: jax.Array) -> jax.Array:
        """The goal that a state achieves: ``[..., state_size] -> [..., goal_size]``."""
        return state_obs[..., jnp.array(self.goal_indices)]

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        """What is held against the goal radius: ``dist`` of achieved from commanded goals ``[..., goal_size]``, m."""
        return jnp.linalg.norm(achieved - goal, axis=-1)

    def diverged(self, state: State) -> jax.Array:
        """Whether the physics gave this (unbatched) state up, so that its episode must end: bool."""
        del state
        return jnp.zeros((), bool)

    @abc.abstractmethod
    def scene(self, state: State) -> mujoco.MjModel:
        """The MuJoCo model that shows an (unbatched) state; constant over an episode."""

    @abc.abstractmethod
    def qpos(self, state: State) -> jax.Array:
        """Joint positions of ``scene(state)`` for a state: ``[nq]``; works under jit and vmap."""

    @abc.abstractmethod
    def goal_position(self, state: State) -> jax.Array:
        """World position ``[3]`` (m) of the commanded goal, where a marker is drawn."""


class PipelineGoalEnv(PipelineEnv, GoalEnv):
    """A ``GoalEnv`` on one of Brax's physics pipelines, or on MuJoCo's C engine."""

    def __init__(self, spec: mujoco.MjSpec, sys: System, backend: str, frames: int):
        """Take a model.

        Args:
          spec: what the C engine compiles.
          sys: the same for Brax's pipelines, with what they need changed.
          backend: one of ``backends``.
          frames: substeps of a step.
        """
        in_c = backend == "mujoco"
        super().__init__(sys=sys, backend="mjx" if in_c else backend, n_frames=frames)
        self._backend = backend
        self._engine = Engine(spec, frames) if in_c else None

    # Unlike Brax's it takes no activation or control: environments begin without.
    def pipeline_init(self, q: jax.Array, qd: jax.Array) -> base.State:  # ty: ignore[incompatible-method-override]
        """The physics at joint positions ``[nq]`` and velocities ``[nv]``."""
        return super().pipeline_init(q, qd) if self._engine is None else self._engine.init(q, qd)

    def pipeline_step(self, pipeline_state: base.State, action: jax.Array) -> base.State:
        """The physics after a step with one control ``[nu]``."""
        if self._engine is None:
            return super().pipeline_step(pipeline_state, action)
        assert isinstance(pipeline_state, EngineState)
        return self._engine.step(pipeline_state, action)

    def diverged(self, state: State) -> jax.Array:
        """Whether the C engine gave the state up, or the physics is not finite."""
        found = physics(state)
        if self._engine is not None:
            return found.diverged
        return ~(jnp.isfinite(found.q).all() & jnp.isfinite(found.qd).all())

    def following(
        self,
        state: State,
        pipeline_state: base.State,
        obs: jax.Array,
        metrics: dict[str, jax.Array],
        fell: jax.Array | bool = False,
    ) -> State:
        """The state after a step. Physics that diverged ends the episode, and with the C engine nothing else of it
        is seen: observation and metrics stay those of before.

        Args:
          state: before the step.
          pipeline_state: the physics after it.
          obs: what is observed then, ``[observation_size]``.
          metrics: what is measured then; those not named stay.
          fell: whether the task has ended the episode.
        """
        metrics = {**state.metrics, **metrics}
        state = replace(state, pipeline_state=pipeline_state)
        diverged = self.diverged(state)
        if self._engine is not None:
            obs, metrics = jax.tree.map(partial(jnp.where, diverged), (state.obs, state.metrics), (obs, metrics))
        done = (fell | diverged).astype(jnp.float32)
        return replace(state, obs=obs, reward=metrics["success"], done=done, metrics=metrics)

    @property
    def physics_failures(self) -> int:
        """Steps in which the C engine gave a copy up, so far in this process."""
        return 0 if self._engine is None else self._engine.failures

    @property
    def observation_size(self) -> int:
        """Entries of the observation: state and commanded goal."""
        return self.state_size + self.goal_size

    def scene(self, state: State) -> mujoco.MjModel:
        """The model that the physics system was built from."""
        del state
        return self.sys.mj_model

    def qpos(self, state: State) -> jax.Array:
        """Joint positions ``[nq]``; Brax and MuJoCo order them alike."""
        return physics(state).q


def check_split(env: type[GoalEnv], split: str) -> str:
    """Return ``split``, or raise ``ValueError`` naming the allowed ones."""
    if split not in env.splits:
        raise ValueError(f"split {split!r}: {env.__name__} has {', '.join(env.splits)}")
    return split


def check_backend(env: type[GoalEnv], backend: str | None) -> str:
    """Return ``backend``, the default one here for None, or raise ``ValueError`` naming the allowed ones."""
    if backend is None:
        on_cpu = env.backend_on_cpu if jax.default_backend() == "cpu" else None
        return on_cpu or env.backends[0]
    if backend not in env.backends:
        raise ValueError(f"backend {backend!r}: {env.__name__} runs on {', '.join(env.backends)}")
    return backend
