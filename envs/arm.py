"""A Franka Emika Panda that reaches, grasps, pushes and carries."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import mujoco
from brax import base, math
from brax.envs.base import State

from . import models, panda
from .base import PipelineGoalEnv, check_backend, check_split, observation, physics

_TIMESTEP, _FRAMES = 0.002, 25  # s; physics steps per step
_START = (1.571, 0.742, 0.0, -1.571, 0.0, 3.054, 1.449)  # rad
_OPEN = (0.04, 0.04)  # m
_MOVED = (0, 1, 3, 5)  # joints that an action commands, of seven
_COMMAND_LOW = (0.3491, 0.0, -3.0718, 2.3562)  # rad
_COMMAND_HIGH = (2.7925, 1.48353, -0.0698, 3.7525)  # rad
_WRIST_COMMAND = 1.4487  # rad, of the seventh joint

_CUBE = 0.03  # m, half of its edge
_CUBE_DROP = 0.07  # m, height it starts from
_CUBE_Q, _CUBE_QD = 7, 6  # a free joint
_LIFTED = 0.08  # m
_BLUE, _RED = (0.35, 0.5, 0.85, 1.0), (0.85, 0.4, 0.35, 1.0)


class _Arm(PipelineGoalEnv):
    """What all tasks of the arm share: the model, the servos, the end of the arm.

    Subclasses add what lies on the table, draw the reset and observe.
    """

    backends: ClassVar[tuple[str, ...]] = ("mjx", "mujoco")
    backend_on_cpu: ClassVar[str | None] = "mujoco"

    fingers: ClassVar[bool] = True

    def __init__(self, spec: mujoco.MjSpec, split: str, backend: str | None):
        """Compile the model that ``_table`` began."""
        self.split = check_split(type(self), split)
        backend = check_backend(type(self), backend)
        super().__init__(spec, models.to_system(spec), backend, frames=_FRAMES)
        names = self.sys.link_names
        self._end = names.index("link7")
        if self.fingers:
            self._fingers = jnp.array([names.index("left_finger"), names.index("right_finger")])

    @property
    def action_size(self) -> int:
        """Four joints, and the gripper where there is one."""
        return len(_MOVED) + self.fingers

    def step(self, state: State, action: jax.Array) -> State:
        """Run the physics for 0.05 s."""
        pipeline_state = self.pipeline_step(physics(state), self._command(action))
        obs = self._observe(pipeline_state, observation(state)[self.state_size :])
        metrics = self._measure(obs, pipeline_state)
        return self.following(state, pipeline_state, obs, metrics)

    def goal_position(self, state: State) -> jax.Array:
        """The goal."""
        return observation(state)[-3:]

    @abc.abstractmethod
    def _observe(self, pipeline_state: base.State, goal: jax.Array) -> jax.Array:
        """State and goal."""

    @abc.abstractmethod
    def _measure(self, obs: jax.Array, pipeline_state: base.State) -> dict[str, jax.Array]:
        """Metrics after a step."""

    def _begin(self, q: jax.Array, goal: jax.Array) -> State:
        """The first state of an episode, at rest."""
        pipeline_state = self.pipeline_init(q, jnp.zeros(self.sys.qd_size()))
        obs = self._observe(pipeline_state, goal)
        zero = jnp.zeros(())
        metrics = self._measure(obs, pipeline_state) | {"success": zero}
        return State(pipeline_state, obs, zero, zero, metrics, info={"goal_distance": metrics["dist"]})

    def _command(self, action: jax.Array) -> jax.Array:
        """Servo commands of an action: angles, then 0 (closed) or 255 (open) per finger."""
        low, high = jnp.array(_COMMAND_LOW), jnp.array(_COMMAND_HIGH)
        moved = (low + high) / 2 + action[: len(_MOVED)] * (high - low) / 2
        angles = jnp.zeros(len(panda.LINKS)).at[jnp.array(_MOVED)].set(moved).at[-1].set(_WRIST_COMMAND)
        if not self.fingers:
            return angles
        return jnp.append(angles, jnp.where(action[-1] > 0, jnp.zeros(2), jnp.full(2, 255.0)))

    def _end_of_arm(self, pipeline_state: base.State) -> jax.Array:
        """Position (m) and velocity (m/s) of the frame of link 7: ``[6]``."""
        return jnp.concatenate([pipeline_state.x.pos[self._end], pipeline_state.xd.vel[self._end]])

    def _tips(self, pipeline_state: base.State) -> jax.Array:
        """Tips of the left and the right finger, m: ``[2, 3]``."""
        fingers = pipeline_state.x.take(self._fingers)
        return fingers.pos + jax.vmap(math.rotate, (None, 0))(jnp.array(panda.FINGERTIP), fingers.rot)

    def _compare(self, obs: jax.Array) -> dict[str, jax.Array]:
        dist = jnp.linalg.norm(self.achieved_goal(obs) - obs[self.state_size :])
        return {"success": (dist < self.goal_radius).astype(jnp.float32), "dist": dist}


class ArmReach(_Arm):
    """The end of a Panda arm reaches a point in the air.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0..6 | angles of joints 1 to 7 | rad |
    | 7..9 | end of the arm (frame of link 7, 0.107 m before the flange) x, y, z | m |
    | 10..12 | velocity of the end of the arm x, y, z | m/s |
    | 13..15 | goal x, y, z | m |

    Goal indices (7, 8, 9), goal radius 0.1 m. The goal is within 0.2 m, on each axis, of (0, 0.5, 0.3). The arm
    has a hand without fingers and starts in one posture. Action: commands to the servos of joints 1, 2, 4
    and 6 in [-1, 1] of 0.35..2.79, 0..1.48, -3.07..-0.07 and 2.36..3.75 rad, once per 0.05 s; joints 3, 5
    and 7 are held. With the gains of JaxGCRL joint 4 settles at 4/7 and joint 6 at half of its command, as
    far as its torque limit carries. Never terminates. Both splits draw alike. MJX damps a servo at its torque limit
    by the gain that the limit cuts off, MuJoCo's C engine does not: arms move several times faster on it, and
    results of the two are not to be pooled.

    Metrics: ``end_speed``, of the end of the arm (m/s).

    Source: JaxGCRL's ``arm_reach`` (arXiv 2408.11052), equal to it from the same key on MJX; the model is our own,
    see ``envs/panda.py``.
    """

    state_size = 13
    goal_indices = (7, 8, 9)
    goal_radius = 0.1
    episode_length = 100
    fingers: ClassVar[bool] = False

    def __init__(self, split: str = "train", backend: str | None = None):
        """Build the arm."""
        spec = _table(cube=None)
        _add_region(spec, "region", (0, 0.5), 0.2, _BLUE)
        super().__init__(spec, split, backend)

    def reset(self, rng: jax.Array) -> State:
        """Draw the goal."""
        rng, _ = jax.random.split(rng)
        _, goal_key, _ = jax.random.split(rng, 3)
        goal = jnp.array([0, 0.5, 0.3]) + 0.2 * jax.random.uniform(goal_key, (3,), minval=-1)
        return self._begin(jnp.array(_START), goal)

    def _observe(self, pipeline_state: base.State, goal: jax.Array) -> jax.Array:
        return jnp.concatenate([pipeline_state.q, self._end_of_arm(pipeline_state), goal])

    def _measure(self, obs: jax.Array, pipeline_state: base.State) -> dict[str, jax.Array]:
        del pipeline_state
        return self._compare(obs) | {"end_speed": jnp.linalg.norm(obs[10:13])}


class _CubeArm(_Arm):
    """A task with a cube, which starts within ``spread`` of ``centre`` (m)."""

    centre: tuple[float, float]
    spread: float

    def _draw_start(self, key: jax.Array) -> jax.Array:
        """Joint positions with the cube at a place drawn from its square: ``[16]``."""
        _, cube_key, _ = jax.random.split(key, 3)
        cube = jnp.array(self.centre) + self.spread * jax.random.uniform(cube_key, (2,), minval=-1)
        return jnp.concatenate([cube, jnp.array([_CUBE_DROP, 1.0, 0.0, 0.0, 0.0, *_START, *_OPEN])])

    def _observe_cube_and_arm(self, pipeline_state: base.State) -> jax.Array:
        q = pipeline_state.q
        arm = slice(_CUBE_Q, _CUBE_Q + len(panda.LINKS))
        return jnp.concatenate([q[:3], q[arm], self._end_of_arm(pipeline_state)])

    def _handling(self, obs: jax.Array, pipeline_state: base.State) -> dict[str, jax.Array]:
        """Metrics of the gripper and the cube."""
        gripper = self._tips(pipeline_state).mean(0)
        return {
            "gripper_cube_distance": jnp.linalg.norm(gripper - obs[:3]),
            "lifted": (obs[2] > _LIFTED).astype(jnp.float32),
        }


class _PlaceArm(_CubeArm):
    """A task with a place on the table for the cube, drawn within ``goal_spread`` of ``goal_centre`` (m)."""

    goal_centre: tuple[float, float]
    goal_spread: float

    state_size = 18
    goal_indices = (0, 1, 2)
    goal_radius = 0.1
    episode_length = 150

    def reset(self, rng: jax.Array) -> State:
        """Draw the cube's place and its goal."""
        rng, start_key = jax.random.split(rng)
        _, place_key, _ = jax.random.split(rng, 3)
        _, goal_key = jax.random.split(place_key)
        spread = jnp.array([self.goal_spread, self.goal_spread, 0])
        goal = jnp.array([*self.goal_centre, _CUBE]) + spread * jax.random.uniform(goal_key, (3,), minval=-1)
        return self._begin(self._draw_start(start_key), goal)

    def _observe(self, pipeline_state: base.State, goal: jax.Array) -> jax.Array:
        fingers = pipeline_state.x.pos[self._fingers]
        opening = jnp.linalg.norm(fingers[1] - fingers[0])
        torque = _actuator_forces(pipeline_state)[_CUBE_QD : _CUBE_QD + len(panda.LINKS)].sum() / 190
        arm = self._observe_cube_and_arm(pipeline_state)
        return jnp.concatenate([arm, jnp.array([opening, torque]), goal])

    def _measure(self, obs: jax.Array, pipeline_state: base.State) -> dict[str, jax.Array]:
        gripper = self._tips(pipeline_state).mean(0)
        return {
            **self._compare(obs),
            **self._handling(obs, pipeline_state),
            "gripper_goal_distance": jnp.linalg.norm(gripper - obs[-3:]),
        }


