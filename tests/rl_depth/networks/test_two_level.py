"""Two latents in turns: the equations, the looped trunk as a special case, gradients of HRM and TRM, feedback."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth.agents import ContrastiveAgent
from rl_depth.config import Config, ConfigError, Halt, TrunkConfig
from rl_depth.networks.network import Network, draw_kernels
from rl_depth.networks.recurrence import Draw
from rl_depth.networks.trunks import TRUNKS, Looped, TwoLevel

TRUNK = TrunkConfig(block="two-level", depth=48, width=8, injection="add", norm="post", fast_steps=2, rounds=2)
X = jax.random.normal(jax.random.key(9), (5, 8))


def init(module, x=X):
    return draw_kernels(module.init(jax.random.key(0), x), jax.random.key(1))


def call(trunk, params, z, heard):
    """One block, through the looped trunk's own step."""
    one = Looped(replace(trunk, block="looped", depth=4))
    return one.apply({"params": {"block": params}}, z, heard, jnp.int32(0), jnp.int32(1), method=Looped.step)


def by_hand(trunk, params, x, frozen=lambda application, turn: False, one_step=False):
    """What the head reads, level by level; rounds for which ``frozen`` holds carry no gradients."""
    own = params["params"]
    slow, fast = (own.get(level, own.get("block")) for level in ("slow", "fast"))
    high, low = x, x
    for application in range(trunk.applications):
        for turn in range(trunk.rounds):
            last = turn == trunk.rounds - 1 or not one_step
            for step in range(trunk.fast_steps):
                low = call(trunk, fast, low, high + x)
                if one_step and (step < trunk.fast_steps - 1 or not last):
                    low = jax.lax.stop_gradient(low)
            high = call(trunk, slow, high, low)
            if frozen(application, turn) or not last:
                high, low = jax.lax.stop_gradient((high, low))
    return high


def value_and_grad(run, params):
    return jax.jit(jax.value_and_grad(lambda p: jnp.sum(jnp.sin(run(p)))))(params)


def assert_equal(found, wanted):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("tie_levels", [True, False])
def test_it_is_its_equations_forward_and_backward(tie_levels):
    trunk = replace(TRUNK, tie_levels=tie_levels)
    params = init(TwoLevel(trunk))
    assert set(params["params"]) == ({"block"} if tie_levels else {"slow", "fast"})
    found = value_and_grad(lambda p: TwoLevel(trunk).apply(p, X), params)
    assert_equal(found, value_and_grad(lambda p: by_hand(trunk, p, X), params))


def test_without_a_fast_step_one_tied_level_is_the_looped_trunk():
    """``n = 0`` and ``T = 1``: the fast latent stays the input, which the slow one hears as a looped block does."""
    trunk = replace(TRUNK, depth=16, fast_steps=0, rounds=1, tie_levels=True)
    looped = replace(trunk, block="looped")
    params = init(TwoLevel(trunk))
    assert_equal(params, init(Looped(looped)))
    pairs = [
        value_and_grad(lambda p, k=k, t=t: k(t).apply(p, X), params) for k, t in ((TwoLevel, trunk), (Looped, looped))
    ]
    assert_equal(*pairs)
    costs = [TRUNKS[t.block].application(t) for t in (trunk, looped)]
    assert replace(costs[0], latent=8) == costs[1]


def test_backprop_steps_of_one_round_are_the_gradient_of_trm():
    """One recursion, ``n`` fast steps and a slow one, carries gradients: the last of the rounds of a segment."""
    trunk = replace(TRUNK, rounds=1, depth=36, tie_levels=True, window=1)  # three rounds, each an application
    params = init(TwoLevel(trunk))
    found = value_and_grad(lambda p: TwoLevel(trunk).apply(p, X), params)
    assert_equal(found, value_and_grad(lambda p: by_hand(trunk, p, X, lambda a, _: a < 2), params))


def test_one_step_is_the_gradient_of_hrm():
    """``--backprop-steps one-step``: only the last fast and the last slow call carry gradients."""
    trunk = replace(TRUNK, window=1, one_step=True)
    params = init(TwoLevel(trunk))
    found = value_and_grad(lambda p: TwoLevel(trunk).apply(p, X), params)
    wanted = value_and_grad(lambda p: by_hand(trunk, p, X, lambda a, _: a < 1, one_step=True), params)
    assert_equal(found, wanted)
    whole = value_and_grad(lambda p: TwoLevel(replace(trunk, window=None, one_step=False)).apply(p, X), params)
    np.testing.assert_allclose(found[0], whole[0], rtol=1e-5)
    norms = [sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(grads)) for _, grads in (found, whole)]
    assert not np.isclose(*norms, rtol=0.01)


def test_with_one_fast_step_a_round_both_gradients_are_the_same():
    options = {"block": "two-level", "depth": 16, "width": 8}
    ways = [Config(**options, backprop_steps=steps).trunk("actor") for steps in (1, "one-step")]
    params = init(TwoLevel(ways[0]))
    assert_equal(*(value_and_grad(lambda p, way=way: TwoLevel(way).apply(p, X), params) for way in ways))


