"""Supervision along the trunk against the textbook update, and what else it promises."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth.agents import AgentState, Batch, ContrastiveAgent, Hyper, losses
from rl_depth.agents.crl import _ADAM
from rl_depth.agents.objective import distance_to_last
from rl_depth.bench.reference import Reference, restacked
from rl_depth.config import NETWORKS, Config, ConfigError

SIZES = (4, 2, 3)
SMALL = {"depth": 4, "block_layers": 1, "segments": 2, "norm": "post", "width": 12, "representation": 8}


def setup(**options):
    config = Config(**SMALL | {"batch_size": 16} | options)
    agent = ContrastiveAgent.of(config, *SIZES)
    keys = jax.random.split(jax.random.key(1), 3)
    batch = Batch(*(jax.random.normal(k, (16, n)) for k, n in zip(keys, (4, 3, 2), strict=True)))
    if config.segment_horizon is not None:
        goals = jax.random.normal(keys[0], (16, config.segments, 2))
        batch = batch.replace(goal=goals[:, -1], segment_goals=goals)
    return config, agent, batch


def far_from_zero(params):
    """Parameters moved about, for some are zero at first."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(5), len(leaves))
    return tree.unflatten([leaf + 0.1 * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)])


ALL = {"supervise": "all"}
OPTIONS = [
    ALL | {"block": "looped"},
    ALL | {"block": "looped", "backprop_steps": 1, "segment_weights": "late", "random_goals": 0.5},
    ALL | {"block": "looped", "cross_depth": True, "consistency": 0.7, "latent": "learned"},
    ALL | {"block": "looped", "actor_segments": "all", "consistency": 0.7, "segment_weights": "late", "remat": True},
    ALL | {"block": "looped", "segment_horizon": 20.0},
    ALL | {"block": "looped", "halting_head": True},
    ALL | {"block": "looped", "halting_head": True, "actor_segments": "all"},
    ALL | {"block": "stacked", "consistency": 0.7, "residual_scale": "learned"},
    ALL | {"block": "stacked", "segment_horizon": 20.0, "halting_head": True, "remat": True},
    ALL | {"block": "iru", "norm": "inner", "cross_depth": True},
    ALL | {"block": "two-level", "depth": 8, "feedback": True, "consistency": 0.7},
    ALL | {"block": "two-level", "depth": 8, "tie_levels": True, "backprop_steps": "one-step"},
    {"supervise": "drawn", "block": "looped", "halting_head": True, "backprop_steps": 3},
    {"supervise": "drawn", "block": "stacked", "segment_horizon": 20.0, "random_goals": 0.5},
    {"supervise": "drawn", "block": "two-level", "depth": 8, "feedback": True, "critic_block": "iru", "norm": "inner"},
]


@pytest.mark.parametrize(("options", "segment"), [(o, 1 + i % 2) for i, o in enumerate(OPTIONS)], ids=str)
def test_update_equals_the_textbook_update(options, segment):
    """Two steps at a drawn segment, in float64: losses and gradients of every parameter."""
    config, agent, batch = setup(**{"random_goals": 0.0, "actor_lr": 1e-2, "temperature_lr": 1e-2} | options)
    reference = Reference(config, SIZES[2])
    created = far_from_zero(jax.jit(agent.create)(jax.random.key(0)).params)
    with jax.enable_x64(True):
        wide = partial(jax.tree.map, lambda leaf: leaf.astype(jnp.float64))
        params, batch, hyper = wide(created), wide(batch), Hyper.of(config)
        state, slow = AgentState(params=params, optimizer=_ADAM.init(params)), reference.create(params)
        update = jax.jit(agent.update)
        key = key_of_segment(agent, segment)
        noise = agent._noise(key, 0.0)
        pair = None if noise.pair is None else tuple(map(int, noise.pair))
        for _ in range(2):
            state, metrics = update(state, batch, hyper, key)
            slow = reference.update(slow, batch, hyper, agent.action_key(key), segment=segment, pair=pair)
    assert all(np.isfinite(value) for value in metrics.values())
    wanted = {name: restacked(config.trunk(name), slow.params[name]) for name in NETWORKS}
    scalars = {name: own for name, own in slow.params.items() if name not in NETWORKS}
    wanted = dict(jax.tree_util.tree_leaves_with_path(wanted | scalars))
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
        np.testing.assert_allclose(leaf, wanted[path], atol=1e-8, err_msg=str(path))


