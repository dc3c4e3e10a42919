"""Supervision along the trunk against the textbook update, and what else it promises."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth.agents import AgentState, Batch, ContrastiveAgent, Hyper
from rl_depth.agents.crl import _ADAM
from rl_depth.bench.reference import Reference, restacked
from rl_depth.config import NETWORKS, Config

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


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_update_equals_the_textbook_update(options):
    """Two steps at unlike segments, in float64: losses and gradients of every parameter."""
    config, agent, batch = setup(**{"random_goals": 0.0, "actor_lr": 1e-2, "temperature_lr": 1e-2} | options)
    reference = Reference(config, SIZES[2])
    created = far_from_zero(jax.jit(agent.create)(jax.random.key(0)).params)
    with jax.enable_x64(True):
        wide = partial(jax.tree.map, lambda leaf: leaf.astype(jnp.float64))
        params, batch, hyper = wide(created), wide(batch), Hyper.of(config)
        state, slow = AgentState(params=params, optimizer=_ADAM.init(params)), reference.create(params)
        update, slow_update = jax.jit(agent.update), jax.jit(reference.update, static_argnames=("segment", "pair"))
        for key in keys_of_unlike_segments(agent):
            noise = agent._noise(key, 0.0)
            pair = None if noise.pair is None else tuple(map(int, noise.pair))
            state, metrics = update(state, batch, hyper, key)
            slow = slow_update(slow, batch, hyper, agent.action_key(key), segment=int(noise.segment), pair=pair)
    assert update._cache_size() == 1, "one program for all draws"
    assert all(np.isfinite(value) for value in metrics.values())
    wanted = {name: restacked(config.trunk(name), slow.params[name]) for name in NETWORKS}
    wanted = dict(jax.tree_util.tree_leaves_with_path(wanted | {"log_temperature": slow.params["log_temperature"]}))
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
        np.testing.assert_allclose(leaf, wanted[path], atol=1e-8, err_msg=str(path))


def keys_of_unlike_segments(agent):
    """A key for each of the two segments."""
    found = {}
    for seed in range(20):
        found.setdefault(int(agent._noise(jax.random.key(seed), 0.0).segment), jax.random.key(seed))
    assert set(found) == {1, 2}
    return found.values()
