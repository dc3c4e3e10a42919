"""The state after an episode's last action as a goal: collected, trained on, and kept over a resume."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth import runs
from rl_depth.config import Config
from rl_depth.training import rollout, session
from rl_depth.training.acting import Plain
from rl_depth.training.trainer import make_env

from ..conftest import TINY


def test_what_is_reached_is_the_next_state_and_at_an_end_that_of_before_the_reset():
    env = make_env(Config(**TINY, episode_length=3))
    policy = Plain(lambda state, goal, key: jnp.ones((len(state), env.action_size)))
    begun = rollout.start(env, policy, 2, jax.random.key(0))
    _, steps = jax.jit(lambda: rollout.collect(env, policy, begun, 9, jax.random.key(1), reached=True))()
    assert [int(row) for row in np.flatnonzero(steps.done[:, 0])] == [2, 5, 8]
    after = env.achieved_goal(steps.state)[1:]
    goes_on = ~np.asarray(steps.done[:-1])
    np.testing.assert_array_equal(np.asarray(steps.reached[:-1])[goes_on], np.asarray(after)[goes_on])
    ended = np.asarray(steps.done)
    moved = np.linalg.norm(np.asarray(steps.reached) - np.asarray(env.achieved_goal(steps.state)), axis=-1)
    assert moved[ended].max() < 0.4, "within a step of where the last action was taken, not at a fresh start"
    assert not np.allclose(np.asarray(steps.reached[:-1])[~goes_on], np.asarray(after)[~goes_on])


def test_episodes_of_one_step_train_only_with_final_goals(tmp_path):
    short = Config(**TINY | {"env_steps": 400, "evals": 1}, episode_length=1)
    with pytest.raises(runs.RunError, match="every episode ended at its first step"):
        session.train(short, tmp_path / "without")
    rows = session.train(dataclasses.replace(short, final_goals=True), tmp_path / "with").metrics()
    assert np.isfinite(rows[-1]["infonce"])


def test_a_run_that_goes_on_has_kept_what_was_reached(tmp_path):
    options = {"episode_length": 7, "final_goals": True, "energy": "cosine", "logit_scale": "learned"}
    short = Config(**TINY | {"env_steps": 800, "evals": 5}, **options)
    long = dataclasses.replace(short, env_steps=1600, evals=10)
    session.train(short, tmp_path / "run")
    run, wanted = session.train(long, tmp_path / "run", resume=True), session.train(long, tmp_path / "long")
    assert run.metrics() == wanted.metrics()
    found, there = (one.load_checkpoint().arrays for one in (run, wanted))
    assert ".replay.reached" in found and found.keys() == there.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, there[name], err_msg=name)
