"""Blocks and trunks: known functions, equal forms, dynamic depth."""

from dataclasses import replace
from typing import get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth.config import TrunkConfig
from rl_depth.config.options import BlockKind
from rl_depth.networks.network import Network, draw_kernels
from rl_depth.networks.recurrence import Draw
from rl_depth.networks.trunks import TRUNKS, make_trunk

STACKED = TrunkConfig(block="stacked", depth=12, width=8)
LOOPED = replace(STACKED, block="looped", injection="add")
IRU = replace(STACKED, block="iru", latent="zero")


def init(trunk: TrunkConfig, seed: int = 0):
    h = jax.random.normal(jax.random.key(9), (5, trunk.width))
    return draw_kernels(make_trunk(trunk).init(jax.random.key(seed), h), jax.random.key(seed)), h


def plain_block(params, h, x):
    """The residual unit, written out."""
    y = h + x
    for i in range(4):
        kernel, bias, scale, shift = (params["layers"][name][i] for name in ("kernel", "bias", "scale", "shift"))
        y = y @ kernel + bias
        y = (y - y.mean(-1, keepdims=True)) / jnp.sqrt(y.var(-1, keepdims=True) + 1e-6)
        y = nn.swish(y * scale + shift)
    return h + y


def test_stacked_trunk_is_its_blocks_in_sequence():
    params, h = init(STACKED)
    wanted = h
    for i in range(3):
        own = jax.tree.map(lambda leaf, i=i: leaf[i], params["params"]["blocks"])
        wanted = plain_block(own, wanted, 0.0)
    np.testing.assert_allclose(make_trunk(STACKED).apply(params, h), wanted, rtol=1e-4, atol=1e-5)


def test_looped_trunk_applies_one_block_and_injects_its_input():
    params, h = init(LOOPED)
    wanted = h
    for _ in range(3):
        wanted = plain_block(params["params"]["block"], wanted, h)
    np.testing.assert_allclose(make_trunk(LOOPED).apply(params, h), wanted, rtol=1e-4, atol=1e-5)


def test_blocks_of_a_stacked_trunk_start_out_different():
    kernels = init(STACKED)[0]["params"]["blocks"]["layers"]["kernel"]
    assert kernels.shape == (3, 4, 8, 8)
    assert not np.allclose(kernels[0], kernels[1])


