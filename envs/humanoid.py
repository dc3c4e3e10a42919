"""The humanoid on an empty plane and in mazes."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco
from brax import actuator, base, math
from brax.envs.base import State

from . import mazes, models
from .base import PipelineGoalEnv, check_backend, check_split, observation, physics

_GOAL_HEIGHT = 1.25  # m, about that of the torso of a standing humanoid
_HEALTHY_HEIGHT = (1.0, 2.0)  # m; the episode ends outside
_UPRIGHT = 0.866  # cosine of the tilt (30 degrees) up to which the torso counts as upright
_GOAL_DISTANCE = (1.0, 5.0)  # m
_GEAR = [350.0] * 11 + [100.0] * 6  # for the spring and positional backends
_CELL_SIZE = 2.0  # m
_WALL_HEIGHT = 1.0  # m


class HumanoidEnv(PipelineGoalEnv):
    """A humanoid of 17 actuated joints with a goal body (the last two joint positions) in its world.

    Subclasses build the model and draw the reset.
    """

    state_size = 268
    goal_indices = (0, 1, 2)
    goal_radius = 0.5

    def __init__(self, spec: mujoco.MjSpec, split: str, backend: str | None):
        """Compile ``spec`` for the backend with the timesteps that the peer packages use."""
        self.split = check_split(type(self), split)
        backend = check_backend(type(self), backend)
        sys, frames = models.to_system(spec), 5
        if backend in ("spring", "positional"):
            sys, frames = models.with_gear(models.with_timestep(sys, 0.0015), _GEAR), 10
        if backend == "mjx":
            sys = models.with_newton(sys, iterations=1, line_search_iterations=4)
        super().__init__(spec, sys, backend, frames=frames)

    def behaviour(self, state: State, pipeline_state: base.State) -> dict[str, jax.Array]:
        """Metrics of the task's own, given the state before and the physics after a step."""
        del state, pipeline_state
        return {}

    def step(self, state: State, action: jax.Array) -> State:
        """Run the physics for 0.015 s."""
        low, high = self.sys.actuator.ctrl_range.T
        control = low + (action + 1) * (high - low) * 0.5
        before = physics(state)
        after = self.pipeline_step(before, control)
        obs = self.observe(after, control)
        dist = self._distance(obs)
        success = (dist < self.goal_radius).astype(jnp.float32)
        height = after.x.pos[0, 2]
        low, high = _HEALTHY_HEIGHT
        velocity = (self._mass_centre(after)[0] - self._mass_centre(before)[0]) / self.dt
        heading = math.rotate(jnp.array([1.0, 0.0, 0.0]), after.x.rot[0])[:2]
        metrics = {
            "success": success,
            "dist": dist,
            "torso_height": height,
            "upright": (_up(after) > _UPRIGHT).astype(jnp.float32),
            "forward_speed": velocity[:2] @ heading / (jnp.linalg.norm(heading) + 1e-6),
            **self.behaviour(state, after),
        }
        return self.following(state, after, obs, metrics, fell=(height < low) | (height > high))

    def goal_position(self, state: State) -> jax.Array:
        """The goal, at the height of the torso."""
        return observation(state)[self.state_size :]

    def observe(self, pipeline_state: base.State, control: jax.Array) -> jax.Array:
        """State and goal: ``[271]``; the rows of the table in ``Humanoid``."""
        centre, inertia, mass, link = self._mass_centre(pipeline_state)
        about_centre = replace(link, pos=link.pos - centre).vmap().do(inertia)
        inertias = jnp.hstack([about_centre.i.reshape(-1, 9), inertia.mass[:, None]])
        lever = base.Transform.create(pos=link.pos - pipeline_state.x.pos)
        motion = lever.vmap().do(pipeline_state.xd)
        motions = jnp.hstack([inertia.mass[:, None] * motion.vel / mass, motion.ang])
        torques = actuator.to_tau(self.sys, control, pipeline_state.q, pipeline_state.qd)
        goal = jnp.append(pipeline_state.x.pos[-1, :2], _GOAL_HEIGHT)
        state = [pipeline_state.q, pipeline_state.qd, inertias.ravel(), motions.ravel(), torques]
        return jnp.concatenate([*state, goal])

    def _mass_centre(self, pipeline_state: base.State) -> tuple[jax.Array, base.Inertia, jax.Array, base.Transform]:
        """Centre of mass ``[3]``, inertias as the backend sees them, total mass, frames at link centres."""
        inertia = self.sys.link.inertia
        if self.backend in ("spring", "positional"):
            diagonal = jax.vmap(jnp.diagonal)(inertia.i) ** (1 - self.sys.spring_inertia_scale)
            inertia = replace(
                inertia, i=jax.vmap(jnp.diag)(diagonal), mass=inertia.mass ** (1 - self.sys.spring_mass_scale)
            )
        mass = jnp.sum(inertia.mass)
        link = pipeline_state.x.vmap().do(inertia.transform)
        return jnp.sum(inertia.mass[:, None] * link.pos, axis=0) / mass, inertia, mass, link

    def _begin(self, start: jax.Array, goal: jax.Array, info: dict[str, jax.Array], *behaviours: str) -> State:
        """Stand still at ``start`` ``[2]``; ``behaviours`` names the task's own metrics."""
        q = self.sys.init_q.at[:2].set(start).at[-2:].set(goal)
        pipeline_state = self.pipeline_init(q, jnp.zeros(self.sys.qd_size()))
        obs = self.observe(pipeline_state, jnp.zeros(self.sys.act_size()))
        zero, one = jnp.zeros(()), jnp.ones(())
        metrics = dict.fromkeys(("success", "forward_speed", *behaviours), zero)
        metrics |= {"dist": self._distance(obs), "torso_height": pipeline_state.x.pos[0, 2], "upright": one}
        return State(pipeline_state, obs, reward=zero, done=zero, metrics=metrics, info=info)

    def _distance(self, obs: jax.Array) -> jax.Array:
        return jnp.linalg.norm(self.achieved_goal(obs[: self.state_size]) - obs[self.state_size :])