def key_of_segment(agent, segment):
    """A key that draws it."""
    keys = (jax.random.key(seed) for seed in range(30))
    return next(key for key in keys if int(agent._noise(key, 0.0).segment) == segment)


def updated(agent, config, batch, key, params=None):
    state = jax.jit(agent.create)(jax.random.key(0))
    state = state if params is None else state.replace(params=params)
    return jax.jit(agent.update)(state, batch, Hyper.of(config), key)


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_segments_of_one_application_are_drawn_as_a_uniform_count_is():
    """Bit for bit: ``--supervise drawn`` is what ``--train-recurrence uniform:1:S`` does."""
    drawn = setup(supervise="drawn", segments=4, block="looped")
    counted = setup(train_recurrence="uniform:1:4", block="looped", segments=None)
    states = [updated(agent, config, batch, key := jax.random.key(3))[0] for config, agent, batch in (drawn, counted)]
    assert drawn[1]._noise(key, 0.0).draws["phi"].count == counted[1]._noise(key, 0.0).draws["phi"].count
    assert_same(*states)


def test_one_program_serves_all_draws_and_segments_are_uniform():
    config, agent, batch = setup(supervise="all", segments=4, block="looped", cross_depth=True, halting_head=True)
    state = jax.jit(agent.create)(jax.random.key(0))
    update = jax.jit(agent.update)
    for seed in range(3):
        update(state, batch, Hyper.of(config), jax.random.key(seed))
    assert update._cache_size() == 1
    noise = jax.vmap(lambda key: agent._noise(key, 0.0))(jax.random.split(jax.random.key(0), 4000))
    assert np.bincount(noise.segment, minlength=5)[1:].min() > 900
    pairs = np.bincount(4 * np.asarray(noise.pair[0]) + np.asarray(noise.pair[1]), minlength=16).reshape(4, 4)
    assert not pairs.diagonal().any() and pairs[~np.eye(4, dtype=bool)].min() > 250
    np.testing.assert_array_equal(noise.draws["actor"].count, noise.segment)
    assert set(np.asarray(noise.draws["actor"].graded)) == {1}


def test_a_stacked_trunk_supervises_its_first_blocks():
    """The critic trains all its blocks, the actor those of its drawn segment alone."""
    config, agent, batch = setup(supervise="all", block="stacked")
    key = key_of_segment(agent, 1)
    state, _ = updated(agent, config, batch, key)
    moved = np.abs(state.optimizer.mu["actor"]["trunk"]["blocks"]["layers"]["kernel"]).max((1, 2, 3))
    assert np.all(moved[:2] > 0) and not np.any(moved[2:])
    moved = np.abs(state.optimizer.mu["phi"]["trunk"]["blocks"]["layers"]["kernel"]).max((1, 2, 3))
    assert np.all(moved > 0)
    state, _ = updated(agent, config, batch, key_of_segment(agent, 2))
    moved = np.abs(state.optimizer.mu["actor"]["trunk"]["blocks"]["layers"]["kernel"]).max((1, 2, 3))
    assert not np.any(moved[:2]) and np.all(moved[2:] > 0)
    assert not np.any(state.optimizer.mu["actor"]["input"]["kernel"])


def test_a_halting_head_changes_nothing_but_itself():
    options = {"supervise": "drawn", "block": "looped"}
    plain, heads = setup(**options), setup(**options, halting_head=True)
    key = key_of_segment(plain[1], 1)
    (one, _), (other, metrics) = (updated(agent, config, batch, key) for config, agent, batch in (plain, heads))
    assert metrics["actor_halting_loss"] > 0 and metrics["phi_halting_loss"] == pytest.approx(np.log(2), rel=1e-5)
    own = {}
    for name in ("actor", "phi"):
        own[name] = {part: other.params[name].pop(part) for part in ("halt_weights", "halt_bias")}
        assert np.any(own[name]["halt_weights"])
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_distance_of_normalised_reads_by_hand():
    last = jnp.array([[1.0, -1.0], [2.0, 0.0]])
    assert float(distance_to_last(last * 7 + 3, last)) == pytest.approx(0, abs=1e-9)
    assert float(distance_to_last(-last, last)) == pytest.approx(4, rel=1e-4)
    assert not np.any(jax.grad(lambda held: distance_to_last(last[:, ::-1] + last, held))(last))


