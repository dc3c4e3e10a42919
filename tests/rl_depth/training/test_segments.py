"""Runs whose trunks are supervised along the way: goals, averages, resuming, and what evaluation reads of them."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rl_depth
from rl_depth import runs, signals
from rl_depth.config import Config, ConfigError
from rl_depth.evaluation import beyond, capability, heldout
from rl_depth.evaluation.policy import load
from rl_depth.training import session
from rl_depth.training.trainer import Trainer, seeds_of

from ..conftest import TINY

EVERYTHING = TINY | {
    "block": "two-level",
    "tie_levels": True,
    "feedback": True,
    "norm": "post",
    "residual_scale": "learned",
    "depth": 16,
    "supervise": "all",
    "segments": 2,
    "cross_depth": True,
    "consistency": 0.5,
    "halting_head": True,
    "ema": 0.9,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> runs.Run:
    """Two agents with every option on, hardly trained."""
    out = tmp_path_factory.mktemp("runs") / "everything"
    return rl_depth.train(Config(**EVERYTHING, seeds=2), out=out)


def test_a_run_with_every_option_on_logs_them_and_is_read_back(run):
    (row,) = [row for row in run.metrics() if row["epoch"] == 20 and row["seed"] == 1]
    wanted = {"critic_consistency", "actor_consistency", "cross_infonce", "actor_halting_loss", "phi_halting_loss"}
    assert wanted <= row.keys()
    assert run.config() == Config(**EVERYTHING, seeds=2, backend="planar")


def test_the_average_is_what_acts_in_evaluation(run):
    policy, arrays = load(run, 1), run.load_checkpoint().arrays
    kernel = "['actor']['head']['kernel']"
    np.testing.assert_array_equal(policy.params["actor"]["head"]["kernel"], arrays[f".agent.average{kernel}"][1])
    assert not np.array_equal(policy.params["actor"]["head"]["kernel"], arrays[f".agent.params{kernel}"][1])


def test_learned_halting_stops_where_the_head_expects_no_gain(run):
    policy = load(run)
    obs, goal = jax.random.normal(jax.random.key(0), (9, 4)), jnp.ones((9, 2))
    assert set(np.asarray(policy.until(obs, goal, "learned:1e9:64")[1])) == {8}
    policy.params["actor"]["halt_bias"] = jnp.float32(1e3)
    action, depth = policy.until(obs, goal, "learned:0.1:64")
    assert set(np.asarray(depth)) == {64}
    np.testing.assert_allclose(action, policy(obs, goal, depth=64), rtol=1e-4, atol=1e-5)
    row = capability.evaluate_run(run, capability.Protocol(episodes=2, halt=rl_depth.config.Halt.parse("learned:1:32")))
    assert all(8 <= own["depth_mean"] <= 32 for own in row)


def test_extrapolation_says_what_the_critics_head_foresees(run):
    (found,) = beyond.measure([run], capability.Protocol(episodes=2, depths=(8, 16, 32)), ["dist_final"])
    assert found.label == "two-level, all of 2 segments" and found.trained == 16
    assert {name: values.shape for name, values in found.halting.items()} == dict.fromkeys(heldout.HALTING, (2, 3))
    assert np.all(found.halting["halted_depth"] <= [8, 16, 32])
    np.testing.assert_allclose(found.halting["halted_accuracy"][:, 0], found.critic["categorical_accuracy"][:, 0])


def test_a_critic_that_stops_by_hand():
    foreseen = np.array([[1.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [0.0, 0.0, 0.0]])
    right = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], bool)
    found = heldout.halted(np.array([4, 8, 16]), foreseen, right)
    np.testing.assert_allclose(found["halted_accuracy"], [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(found["halted_depth"], [4, 20 / 3, 28 / 3])
    assert found["foreseen"][2] == 0.5


def test_a_run_without_a_head_refuses_learned_halting(tmp_path):
    run = rl_depth.train(Config(**TINY), out=tmp_path / "plain")
    with pytest.raises(ConfigError, match=r"--halt learned:1:256: .*--halting-head"):
        capability.evaluate_run(run, capability.Protocol(halt=rl_depth.config.Halt.parse("learned:1")))


def test_each_segment_has_goals_of_its_own_horizon():
    """Farther ahead the deeper the segment; the batch's goals are the last segment's."""
    config = Config(**TINY | {"depth": 8, "supervise": "drawn", "segments": 2, "segment_horizon": 5.0})
    assert config.supervision().gammas() == (0.8, 0.9) and config.goal_gamma == 0.9
    trainer = Trainer.of(config)
    state = jax.jit(trainer.init)(seeds_of(config)[0])
    for _ in range(5):
        state = jax.jit(trainer.collect)(state)
    row, env = jnp.array([3, 4]), jnp.array([0, 1])
    batch = trainer._batch(state.replay, row, jnp.array([[5, 9], [6, 7]]), env)
    wanted = [[state.replay.state[r, e, :2] for r in own] for own, e in (((5, 9), 0), ((6, 7), 1))]
    np.testing.assert_array_equal(batch.segment_goals, wanted)
    np.testing.assert_array_equal(batch.goal, batch.segment_goals[:, 1])
    state, metrics = jax.jit(trainer.learn)(state)
    assert np.isfinite(metrics["critic_loss"])


@pytest.mark.parametrize("more", [{}, {"block": "stacked", "supervise": "drawn", "segment_horizon": 9.0}], ids=str)
def test_a_run_that_is_stopped_and_resumed_ends_bit_for_bit_alike(tmp_path, monkeypatch, more):
    plain = ("tie_levels", "feedback", "cross_depth", "consistency")
    options = EVERYTHING | ({name: value for name, value in more.items()} if more else {})
    config = Config(**{name: value for name, value in options.items() if not more or name not in plain})
    whole = rl_depth.train(config, out=tmp_path / "whole")
    asked = iter([False] * 9 + [True])
    with monkeypatch.context() as patch, pytest.raises(session.Interrupted):
        patch.setattr(signals.Stop, "__bool__", lambda self: next(asked, False))
        rl_depth.train(config, out=tmp_path / "cut")
    cut = rl_depth.train(config, out=tmp_path / "cut", resume=True)
    one, other = whole.load_checkpoint().arrays, cut.load_checkpoint().arrays
    assert one.keys() == other.keys() and any(".average" in name for name in one)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    assert [json.dumps(row) for row in whole.metrics()] == [json.dumps(row) for row in cut.metrics()]
