"""An arm that pushes pucks over a table, or reaches a point on it."""

from __future__ import annotations

import abc
from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco
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

# Of two pucks: along y, along x, m. Both goals have the same y.
_TWO_PUCKS = (((-0.35, 0.25), (-0.05, 0.45 - 1e-6)), ((-0.35, 0.45 + 1e-6), (-0.05, 0.65)))
_TWO_GOALS = (((-0.7, -0.15), (0.3, 0.375 - 1e-6)), ((-0.7, 0.375 + 1e-6), (0.3, 0.9)))


class _PusherEnv(PipelineGoalEnv):
    """What all tasks of the arm share: the model, the end of the arm, the pucks and the goals.

    Subclasses draw the reset, observe and measure.
    """

    backends: ClassVar[tuple[str, ...]] = ("generalized", "spring", "positional", "mjx", "mujoco")
    view: ClassVar[str] = "top"

    goal_radius = 0.1

    def __init__(self, spec: mujoco.MjSpec, split: str, backend: str | None, places: tuple[str, ...]):
        """Compile the model; ``places`` names the bodies that are observed besides the tip."""
        self.split = check_split(type(self), split)
        backend = check_backend(type(self), backend)
        sys, frames = models.to_system(spec), 5
        if backend in ("spring", "positional"):
            sys, frames = models.with_gear(models.with_timestep(sys, 0.001), [20.0] * sys.act_size()), 50
        super().__init__(spec, sys, backend, frames=frames)
        # the tips are fused with the wrist's last link; the one before it stands for them, as in Brax
        self._tip, *self._places = map(self.sys.link_names.index, ("r_wrist_flex_link", *places))

    def step(self, state: State, action: jax.Array) -> State:
        """Run the physics for 0.05 s."""
        pipeline_state = self.pipeline_step(physics(state), action)
        obs = self._observe(pipeline_state)
        metrics = self._measure(obs) | self._speed(observation(state), obs)
        return self.following(state, pipeline_state, obs, metrics)

    def goal_position(self, state: State) -> jax.Array:
        """The goal, the first of two."""
        return observation(state)[self.state_size : self.state_size + 3]

    @abc.abstractmethod
    def _observe(self, pipeline_state: base.State) -> jax.Array:
        """State and goal."""

    @abc.abstractmethod
    def _measure(self, obs: jax.Array) -> dict[str, jax.Array]:
        """Metrics of an observation."""

    def _speed(self, before: jax.Array, obs: jax.Array) -> dict[str, jax.Array]:
        """Metrics of a step from one observation to the next."""
        del before, obs
        return {}

    def _begin(self, places: jax.Array, qd_key: jax.Array) -> State:
        """The first state of an episode: the stretched pose, and pucks and goals at ``places`` (y, x, ...; m)."""
        count = len(places)
        q = self.sys.init_q.at[-count:].set(places)
        qd = jax.random.uniform(qd_key, (self.sys.qd_size(),), minval=-0.005, maxval=0.005)
        pipeline_state = self.pipeline_init(q, qd.at[-count:].set(0))
        obs = self._observe(pipeline_state)
        zero = jnp.zeros(())
        metrics = self._measure(obs) | {"success": zero} | dict.fromkeys(self._speed(obs, obs), zero)
        return State(pipeline_state, obs, zero, zero, metrics, info={"goal_distance": metrics["dist"]})

    def _arm(self, pipeline_state: base.State) -> tuple[jax.Array, ...]:
        """Joint angles ``[7]``, joint velocities ``[7]``, tip ``[3]`` and the places ``[3]`` each."""
        centres = base.Transform.create(pos=self.sys.link.inertia.transform.pos)
        position = pipeline_state.x.vmap().do(centres).pos
        angles, velocities = pipeline_state.q[:_ARM_JOINTS], pipeline_state.qd[:_ARM_JOINTS]
        return angles, velocities, position[self._tip], *(position[place] for place in self._places)

    def _compare(self, obs: jax.Array) -> dict[str, jax.Array]:
        dist = self.distance(self.achieved_goal(obs), obs[self.state_size :])
        return {"success": (dist < self.goal_radius).astype(jnp.float32), "dist": dist}


