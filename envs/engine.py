"""MuJoCo's own C engine behind the interface of Brax's pipelines.

One callback steps all copies of an environment at once, whatever maps them, on the threads of a persistent pool. The
engine holds nothing between calls: positions, velocities, activations and the warm start of its solver lie in the
state that is carried, so that a run resumes bit for bit.

As in MJX, positions and velocities of bodies, the actuators' forces and what sensors read after a step are those at
the beginning of its last substep, which the engine has computed anyway.

The engine tells neither its solver's warm start nor a delay's history. The first is taken to be the last substep's
change of velocity, from which the solver arrives where it does from its own; models with the second are refused.

Calls of several devices run at the same time, each with threads and data of its own, and none waits for another.

Axes: ``N`` copies, ``F`` substeps, ``B`` bodies but the world.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import warnings
from collections.abc import Sequence
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
# as numbers: those in a model do not equal their names
_SCALAR = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))


@struct.dataclass
class EngineState(base.State):
    """A pipeline state of the C engine.

    ``q``, ``qd``, ``x`` and ``xd`` are as in every pipeline; there are no contacts.
    """

    qfrc_actuator: jax.Array = struct.field(default=None)  # [nv]: actuator forces in joint space, N or N m
    sensordata: jax.Array = struct.field(default=None)  # [nsensordata]: the model's own sensors
    activation: jax.Array = struct.field(default=None)  # [na]
    warm_start: jax.Array = struct.field(default=None)  # [nv]: what the solver starts from, m/s^2 or rad/s^2
    diverged: jax.Array = struct.field(default=None)  # bool: the engine gave this copy up; it stands where it was


_CLOCK = 1.0
"""Time (s) at which every call begins. The engine sets a copy that it gives up back to time 0, which tells it apart."""

_LOG = logging.getLogger(__name__)
_threads: int | None = None
_devices = 1


def set_threads(count: int | None) -> None:
    """Threads that step the copies of one call, from the next call on; None for one per core of this process.

    Where several devices step at the same time, each has that many. With one, a call steps on its own thread.

    Raises:
      ValueError: less than 1.
    """
    global _threads  # noqa: PLW0603 - one number for the process
    if count is not None and count < 1:
        raise ValueError(f"{count} threads for the physics: must be at least 1")
    _threads = count


def share_cores(devices: int) -> None:
    """Let so many devices step at once: each has its part of the cores, unless `set_threads` said otherwise."""
    global _devices  # noqa: PLW0603 - one number for the process
    _devices = devices


def threads() -> int:
    """Threads that step the copies of one call."""
    if _threads is not None:
        return _threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get("JAX_NUM_CPU_DEVICES", "")  # as processes beside each other are
    return max(1, min(cores, int(told) if told.isdecimal() else cores) // _devices)


@dataclass
class _Buffers:
    """Arrays that the engine reads and fills in a call of one size; fresh ones would cost a page fault each 4 KiB."""

    begun: np.ndarray  # [N, state] at the beginning
    warm: np.ndarray  # [N, nv]
    control: np.ndarray  # [N, F, nu]
    ended: np.ndarray  # [N, F, state] after each substep
    sensed: np.ndarray  # [N, F, nsensordata] at the beginning of each substep

    @classmethod
    def of(cls, m: mujoco.MjModel, count: int, frames: int) -> _Buffers:
        """Buffers for ``count`` copies."""
        size = mujoco.mj_stateSize(m, _STATE.value)
        return cls(
            begun=np.zeros((count, size)),
            warm=np.empty((count, m.nv)),
            control=np.empty((count, frames, m.nu)),
            ended=np.empty((count, frames, size)),
            sensed=np.empty((count, frames, m.nsensordata)),
        )


class _Worker:
    """What one call at a time works with: a pool of threads, data for each of them, and buffers by size."""

    def __init__(self, model: mujoco.MjModel, threads: int):
        self.threads = threads
        self._model = model
        self._pool = rollout.Rollout(nthread=threads if threads > 1 else 0)
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        self._buffers: dict[tuple[int, int], _Buffers] = {}

    def buffers(self, count: int, frames: int) -> _Buffers:
        """Buffers for ``count`` copies and ``frames`` substeps, of earlier contents."""
        key = count, frames
        if key not in self._buffers:
            self._buffers[key] = _Buffers.of(self._model, count, frames)
        return self._buffers[key]

    def run(self, buffers: _Buffers) -> None:
        """Fill ``ended`` and ``sensed``, other Python threads running meanwhile."""
        count, frames, _ = buffers.control.shape
        self._pool.rollout(
            [self._model] * count,
            self._data,
            buffers.begun,
            buffers.control,
            nstep=frames,
            initial_warmstart=buffers.warm,
            state=buffers.ended,
            sensordata=buffers.sensed,
            skip_checks=True,
            control_spec=mujoco.mjtState.mjSTATE_CTRL.value,
        )


class Engine:
    """Steps copies of one model.

    Attributes:
      spec: the model as it was given.
      model: the model with sensors of all bodies, which the copies share.
      frames: substeps of one step, with the same control.
    """

    def __init__(self, spec: mujoco.MjSpec, frames: int):
        """Compile ``spec``, to which sensors of all bodies are added.

        Raises:
          ValueError: the model has state that is not carried: plugins, or sensors and actuators with a delay.
        """
        self.spec, self.frames = spec, frames
        self.model, self._sensors, self._dofs = _with_sensors(spec)
        m = self.model
        offset = {mujoco.mjtJoint.mjJNT_FREE: 3, mujoco.mjtJoint.mjJNT_BALL: 0}
        joints = zip(m.jnt_type.tolist(), m.jnt_qposadr.tolist(), strict=True)
        self._quaternions = [start + offset[kind] for kind, start in joints if kind in offset]
        if mujoco.mj_stateSize(m, _STATE.value) != 1 + m.nq + m.nv + m.na:
            raise ValueError("the C engine runs no models with plugins, or with sensors or actuators that have a delay")
        self.failures = 0
        self._free: list[_Worker] = []
        self._lock = threading.Lock()  # of the two above alone, never held while stepping
        if mujoco.get_mju_user_warning() is None:  # it would write them to stderr and a file in the working folder
            mujoco.set_mju_user_warning(_LOG.info)

    def init(self, q: jax.Array, qd: jax.Array) -> EngineState:
        """The state at positions ``[nq]`` and velocities ``[nv]``, without control; orientations become unit length."""
        m = self.model
        for start in self._quaternions:
            turn = slice(start, start + 4)
            q = q.at[turn].divide(jnp.linalg.norm(q[turn]))
        zeros = partial(jnp.zeros, dtype=q.dtype)
        stepped, sensors = self._call(q, qd, zeros(m.na), zeros(m.nv), zeros(m.nu), frames=1)
        # Of that substep only what was sensed at its beginning, and whether it failed, is of use.
        return self._state((q, qd, zeros(m.na), zeros(m.nv), stepped[-1:]), sensors)

    def step(self, state: EngineState, control: jax.Array) -> EngineState:
        """``frames`` substeps with one control ``[nu]``."""
        m, control = self.model, control.astype(state.q.dtype)
        given = (state.q, state.qd, state.activation, state.warm_start, control)
        stepped, sensors = self._call(*given, frames=self.frames)
        return self._state(_parts(stepped, [m.nq, m.nv, m.na, m.nv, 1]), sensors)

    def _call(self, *arrays: jax.Array, frames: int) -> tuple[jax.Array, jax.Array]:
        m = self.model
        sizes = (m.nq + m.nv + m.na + m.nv + 1, m.nsensordata)
        shapes = [jax.ShapeDtypeStruct((size,), jnp.float32) for size in sizes]
        return jax.pure_callback(partial(self._step_all, frames), shapes, *arrays, vmap_method="broadcast_all")

    def _state(self, stepped: Sequence[jax.Array], sensors: jax.Array) -> EngineState:
        q, qd, activation, warm_start, failed = stepped
        bodies = self.model.nbody - 1
        sizes = [self._sensors, *(bodies * size for _, size in _FRAME), len(self._dofs)]
        own, pos, rot, vel, ang, force = _parts(sensors, sizes)
        return EngineState(
            q=q,
            qd=qd,
            x=base.Transform(pos=pos.reshape(bodies, 3), rot=rot.reshape(bodies, 4)),
            xd=base.Motion(vel=vel.reshape(bodies, 3), ang=ang.reshape(bodies, 3)),
            contact=None,
            qfrc_actuator=jnp.zeros_like(qd).at[self._dofs].set(force),
            sensordata=own,
            activation=activation,
            warm_start=warm_start,
            diverged=failed[0] > 0,
        )

    def _step_all(
        self, frames: int, q: Any, qd: Any, activation: Any, warm_start: Any, control: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """The host's side: all copies at once. Calls nothing of JAX, which waits for it."""
        batch, count = q.shape[:-1], math.prod(q.shape[:-1])
        given = [np.asarray(a).reshape(count, a.shape[-1]) for a in (q, qd, activation, warm_start, control)]
        worker = self._take()
        try:
            buffers = worker.buffers(count, frames)
            buffers.begun[:, 0] = _CLOCK
            np.concatenate(given[:3], axis=1, out=buffers.begun[:, 1:])
            buffers.warm[:] = given[3]
            buffers.control[:] = given[4][:, None]
            worker.run(buffers)
            state, sensors = self._found(buffers)
        finally:
            self._give_back(worker)
        return state.reshape(*batch, -1), sensors.reshape(*batch, -1)

    def _found(self, buffers: _Buffers) -> tuple[np.ndarray, np.ndarray]:
        """State ``[N, nq + nv + na + nv + 1]`` and sensors' data ``[N, nsensordata]`` after a call.

        A copy that the engine gave up stands still where it was, and the last entry of its state is 1.
        """
        m, frames = self.model, buffers.ended.shape[1]
        size, velocities = m.nq + m.nv + m.na, slice(1 + m.nq, 1 + m.nq + m.nv)
        last = buffers.ended[:, -1]
        before = buffers.ended[:, -2] if frames > 1 else buffers.begun
        state = np.zeros((len(last), size + m.nv + 1), np.float32)
        state[:, :size] = last[:, 1:]
        state[:, size:-1] = (last[:, velocities] - before[:, velocities]) / m.opt.timestep
        sensors = buffers.sensed[:, -1].astype(np.float32)
        failed = last[:, 0] < _CLOCK
        failed |= ~np.isfinite(state).all(1) | ~np.isfinite(sensors).all(1) | ~np.isfinite(buffers.control[:, 0]).all(1)
        if failed.any():
            stays = buffers.begun[failed, 1:]
            stays[:, m.nq : m.nq + m.nv] = 0
            state[failed] = 0
            state[failed, :size] = np.nan_to_num(stays)
            state[failed, -1] = 1
            sensors[failed] = np.nan_to_num(buffers.sensed[failed, 0])
            with self._lock:
                self.failures += int(failed.sum())
        return state, sensors

    def _take(self) -> _Worker:
        """A worker that no other call uses: calls of several devices run at the same time."""
        count = threads()
        with self._lock:
            while self._free:
                worker = self._free.pop()
                if worker.threads == count:
                    return worker
        return _Worker(self.model, count)

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            self._free.append(worker)


def _parts(array: jax.Array, sizes: Sequence[int]) -> list[jax.Array]:
    """``array [sum(sizes)]`` in parts. Empty ones are made anew: XLA (0.10) crashes on slices of no entries."""
    ends = np.cumsum(sizes)
    return [
        array[end - size : end] if size else jnp.zeros(0, array.dtype) for size, end in zip(sizes, ends, strict=True)
    ]


def _with_sensors(spec: mujoco.MjSpec) -> tuple[mujoco.MjModel, int, np.ndarray]:
    """The model with sensors of all bodies' frames and of the actuators' forces on joints of one axis.

    Returns:
      The model, the size of its own sensors' data, which come first, and the degrees of freedom of those joints.
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
    return model, plain.nsensordata, np.array([joint.dofadr[0] for joint in joints], int)
