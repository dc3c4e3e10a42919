"""Hidden layers against automatic differentiation of the same function, written out."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth.networks.layers import Hidden, hidden_layers


def setup(layers=3, inputs=6, width=6, batch=(4, 5)):
    keys = jax.random.split(jax.random.key(0), 5)
    shape = (layers, width)
    weights = Hidden(
        kernel=jax.random.normal(keys[0], (layers, inputs, width)),
        bias=jax.random.normal(keys[1], shape),
        scale=1 + 0.3 * jax.random.normal(keys[2], shape),
        shift=jax.random.normal(keys[3], shape),
    )
    return weights, jax.random.normal(keys[4], (*batch, inputs))


def plain(weights, x):
    for kernel, bias, scale, shift in zip(weights.kernel, weights.bias, weights.scale, weights.shift, strict=True):
        norm = nn.LayerNorm()
        x = nn.swish(norm.apply({"params": {"scale": scale, "bias": shift}}, x @ kernel + bias))
    return x


@pytest.mark.parametrize("sizes", [{}, {"layers": 1, "inputs": 3}, {"batch": (7,)}, {"batch": ()}], ids=str)
def test_value_and_gradients_are_those_of_flax(sizes):
    with jax.enable_x64(True):
        weights, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), setup(**sizes))

        def loss(layers, weights, x):
            return jnp.sum(jnp.sin(layers(weights, x)))

        ours = jax.jit(jax.value_and_grad(lambda w, x: loss(lambda *a: hidden_layers(None, *a), w, x), argnums=(0, 1)))
        flax = jax.jit(jax.value_and_grad(lambda w, x: loss(plain, w, x), argnums=(0, 1)))
        for one, other in zip(jax.tree.leaves(ours(weights, x)), jax.tree.leaves(flax(weights, x)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


def test_mapped_over_seeds_it_is_the_same_function():
    each = [setup(batch=(5,)) for _ in range(2)]
    each[1] = jax.tree.map(lambda leaf: leaf * 1.5, each[1])
    weights, x = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)

    def grad(weights, x):
        return jax.grad(lambda w: jnp.sum(hidden_layers(None, w, x) ** 2))(weights)

    mapped = jax.vmap(grad)(weights, x)
    for i, one in enumerate(each):
        for a, b in zip(jax.tree.leaves(mapped), jax.tree.leaves(grad(*one)), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-4)


def test_half_precision_rounds_factors_alone():
    weights, x = setup(layers=2, inputs=32, width=32, batch=(16,))
    half = hidden_layers(jnp.bfloat16, weights, x)
    exact = hidden_layers(None, weights, x)
    assert half.dtype == exact.dtype == jnp.float32
    error = float(jnp.abs(half - exact).max())
    assert 0 < error < 0.1  # bfloat16 has eight bits
    kept = jax.vjp(lambda w: hidden_layers(jnp.bfloat16, w, x), weights)[1]
    assert {leaf.dtype for leaf in jax.tree.leaves(kept) if leaf.shape == (16, 32) and leaf is not x} >= {
        jnp.dtype("bfloat16")
    }