class Humanoid(HumanoidEnv):
    """The humanoid walks to a point 1 to 5 m away, and stays up.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0..2 | torso position x, y, z | m |
    | 3..6 | torso orientation, quaternion w, x, y, z | 1 |
    | 7..9 | joint angles: abdomen z, y, x | rad |
    | 10..13, 14..17 | joint angles: hip x, z, y and knee of the right, then the left leg | rad |
    | 18..20, 21..23 | joint angles: shoulder 1, 2 and elbow of the right, then the left arm | rad |
    | 24, 25 | goal x, y | m |
    | 26..28 | torso velocity x, y, z | m/s |
    | 29..31 | torso angular velocity x, y, z | rad/s |
    | 32..48 | joint velocities, in the order of the angles | rad/s |
    | 49, 50 | goal's velocity, zero | m/s |
    | 51..170 | of 11 links and the goal body: inertia about the centre of mass (9), mass | kg m^2, kg |
    | 171..242 | of 11 links and the goal body: share of momentum (3), angular velocity (3) | m/s, rad/s |
    | 243..267 | joint torques, per degree of freedom | N m |
    | 268..270 | goal x, y, z (z constant) | m |

    Goal indices (0, 1, 2): the torso is to be at the goal, which is at standing height. Goal radius 0.5 m.
    Action: joint torques in [-1, 1]. The episode ends when the torso is lower than 1 m or higher than 2 m.
    Both splits draw alike.

    Metrics: ``torso_height`` (m); ``upright``, 1 while the torso is within 30 degrees of vertical;
    ``forward_speed`` (m/s), of the centre of mass along where the torso faces.

    Source: JaxGCRL's ``humanoid`` (arXiv 2408.11052), after Brax's; equal to it from the same key,
    the goal body in the state and in the centre of mass included.
    """

    def __init__(self, split: str = "train", backend: str | None = None):
        """Build the humanoid on an empty plane."""
        super().__init__(_humanoid_spec(reach=20), split, backend)

    def reset(self, rng: jax.Array) -> State:
        """Stand at the origin; draw the goal."""
        goal_key, _, _ = jax.random.split(rng, 3)
        _, distance_key, angle_key = jax.random.split(goal_key, 3)
        low, high = _GOAL_DISTANCE
        distance = jax.random.uniform(distance_key, minval=low, maxval=high)
        angle = 2 * jnp.pi * jax.random.uniform(angle_key)
        goal = distance * jnp.array([jnp.cos(angle), jnp.sin(angle)])
        return self._begin(jnp.zeros(2), goal, {"goal_distance": distance})