class ArmGrasp(_CubeArm):
    """A Panda arm takes a cube between its fingers.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0..2 | cube x, y, z | m |
    | 3..9 | angles of joints 1 to 7 | rad |
    | 10..12 | end of the arm (frame of link 7) x, y, z | m |
    | 13..15 | velocity of the end of the arm x, y, z | m/s |
    | 16..18, 19..21 | tip of the left finger, then of the right x, y, z | m |
    | 22 | distance between the tips | m |
    | 23 | mean force of the fingers' servos | 10 N |
    | 24..26, 27..29 | goal of the left tip, then of the right: 0.0375 m from the cube's centre along +x, -x | m |
    | 30 | goal of the distance between the tips, 0.075 | m |

    Goal indices 16..22. The goal follows the cube. It is reached, as in JaxGCRL, when the middle between the
    tips is within 0.05 m of the cube and their distance within 0.02 m of its goal; ``dist`` is the larger of
    the first and 2.5 times the second, so that the goal radius is 0.05 m. The cube has edges of 0.06 m and
    drops from a height of 0.07 m within 0.3 m, on each axis, of (0, 0.6). Action: the four commands of
    ``ArmReach``, and the gripper, which closes for a positive number and opens for another. Never terminates.
    Both splits draw alike.

    Metrics: ``gripper_cube_distance``, from the middle between the tips (m); ``lifted``, 1 while the cube's
    centre is higher than 0.08 m.

    Source: JaxGCRL's ``arm_grasp`` (arXiv 2408.11052), equal to it on MJX from the same key within a few
    centimetres in the first second: both fingers start open, where JaxGCRL starts with the right one closed, and the
    goal does not lag a step behind the cube. On the C engine servos at their limit move the arm faster, see
    ``ArmReach``. The model is our own, see ``envs/panda.py``.
    """

    state_size = 24
    goal_indices = tuple(range(16, 23))
    goal_radius = 0.05
    episode_length = 100
    centre = (0.0, 0.6)
    spread = 0.3

    def __init__(self, split: str = "train", backend: str | None = None):
        """Build the arm and the cube."""
        super().__init__(_table(self.centre), split, backend)

    def reset(self, rng: jax.Array) -> State:
        """Draw the cube's place."""
        _, start_key = jax.random.split(rng)
        return self._begin(self._draw_start(start_key), jnp.zeros(self.goal_size))

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        """The larger of the gripper's distance from the cube and 2.5 times what its opening is off, m."""
        tips, cube = (
            0.5 * (places[..., :3] + places[..., 3:6]) for places in (achieved, goal)
        )  # the middle of either pair
        return jnp.maximum(jnp.linalg.norm(tips - cube, axis=-1), 2.5 * jnp.abs(achieved[..., 6] - goal[..., 6]))

    def goal_position(self, state: State) -> jax.Array:
        """The cube."""
        return observation(state)[:3]

    def _observe(self, pipeline_state: base.State, goal: jax.Array) -> jax.Array:
        del goal  # it follows the cube
        tips = self._tips(pipeline_state)
        opening = jnp.linalg.norm(tips[1] - tips[0])
        force = _actuator_forces(pipeline_state)[-2:].mean() / 10
        arm = self._observe_cube_and_arm(pipeline_state)
        beside = jnp.array([0.0375, 0, 0])
        grasp = [arm[:3] + beside, arm[:3] - beside, jnp.array([0.075])]
        return jnp.concatenate([arm, *tips, jnp.array([opening, force]), *grasp])

    def _measure(self, obs: jax.Array, pipeline_state: base.State) -> dict[str, jax.Array]:
        handling = self._handling(obs, pipeline_state)
        dist = jnp.maximum(handling["gripper_cube_distance"], 2.5 * jnp.abs(obs[22] - obs[30]))
        return {"success": (dist < self.goal_radius).astype(jnp.float32), "dist": dist, **handling}


