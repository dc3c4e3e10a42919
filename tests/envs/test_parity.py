"""Our environments against trajectories recorded from JaxGCRL (see golden/record.py)."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

import envs

GOLDEN = np.load(Path(__file__).parent / "golden" / "peer.npz")
NAMES = sorted({key.split("/")[0] for key in GOLDEN.files})

# contacts amplify rounding, which differs between processors
TOLERANCE = 2e-3
FALL_TOLERANCE = 3  # steps


@pytest.mark.parametrize("name", NAMES)
def test_same_key_and_actions_give_the_peers_trajectory(name, compiled):
    program = compiled(*name.split(":"))
    golden = {part: GOLDEN[f"{name}/{part}"] for part in ("actions", "obs", "done", "success")}
    stored = len(golden["obs"])
    if not golden["done"].any():
        golden["actions"] = golden["actions"][: stored - 1]
    state = program.reset(jax.random.split(jax.random.PRNGKey(7), 2))
    obs, done, success = [state.obs], [], []
    for action in golden["actions"]:
        state = program.step(state, action)
        obs.append(state.obs)
        done.append(state.done)
        success.append(state.metrics["success"])
    np.testing.assert_allclose(np.array(obs[:stored]), golden["obs"], rtol=TOLERANCE, atol=TOLERANCE)
    np.testing.assert_array_equal(np.array(success)[: stored - 1], golden["success"][: stored - 1])
    falls = [np.where(d.any(0), d.argmax(0), -1) for d in (np.array(done) > 0, golden["done"] > 0)]
    assert np.abs(falls[0] - falls[1]).max() <= FALL_TOLERANCE


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
    # name: state, goal indices, radius, as in JaxGCRL's constructors
    "reacher": (10, (4, 5, 6), 0.05),
    "ant": (29, (0, 1), 0.5),
    "ant_u_maze": (29, (0, 1), 0.5),
    "ant_ball": (31, (29, 30), 0.5),
    "ant_push": (31, (0, 1), 0.5),
    "humanoid": (268, (0, 1, 2), 0.5),
    "humanoid_u_maze": (268, (0, 1, 2), 0.5),
}


@pytest.mark.parametrize("name", PEER_SIZES)
def test_same_sizes_radius_and_length(name, compiled):
    env = compiled(name).env
    assert (env.state_size, env.goal_indices, env.goal_radius) == PEER_SIZES[name]
    assert env.episode_length == 1000
