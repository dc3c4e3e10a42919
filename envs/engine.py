"""MuJoCo's own C engine behind the interface of Brax's pipelines.

One callback steps all copies of an environment at once, whatever maps them, on the threads of a persistent pool. The
engine holds nothing between calls: positions, velocities, activations and the warm start of its solver lie in the
state that is carried, so that a run resumes bit for bit.

As in MJX, positions and velocities of bodies and the actuators' forces after a step are those at the beginning of its
last substep, which the engine has computed anyway.

Axes: ``N`` copies, ``F`` substeps, ``B`` bodies but the world.
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from brax import base
from flax import struct
from mujoco import rollout

# What the engine needs to go on, in the order of its state vector: time, positions, velocities, activations.
_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS
_FRAME = (
    (mujoco.mjtSensor.mjSENS_FRAMEPOS, 3),
    (mujoco.mjtSensor.mjSENS_FRAMEQUAT, 4),
    (mujoco.mjtSensor.mjSENS_FRAMELINVEL, 3),
    (mujoco.mjtSensor.mjSENS_FRAMEANGVEL, 3),
)
_SCALAR = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)


@struct.dataclass
class EngineState(base.State):
    """A pipeline state of the C engine.

    ``q``, ``qd``, ``x`` and ``xd`` are as in every pipeline; there are no contacts.
    """

    qfrc_actuator: jax.Array = struct.field(default=None)  # [nv]: actuator forces in joint space, N or N m
    activation: jax.Array = struct.field(default=None)  # [na]
    warm_start: jax.Array = struct.field(default=None)  # [nv]: what the solver starts from, m/s^2 or rad/s^2
    diverged: jax.Array = struct.field(default=None)  # bool: the engine gave this copy up; it stands where it was


_threads: int | None = None


def set_threads(count: int | None) -> None:
    """Threads that step the copies of one call; None for one per core that this process may use."""
    global _threads  # noqa: PLW0603 - one pool for the process
    _threads = count


def threads() -> int:
    """Threads that step the copies of one call."""
    if _threads is not None:
        return _threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Worker:
    """What one call at a time works with: a pool of threads and data for each of them."""

    pool: rollout.Rollout
    data: list[mujoco.MjData]
    pid: int


class Engine:
    """Steps copies of one model.

    Attributes:
      model: the model with sensors of all bodies, which the copies share.
      frames: substeps of one step, with the same control.
    """

    def __init__(self, spec: mujoco.MjSpec, frames: int):
        self.frames = frames
        self.model, self._sensors, self._dofs = _with_sensors(spec)
        self._free: list[_Worker] = []
        self._lock = threading.Lock()  # of the list alone, never held while stepping
        self.failures = 0

    def init(self, q: jax.Array, qd: jax.Array) -> EngineState:
        """The state at positions ``[nq]`` and velocities ``[nv]``, without control."""
        m = self.model
        zeros = partial(jnp.zeros, dtype=q.dtype)
        _, sensors = self._call(q, qd, zeros(m.na), zeros(m.nv), zeros(m.nu), frames=1)
        return self._state(q, qd, zeros(m.na), zeros(m.nv), sensors, jnp.zeros((), bool))

    def step(self, state: EngineState, control: jax.Array) -> EngineState:
        """``frames`` substeps with one control ``[nu]``."""
        m = self.model
        last, sensors = self._call(
            state.q, state.qd, state.activation, state.warm_start, control.astype(state.q.dtype), frames=self.frames
        )
        q, qd, activation, warm_start, failed = jnp.split(last, np.cumsum([m.nq, m.nv, m.na, m.nv]))
        return self._state(q, qd, activation, warm_start, sensors, failed[0] > 0)

    def _call(self, *arrays: jax.Array, frames: int) -> tuple[jax.Array, jax.Array]:
        m = self.model
        sizes = (m.nq + m.nv + m.na + m.nv + 1, self._sensors[1] - self._sensors[0])
        shapes = [jax.ShapeDtypeStruct((size,), jnp.float32) for size in sizes]
        return jax.pure_callback(partial(self._step_all, frames), shapes, *arrays, vmap_method="broadcast_all")

    def _state(self, q: Any, qd: Any, activation: Any, warm_start: Any, sensors: jax.Array, failed: Any) -> EngineState:
        bodies = self.model.nbody - 1
        sizes = [bodies * size for _, size in _FRAME]
        pos, rot, vel, ang, force = jnp.split(sensors, np.cumsum(sizes))
        return EngineState(
            q=q,
            qd=qd,
            x=base.Transform(pos=pos.reshape(bodies, 3), rot=rot.reshape(bodies, 4)),
            xd=base.Motion(vel=vel.reshape(bodies, 3), ang=ang.reshape(bodies, 3)),
            contact=None,
            qfrc_actuator=jnp.zeros(self.model.nv).at[self._dofs].set(force),
            activation=activation,
            warm_start=warm_start,
            diverged=failed,
        )

    def _step_all(
        self, frames: int, q: Any, qd: Any, activation: Any, warm_start: Any, control: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """The host's side: all copies at once. Calls nothing of JAX, which waits for it."""
        m = self.model
        batch = q.shape[:-1]
        count = math.prod(batch)
        q, qd, activation, warm, control = (
            np.asarray(a, np.float64).reshape(count, a.shape[-1]) for a in (q, qd, activation, warm_start, control)
        )
        begun = np.zeros((count, mujoco.mj_stateSize(m, _STATE.value)))
        places = np.cumsum([1, m.nq, m.nv, m.na])
        for array, start, end in zip((q, qd, activation), places[:-1], places[1:], strict=True):
            begun[:, start:end] = array
        ended = np.empty((count, frames, begun.shape[1]))
        sensed = np.empty((count, frames, m.nsensordata))
        controls = np.ascontiguousarray(np.broadcast_to(control[:, None], (count, frames, m.nu)))
        worker = self._take()
        try:
            worker.pool.rollout(
                [m] * count,
                worker.data,
                np.ascontiguousarray(begun),
                controls,
                nstep=frames,
                initial_warmstart=np.ascontiguousarray(warm),
                state=ended,
                sensordata=sensed,
                skip_checks=True,
                control_spec=mujoco.mjtState.mjSTATE_CTRL.value,
            )
        finally:
            self._give_back(worker)
        last = ended[:, -1]
        before = ended[:, -2] if frames > 1 else begun
        velocities = slice(places[1], places[2])
        acceleration = (last[:, velocities] - before[:, velocities]) / m.opt.timestep
        # A copy that the engine gave up is set back to its model's first state, and its clock with it.
        good = np.isfinite(last).all(1) & np.isfinite(sensed[:, -1]).all(1)
        good &= np.abs(last[:, 0] - frames * m.opt.timestep) < m.opt.timestep / 2
        found = np.concatenate([last[:, 1 : places[3]], acceleration], axis=1)
        stays = np.concatenate([q, np.zeros_like(qd), activation, np.zeros_like(qd)], axis=1)
        found = np.where(good[:, None], found, stays)
        self.failures += int(count - good.sum())
        sensors = np.where(good[:, None], sensed[:, -1, slice(*self._sensors)], sensed[:, 0, slice(*self._sensors)])
        state = np.concatenate([found, ~good[:, None]], axis=1).astype(np.float32)
        sensors = np.nan_to_num(sensors.astype(np.float32), posinf=0.0, neginf=0.0)
        return state.reshape(*batch, -1), sensors.reshape(*batch, -1)

    def _take(self) -> _Worker:
        """A worker that no other call uses: calls of several devices run at the same time."""
        with self._lock:
            while self._free:
                worker = self._free.pop()
                if worker.pid == os.getpid():  # threads do not survive a fork
                    return worker
        count = threads()
        pool = rollout.Rollout(nthread=count if count > 1 else 0)
        return _Worker(pool, [mujoco.MjData(self.model) for _ in range(max(count, 1))], os.getpid())

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            self._free.append(worker)