def test_losses_of_halting_heads_by_hand():
    logits = jnp.array([[2.0, 1.0], [3.0, 1.0]])  # the first row ranks its positive first, the second does not
    right, wrong = np.log1p(np.exp(-0.5)), np.log1p(np.exp(1.5))
    found = losses.foresight_loss(jnp.array([0.5, 1.5]), logits)
    assert float(found) == pytest.approx((right + wrong) / 2, rel=1e-6)
    assert float(losses.gain_loss(jnp.array([1.0, 2.0]), jnp.array([3.0, 2.0]))) == 2.0


def test_the_average_follows_the_parameters_and_changes_none_of_them():
    plain, averaged = setup(segments=None), setup(segments=None, ema=0.75)
    key = jax.random.key(3)
    (one, _), (other, _) = (updated(agent, config, batch, key) for config, agent, batch in (plain, averaged))
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)  # two programs, which XLA rounds apart
    first = jax.jit(averaged[1].create)(jax.random.key(0)).params
    wanted = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, first, other.params)
    for a, b in zip(jax.tree.leaves(other.evaluated), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    assert one.average is None and one.evaluated is one.params


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"segments": 2}, ["--segments 2", "--supervise drawn or all"]),
        ({"supervise": "all"}, ["--supervise all", "needs --segments"]),
        ({"supervise": "all", "segments": 3, "depth": 32}, ["--segments 3", "8 applications", "nearest: 2 or 4"]),
        ({"supervise": "all", "segments": 0}, ["--segments 0", "nearest: 1"]),
        ({"supervise": "drawn", "segments": 2, "psi_depth": 4}, ["--segments 2", "psi", "nearest: 1"]),
        (ALL | {"segments": 2, "train_recurrence": "uniform:1:2"}, ["--train-recurrence uniform:1:2", "drop one"]),
        (ALL | {"segments": 2, "block": "looped", "step_conditioning": True}, ["--step-conditioning", "one pass"]),
        (ALL | {"segments": 2, "block": "looped", "backprop_steps": 2}, ["--backprop-steps 2", "1 applications"]),
        (ALL | {"segments": 1, "cross_depth": True}, ["--cross-depth", "at least 2"]),
        (ALL | {"segments": 2, "recurrence_draw": "per-network"}, ["--recurrence-draw", "--supervise drawn"]),
        (ALL | {"segments": 2, "segment_horizon": 1.0}, ["--segment-horizon 1.0", "above 1"]),
        (ALL | {"segments": 2, "segment_horizon": 9.0, "gamma": 0.9}, ["--gamma 0.9", "drop one"]),
        (ALL | {"segments": 2, "segment_horizon": 9.0, "cross_depth": True}, ["--cross-depth", "same goals"]),
        ({"supervise": "drawn", "segments": 2, "cross_depth": True}, ["--cross-depth", "per-network"]),
        ({"supervise": "drawn", "segments": 2, "consistency": 1.0}, ["--consistency 1.0", "--supervise all"]),
        ({"consistency": -1.0}, ["--consistency -1.0", "not negative"]),
        ({"segment_weights": "late"}, ["--segment-weights late", "--supervise all"]),
        ({"halting_head": True}, ["--halting-head", "--supervise drawn or all"]),
        ({"ema": 1.0}, ["--ema 1.0", "between 0 and 1"]),
        ({"residual_scale": 0.0}, ["--residual-scale 0.0", "or learned"]),
        ({"backprop_steps": "one-step"}, ["--backprop-steps one-step", "--block looped"]),
    ],
    ids=str,
)
def test_bad_combinations_are_refused_in_one_line(options, words):
    with pytest.raises(ConfigError) as error:
        Config(**options)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