def test_stacked_and_looped_of_one_block_without_injection_are_the_same_function():
    one, loop = replace(STACKED, depth=4), replace(LOOPED, depth=4, injection="none")
    stacked, h = init(one)
    tied = {"params": {"block": jax.tree.map(lambda leaf: leaf[0], stacked["params"]["blocks"])}}

    def value_and_grad(trunk, params):
        return jax.value_and_grad(lambda p: jnp.sum(jnp.sin(make_trunk(trunk).apply(p, h))))(params)

    value, grad = value_and_grad(one, stacked)
    tied_value, tied_grad = value_and_grad(loop, tied)
    np.testing.assert_allclose(value, tied_value, rtol=1e-6)
    for a, b in zip(jax.tree.leaves(grad), jax.tree.leaves(tied_grad), strict=True):
        np.testing.assert_allclose(a[0], b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("trunk", [STACKED, LOOPED, IRU, replace(LOOPED, injection="concat")])
def test_dynamic_depth_equals_a_trunk_of_that_depth(trunk):
    params, h = init(trunk)
    dynamic = jax.jit(lambda depth: make_trunk(trunk).apply(params, h, depth))
    for depth in (4, 8, 12):
        own = params
        if trunk.block == "stacked":
            own = {"params": {"blocks": jax.tree.map(lambda x, n=depth // 4: x[:n], params["params"]["blocks"])}}
        wanted = make_trunk(replace(trunk, depth=depth)).apply(own, h)
        np.testing.assert_allclose(dynamic(depth), wanted, rtol=1e-4, atol=1e-5)
    assert dynamic._cache_size() == 1


def test_an_iru_is_its_gated_cells_in_sequence():
    """Two applications of four cells, written out; every cell has its own weights, all applications the same."""
    trunk = replace(IRU, depth=8)
    params, x = init(trunk)
    cells = params["params"]["cells"]
    h = c = jnp.zeros_like(x)
    for _ in range(2):
        before = h
        for i in range(4):
            u = jnp.concatenate([x, h], -1)
            u = (u - u.mean(-1, keepdims=True)) / jnp.sqrt(u.var(-1, keepdims=True) + 1e-6)
            f = nn.sigmoid(u @ cells["forget"]["kernel"][i] + 1.0)
            c = c * f + jnp.tanh(u @ cells["propose"]["kernel"][i]) * (1 - f)
            h = jnp.tanh(c)
        h = before + h
    np.testing.assert_allclose(make_trunk(trunk).apply(params, x), h, rtol=1e-4, atol=1e-5)


def test_an_iru_cannot_run_away():
    params, x = init(IRU)
    deep = make_trunk(IRU).apply(params, 100 * x, jnp.int32(4000))
    assert jnp.abs(deep).max() <= 1000, "at most 1 for each application"


def test_kinds_of_trunk_are_those_that_options_name():
    assert set(TRUNKS) == set(get_args(BlockKind))


@pytest.mark.parametrize("trunk", [STACKED, LOOPED])
def test_every_application_has_a_key_of_its_own(trunk):
    """The same one in loops of static, drawn and dynamic length, and none without a key."""
    seen = []

    class Noisy(type(make_trunk(trunk))):
        def advance(self, weights, h, x, i, count, key):
            if key is None:
                return h
            return h + jax.random.normal(key, h.shape)

    params, h = init(trunk)
    net, key = Noisy(trunk), jax.random.key(3)
    drawn = Draw(count=jnp.int32(3), graded=jnp.int32(3))
    looped = replace(trunk, window=3)
    for one, depth in ((net, None), (net, jnp.int32(12)), (Noisy(looped), drawn)):
        seen.append(jax.jit(one.apply)(params, h, depth, key))
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-6)
    np.testing.assert_allclose(seen[2], seen[0], rtol=1e-6)
    steps = jax.random.fold_in(key, 1)
    noise = sum(jax.random.normal(jax.random.fold_in(steps, i), h.shape) for i in range(3))
    np.testing.assert_allclose(seen[0], h + noise, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(net.apply(params, h), h)


def test_a_looped_trunk_goes_deeper_than_it_was_built():
    params, h = init(LOOPED)
    deeper = make_trunk(LOOPED).apply(params, h, jnp.int32(40))
    np.testing.assert_allclose(deeper, make_trunk(replace(LOOPED, depth=40)).apply(params, h), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trunk", [STACKED, LOOPED, IRU])
def test_remat_changes_no_number(trunk):
    params, h = init(trunk)

    def grad(config):
        return jax.jit(jax.grad(lambda p: jnp.sum(make_trunk(config).apply(p, h) ** 2)))(params)

    for a, b in zip(jax.tree.leaves(grad(trunk)), jax.tree.leaves(grad(replace(trunk, remat=True))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("trunk", [STACKED, LOOPED, IRU])
def test_the_program_does_not_grow_with_depth(trunk):
    def size(depth: int) -> int:
        config = replace(trunk, depth=depth)
        net = Network(config, 3)
        x = jnp.zeros((2, 5))
        params = jax.eval_shape(net.init, jax.random.key(0), x)
        text = jax.jit(jax.grad(lambda p: jnp.sum(net.apply(p, x)))).lower(params).as_text()
        return len(text.splitlines())

    assert size(64) == size(8)


def test_initial_kernels_are_uniform_in_the_stated_range():
    net = Network(replace(STACKED, width=64, depth=8), 3)
    blank = net.init(jax.random.key(0), jnp.zeros((1, 16)))["params"]
    params = draw_kernels(blank, jax.random.key(0))
    blocks = params["trunk"]["blocks"]["layers"]["kernel"]
    for kernel in (params["input"]["kernel"], *blocks.reshape(8, 64, 64), params["head"]["kernel"]):
        bound = 1 / np.sqrt(kernel.shape[-2])
        assert np.abs(kernel).max() <= bound
        np.testing.assert_allclose(np.std(kernel), bound / np.sqrt(3), rtol=0.1)
        np.testing.assert_allclose(np.mean(kernel), 0, atol=4 * bound / np.sqrt(3 * kernel.size))
    assert len(np.unique(blocks)) > 0.99 * blocks.size, "no part of the stream is used twice"
    others = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params) if path[-1].key != "kernel"]
    kept = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(blank) if path[-1].key != "kernel"]
    jax.tree.map(np.testing.assert_array_equal, others, kept)
