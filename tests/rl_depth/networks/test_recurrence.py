"""Recurrence counts: their law, loops of dynamic length, truncated gradients, halting."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from rl_depth.agents import Batch, ContrastiveAgent, Hyper
from rl_depth.config import Config, ConfigError, Halt, TrainRecurrence, TrunkConfig
from rl_depth.networks.network import Network, draw_kernels
from rl_depth.networks.recurrence import Draw, draw, draw_count
from rl_depth.networks.trunks import make_trunk

LOOPED = TrunkConfig(block="looped", depth=12, width=8, injection="add")
X = jax.random.normal(jax.random.key(9), (5, 8))


def init(module):
    return draw_kernels(module.init(jax.random.key(0), X), jax.random.key(1))


def drawn(count, graded=None):
    return Draw(count=jnp.int32(count), graded=jnp.int32(count if graded is None else graded))


def value_and_grad(trunk, params, depth):
    @jax.jit
    def run(params, x, depth):
        return jax.value_and_grad(lambda p, x: jnp.sum(jnp.sin(make_trunk(trunk).apply(p, x, depth))), (0, 1))(
            params, x
        )

    return run(params, X, depth)


def assert_equal(found, wanted, scale=1.0):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4 * scale, atol=1e-4 * scale)


def counts_of(text, draws=20_000, progress=0.0):
    law = TrainRecurrence.parse(text)
    keys = jax.random.split(jax.random.key(3), draws)
    return np.asarray(jax.vmap(lambda key: draw_count(law, key, progress))(keys))


def chi_square(counts, probabilities):
    """p-value of counts against a law given as {value: probability}; rare values share a cell."""
    observed, expected = [], []
    rest = 1.0
    for value, p in probabilities.items():
        if p * len(counts) >= 10:
            observed.append(np.sum(counts == value))
            expected.append(p * len(counts))
            rest -= p
    observed.append(len(counts) - sum(observed))
    expected.append(max(rest, 0) * len(counts))
    if expected[-1] < 5:
        expected[-2] += expected.pop()
        observed[-2] += observed.pop()
    return stats.chisquare(observed, np.array(expected) * sum(observed) / sum(expected)).pvalue


def test_uniform_counts_follow_their_law():
    assert chi_square(counts_of("uniform:2:7"), {r: 1 / 6 for r in range(2, 8)}) > 1e-3


@pytest.mark.parametrize(("mean", "sigma"), [(4, 0.5), (8, 1.0), (2.5, 0.2)])
def test_lognormal_poisson_counts_follow_their_law(mean, sigma):
    centre = math.log(mean - 1) - sigma**2 / 2

    def probability(r):
        def integrand(z):
            return stats.norm.pdf(z) * stats.poisson.pmf(r - 1, math.exp(centre + sigma * z))

        return integrate.quad(integrand, -8, 8, limit=200)[0]

    counts = counts_of(f"lognormal-poisson:{mean}:{sigma}")
    largest = math.ceil(8 * mean)
    assert chi_square(counts, {r: probability(r) for r in range(1, largest)}) > 1e-3
    assert counts.min() >= 1 and counts.max() <= largest
    assert abs(counts.mean() - mean) < 5 * counts.std() / math.sqrt(len(counts)) + 0.02 * mean * sigma


def test_fixed_and_curriculum_counts():
    assert set(counts_of("fixed:5", 100)) == {5}
    assert set(counts_of("lognormal-poisson:1", 100)) == {1}
    for progress, count in ((0.0, 2), (0.5, 6), (1.0, 10)):
        assert set(counts_of("curriculum:2:10", 10, progress)) == {count}


@pytest.mark.parametrize("text", ["lognormal-poisson:4", "lognormal-poisson:8:1", "uniform:3:12", "fixed:5"])
def test_quantiles_are_those_of_the_draws(text):
    counts = counts_of(text)
    law = TrainRecurrence.parse(text)
    for share in (0.1, 0.5, 0.99):
        q = law.quantile(share)
        assert np.mean(counts <= q) >= share - 0.01 and np.mean(counts < q) <= share + 0.01
    assert law.quantile(1.0) == law.largest or law.kind == "lognormal-poisson"


def test_the_quantiles_of_a_curriculum_and_of_a_law_without_spread():
    assert TrainRecurrence.parse("curriculum:8:2").quantile(0.99) == 8
    assert TrainRecurrence.parse("lognormal-poisson:1").quantile(0.99) == 1


def test_progressive_draws_grade_a_random_last_part():
    law = TrainRecurrence.parse("fixed:8")
    keys = jax.random.split(jax.random.key(0), 20_000)
    draws = jax.vmap(lambda key: draw(law, 5, 0.5, key, 0.0))(keys)
    prepared = np.asarray(draws.count - draws.graded)
    plain = np.asarray((draws.count == 8) & (draws.graded == 5))
    assert np.all(draws.graded >= 1) and np.all(draws.graded <= 5) and np.all(draws.count <= 8)
    assert 0.5 < plain.mean() < 0.6  # half plain, and some progressive ones look like them
    assert set(prepared) == set(range(8))


def test_a_draw_equals_the_same_count_fixed():
    trunk = replace(LOOPED, window=6)
    params = init(make_trunk(LOOPED))
    for count in (1, 3, 6):
        wanted = value_and_grad(replace(LOOPED, depth=4 * count), params, None)
        assert_equal(value_and_grad(trunk, params, drawn(count)), wanted)


@pytest.mark.parametrize("injection", ["add", "concat"])
@pytest.mark.parametrize(("count", "window"), [(5, 2), (5, 1), (3, 3), (2, 4)])
def test_truncated_gradients_equal_a_hand_unrolled_reference(count, window, injection):
    trunk = replace(LOOPED, injection=injection, window=window, depth=4 * count)
    params = init(make_trunk(trunk))

    def loss(params, x):
        one = make_trunk(replace(trunk, depth=4, window=None))

        def step(p, h, x):
            return one.apply(p, h, x, jnp.int32(0), jnp.int32(count), method="step")

        h = x
        for i in range(count):
            h = step(params, h, x)
            h = jax.lax.stop_gradient(h) if i < count - window else h
        return jnp.sum(jnp.sin(h))

    wanted = jax.value_and_grad(loss, (0, 1))(params, X)
    assert_equal(value_and_grad(trunk, params, drawn(count, min(count, window))), wanted)
    assert_equal(value_and_grad(trunk, params, None), wanted)


def test_one_program_serves_every_draw_also_with_a_count_per_seed():
    trunk = replace(LOOPED, window=4)
    params = init(make_trunk(trunk))
    run = jax.jit(jax.vmap(lambda depth: jax.grad(lambda p: jnp.sum(make_trunk(trunk).apply(p, X, depth)))(params)))
    counts = jnp.array([1, 3, 9])
    found = run(Draw(count=counts, graded=jnp.minimum(counts, 4)))
    run(Draw(count=counts + 5, graded=jnp.minimum(counts + 5, 4)))
    assert run._cache_size() == 1
    for i, count in enumerate([1, 3, 9]):
        alone = jax.grad(lambda p, n=count: jnp.sum(make_trunk(trunk).apply(p, X, drawn(n, min(n, 4)))))(params)
        assert_equal(jax.tree.map(lambda leaf, i=i: leaf[i], found), alone)


def test_a_stacked_trunk_trains_its_first_blocks():
    trunk = TrunkConfig(block="stacked", depth=12, width=8)
    params = init(make_trunk(trunk))
    first = {"params": {"blocks": jax.tree.map(lambda leaf: leaf[:2], params["params"]["blocks"])}}
    value, (grad, _) = value_and_grad(trunk, params, drawn(2))
    wanted, (wanted_grad, _) = value_and_grad(replace(trunk, depth=8), first, None)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    assert_equal(jax.tree.map(lambda leaf: leaf[:2], grad), wanted_grad)
    assert all(not np.any(leaf[2]) for leaf in jax.tree.leaves(grad))


@pytest.mark.parametrize(
    "variant",
    [
        {"latent": "zero"},
        {"latent": "learned"},
        {"latent": "gaussian"},
        {"norm": "pre", "residual_scale": 0.5},
        {"norm": "post"},
        {"step_conditioning": True},
        {"step_limit": 0.1},
    ],
    ids=str,
)
def test_variants_forward_equals_latents_and_dynamic_depth(variant):
    trunk = replace(LOOPED, **variant)
    net = Network(trunk, 3)
    params = init(net)
    own = net.apply(params, X)
    np.testing.assert_allclose(net.apply(params, X, jnp.int32(12)), own, rtol=1e-4, atol=1e-5)
    latents = net.apply(params, X, 3, method=Network.latents)
    assert latents.shape == (4, 5, 8)
    head = params["params"]["head"]
    np.testing.assert_allclose(latents[-1] @ head["kernel"] + head["bias"], own, rtol=1e-4, atol=1e-5)
    if variant.get("step_limit"):
        steps, size = np.diff(latents, axis=0), np.sqrt(1 + np.mean(latents[:-1] ** 2, -1))
        assert np.all(np.sqrt(np.mean(steps**2, -1)) <= 0.1 * size * 1.001)
    if variant.get("norm") == "post":
        np.testing.assert_allclose(latents[1:].mean(-1), 0, atol=1e-5)


def test_gaussian_starts_differ_by_key_and_are_fixed_without():
    trunk = replace(LOOPED, latent="gaussian")
    params = init(make_trunk(trunk))
    run = make_trunk(trunk).apply
    np.testing.assert_array_equal(run(params, X), run(params, X))
    np.testing.assert_allclose(run(params, X)[:1], run(params, X[:1]), rtol=1e-4, atol=1e-5)
    assert not np.allclose(run(params, X, key=jax.random.key(1)), run(params, X, key=jax.random.key(2)))


@pytest.fixture(scope="module")
def acting():
    config = Config(block="looped", depth=8, width=16, representation=8, norm="post")
    agent = ContrastiveAgent.of(config, 4, 2, 3)
    params = agent.create(jax.random.key(0)).params
    state, goal = (jax.random.normal(jax.random.key(i), (7, n)) for i, n in ((1, 4), (2, 2)))
    return agent, params, state, goal


@pytest.mark.parametrize("rule", ["fixed-point:0.1:64", "action-change:0.5:64", "second-order:0.1:64"])
def test_halting_spends_what_each_state_needs_and_equals_acting_at_that_depth(acting, rule):
    agent, params, state, goal = acting
    halt = Halt.parse(rule)
    action, depth = jax.jit(lambda s, g: agent.act_until(params, s, g, halt))(state, goal)
    assert len(set(np.asarray(depth))) > 1, "the rule must tell states apart for this test to mean anything"
    for i in range(7):
        fixed = agent.act(params, state[i], goal[i], depth=jnp.int32(depth[i]))
        np.testing.assert_allclose(action[i], fixed, rtol=1e-4, atol=1e-5)
        alone, own = agent.act_until(params, state[i : i + 1], goal[i : i + 1], halt)
        assert own[0] == depth[i]
        np.testing.assert_allclose(alone[0], action[i], rtol=1e-4, atol=1e-5)


def test_a_tight_rule_runs_to_its_bound_and_a_loose_one_stops_at_once(acting):
    agent, params, state, goal = acting
    assert set(np.asarray(agent.act_until(params, state, goal, Halt("fixed-point", 1e-9, 32))[1])) == {32}
    assert set(np.asarray(agent.act_until(params, state, goal, Halt("fixed-point", 1e9))[1])) == {4}
    assert set(np.asarray(agent.act_until(params, state, goal, Halt("second-order", 1e9))[1])) == {12}


def test_a_budget_is_acting_at_that_depth(acting):
    agent, params, state, goal = acting
    action, depth = agent.act_until(params, state, goal, Halt.parse("budget:12"))
    assert depth.shape == (7,) and set(np.asarray(depth)) == {12}
    np.testing.assert_array_equal(action, agent.act(params, state, goal, depth=jnp.int32(12)))


def test_the_agent_learns_with_every_option_on():
    config = Config(
        block="looped",
        train_recurrence="uniform:1:4",
        recurrence_draw="per-network",
        backprop_steps=2,
        progressive=0.5,
        latent="gaussian",
        step_conditioning=True,
        norm="pre",
        residual_scale=0.5,
        step_limit=1.0,
        width=16,
        representation=8,
        batch_size=32,
    )
    assert config.depth == 8
    agent = ContrastiveAgent.of(config, 4, 2, 3)
    batch = Batch(*(jax.random.normal(jax.random.key(i), (32, n)) for i, n in enumerate((4, 3, 2))))

    def step(state, key):
        return agent.update(state, batch, Hyper.of(config), key)

    run = jax.jit(lambda state: jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 200)))
    _, metrics = run(agent.create(jax.random.key(0)))
    assert np.isfinite(metrics["critic_loss"]).all()
    assert metrics["critic_loss"][-20:].mean() < metrics["critic_loss"][:20].mean()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block": "looped", "train_recurrence": "uniform:5:2"}, "5 exceeds 2"),
        ({"block": "looped", "train_recurrence": "fixed:0"}, "must lie in 1 to"),
        ({"block": "looped", "train_recurrence": "fixed:-1"}, "must lie in 1 to"),
        ({"block": "looped", "train_recurrence": "fixed:2.5"}, "whole number"),
        ({"block": "looped", "train_recurrence": "poisson:4"}, "uniform:A:B"),
        ({"block": "looped", "train_recurrence": "lognormal-poisson:0"}, "positive"),
        ({"block": "looped", "train_recurrence": "fixed:2", "backprop_steps": 3}, "1 to 2"),
        ({"block": "looped", "backprop_steps": 0}, "1 to 2"),
        ({"backprop_steps": 1}, "--block looped"),
        ({"progressive": 0.5}, "--block looped"),
        ({"block": "looped", "progressive": 0.5}, "--train-recurrence"),
        ({"block": "looped", "injection": "none", "latent": "zero"}, "never reach"),
        ({"train_recurrence": "uniform:1:8", "depth": 8}, "has 2 blocks"),
        ({"collect_depth": 12}, "stacked and has 8 layers"),
        ({"block": "looped", "collect_depth": 6}, "multiple"),
        ({"block": "looped", "step_limit": 0.0}, "positive"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        Config(**options)


@pytest.mark.parametrize(
    "text", ["fixed-point", "fixed-point:0", "fixed-point:-1", "never:1", "second-order:1:x", "budget:0", "budget:8:8"]
)
def test_bad_halting_rules_are_refused(text):
    with pytest.raises(ValueError):
        Halt.parse(text)


def test_default_depths_follow_the_law():
    assert Config(block="looped", train_recurrence="lognormal-poisson:4").depth == 16
    assert Config(train_recurrence="uniform:1:8").depth == 32
    assert Config().depth == 8