@dataclasses.dataclass(frozen=True)
class _Places:
    """Where cubes start and where they go: centres and half-widths of two squares, m."""

    centre: tuple[float, float]
    spread: float
    goal_centre: tuple[float, float]
    goal_spread: float


_PUSH_PLACES = {
    "easy": _Places((-0.1, 0.6), 0.1, (0.1, 0.6), 0.1),
    "hard": _Places((-0.25, 0.65), 0.25, (0.25, 0.65), 0.25),
}
_BINPICK_PLACES = {
    "easy": _Places((-0.15, 0.6), 0.07, (0.17, 0.6), 0.005),
    "hard": _Places((-0.3, 0.6), 0.15, (0.3, 0.6), 0.15),
}
_BINS = {"easy": (0.17, 0.14), "hard": (0.3, 0.19)}  # m: distance of the middles from y, half-width


class ArmPush(_PlaceArm):
    """A Panda arm moves a cube over a table to a place in the region next to it.

    Observation:

    | index | quantity | unit |
    | --- | --- | --- |
    | 0..2 | cube x, y, z | m |
    | 3..9 | angles of joints 1 to 7 | rad |
    | 10..12 | end of the arm (frame of link 7) x, y, z | m |
    | 13..15 | velocity of the end of the arm x, y, z | m/s |
    | 16 | distance between the fingers | m |
    | 17 | sum of the torques of the arm's servos | 190 N m |
    | 18..20 | goal x, y, z (z constant, of a cube that lies) | m |

    Goal indices (0, 1, 2): the cube is to be at the goal. Goal radius 0.1 m. The cube has edges of 0.06 m and
    drops from a height of 0.07 m. ``arm_push_easy``: both squares have edges of 0.2 m, around (-0.1, 0.6) and
    (0.1, 0.6); ``arm_push_hard``: 0.5 m, around (-0.25, 0.65) and (0.25, 0.65). Action: that of ``ArmGrasp``.
    Never terminates. Both splits draw alike.

    Metrics: ``gripper_cube_distance`` and ``gripper_goal_distance``, from the middle between the finger tips
    (m); ``lifted``, 1 while the cube's centre is higher than 0.08 m. ``dist`` is from cube to goal.

    Source: JaxGCRL's ``arm_push_easy`` and ``arm_push_hard`` (arXiv 2408.11052), equal to them from the same
    key on MJX, entry 17 included, which they call the force of the gripper; on the C engine servos at their limit
    move the arm faster, see ``ArmReach``. The model is our own, see ``envs/panda.py``.
    """

    def __init__(self, split: str = "train", backend: str | None = None, kind: str = "easy"):
        """Build the arm, the regions and the cube; ``kind`` is "easy" or "hard"."""
        places = _check_kind(type(self), kind, _PUSH_PLACES)
        vars(self).update(dataclasses.asdict(places))
        spec = _table(places.centre)
        _add_region(spec, "start_region", places.centre, places.spread, _BLUE)
        _add_region(spec, "goal_region", places.goal_centre, places.goal_spread, _RED)
        super().__init__(spec, split, backend)


