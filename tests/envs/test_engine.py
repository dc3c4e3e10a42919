"""The C engine behind the environments: equal to plain ``mj_step`` and to MJX, one call for all copies, failures."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from rl_depth import envs
from rl_depth.envs import engine
from rl_depth.envs.engine import Engine

SLIDER = """
<mujoco><option timestep="0.01"/><worldbody><body name="cart"><joint name="x" type="slide" axis="1 0 0"/>
<geom size=".1" mass="1"/></body></worldbody><actuator><motor joint="x" gear="{gear}"/></actuator>
<sensor><jointpos joint="x"/></sensor></mujoco>
"""

# Largest difference of an observation's entry after 1, 10 and 50 steps under random actions, in units of 1 + |entry|.
# The state that is carried is float32, and contacts amplify its rounding: for those without a third number within 50
# steps so far that MuJoCo, nudged, does not follow itself either.
TOLERANCES = {
    "reacher": (1e-6, 1e-5, 1e-4),
    "pusher_easy": (1e-6, 1e-5, 1e-2),
    "half_cheetah": (1e-6, 1e-3, None),
    "ant": (1e-6, 1e-3, None),
    "ant_big_maze": (1e-6, 1e-3, None),
    "ant_push": (1e-6, 1e-3, 0.1),
    "humanoid": (1e-6, 1e-3, 0.1),
    "humanoid_u_maze": (1e-6, 1e-3, 0.1),
    "arm_reach": (1e-6, 1e-4, 1e-3),
    "arm_push_easy": (1e-6, 1e-4, 1e-2),
}
NUDGE = 1e-6  # m

# The same against MJX, which computes in float32 throughout and finds other points of contact.
MJX_TOLERANCES = {
    "reacher": (1e-5, 1e-5, 1e-4),
    "half_cheetah": (1e-5, 1e-2, None),
    "ant": (1e-4, 1e-3, None),
    "humanoid": (1e-4, 1e-3, 1e-2),
}  # no arm: see test_a_servo_at_its_limit_is_not_damped_by_the_gain_that_the_limit_cuts_off


class Plain(Engine):
    """``mj_step`` in a loop, in float64 and with the engine's own warm start: goes on from what it holds itself."""

    def _step_all(self, frames, q, qd, activation, warm_start, control):
        m, batch = self.model, q.shape[:-1]
        if frames == 1 or len(self.held) < len(q):  # a reset that draws no start has one state for all copies
            self.held = [mujoco.MjData(m) for _ in np.atleast_2d(q)]
            for data, position, velocity in zip(self.held, np.atleast_2d(q), np.atleast_2d(qd), strict=True):
                data.qpos[:], data.qvel[:] = position, velocity
                mujoco.mj_forward(m, data)
        if frames > 1:
            for data, command in zip(self.held, np.asarray(control), strict=True):
                data.ctrl[:] = command
                mujoco.mj_step(m, data, frames)
        rows = np.array([[*d.qpos, *d.qvel, *d.act, *np.zeros(m.nv), 0] for d in self.held], np.float32)
        sensed = np.array([d.sensordata for d in self.held], np.float32)
        return rows.reshape(*batch, -1), sensed.reshape(*batch, -1)


class Nudged(Plain):
    """The same from ``NUDGE`` further along the third joint position."""

    def _step_all(self, frames, q, *rest):
        q = np.array(q)
        q[..., 2] += NUDGE * (frames == 1)
        return super()._step_all(frames, q, *rest)


def on_mujoco(name: str, stand_in=lambda env: env._engine):
    """An environment, its programs over a batch, and ``stand_in`` for its engine."""
    env = envs.make(name, backend="mujoco")
    env._engine = stand_in(env)
    return env, jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))