def _with_sensors(spec: mujoco.MjSpec) -> tuple[mujoco.MjModel, tuple[int, int], np.ndarray]:
    """The model with sensors of all bodies' frames and of the actuators' forces on joints of one axis.

    Returns:
      The model, where in its sensors' data these begin and end, and the degrees of freedom of those joints.
    """
    spec = spec.copy()
    for kind, things in (("body", spec.bodies), ("joint", spec.joints)):
        for number, thing in enumerate(things):  # a sensor finds what it measures by name
            thing.name = thing.name or f"unnamed_{kind}_{number}"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="compiler attribute 'settotalmass'")
        plain = spec.compile()
    names = [plain.body(i).name for i in range(1, plain.nbody)]
    for kind, _ in _FRAME:
        for name in names:
            spec.add_sensor(type=kind, objtype=mujoco.mjtObj.mjOBJ_XBODY, objname=name)
    joints = [plain.joint(i) for i in range(plain.njnt) if plain.jnt_type[i] in _SCALAR]
    for joint in joints:
        kind = mujoco.mjtSensor.mjSENS_JOINTACTFRC
        spec.add_sensor(type=kind, objtype=mujoco.mjtObj.mjOBJ_JOINT, objname=joint.name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="compiler attribute 'settotalmass'")
        model = spec.compile()
    return model, (plain.nsensordata, model.nsensordata), np.array([joint.dofadr[0] for joint in joints], int)
