"""Our environments against trajectories recorded from JaxGCRL (see golden/record.py)."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from rl_depth import envs

GOLDEN = np.load(Path(__file__).parent / "golden" / "peer.npz")
NAMES = sorted({key.split("/")[0] for key in GOLDEN.files})

# contacts amplify rounding, which differs between processors
TOLERANCE = 2e-3
FALL_TOLERANCE = 3  # steps

# the peer tells of success in the state before the step
LATE = ("pusher_easy", "pusher_hard", "pusher_reacher", "pusher2")

# the peer starts with one finger closed, and its goal lags a step behind the cube that it follows
GRASP, GRASP_TOLERANCE = "arm_grasp", 0.05

# half a minute each to compile on MJX, as the peer runs them; tests of the C engine step them in a quick run
SLOW = [name for name in NAMES if name.startswith("arm_")]

# the arm and cube of the easy one, and so its motion: they differ in places, which a reset draws without an engine
PLACED = ("arm_push_hard", "arm_binpick_hard")
STEPPED = [name for name in NAMES if name not in PLACED]


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in STEPPED])
def test_same_key_and_actions_give_the_peers_trajectory(name, compiled):
    env, _, split = name.partition(":")
    program = compiled(env, split or None, envs.make(env).backends[0])
    golden = {part: GOLDEN[f"{name}/{part}"] for part in ("actions", "obs", "done", "success")}
    stored = len(golden["obs"])
    if not golden["done"].any():
        golden["actions"] = golden["actions"][: stored - 1]
    state = program.reset(jax.random.split(jax.random.key(7), 2))
    obs, done, success = [state.obs], [], []
    for action in golden["actions"]:
        state = program.step(state, action)
        obs.append(state.obs)
        done.append(state.done)
        success.append(state.metrics["success"])
    program.assert_finite(state)
    assert_same_observations(name, program.env, np.array(obs[:stored]), golden["obs"])
    late = int(name in LATE)
    np.testing.assert_array_equal(np.array(success)[: stored - 1 - late], golden["success"][late : stored - 1])
    falls = [np.where(d.any(0), d.argmax(0), -1) for d in (np.array(done) > 0, golden["done"] > 0)]
    assert np.abs(falls[0] - falls[1]).max() <= FALL_TOLERANCE


@pytest.mark.parametrize("name", PLACED)
def test_same_key_gives_the_peers_start_and_goal_where_an_easier_kind_has_the_same_motion(name, compiled):
    program = compiled(name)
    state = program.reset(jax.random.split(jax.random.key(7), 2))
    assert_same_observations(name, program.env, np.array(state.obs)[None], GOLDEN[f"{name}/obs"][:1])
    easy = envs.make(name.replace("hard", "easy")).sys.mj_model
    model = program.env.sys.mj_model
    for part in ("body_mass", "body_inertia", "jnt_range", "dof_damping", "actuator_gainprm"):
        np.testing.assert_array_equal(getattr(model, part), getattr(easy, part))


def assert_same_observations(name, env, ours, golden):
    if name == GRASP:
        state, goal = slice(None, env.state_size), slice(env.state_size, None)
        np.testing.assert_allclose(ours[1:, :, state], golden[1:, :, state], atol=GRASP_TOLERANCE)
        np.testing.assert_allclose(ours[:-1, :, goal], golden[1:, :, goal], atol=TOLERANCE)
    else:
        np.testing.assert_allclose(ours, golden, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("key", [key for key in GOLDEN.files if "/tuning/" in key])
def test_same_timestep_solver_and_gear_on_every_backend(key, compiled):
    name, _, backend = key.split("/")
    name, _, split = name.partition(":")
    env = envs.make(name, split=split or None, backend=backend)
    options = env.sys.opt
    numbers = [env._n_frames, options.timestep, options.solver, options.iterations, options.ls_iterations]
    ours = np.array([*map(float, numbers), *np.asarray(env.sys.actuator.gear)])
    np.testing.assert_allclose(ours, GOLDEN[key], rtol=1e-6)


def test_recording_holds_a_fall():
    assert any(GOLDEN[f"{name}/done"].any() for name in NAMES)


PEER_SIZES = {
    # name: state, goal indices, radius, episode length, as in JaxGCRL's constructors and its default of 1000
    "reacher": (10, (4, 5, 6), 0.05, 1000),
    "pusher_easy": (20, (10, 11, 12), 0.1, 1000),
    "pusher_hard": (20, (10, 11, 12), 0.1, 1000),
    "pusher_reacher": (17, (14, 15, 16), 0.1, 1000),
    "pusher2": (23, (10, 11, 12, 13, 14, 15), 0.1, 1000),
    "half_cheetah": (18, (0,), 0.5, 1000),
    "ant": (29, (0, 1), 0.5, 1000),
    "ant_random_start": (29, (0, 1), 0.5, 1000),
    "ant_u_maze": (29, (0, 1), 0.5, 1000),
    "ant_ball": (31, (29, 30), 0.5, 1000),
    "ant_ball_u_maze": (31, (29, 30), 0.5, 1000),  # there (28, 29), which is not the ball's place
    "ant_ball_maze": (31, (29, 30), 0.5, 1000),
    "ant_push": (31, (0, 1), 0.5, 1000),
    "humanoid": (268, (0, 1, 2), 0.5, 1000),
    "humanoid_u_maze": (268, (0, 1, 2), 0.5, 1000),
    "arm_reach": (13, (7, 8, 9), 0.1, 100),
    "arm_grasp": (24, (16, 17, 18, 19, 20, 21, 22), 0.05, 100),
    "arm_push_easy": (18, (0, 1, 2), 0.1, 150),
    "arm_push_hard": (18, (0, 1, 2), 0.1, 150),
    "arm_binpick_easy": (18, (0, 1, 2), 0.1, 150),
    "arm_binpick_hard": (18, (0, 1, 2), 0.1, 150),
}


@pytest.mark.parametrize("name", PEER_SIZES)
def test_same_sizes_radius_and_length(name, compiled):
    env = compiled(name).env
    assert (env.state_size, env.goal_indices, env.goal_radius, env.episode_length) == PEER_SIZES[name]