def of_steps(name: str, stand_in, steps: int = 50):
    """Observations, success and termination of three copies by step, to compare."""
    env, reset, step = on_mujoco(name, stand_in)
    state = reset(jax.random.split(jax.random.key(5), 3))
    found = [(state.obs, state.metrics["success"], state.done)]
    for action in np.random.default_rng(1).uniform(-1, 1, (steps, 3, env.action_size)).astype(np.float32):
        state = step(state, action)
        found.append((state.obs, state.metrics["success"], state.done))
    return [np.array(part) for part in zip(*found, strict=True)]


def differences(ours, theirs):
    """Largest difference of observations up to each step, in units of 1 + |entry|: ``[steps + 1]``."""
    off = np.abs(ours[0] - theirs[0]) / (1 + np.abs(theirs[0]))
    return np.maximum.accumulate(off.max(axis=(1, 2)))


def assert_equal_steps(name, ours, theirs, tolerances):
    off = differences(ours, theirs)
    for count, tolerance in zip((1, 10, 50), tolerances, strict=True):
        limit = tolerance
        if limit is None:
            nudged = of_steps(name, lambda env: Nudged(env._engine.spec, env._engine.frames))
            limit = 10 * differences(nudged, of_steps(name, plainly))[count]
            assert limit > 0.1, "does MuJoCo not follow itself?"
        assert off[count] <= limit, f"after {count} steps"
    followed = slice(11 if None in tolerances else None)
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_array_equal(one[followed], other[followed])


def plainly(env):
    return Plain(env._engine.spec, env._engine.frames)


@pytest.mark.parametrize("name", TOLERANCES)
def test_as_plain_steps_of_mujoco(name):
    assert_equal_steps(name, of_steps(name, lambda env: env._engine), of_steps(name, plainly), TOLERANCES[name])


@pytest.mark.parametrize("name", [*TOLERANCES, "arm_grasp", "arm_binpick_hard", "ant_ball"])
def test_bodies_and_forces_are_those_of_the_model_that_is_shown(name):
    env, reset, _ = on_mujoco(name)
    model, frames = env.scene(None), env._engine.frames
    data = mujoco.MjData(model)
    physics = jax.tree.map(lambda leaf: leaf[0], reset(jax.random.split(jax.random.key(2), 1)).pipeline_state)
    data.qpos[:], data.qvel[:] = physics.q, physics.qd
    control = np.linspace(-0.6, 0.9, model.nu)
    after = jax.jit(env.pipeline_step)(physics, jnp.array(control))
    data.ctrl[:] = control.astype(np.float32)
    mujoco.mj_step(model, data, frames - 1)
    mujoco.mj_forward(model, data)
    assert np.abs(data.qfrc_actuator).max() > 0
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(after.qfrc_actuator, data.qfrc_actuator, **close)
    np.testing.assert_allclose(after.x.pos, data.xpos[1:], **close)
    np.testing.assert_allclose(after.x.rot, data.xquat[1:], **close)
    velocity = np.zeros(6)
    for body in range(1, model.nbody):
        mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity, 0)
        np.testing.assert_allclose(after.xd.ang[body - 1], velocity[:3], **close)
        np.testing.assert_allclose(after.xd.vel[body - 1], velocity[3:], **close)
    mujoco.mj_step(model, data)
    np.testing.assert_allclose(after.q, data.qpos, **close)
    np.testing.assert_allclose(after.qd, data.qvel, **close)


SERVO = """
<mujoco><option timestep="0.002" integrator="implicitfast" gravity="0 0 0"/><worldbody><body>
<joint name="j" axis="0 0 1"/><inertial pos="0 0 0" mass="1" diaginertia="1 1 0.05"/></body></worldbody>
<actuator><general joint="j" gainprm="1000"
biastype="affine" biasprm="0 -2000 -200" forcerange="-12 12" forcelimited="true"/></actuator></mujoco>
"""