class HumanoidMaze(HumanoidEnv):
    """The humanoid walks through a maze with cells of 2 m and walls of 1 m.

    The observation is that of ``Humanoid``: 0..267 the state, 268..270 the goal x, y, z (m). Goal indices
    (0, 1, 2), goal radius 0.5 m; starts and goals are centres of cells. Action and termination are
    those of ``Humanoid``. Metrics: those of ``Humanoid`` and ``farthest_cell``, the longest shortest path
    (cells) from the start to a cell reached so far.

    Source: JaxGCRL's ``humanoid_*_maze`` (arXiv 2408.11052), whose ``_eval`` names are our eval split;
    equal to it from the same key. Its dense reward is dropped.
    """

    backend_on_cpu: ClassVar[str | None] = "mujoco"
    view: ClassVar[str] = "top"

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
        spec = _humanoid_spec(reach=100)
        spec.geom("floor").size = [60, 60, 0.125]
        mazes.add_walls(spec, self._task.maze.walls, _CELL_SIZE, _WALL_HEIGHT)
        super().__init__(spec, split, backend)

    def reset(self, rng: jax.Array) -> State:
        """Draw a start and a goal."""
        pair_key, _, _, _ = jax.random.split(rng, 4)
        start, goal, goal_distance = self._task.draw(pair_key)
        info = {"goal_distance": goal_distance, "start": start}
        return self._begin(start, goal, info, "farthest_cell")

    def floor(self, state: State) -> mazes.Floor:
        """The maze."""
        del state
        return mazes.Floor(self._task.maze.walls, _CELL_SIZE)

    def observe_at(self, state: State, position: jax.Array, goal: jax.Array) -> jax.Array:
        """What the humanoid of ``state``, its joints free of torque, would observe at another position, with another
        goal, ``[2]`` each (m).
        """
        q = physics(state).q.at[:2].set(position).at[-2:].set(goal)
        moved = self.pipeline_init(q, physics(state).qd)
        return self.observe(moved, jnp.zeros(self.sys.act_size()))

    def behaviour(self, state: State, pipeline_state: base.State) -> dict[str, jax.Array]:
        """``farthest_cell``: longest shortest path (cells) from the start to a cell reached so far."""
        reached = self._task.path_length(state.info["start"], pipeline_state.x.pos[0, :2])
        return {"farthest_cell": jnp.maximum(state.metrics["farthest_cell"], reached)}


def _humanoid_spec(reach: float) -> mujoco.MjSpec:
    """The humanoid with every geom able to touch what is hit-able, and the goal body."""
    spec = models.load_spec("humanoid")
    for geom in spec.geoms:
        geom.contype = 1
    models.add_target(spec, height=_GOAL_HEIGHT, reach=reach, radius=0.5)
    return spec


def _up(pipeline_state: base.State) -> jax.Array:
    """Cosine of the torso's tilt ``[]``."""
    return math.rotate(jnp.array([0.0, 0.0, 1.0]), pipeline_state.x.rot[0])[2]