class Pusher(_PusherEnv):
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

    state_size = 20
    goal_indices = (10, 11, 12)

    def __init__(self, split: str = "train", backend: str | None = None, kind: str = "easy"):
        """Build the arm, the table and the puck; ``kind`` is "easy" or "hard"."""
        if kind not in _GOAL_BOXES:
            raise ValueError(f"kind {kind!r}: Pusher has {', '.join(_GOAL_BOXES)}")
        self._goal_box = _GOAL_BOXES[kind]
        super().__init__(_one_puck(), split, backend, ("object", "goal"))

    def reset(self, rng: jax.Array) -> State:
        """Start from the stretched pose; draw puck and goal."""
        puck_y_key, puck_x_key, goal_y_key, goal_x_key, qd_key = jax.random.split(rng, 5)
        puck = _draw(puck_y_key, puck_x_key, _PUCK_LOW, _PUCK_HIGH)
        goal = _draw(goal_y_key, goal_x_key, *self._goal_box)
        return self._begin(jnp.concatenate([_apart(puck, goal), goal]), qd_key)

    def _observe(self, pipeline_state: base.State) -> jax.Array:
        angles, velocities, tip, puck, goal = self._arm(pipeline_state)
        return jnp.concatenate([angles, tip, puck, velocities, goal])

    def _measure(self, obs: jax.Array) -> dict[str, jax.Array]:
        return {**self._compare(obs), "puck_distance": jnp.linalg.norm(obs[10:13] - obs[7:10])}

    def _speed(self, before: jax.Array, obs: jax.Array) -> dict[str, jax.Array]:
        return {"puck_speed": jnp.linalg.norm(obs[10:13] - before[10:13]) / self.dt}


class PusherReacher(_PusherEnv):
    """The arm of ``Pusher`` brings its tip to a point on the table.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0..6 | joint angles, in the order of ``Pusher`` | rad |
    | 7..13 | joint velocities | rad/s |
    | 14..16 | tip of the arm x, y, z | m |
    | 17..19 | goal x, y, z (z constant) | m |

    Goal indices (14, 15, 16), goal radius 0.1 m. Goals are drawn where ``Pusher`` has its pucks; the puck lies 1 m
    aside. Action: that of ``Pusher``. Never terminates. Both splits draw alike.

    Metrics: ``tip_speed`` (m/s).

    Source: JaxGCRL's ``pusher_reacher`` (arXiv 2408.11052), equal to it from the same key, except that success is of
    the state after the step, not before. Dropped: the dense reward.
    """

    state_size = 17
    goal_indices = (14, 15, 16)

    def __init__(self, split: str = "train", backend: str | None = None):
        """Build the arm, the table and the puck."""
        super().__init__(_one_puck(), split, backend, ("goal",))

    def reset(self, rng: jax.Array) -> State:
        """Start from the stretched pose; draw the goal."""
        _, _, goal_y_key, goal_x_key, qd_key = jax.random.split(rng, 5)
        goal = _draw(goal_y_key, goal_x_key, _PUCK_LOW, _PUCK_HIGH)
        return self._begin(jnp.concatenate([jnp.ones(2), goal]), qd_key)

    def _observe(self, pipeline_state: base.State) -> jax.Array:
        return jnp.concatenate(self._arm(pipeline_state))

    def _measure(self, obs: jax.Array) -> dict[str, jax.Array]:
        return self._compare(obs)

    def _speed(self, before: jax.Array, obs: jax.Array) -> dict[str, jax.Array]:
        return {"tip_speed": jnp.linalg.norm(obs[14:17] - before[14:17]) / self.dt}