@pytest.mark.parametrize(("command", "damping"), [(1.0, 0.0), (0.005, 200.0)])
def test_a_servo_at_its_limit_is_not_damped_by_the_gain_that_the_limit_cuts_off(command, damping):
    """MJX damps it all the same, so that the arms, which are often there, move several times slower on it."""
    one = Engine(mujoco.MjSpec.from_string(SERVO), frames=1)
    after = one.step(one.init(jnp.zeros(1), jnp.zeros(1)), jnp.array([command]))
    force = min(1000 * command, 12.0)
    np.testing.assert_allclose(after.qd, 0.002 * force / (0.05 + 0.002 * damping), rtol=1e-5)


@pytest.fixture
def spread():
    """Sets the number of threads, and takes it back."""
    yield engine.set_threads
    engine.set_threads(None)


def counted(env):
    """Batch shapes of the calls that the engine of ``env`` gets from now on."""
    calls, plain = [], env._engine._step_all

    def count(frames, q, *rest):
        calls.append(q.shape[:-1])
        return plain(frames, q, *rest)

    env._engine._step_all = count
    return calls


def test_one_call_steps_all_copies_of_all_seeds():
    env, reset, step = on_mujoco("reacher")
    flat = reset(jax.random.split(jax.random.key(0), 6))
    nested = jax.tree.map(lambda leaf: leaf.reshape(2, 3, *leaf.shape[1:]), flat)
    want = step(flat, jnp.ones((6, 2)))
    calls = counted(env)
    twice = jax.jit(
        lambda s: jax.lax.scan(lambda s, _: (jax.vmap(jax.vmap(env.step))(s, jnp.ones((2, 3, 2))), s.obs), s, length=2)
    )
    _, seen = jax.block_until_ready(twice(nested))
    assert calls == [(2, 3), (2, 3)]
    one = jax.jit(jax.vmap(jax.vmap(env.step)))(nested, jnp.ones((2, 3, 2)))
    np.testing.assert_array_equal(one.obs.reshape(6, -1), want.obs)
    np.testing.assert_array_equal(seen[1], one.obs)


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_threads_changes_no_bit(count, spread):
    _, reset, step = on_mujoco("half_cheetah")
    first = reset(jax.random.split(jax.random.key(0), 7))
    want = step(first, jnp.ones((7, 6)))
    spread(count)
    jax.tree.map(np.testing.assert_array_equal, step(first, jnp.ones((7, 6))), want)
    with pytest.raises(ValueError, match="0 threads for the physics: must be at least 1"):
        spread(0)


def test_calls_at_the_same_time_do_not_meet():
    _, reset, step = on_mujoco("ant")
    starts = [reset(jax.random.split(jax.random.key(i), 4)) for i in range(4)]

    def go(state):
        for _ in range(25):
            state = step(state, jnp.full((4, 8), 0.5))
        return state.obs

    alone = [go(start) for start in starts]
    with ThreadPoolExecutor(4) as pool:
        for ours, want in zip(pool.map(go, starts), alone, strict=True):
            np.testing.assert_array_equal(ours, want)


DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
from rl_depth import envs
env = envs.make("reacher", backend="mujoco")
def go(keys):
    state = jax.vmap(env.reset)(keys)
    return jax.lax.scan(lambda s, _: (jax.vmap(env.step)(s, jnp.ones((len(keys), 2))), s.obs), state, length=200)[1]
