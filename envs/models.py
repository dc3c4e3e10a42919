"""Robot models: the MJCF that Brax ships, edited through ``mujoco.MjSpec``, as Brax systems."""

from __future__ import annotations

import importlib.resources
import warnings
from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
import mujoco
from brax.base import System
from brax.io import mjcf

ROBOT_RGBA = (0.85, 0.45, 0.16, 1.0)
OBJECT_RGBA = (0.16, 0.44, 0.85, 1.0)


def load_spec(robot: str) -> mujoco.MjSpec:
    """The model of ``brax/envs/assets/<robot>.xml``, bodies without joints fused as Brax requires."""
    asset = importlib.resources.files("brax") / "envs" / "assets" / f"{robot}.xml"
    return mujoco.MjSpec.from_string(mjcf.fuse_bodies(asset.read_text()))


def set_initial_qpos(spec: mujoco.MjSpec, extra: int, height: float | None = None) -> None:
    """Lengthen the robot's initial joint positions by ``extra`` zeros, and set its height (m)."""
    numeric = spec.numeric("init_qpos")
    qpos = [*numeric.data, *[0.0] * extra]
    if height is not None:
        qpos[2] = height
    numeric.data, numeric.size = qpos, len(qpos)


def add_target(spec: mujoco.MjSpec, height: float, reach: float, radius: float, axes: str = "xy") -> None:
    """Add the massy, contactless body on slide joints that holds the commanded goal.

    It is invisible: whoever draws the scene draws its own marker. Its size matters all the same,
    for inertia is part of the humanoid's observation.

    Args:
      spec: the model to add to; its last joint positions become the goal's coordinates.
      height: height of the body, m.
      reach: largest coordinate, m.
      radius: radius of its sphere of 1 kg, m.
      axes: the coordinates that a goal has, of "xyz".
    """
    body = spec.worldbody.add_body(name="target", pos=[0, 0, height])
    for axis in axes:
        body.add_joint(
            name=f"target_{axis}",
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[float(axis == other) for other in "xyz"],
            range=[-reach, reach],
            limited=mujoco.mjtLimited.mjLIMITED_TRUE,
            armature=0,
            damping=[0, 0, 0],
            stiffness=[0, 0, 0],
        )
    body.add_geom(
        name="target",
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[radius, 0, 0],
        mass=1,
        contype=0,
        conaffinity=0,
        rgba=[0, 0, 0, 0],
    )


def collide(spec: mujoco.MjSpec, geoms: Sequence[str]) -> None:
    """Let named geoms be hit by others, so that walls and balls stop them."""
    for name in geoms:
        spec.geom(name).conaffinity = 1


def to_system(spec: mujoco.MjSpec) -> System:
    """Compile a model and convert it for Brax's pipelines."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Brax System|compiler attribute 'settotalmass'")
        return mjcf.load_model(spec.compile())


def with_timestep(sys: System, timestep: float) -> System:
    """The system with another physics timestep (s)."""
    return sys.tree_replace({"opt.timestep": timestep})


def with_gear(sys: System, gear: Sequence[float]) -> System:
    """The system with other actuator gears ``[actuators]``."""
    return replace(sys, actuator=replace(sys.actuator, gear=jnp.array(gear, jnp.float32)))


def with_newton(sys: System, iterations: int, line_search_iterations: int) -> System:
    """The system as MJX is fastest on: few Newton iterations, no implicit joint damping."""
    return sys.tree_replace(
        {
            "opt.solver": mujoco.mjtSolver.mjSOL_NEWTON,
            "opt.disableflags": mujoco.mjtDisableBit.mjDSBL_EULERDAMP,
            "opt.iterations": iterations,
            "opt.ls_iterations": line_search_iterations,
        }
    )