class Pusher2(_PusherEnv):
    """The arm of ``Pusher`` pushes two pucks to a point each.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0..6 | joint angles, in the order of ``Pusher`` | rad |
    | 7..9 | tip of the arm x, y, z | m |
    | 10..12, 13..15 | position of the first puck, then of the second x, y, z (z constant) | m |
    | 16..22 | joint velocities | rad/s |
    | 23..25, 26..28 | goal of the first puck, then of the second x, y, z (z constant) | m |

    Goal indices 10..15: each puck is to be at its goal. It is reached when the farther of the two is within the goal
    radius of 0.1 m; ``dist`` is that one's distance. Both goals have the same y, in 1 m; the first has its x left of
    the second's. A puck within 0.17 m of its goal is moved away from the origin, which leaves some nearer. Action:
    that of ``Pusher``. Never terminates. Both splits draw alike.

    Metrics: ``pucks_at_goal``, how many are within the radius; ``puck_distance``, from the tip to the nearer puck (m).

    Source: JaxGCRL's ``pusher2`` (arXiv 2408.11052), equal to it from the same key, except that success is of the
    state after the step, not before, and that spring and positional, on which it cannot be made, are as for
    ``Pusher``. Dropped: the dense reward.
    """

    state_size = 23
    goal_indices = (10, 11, 12, 13, 14, 15)

    def __init__(self, split: str = "train", backend: str | None = None):
        """Build the arm, the table and the pucks."""
        super().__init__(_two_pucks(), split, backend, ("object1", "object2", "goal1", "goal2"))

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        """Distance of the puck that is farther from its goal, m."""
        return jnp.max(self._distances(achieved, goal), axis=-1)

    def reset(self, rng: jax.Array) -> State:
        """Start from the stretched pose; draw pucks and goals."""
        first_y, first_x, second_y, second_x, goals_y, first_goal_x, qd_key, second_goal_x, _ = jax.random.split(rng, 9)
        pucks = [_draw(first_y, first_x, *_TWO_PUCKS[0]), _draw(second_y, second_x, *_TWO_PUCKS[1])]
        goals = [_draw(goals_y, first_goal_x, *_TWO_GOALS[0]), _draw(goals_y, second_goal_x, *_TWO_GOALS[1])]
        places = [part for puck, goal in zip(pucks, goals, strict=True) for part in (_apart(puck, goal), goal)]
        return self._begin(jnp.concatenate(places), qd_key)

    def _observe(self, pipeline_state: base.State) -> jax.Array:
        angles, velocities, tip, *places = self._arm(pipeline_state)
        return jnp.concatenate([angles, tip, *places[:2], velocities, *places[2:]])

    def _measure(self, obs: jax.Array) -> dict[str, jax.Array]:
        apart = self._distances(self.achieved_goal(obs), obs[self.state_size :])
        return {
            **self._compare(obs),
            "pucks_at_goal": jnp.sum(apart < self.goal_radius, dtype=jnp.float32),
            "puck_distance": jnp.min(jnp.linalg.norm(obs[10:16].reshape(2, 3) - obs[7:10], axis=-1)),
        }

    @staticmethod
    def _distances(achieved: jax.Array, goal: jax.Array) -> jax.Array:
        """Of each puck from its goal: ``[..., 6] -> [..., 2]``, m."""
        offset = achieved - goal
        return jnp.linalg.norm(offset.reshape(*offset.shape[:-1], 2, 3), axis=-1)


def _one_puck() -> mujoco.MjSpec:
    """Brax's model, the goal invisible."""
    spec = models.load_spec("pusher")
    spec.geom("object_geom").rgba = models.OBJECT_RGBA
    for geom in spec.body("goal").geoms:
        geom.rgba = [0, 0, 0, 0]
    return spec


def _two_pucks() -> mujoco.MjSpec:
    """The same with two pucks and goals, each of whose joints are those along y and x, from the table's middle."""
    spec = _one_puck()
    spec.delete(spec.numeric("vel_damping"))
    single = {name: spec.body(name) for name in ("object", "goal")}
    for number in (1, 2):
        for name, old in single.items():
            body = spec.worldbody.add_body(name=f"{name}{number}", pos=[0, 0, old.pos[2]])
            for geom in old.geoms:
                body.add_geom(
                    type=geom.type,
                    size=geom.size,
                    density=geom.density,
                    contype=geom.contype,
                    conaffinity=geom.conaffinity,
                    rgba=geom.rgba,
                )
            for axis, direction in (("y", [0, 1, 0]), ("x", [1, 0, 0])):
                body.add_joint(
                    name=f"{name}{number}_{axis}",
                    type=mujoco.mjtJoint.mjJNT_SLIDE,
                    axis=direction,
                    range=[-10.3213, 10.3],
                    damping=[0.5, 0, 0],
                )
    for old in single.values():
        spec.delete(old)
    return spec


def _apart(puck: jax.Array, goal: jax.Array) -> jax.Array:
    """The puck's place ``[2]``, moved outwards where it is near its goal, m."""
    distance = math.safe_norm(puck - goal)
    return puck * jnp.where(distance < _MIN_DISTANCE, _MIN_DISTANCE / distance, 1.0)


def _draw(y_key: jax.Array, x_key: jax.Array, low: tuple[float, float], high: tuple[float, float]) -> jax.Array:
    """A point (y, x) in a box, m: ``[2]``."""
    y = jax.random.uniform(y_key, minval=low[0], maxval=high[0])
    x = jax.random.uniform(x_key, minval=low[1], maxval=high[1])
    return jnp.array([y, x])
