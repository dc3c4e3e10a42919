"""The Panda against its published numbers, and what its servos and metrics do."""

from __future__ import annotations

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from rl_depth import envs
from rl_depth.envs import panda

# Franka Control Interface documentation: a (m), d (m), alpha (rad) of joints 1 to 7, after Craig
PUBLISHED_DH = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -np.pi / 2),
    (0.0, 0.316, np.pi / 2),
    (0.0825, 0.0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2),
    (0.0, 0.0, np.pi / 2),
    (0.088, 0.0, np.pi / 2),
)
FLANGE = 0.107
OPEN, CLOSED = -1.0, 1.0


def dh_frames(angles) -> list[np.ndarray]:
    """Frames of links 1 to 7 in the base: homogeneous matrices ``[4, 4]``."""
    frame, frames = np.eye(4), []
    for (a, d, alpha), theta in zip(PUBLISHED_DH, angles, strict=True):
        ct, st, ca, sa = np.cos(theta), np.sin(theta), np.cos(alpha), np.sin(alpha)
        frame = frame @ np.array(
            [[ct, -st, 0, a], [st * ca, ct * ca, -sa, -d * sa], [st * sa, ct * sa, ca, d * ca], [0, 0, 0, 1]]
        )
        frames.append(frame)
    return frames


def model_of(name: str) -> mujoco.MjModel:
    return envs.make(name).sys.mj_model


def settle(name: str, action) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """MuJoCo's own state after three seconds of one action from the start."""
    env = envs.make(name)
    model = env.sys.mj_model
    data = mujoco.MjData(model)
    data.qpos[-9:] = (1.571, 0.742, 0, -1.571, 0, 3.054, 1.449, 0.04, 0.04)
    data.ctrl[:] = env._command(jnp.array(action))
    mujoco.mj_step(model, data, nstep=1500)
    return model, data


def test_frames_of_the_links_follow_the_published_parameters():
    model = model_of("arm_reach")
    data = mujoco.MjData(model)
    for angles in np.random.default_rng(0).uniform(model.jnt_range[:, 0], model.jnt_range[:, 1], (20, 7)):
        data.qpos[:] = angles
        mujoco.mj_kinematics(model, data)
        for number, frame in enumerate(dh_frames(angles), start=1):
            link = data.body(f"link{number}")
            np.testing.assert_allclose(link.xpos, frame[:3, 3], atol=1e-6)
            np.testing.assert_allclose(link.xmat.reshape(3, 3), frame[:3, :3], atol=1e-6)


def test_the_flange_in_the_ready_pose_is_where_franka_has_it():
    model = model_of("arm_reach")
    data = mujoco.MjData(model)
    data.qpos[:] = (0, -np.pi / 4, 0, -3 * np.pi / 4, 0, np.pi / 2, np.pi / 4)
    mujoco.mj_kinematics(model, data)
    link = data.body("link7")
    flange = link.xpos + link.xmat.reshape(3, 3) @ np.array([0, 0, FLANGE])
    np.testing.assert_allclose(flange, [0.3069, 0, 0.5903], atol=1e-4)


def test_limits_and_masses_are_the_published_ones():
    model = model_of("arm_reach")
    limits = [2.8973, 1.7628, 2.8973, 3.0718, 2.8973, 3.7525, 2.8973]
    np.testing.assert_allclose(np.abs(model.jnt_range).max(1), limits)
    np.testing.assert_allclose(model.actuator_forcerange[:, 1], [87] * 4 + [12] * 3)
    masses = [4.970684, 0.646926, 3.228604, 3.587895, 1.225946, 1.666555, 0.735522]
    np.testing.assert_allclose(model.body_mass[1:], masses)


@pytest.mark.parametrize(("gripper", "opening"), [(OPEN, 0.05), (CLOSED, 0.0)])
def test_servos_settle_where_the_docstring_says(gripper, opening):
    _, data = settle("arm_push_easy", [-0.5, 0.2, -0.1, 0.3, gripper])
    commands = np.array(data.ctrl[:7])
    settled = commands * [1, 1, 1, 2000 / 3500, 1, 0.5, 0.5]
    np.testing.assert_allclose(data.qpos[7:14], settled, atol=0.02)
    np.testing.assert_allclose(data.qpos[14:], opening, atol=2e-3)


def test_commands_span_the_angles_of_the_docstring():
    command = envs.make("arm_push_easy")._command
    low, high = (np.array(command(jnp.full(5, value))) for value in (-1.0, 1.0))
    np.testing.assert_allclose(low[[0, 1, 3, 5]], [0.3491, 0, -3.0718, 2.3562], atol=1e-6)
    np.testing.assert_allclose(high[[0, 1, 3, 5]], [2.7925, 1.48353, -0.0698, 3.7525], atol=1e-6)
    np.testing.assert_allclose(low[[2, 4, 6]], [0, 0, 1.4487], atol=1e-6)
    np.testing.assert_array_equal(low[7:], 255)
    np.testing.assert_array_equal(high[7:], 0)


def test_the_cube_rests_on_the_table_and_a_bin_keeps_it_in():
    model = model_of("arm_binpick_easy")
    data = mujoco.MjData(model)
    data.qpos[:7] = (-0.17, 0.6, 0.03, 1, 0, 0, 0)
    data.qpos[7:14] = (1.571, 0, 0, -0.5, 0, 1.5, 0.7)
    data.ctrl[:7] = (1.571, 0, 0, -0.875, 0, 3, 1.4)
    data.qvel[0] = 1.0
    mujoco.mj_step(model, data, nstep=1000)
    assert -0.31 < data.qpos[0] < -0.03
    np.testing.assert_allclose(data.qpos[2], 0.03, atol=2e-3)


def test_fingertips_are_in_the_middle_of_the_hand():
    env = envs.make("arm_grasp")
    model, data = settle("arm_grasp", [0, 0, 0, 0, OPEN])
    hand = data.body("link7")
    flange_axis = hand.xmat.reshape(3, 3)[:, 2]
    tips = [
        data.body(name).xpos + data.body(name).xmat.reshape(3, 3) @ np.array(panda.FINGERTIP)
        for name in ("left_finger", "right_finger")
    ]
    middle = hand.xpos + flange_axis * (FLANGE + 0.0584 + 0.07)
    np.testing.assert_allclose(np.mean(tips, axis=0), middle, atol=1e-3)
    assert env.action_size == 5
    assert model.nu == 9


@pytest.mark.parametrize("name", ["arm_push_easy", "arm_binpick_easy"])
def test_an_unknown_kind_is_named(name):
    with pytest.raises(ValueError, match=r"kind 'medium': Arm.* has easy, hard"):
        envs.make(name, kind="medium")
