"""The Franka Emika Panda and its hand, built from published numbers.

Sources:
- Kinematics, joint limits and torque limits: Franka Control Interface documentation, "Robot and interface
  specifications" (Denavit-Hartenberg parameters after Craig).
- Masses, centres of mass and inertias: Gaz, Cognetti, Oliva, Robuffo Giordano and De Luca 2019, "Dynamic
  identification of the Franka Emika Panda robot with retrieval of feasible parameters using penalty-based
  optimization", IEEE RA-L 4(4), which Franka's own robot description carries too.
- Servo gains, fingers, the shapes of hand and fingers that touch, friction 1, and a hand without mass:
  JaxGCRL's arms (arXiv 2408.11052), so that tasks are equal to theirs. The arm's joints have neither damping
  nor armature there once Brax has read the model, nor have they here.

Links are drawn as capsules; only the hand and the fingers touch anything.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import mujoco

WHITE = (0.9, 0.92, 0.93, 1.0)
DARK = (0.25, 0.25, 0.25, 1.0)
TABLE_RGBA = (0.75, 0.72, 0.68, 1.0)

FLANGE = 0.107  # m, along z of link 7
FINGERTIP = (0.0, 0.005, 0.07)  # m, in the frame of a finger
GRIPPER_GEOMS = ("left_finger", "right_finger", "hand")

_FINGER_MOUNT = 0.0584  # m, from the flange to the frames of the fingers
_HAND_TURN = -math.pi / 4  # rad, about z of link 7
_FINGER_TRAVEL = 0.05  # m
_FINGER_MASS, _FINGER_INERTIA = 0.015, (2.375e-6, 2.375e-6, 7.5e-7)  # kg, kg m^2
_FINGER_GAIN = (0.09804, 500.0, 50.0)  # N per unit of 255, N/m, N s/m


@dataclasses.dataclass(frozen=True)
class Link:
    """A link and the joint that turns it.

    Attributes:
      a, d, alpha: Denavit-Hartenberg parameters after Craig; m, m, rad.
      limits: joint limits, rad.
      mass: kg.
      centre: centre of mass in the frame of the link, m.
      inertia: xx, yy, zz, xy, xz, yz about the centre of mass, kg m^2.
      torque: largest torque, N m.
      gain: the servo's torque per commanded angle, per angle and per angular velocity; N m/rad and N m s/rad.
        Where the first two differ the joint settles at their ratio of the command.
      capsules: drawn shape: ends in the frame of the link and radius, m.
    """

    a: float
    d: float
    alpha: float
    limits: tuple[float, float]
    mass: float
    centre: tuple[float, float, float]
    inertia: tuple[float, float, float, float, float, float]
    torque: float
    gain: tuple[float, float, float]
    capsules: tuple[tuple[tuple[float, ...], float], ...]


_TURN = math.pi / 2
LINKS = (
    Link(
        a=0, d=0.333, alpha=0, limits=(-2.8973, 2.8973),
        mass=4.970684, centre=(3.875e-3, 2.081e-3, -4.762e-2),
        inertia=(7.0337e-1, 7.0661e-1, 9.1170e-3, -1.3900e-4, 6.7720e-3, 1.9169e-2),
        torque=87, gain=(4500, 4500, 450),
        capsules=(((0, 0, -0.19, 0, 0, 0), 0.06), ((0, 0, -0.26, 0, 0, -0.2), 0.07)),
    ),
    Link(
        a=0, d=0, alpha=-_TURN, limits=(-1.7628, 1.7628),
        mass=0.646926, centre=(-3.141e-3, -2.872e-2, 3.495e-3),
        inertia=(7.9620e-3, 2.8110e-2, 2.5995e-2, -3.9250e-3, 1.0254e-2, 7.0400e-4),
        torque=87, gain=(4500, 4500, 450),
        capsules=(((0, 0, -0.07, 0, 0, 0.07), 0.06), ((0, 0, 0, 0, -0.2, 0), 0.055)),
    ),
    Link(
        a=0, d=0.316, alpha=_TURN, limits=(-2.8973, 2.8973),
        mass=3.228604, centre=(2.7518e-2, 3.9252e-2, -6.6502e-2),
        inertia=(3.7242e-2, 3.6155e-2, 1.0830e-2, -4.7610e-3, -1.1396e-2, -1.2805e-2),
        torque=87, gain=(2000, 3500, 350),
        capsules=(((0, 0, -0.12, 0, 0, -0.04), 0.055), ((0, 0, -0.04, 0.0825, 0, 0), 0.05)),
    ),
    Link(
        a=0.0825, d=0, alpha=_TURN, limits=(-3.0718, -0.0698),
        mass=3.587895, centre=(-5.317e-2, 1.04419e-1, 2.7454e-2),
        inertia=(2.5853e-2, 1.9552e-2, 2.8323e-2, 7.7960e-3, -1.3320e-3, 8.6410e-3),
        torque=87, gain=(2000, 3500, 350),
        capsules=(((0, 0, -0.06, 0, 0, 0.06), 0.055), ((0, 0, 0, -0.0825, 0.1, 0), 0.05)),
    ),
    Link(
        a=-0.0825, d=0.384, alpha=-_TURN, limits=(-2.8973, 2.8973),
        mass=1.225946, centre=(-1.1953e-2, 4.1065e-2, -3.8437e-2),
        inertia=(3.5549e-2, 2.9474e-2, 8.6270e-3, -2.1170e-3, -4.0370e-3, 2.2900e-4),
        torque=12, gain=(1000, 2000, 200),
        capsules=(((0, 0, -0.27, 0, 0.03, -0.1), 0.05), ((0, 0.03, -0.1, 0, 0, 0), 0.045)),
    ),
    Link(
        a=0, d=0, alpha=_TURN, limits=(-0.0175, 3.7525),
        mass=1.666555, centre=(6.0149e-2, -1.4117e-2, -1.0517e-2),
        inertia=(1.9640e-3, 4.3540e-3, 5.4330e-3, 1.0900e-4, -1.1580e-3, 3.4100e-4),
        torque=12, gain=(1000, 2000, 200),
        capsules=(((0, 0, -0.05, 0, 0, 0.05), 0.05), ((0, 0, 0, 0.088, 0, 0), 0.045)),
    ),
    Link(
        a=0.088, d=0, alpha=_TURN, limits=(-2.8973, 2.8973),
        mass=0.735522, centre=(1.0517e-2, -4.252e-3, 6.1597e-2),
        inertia=(1.2516e-2, 1.0027e-2, 4.8150e-3, -4.2800e-4, -1.1960e-3, -7.4100e-4),
        torque=12, gain=(1000, 2000, 200),
        capsules=(((0, 0, 0, 0, 0, 0.09), 0.045),),
    ),
)  # fmt: skip


def add_arm(spec: mujoco.MjSpec, fingers: bool) -> None:
    """Add the arm at the origin, with its servos, hand and, if asked for, fingers.

    Joints, links and servos are numbered from 1: ``joint1``, ``link1``. The fingers are ``left_finger`` and
    ``right_finger``; their servos are commanded by 0 (closed) to 255 (open).
    """
    body = spec.worldbody
    for number, link in enumerate(LINKS, start=1):
        body = _add_link(spec, body, number, link)
    half_turn = _HAND_TURN / 2
    body.add_geom(
        name="hand",
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        size=[0.04, 0.06, 0],
        pos=[0, 0, FLANGE + 0.035],
        quat=_multiply(_about_z(half_turn), _about_x(math.pi / 4)),
        rgba=WHITE,
        contype=0,
        conaffinity=0,
    )
    if fingers:
        for side, turn in (("left", half_turn), ("right", half_turn + _TURN)):
            _add_finger(spec, body, f"{side}_finger", turn)
        spec.add_equality(
            type=mujoco.mjtEq.mjEQ_JOINT,
            name1="left_finger",
            name2="right_finger",
            data=[0, 1, *[0] * 10],
            solimp=[0.95, 0.99, 0.001, 0.5, 2],
            solref=[0.005, 1],
        )


def touch(spec: mujoco.MjSpec, geoms: Sequence[str], others: Sequence[str]) -> None:
    """Let each of ``geoms`` collide with each of ``others``."""
    for geom in geoms:
        for other in others:
            spec.add_pair(geomname1=geom, geomname2=other)


def _add_link(spec: mujoco.MjSpec, parent: mujoco.MjsBody, number: int, link: Link) -> mujoco.MjsBody:
    body = parent.add_body(
        name=f"link{number}",
        pos=[link.a, -link.d * math.sin(link.alpha), link.d * math.cos(link.alpha)],
        quat=_about_x(link.alpha / 2),
        mass=link.mass,
        ipos=link.centre,
        fullinertia=link.inertia,
        explicitinertial=True,
    )
    body.add_joint(name=f"joint{number}", axis=[0, 0, 1], range=link.limits, limited=mujoco.mjtLimited.mjLIMITED_TRUE)
    for ends, radius in link.capsules:
        body.add_geom(**_capsule(ends, radius))
    _add_servo(spec, f"joint{number}", link.gain, link.torque, link.limits)
    return body


def _add_finger(spec: mujoco.MjSpec, hand: mujoco.MjsBody, name: str, half_turn: float) -> None:
    finger = hand.add_body(
        name=name,
        pos=[0, 0, FLANGE + _FINGER_MOUNT],
        quat=_about_z(half_turn),
        mass=_FINGER_MASS,
        ipos=[0, 0, 0],
        iquat=[1, 0, 0, 0],
        inertia=_FINGER_INERTIA,
        explicitinertial=True,
    )
    finger.add_joint(
        name=name,
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=[0, 1, 0],
        range=[0, _FINGER_TRAVEL],
        limited=mujoco.mjtLimited.mjLIMITED_TRUE,
        damping=[5, 0, 0],
        armature=0.1,
    )
    finger.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.015, 0.005, 0.04],
        pos=[0, 0.0055, 0.035],
        rgba=DARK,
        contype=0,
        conaffinity=0,
    )
    _add_servo(spec, name, _FINGER_GAIN, 500, (0, 255))


def _add_servo(
    spec: mujoco.MjSpec, joint: str, gain: tuple[float, float, float], force: float, control: tuple[float, float]
) -> None:
    command, stiffness, damping = gain
    spec.add_actuator(
        name=joint,
        target=joint,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        gainprm=[command, *[0] * 9],
        biastype=mujoco.mjtBias.mjBIAS_AFFINE,
        biasprm=[0, -stiffness, -damping, *[0] * 7],
        forcerange=[-force, force],
        forcelimited=mujoco.mjtLimited.mjLIMITED_TRUE,
        ctrlrange=control,
        ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
    )


def _capsule(ends: tuple[float, ...], radius: float) -> dict[str, Any]:
    return {
        "type": mujoco.mjtGeom.mjGEOM_CAPSULE,
        "fromto": ends,
        "size": [radius, 0, 0],
        "rgba": WHITE,
        "contype": 0,
        "conaffinity": 0,
    }


def _about_x(half_angle: float) -> list[float]:
    return [math.cos(half_angle), math.sin(half_angle), 0, 0]


def _about_z(half_angle: float) -> list[float]:
    return [math.cos(half_angle), 0, 0, math.sin(half_angle)]


def _multiply(z: list[float], x: list[float]) -> list[float]:
    """The turn ``x`` about x, then ``z`` about z, as a quaternion."""
    return [z[0] * x[0], z[0] * x[1], z[3] * x[1], z[3] * x[0]]