keys = jax.random.split(jax.random.key(0), 8)
mesh = Mesh(np.array(jax.devices()), "seed")
spread = jax.jit(jax.shard_map(go, mesh=mesh, in_specs=P("seed"), out_specs=P(None, "seed"), check_vma=False))
print(len(mesh.devices), bool((np.array(spread(keys)) == np.array(jax.jit(go)(keys))).all()))
"""


def test_two_devices_step_at_the_same_time():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", DEVICES], capture_output=True, text=True, check=True, env=os.environ | flags, timeout=300
    )
    assert done.stdout.split()[-2:] == ["2", "True"]


def test_a_state_that_was_stored_goes_on_bit_for_bit_in_another_engine():
    _, reset, step = on_mujoco("ant_u_maze")
    action = jnp.full((2, 8), 0.7)
    state = reset(jax.random.split(jax.random.key(0), 2))
    for _ in range(20):
        state = step(state, action)
    stored = jax.tree.map(lambda leaf: jnp.array(np.array(leaf)), state)
    _, _, other = on_mujoco("ant_u_maze")
    for _ in range(20):
        state, stored = step(state, action), other(stored, action)
    jax.tree.map(np.testing.assert_array_equal, state, stored)


@pytest.mark.parametrize("velocity", [1e12, np.nan])
def test_a_copy_that_diverges_ends_alone(velocity, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    env, reset, step = on_mujoco("ant")
    state = reset(jax.random.split(jax.random.key(0), 3))
    want = step(state, jnp.zeros((3, 8)))
    physics = state.pipeline_state
    broken = state.replace(pipeline_state=physics.replace(qd=physics.qd.at[1, 3].set(velocity)))
    found = jax.block_until_ready(step(broken, jnp.zeros((3, 8))))
    np.testing.assert_array_equal(found.done, [0, 1, 0])
    np.testing.assert_array_equal(jax.vmap(env.diverged)(found), [False, True, False])
    assert env.physics_failures == 1
    others = np.array([0, 2])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[others], b[others]), found, want)
    np.testing.assert_array_equal(found.obs[1], state.obs[1])
    for leaf in jax.tree.leaves(found):
        assert np.isfinite(leaf).all()
    assert not list(tmp_path.iterdir()) and "WARNING" not in capfd.readouterr().err


@pytest.mark.parametrize("frames", [1, 3])
def test_a_failure_in_any_substep_is_noticed(frames):
    one = Engine(mujoco.MjSpec.from_string(SLIDER.format(gear="1e13")), frames)
    state = jax.vmap(one.init)(jnp.full((3, 1), 0.25), jnp.zeros((3, 1)))
    after = jax.vmap(one.step)(state, jnp.array([[0.0], [1.0], [np.nan]]))
    np.testing.assert_array_equal(after.diverged, [False, True, True])
    np.testing.assert_allclose(after.q, 0.25)
    assert one.failures == 2


def test_sensors_of_a_model_are_read():
    one = Engine(mujoco.MjSpec.from_string(SLIDER.format(gear="1")), frames=1)
    state = one.init(jnp.array([0.25]), jnp.zeros(1))
    np.testing.assert_allclose(state.sensordata, [0.25])
    np.testing.assert_allclose(state.x.pos, [[0.25, 0, 0]])


@pytest.mark.parametrize("name", ["ant", "humanoid", "arm_push_easy"])
def test_orientations_have_unit_length_from_the_reset_on(name):
    env, reset, _ = on_mujoco(name)
    q = reset(jax.random.split(jax.random.key(5), 3)).pipeline_state.q
    model = env.scene(None)
    free = model.jnt_qposadr[model.jnt_type == int(mujoco.mjtJoint.mjJNT_FREE)]
    assert len(free) == 1
    for start in free:
        np.testing.assert_allclose(np.linalg.norm(q[:, start + 3 : start + 7], axis=1), 1, rtol=1e-6)


def test_state_that_is_not_carried_is_refused():
    spec = mujoco.MjSpec.from_string(SLIDER.format(gear="1"))
    spec.sensors[0].delay, spec.sensors[0].nsample = 0.05, 5
    with pytest.raises(ValueError, match=r"the C engine runs no models with plugins, or .* a delay"):
        Engine(spec, frames=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", MJX_TOLERANCES)
def test_as_mjx_without_tuning(name):
    mjx = of_steps(name, lambda env: None)  # Brax's pipeline of the same model
    assert_equal_steps(name, of_steps(name, lambda env: env._engine), mjx, MJX_TOLERANCES[name])