class ArmBinpick(_PlaceArm):
    """A Panda arm carries a cube from one bin to another.

    The observation is that of ``ArmPush``: 0..17 the state, 18..20 the goal x, y, z (m). Goal indices (0, 1, 2):
    the cube is to be at the goal. Goal radius 0.1 m. Bins have walls 0.066 m high and no floor.
    ``arm_binpick_easy``: bins 0.29 m wide around (-0.17, 0.6) and (0.17, 0.6), the cube within 0.07 m of
    (-0.15, 0.6) on each axis, the goal within 0.005 m of the other bin's middle; ``arm_binpick_hard``: 0.39 m
    around (-0.3, 0.6) and (0.3, 0.6), cube and goal within 0.15 m of the middles. Action, start of the cube,
    metrics and termination are those of ``ArmPush``. Both splits draw alike.

    Source: JaxGCRL's ``arm_binpick_easy`` and ``arm_binpick_hard`` (arXiv 2408.11052), equal to them from the
    same key on MJX; on the C engine servos at their limit move the arm faster, see ``ArmReach``. The model is our
    own, see ``envs/panda.py``.
    """

    def __init__(self, split: str = "train", backend: str | None = None, kind: str = "easy"):
        """Build the arm, the bins and the cube; ``kind`` is "easy" or "hard"."""
        places = _check_kind(type(self), kind, _BINPICK_PLACES)
        vars(self).update(dataclasses.asdict(places))
        spec = _table(places.centre)
        spec.option.impratio = 10
        middle, half = _BINS[kind]
        for name, x, rgba in (("start_bin", -middle, _BLUE), ("goal_bin", middle, _RED)):
            walls = _add_bin(spec, name, (x, 0.6), half, rgba)
            panda.touch(spec, ["cube", *panda.GRIPPER_GEOMS], walls)
        super().__init__(spec, split, backend)