@pytest.mark.parametrize("segments", [1, 2, 4])
def test_segments_end_where_the_trunk_of_that_depth_does(segments):
    trunk = replace(TRUNK, depth=96, remat=True)
    params = init(TwoLevel(trunk))
    found = TwoLevel(trunk).apply(params, X, segments, method=TwoLevel.trace)
    assert found.shape == (segments, 5, 8)
    for s in range(segments):
        wanted = TwoLevel(replace(trunk, depth=96 * (s + 1) // segments)).apply(params, X)
        np.testing.assert_allclose(found[s], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("latent", ["zero", "learned", "gaussian"])
def test_starts_have_both_levels(latent):
    trunk = replace(TRUNK, latent=latent)
    params = init(TwoLevel(trunk))
    start = TwoLevel(trunk).apply(params, X, jax.random.key(3), method=TwoLevel.start)
    assert start.shape == (5, 16)
    assert (latent == "zero") == bool(np.array_equal(start[:, :8], start[:, 8:]))


def test_one_program_serves_all_depths_and_all_draws():
    trunk = replace(TRUNK, window=2)
    params = init(TwoLevel(trunk))
    run = jax.jit(lambda depth: TwoLevel(trunk).apply(params, X, depth))
    graded = jax.jit(jax.grad(lambda p, d: jnp.sum(TwoLevel(trunk).apply(p, X, d))))
    for count in (1, 2, 5):
        wanted = TwoLevel(replace(trunk, depth=24 * count)).apply(params, X)
        np.testing.assert_allclose(run(jnp.int32(24 * count)), wanted, rtol=1e-4, atol=1e-5)
        graded(params, Draw(count=jnp.int32(count), graded=jnp.int32(min(count, 2))))
    assert run._cache_size() == graded._cache_size() == 1


def test_feedback_is_off_at_first_and_then_adds_the_last_output():
    trunk = replace(TRUNK, feedback=True)
    x = jax.random.normal(jax.random.key(2), (5, 6))
    net, plain = Network(trunk, 3), Network(replace(trunk, feedback=False), 3)
    params = init(net, x)
    own = params["params"]
    assert not np.any(own["feedback"])
    without = {"params": {name: leaf for name, leaf in own.items() if name != "feedback"}}
    assert_equal(without, init(plain, x))
    np.testing.assert_allclose(net.apply(params, x), plain.apply(without, x), rtol=1e-5, atol=1e-6)
    own["feedback"] = jax.random.normal(jax.random.key(4), (3, 8))
    trunk_params = {"params": own["trunk"]}
    embedded = net.apply(params, x, method=Network.embed)
    h = TwoLevel(trunk).apply(trunk_params, embedded, method=TwoLevel.start)
    for i in range(2):
        said = jnp.tanh(h[:, :8] @ own["head"]["kernel"] + own["head"]["bias"]) @ own["feedback"]
        heard = embedded + (said if i else 0)
        h = TwoLevel(trunk).apply(trunk_params, h, heard, jnp.int32(i), jnp.int32(2), method=TwoLevel.step)
    wanted = h[:, :8] @ own["head"]["kernel"] + own["head"]["bias"]
    np.testing.assert_allclose(net.apply(params, x), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(net.apply(params, x, jnp.int32(48)), wanted, rtol=1e-4, atol=1e-5)
    latents = net.apply(params, x, 2, method=Network.latents)
    np.testing.assert_allclose(latents[-1], h, rtol=1e-4, atol=1e-5)
    assert not np.allclose(wanted, plain.apply(without, x))


def test_halting_counts_the_layers_of_whole_applications():
    config = Config(block="two-level", rounds=2, tie_levels=True, depth=32, width=16, representation=8, feedback=True)
    agent = ContrastiveAgent.of(config, 4, 2, 3)
    params = agent.create(jax.random.key(0)).params
    state, goal = (jax.random.normal(jax.random.key(i), (7, n)) for i, n in ((1, 4), (2, 2)))
    action, depth = agent.act_until(params, state, goal, Halt("fixed-point", 1e-9, 48))
    assert set(np.asarray(depth)) == {48}
    np.testing.assert_allclose(action, agent.act(params, state, goal, depth=jnp.int32(48)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block": "two-level", "rounds": 2, "depth": 20}, ["--depth 20", "16 layers", "nearest: 16 or 32"]),
        ({"block": "two-level", "critic_depth": 12}, ["--critic-depth 12", "of the phi", "nearest: 8 or 16"]),
        ({"actor_block": "two-level", "fast_steps": 2}, ["--depth 8", "of the actor", "nearest: 12"]),
        ({"block": "two-level", "fast_steps": -1}, ["--fast-steps -1", "negative"]),
        ({"block": "two-level", "rounds": 0}, ["--rounds 0", "at least 1"]),
        ({"block": "two-level", "fast_steps": 0}, ["--fast-steps 0", "--tie-levels"]),
        (
            {"block": "two-level", "fast_steps": 0, "tie_levels": True, "latent": "zero"},
            ["--latent zero", "never reach"],
        ),
        ({"block": "two-level", "injection": "none"}, ["--injection none", "never hear"]),
        ({"block": "looped", "feedback": True}, ["--feedback", "--block two-level"]),
        ({"rounds": 2}, ["--rounds 2", "--block two-level"]),
        ({"block": "two-level", "collect_depth": 12}, ["--collect-depth", "application's 8 layers"]),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ConfigError) as error:
        Config(**options)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_default_depths_are_whole_applications():
    assert Config(block="two-level").depth == 8
    assert Config(block="two-level", rounds=2, fast_steps=2).depth == 24
    assert Config(block="two-level", rounds=2, train_recurrence="uniform:1:8").depth == 64
