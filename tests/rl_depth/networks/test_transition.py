"""Noise after each application: where it stands, what it is drawn with, and that it can be learned."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth.agents import Batch, ContrastiveAgent, Hyper
from rl_depth.agents.cost import agent_cost
from rl_depth.config import Config, ConfigError, TrunkConfig
from rl_depth.networks import transition
from rl_depth.networks.network import draw_kernels
from rl_depth.networks.recurrence import Draw
from rl_depth.networks.trunks import make_trunk

KINDS = ["stacked", "looped", "two-level", "iru"]
X = jax.random.normal(jax.random.key(9), (5, 8))
KEY = jax.random.key(3)


def trunk_of(kind, noise="learned", **options):
    levels = {"fast_steps": 1, "depth": 16} if kind == "two-level" else {"depth": 8}
    if kind in ("looped", "two-level"):
        options = {"injection": "add"} | options
    return make_trunk(TrunkConfig(block=kind, width=8, noise=noise, **levels | options))


def init(trunk):
    return draw_kernels(trunk.init(jax.random.key(0), X), jax.random.key(1))


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_key_and_before_anything_is_learned_it_is_as_if_there_were_none(kind):
    noisy, plain = trunk_of(kind), trunk_of(kind, noise=None)
    params = init(noisy)
    np.testing.assert_array_equal(noisy.apply(params, X), plain.apply(init(plain), X))
    np.testing.assert_array_equal(plain.apply(init(plain), X, None, KEY), plain.apply(init(plain), X))
    fixed = trunk_of(kind, noise=0.5)
    np.testing.assert_array_equal(fixed.apply(init(fixed), X), plain.apply(init(plain), X))


@pytest.mark.parametrize("kind", KINDS)
def test_one_application_moves_what_the_head_reads_by_the_noise_alone(kind):
    noisy, plain = trunk_of(kind, noise=0.5), trunk_of(kind, noise=None)
    h, index = noisy.apply(init(noisy), X, method="start"), jnp.int32(0)
    args = (h, X, index, jnp.int32(2))
    still = plain.apply(init(plain), *args, method="step")
    moved = jax.vmap(lambda key: noisy.apply(init(noisy), *args, key, method="step"))(jax.random.split(KEY, 500))
    eps = (moved - still)[..., :8] / transition.size(still[..., :8])
    np.testing.assert_allclose(eps.mean(), 0, atol=0.02)
    np.testing.assert_allclose(eps.std(), 0.5, atol=0.02)
    np.testing.assert_array_equal(moved[0, :, 8:], still[:, 8:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_trajectory_is_the_same_at_a_traced_depth_and_another_with_another_key(kind):
    trunk = trunk_of(kind)
    params, depth = init(trunk), trunk.config.depth
    run = jax.jit(lambda key, depth: trunk.apply(params, X, depth, key))
    np.testing.assert_allclose(run(KEY, jnp.int32(depth)), trunk.apply(params, X, None, KEY), atol=1e-5)
    assert not np.allclose(run(KEY, jnp.int32(depth)), run(jax.random.key(4), jnp.int32(depth)), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("remat", [False, True])
def test_mean_and_deviation_have_gradients_through_the_applications_that_carry_any(kind, remat):
    trunk = trunk_of(kind, remat=remat)
    params = init(trunk)

    def loss(params, graded):
        draw = Draw(count=jnp.int32(2), graded=graded)
        return jnp.sum(jnp.sin(trunk.apply(params, X, draw, KEY)))

    grads = jax.jit(jax.grad(loss))
    whole, last = (grads(params, jnp.int32(graded))["params"]["noise_weights"] for graded in (2, 1))
    assert np.isfinite(whole).all() and (np.abs(whole[:, :8]).max() > 0) and (np.abs(whole[:, 8:]).max() > 0)
    if kind != "stacked":  # whose gradients reach its first block whatever is asked
        assert not np.allclose(whole, last)


def test_the_deviation_is_kept_within_bounds():
    bias = jnp.concatenate([jnp.zeros(8), jnp.full(8, 100.0)])
    noise = transition.learned(X, jnp.zeros((8, 16)), bias)
    assert (noise.log_std == 1).all() and (transition.learned(X, jnp.zeros((8, 16)), -bias).log_std == -5).all()


AGENT = Config(block="looped", depth=8, width=16, noise_transition="learned")


def test_only_the_actor_is_noisy_and_only_when_it_draws():
    assert AGENT.trunk("actor").noise == "learned" and AGENT.trunk("phi").noise is AGENT.trunk("psi").noise is None
    assert replace(AGENT, noise_transition="fixed:0.3").trunk("actor").noise == 0.3
    agent, plain = (ContrastiveAgent.of(c, 4, 2, 2) for c in (AGENT, replace(AGENT, noise_transition=None)))
    params, without = (own.create(jax.random.key(0)).params for own in (agent, plain))
    state, goal = jnp.ones((3, 4)), jnp.ones((3, 2))
    np.testing.assert_array_equal(agent.act(params, state, goal), plain.act(without, state, goal))
    assert not np.allclose(agent.act(params, state, goal, KEY), plain.act(without, state, goal, KEY))
    keys = jax.random.split(KEY, 4)
    trajectories = agent.proposals(params, state, goal, keys, noise="own")
    assert np.abs(trajectories[0] - trajectories[1]).max() > 1e-4
    np.testing.assert_allclose(agent.proposals(params, state, goal, keys[:2], noise="own"), trajectories[:2], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"noise_transition": "loud"}, "--noise-transition loud: must be learned or fixed:SIGMA"),
        ({"noise_transition": "fixed"}, "must be learned or fixed:SIGMA"),
        ({"noise_transition": "fixed:0"}, "must be positive and finite"),
        ({"noise_transition": "fixed:x"}, "'x' is not a number"),
        ({"noise_transition": "learned", "supervise": "all", "segments": 2}, "not with --supervise all"),
        ({"noise_objective": "elbo-action"}, "--noise-objective elbo-action: add --noise-transition"),
        ({"noise_transition": "learned", "noise_kl": 1.0}, "--noise-kl 1.0: add --noise-objective elbo-action or"),
        ({"noise_transition": "learned", "noise_objective": "elbo-action", "noise_weight": 0.0}, "must be positive"),
        ({"noise_transition": "learned", "noise_objective": "elbo-action", "noise_kl": -1.0}, "not negative"),
    ],
)
def test_what_is_no_noise_is_refused(options, why):
    with pytest.raises(ConfigError, match=why):
        Config(block="looped", depth=8, **options)


def test_divergence_of_gaussians_and_who_learns_from_it():
    q = transition.Gaussian(jnp.array([1.0, 0.0]), jnp.log(jnp.array([1.0, 2.0])))
    p = transition.Gaussian(jnp.zeros(2), jnp.zeros(2))
    expected = 0.5 * 1 + 0.5 * (4 - 1 - 2 * np.log(2))
    assert transition.divergence(q, p) == pytest.approx(expected) == transition.balanced(q, p)
    assert transition.divergence(q, q) == 0
    whole = jax.grad(transition.divergence, (0, 1))(q, p)
    shared = jax.grad(transition.balanced, (0, 1))(q, p)
    np.testing.assert_allclose(shared[0].mean, 0.2 * whole[0].mean, rtol=1e-6)
    np.testing.assert_allclose(shared[1].mean, 0.8 * whole[1].mean, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_posterior_alike_the_prior_infers_what_the_trunk_does_with_the_gradients_of_its_last_application(kind):
    trunk = trunk_of(kind, noise=0.3)
    params, draw = init(trunk), Draw(count=jnp.int32(2), graded=jnp.int32(1))

    def inferred(params):
        read, divergence = trunk.apply(params, X, lambda u: transition.fixed(u, 0.3), None, KEY, method="infer")
        return jnp.sum(jnp.sin(read)), divergence

    def run(params):
        return jnp.sum(jnp.sin(trunk.apply(params, X, draw, KEY)))

    (value, divergence), grads = jax.jit(jax.value_and_grad(inferred, has_aux=True))(params)
    wanted, truncated = jax.jit(jax.value_and_grad(run))(params)
    assert value == pytest.approx(wanted, abs=1e-4) and (divergence == 0).all()
    for own, other in zip(jax.tree.leaves(grads), jax.tree.leaves(truncated), strict=True):
        last = 1 if kind == "stacked" else ...  # all its blocks are graded in training
        np.testing.assert_allclose(own[last], other[last], atol=1e-4)


BOUND = replace(
    AGENT, width=16, batch_size=64, representation=8, actor_lr=3e-3, noise_objective="elbo-action", noise_kl=0.1
)


def trained(config, actions, updates=600):
    """An agent after updates with one state and one goal, whose actions are given, and the last metrics."""
    agent = ContrastiveAgent.of(config, 4, 2, 1)
    size = config.batch_size
    batch = Batch(jnp.ones((size, 4)), actions(size)[:, None], jnp.ones((size, 2)), waypoint=jnp.ones((size, 2)))

    def step(state, key):
        state, metrics = agent.update(state, batch, Hyper.of(config), key)
        return state, metrics

    run = jax.jit(lambda state: jax.lax.scan(step, state, jax.random.split(KEY, updates)))
    state, metrics = run(agent.create(jax.random.key(0)))
    return agent, state.params, jax.tree.map(np.asarray, metrics)


def test_a_bound_of_the_actions_learns_noise_that_spans_them_and_the_actors_loss_alone_does_not():
    """Half of the actions go left and half go right, for no reason that the policy can see."""

    def answers(config):
        agent, params, metrics = trained(config, lambda size: jnp.where(jnp.arange(size) % 2 == 0, 0.8, -0.8), 1500)
        keys = jax.random.split(KEY, 64)
        return agent.proposals(params, jnp.ones(4), jnp.ones(2), keys, noise="own")[:, 0], metrics

    spread, metrics = answers(BOUND)
    assert metrics["noise_kl"][0] == 0 and metrics["noise_kl"][-1] > 0.1
    assert metrics["noise_log_prob"][-50:].mean() > metrics["noise_log_prob"][50:100].mean()
    assert (spread > 0.3).any() and (spread < -0.3).any()
    narrow, without = answers(replace(BOUND, noise_objective="none", noise_kl=AGENT.noise_kl))
    assert narrow.std() < 0.5 * spread.std() and "noise_kl" not in without


@pytest.mark.parametrize("objective", ["elbo-action", "elbo-waypoint"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_trains_with_a_bound_at_its_own_depth_and_at_drawn_counts(kind, objective):
    law = None if kind == "stacked" else "uniform:1:2"
    depth = {"two-level": 16}.get(kind, 8)
    config = replace(BOUND, block=kind, depth=depth, noise_objective=objective, train_recurrence=law)
    _, params, metrics = trained(config, lambda size: jnp.linspace(-1, 1, size), updates=3)
    assert np.isfinite(metrics["noise_loss"]).all() and np.abs(params["actor"]["posterior_weights"]).max() > 0
    grown = agent_cost(config, 4, 2, 1).parameters
    assert grown == sum(leaf.size for leaf in jax.tree.leaves(params))
