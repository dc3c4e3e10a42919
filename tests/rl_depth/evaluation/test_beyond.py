"""What is measured beyond the trained depths, and what it is called."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rl_depth
from rl_depth import runs
from rl_depth.agents import ContrastiveAgent
from rl_depth.analysis import extrapolation, plots
from rl_depth.config import Config
from rl_depth.evaluation import beyond, capability, heldout
from rl_depth.evaluation.policy import load
from rl_depth.measured import Findings
from rl_depth.networks.network import Network
from rl_depth.training.trainer import make_env

from ..conftest import TINY

DEPTHS = (4, 8, 24)
LOOPED = Config(**TINY | {"depth": 8, "seeds": 2, "block": "looped", "train_recurrence": "uniform:1:3"})


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> runs.Run:
    """Two agents, hardly trained."""
    return runs.open_run(rl_depth.train(LOOPED, out=tmp_path_factory.mktemp("runs") / "loop", quiet=True).path)


@pytest.fixture(scope="module")
def found(run) -> Findings:
    """What it shows."""
    protocol = capability.Protocol(episodes=2, depths=DEPTHS)
    (one,) = beyond.measure([run], protocol, ["dist_final", "time_at_goal"])
    return one


def test_one_program_serves_all_depths(run):
    policy = load(run)
    obs, goal = jnp.zeros((3, 4)), jnp.ones((3, 2))
    actions = [policy(obs, goal, depth=depth) for depth in (4, 8, 64, 256)]
    assert policy._act._cache_size() == 1
    assert not np.allclose(actions[0], actions[2])
    program = capability._program(policy, make_env(LOOPED, "eval"), capability.Protocol())
    keys = jax.random.split(jax.random.key(0), 3)
    for depth in (4, 32):
        program(policy.params, jnp.int32(depth), keys, keys[0])
    assert program._cache_size() == 1


def test_findings_are_what_evaluation_and_the_networks_say(run, found):
    assert (found.label, found.trained) == ("looped, uniform:1:3", 12)
    rows = capability.evaluate_run(run, capability.Protocol(episodes=2, depths=DEPTHS))
    for seed in (0, 1):
        own = [row["dist_final"] for row in rows if row["seed"] == seed]
        np.testing.assert_array_equal(found.capability["dist_final"][seed], own)
    policy = load(run, 1)
    held_out = heldout.HeldOut.collect(policy, 8, 0)
    batch = jax.tree.map(lambda leaf: leaf[0], held_out.batches)
    inputs = jnp.concatenate([batch.state, batch.goal], -1)
    h = policy.agent.actor.apply({"params": policy.params["actor"]}, inputs, 6, method=Network.latents)
    for r in (0, 3):
        step = np.linalg.norm(h[r + 1] - h[r], axis=-1) / np.linalg.norm(h[r], axis=-1)
        assert found.latents["step"][1, r] == pytest.approx(step.mean(), rel=1e-3)
    a, b = np.asarray(h[3] - h[2]), np.asarray(h[2] - h[1])
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    assert found.latents["angle"][1, 2] == pytest.approx(np.degrees(np.arccos(cosine)).mean(), rel=1e-2)
    # The critic at one depth, by hand: a row of minus distances per state-action, its own goal on the diagonal.
    hits = []
    for i in range(8):
        phi, psi = policy.agent.encode(policy.params, jax.tree.map(lambda x, i=i: x[i], held_out.batches), jnp.int32(8))
        distance = np.linalg.norm(np.asarray(phi)[:, None] - np.asarray(psi)[None], axis=-1)
        hits.append(np.mean(distance.argmin(axis=1) == np.arange(len(distance))))
    assert found.critic["categorical_accuracy"][1, 1] == pytest.approx(np.mean(hits), abs=1e-6)


@pytest.mark.parametrize("latent", ["input", "zero", "gaussian"])
def test_a_loop_that_copies_its_start_is_seen_to_depend_on_it(latent):
    """With hardly any residual branch the latent stays where it began; with nothing else, it forgets that."""
    config = replace(LOOPED, latent=latent, residual_scale=1e-6)
    agent = ContrastiveAgent.of(config, 4, 2, 2)
    params = agent.create(jax.random.key(0)).params["actor"]
    inputs = jax.random.normal(jax.random.key(1), (32, 6))
    moves = heldout._moves(agent.actor, params, inputs, 5)
    assert np.all(moves["two_starts"] > 0.1)
    forgetful = ContrastiveAgent.of(replace(config, norm="post", residual_scale=1e6), 4, 2, 2)
    params = forgetful.create(jax.random.key(0)).params["actor"]
    moves = heldout._moves(forgetful.actor, params, inputs, 5)
    assert moves["two_starts"][-1] < moves["two_starts"][0]


def test_labels_tell_runs_apart_and_no_more():
    plain = replace(LOOPED, seed=5)
    assert beyond.labels([plain]) == ["looped, uniform:1:3"]
    others = [plain, replace(plain, injection="none"), replace(plain, env_options='layout="big"')]
    assert beyond.labels(others) == [
        "looped, uniform:1:3",
        "looped, uniform:1:3, injection none",
        'looped, uniform:1:3, layout="big"',
    ]
    assert beyond.labels([Config(depth=16)]) == ["stacked, fixed:4"]


def test_the_largest_trained_depth_is_what_training_rarely_exceeds():
    laws = {"fixed:4": 16, "uniform:1:8": 32, "lognormal-poisson:4": 48, "curriculum:8:2": 32, None: 16}
    for law, depth in laws.items():
        config = Config(block="looped", depth=16, train_recurrence=law)
        assert beyond._largest_count(config) * 4 == depth


def test_figures_and_report_of_several_runs(found, tmp_path):
    several = [found, replace(found, label="another", trained=4)]
    verdicts = [extrapolation.judge(one) for one in several]
    first, second = extrapolation.report(several, verdicts)
    assert first["verdicts"]["dist_final"]["ratio"] * 3 == second["verdicts"]["dist_final"]["ratio"]
    assert first["critic"]["infonce"]["low"][0] <= first["critic"]["infonce"]["mean"][0]
    plots.extrapolation(several, tmp_path / "a.png")
    plots.latents(several, tmp_path / "b.png")
    assert min((tmp_path / name).stat().st_size for name in ("a.png", "b.png")) > 10_000