def _actuator_forces(pipeline_state: Any) -> jax.Array:
    """Forces of the actuators in joint space, ``[nv]``, N m and N: what MJX and the C engine add to Brax's state."""
    return pipeline_state.qfrc_actuator


def _check_kind(env: type[_Arm], kind: str, known: dict[str, _Places]) -> _Places:
    if kind not in known:
        raise ValueError(f"kind {kind!r}: {env.__name__} has {', '.join(known)}")
    return known[kind]


def _table(cube: tuple[float, float] | None) -> mujoco.MjSpec:
    """A model of the arm on a table: with fingers and a cube at a place (m), or without both for None."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    option = spec.option
    option.timestep, option.integrator = _TIMESTEP, mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.iterations, option.ls_iterations = 6, 12
    spec.worldbody.add_light(pos=[0, 0, 2], type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
    spec.worldbody.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[2.8, 2.4, 0.1],
        pos=[0, 0.2, 0],
        rgba=panda.TABLE_RGBA,
        contype=0,
        conaffinity=0,
    )
    if cube is None:
        panda.add_arm(spec, fingers=False)
        panda.touch(spec, ["table"], ["hand"])
        return spec
    body = spec.worldbody.add_body(name="cube", pos=[*cube, _CUBE_DROP])
    body.add_freejoint()
    body.add_geom(**_box("cube", (0, 0, 0), (_CUBE, _CUBE, _CUBE), models.OBJECT_RGBA))
    panda.add_arm(spec, fingers=True)
    panda.touch(spec, ["cube", "table"], panda.GRIPPER_GEOMS)
    panda.touch(spec, ["cube"], ["table"])
    panda.touch(spec, ["left_finger"], ["right_finger"])
    return spec


def _add_region(
    spec: mujoco.MjSpec, name: str, centre: tuple[float, float], half: float, rgba: tuple[float, ...]
) -> None:
    """Colour a square of the table; nothing touches it."""
    spec.worldbody.add_geom(**_box(name, (*centre, 0.0005), (half, half, 0.0005), rgba))


def _add_bin(
    spec: mujoco.MjSpec, name: str, centre: tuple[float, float], half: float, rgba: tuple[float, ...]
) -> list[str]:
    """Add the four walls of a bin, and return their names."""
    height, thick = 0.033, 0.005
    x, y = centre
    walls = (
        ((x, y - half, height), (half + thick, thick, height)),
        ((x, y + half, height), (half + thick, thick, height)),
        ((x + half, y, height), (thick, half - thick, height)),
        ((x - half, y, height), (thick, half - thick, height)),
    )
    names = [f"{name}_{number}" for number in range(len(walls))]
    for wall, (position, size) in zip(names, walls, strict=True):
        spec.worldbody.add_geom(**_box(wall, position, size, rgba))
    return names


def _box(name: str, pos: tuple[float, ...], size: tuple[float, ...], rgba: tuple[float, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "type": mujoco.mjtGeom.mjGEOM_BOX,
        "pos": pos,
        "size": size,
        "rgba": rgba,
        "contype": 0,
        "conaffinity": 0,
    }
