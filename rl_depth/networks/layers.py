"""Dense, LayerNorm and swish in sequence, with a backward pass of their own.

What automatic differentiation makes of LayerNorm and swish takes several times as long as the matrix products beside
it. By hand, only the normalised products and their inverse deviations are kept for the backward pass, which makes
the rest from them anew: less memory to write and to read. It takes both means that LayerNorm's gradient needs as
products with the scale, and passes over each array as few times as it can.

Axes: ``L`` layers, ``I`` inputs, ``W`` width, ``...`` batch.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

_EPS = 1e-6  # Flax's


class Hidden(flax.struct.PyTreeNode):
    """Weights of layers of equal size."""

    kernel: jax.Array  # [L, I, W]
    bias: jax.Array  # [L, W]: of the dense layer
    scale: jax.Array  # [L, W]: of LayerNorm
    shift: jax.Array  # [L, W]: of LayerNorm


# Per layer: the normalised product [..., W], and its inverse standard deviation [..., 1].
_Kept = list[tuple[jax.Array, jax.Array]]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def hidden_layers(compute: Any, weights: Hidden, x: jax.Array) -> jax.Array:
    """``y <- swish(LayerNorm(y kernel + bias))`` for each layer in turn.

    Args:
      compute: dtype of the matrix products' factors and of what is kept for the backward pass, that of ``x`` if None;
        sums and LayerNorm's statistics have the dtype of ``x``.
      weights: the layers; ``I = W`` if there are several.
      x: ``[..., I]``.

    Returns:
      ``[..., W]``.
    """
    return _forward(compute, weights, x)[0]


def _forward(compute: Any, weights: Hidden, x: jax.Array) -> tuple[jax.Array, _Kept]:
    y, kept = x, []
    for layer in range(weights.kernel.shape[0]):
        u = _product(compute, y, weights.kernel[layer]) + weights.bias[layer]
        mean = jnp.mean(u, axis=-1, keepdims=True)
        variance = jnp.maximum(jnp.mean(u * u, axis=-1, keepdims=True) - mean * mean, 0)
        inverse = jax.lax.rsqrt(variance + _EPS)
        normal = (u - mean) * inverse
        z = normal * weights.scale[layer] + weights.shift[layer]
        y = z * _sigmoid(z)
        kept.append((_as(compute, normal), inverse))
    return y, kept


def _forward_rule(compute: Any, weights: Hidden, x: jax.Array) -> tuple[jax.Array, tuple[Hidden, jax.Array, _Kept]]:
    y, kept = _forward(compute, weights, x)
    return y, (weights, x, kept)


def _backward_rule(compute: Any, saved: tuple[Hidden, jax.Array, _Kept], g: jax.Array) -> tuple[Hidden, jax.Array]:
    weights, x, kept = saved
    layers, width = weights.scale.shape
    grads: list[Hidden] = []
    _, slope = _activation(weights, kept, layers - 1)
    for layer in reversed(range(layers)):
        normal, inverse = kept[layer][0].astype(x.dtype), kept[layer][1]
        scale = weights.scale[layer]
        g_z = g * slope
        g_zn = g_z * normal
        y, slope = _activation(weights, kept, layer - 1) if layer else (x, slope)
        # mean(g_normal) and mean(g_normal * normal), where g_normal = g_z * scale
        first, second = ((part @ scale)[..., None] / width for part in (g_z, g_zn))
        g_u = inverse * (g_z * scale - first - normal * second)
        grads.append(
            Hidden(
                kernel=_product(compute, _flat(y).T, _flat(g_u)),
                bias=jnp.sum(_flat(g_u), axis=0),
                scale=jnp.sum(_flat(g_zn), axis=0),
                shift=jnp.sum(_flat(g_z), axis=0),
            )
        )
        g = _product(compute, g_u, weights.kernel[layer].T)
    return jax.tree.map(lambda *each: jnp.stack(each), *reversed(grads)), g


hidden_layers.defvjp(_forward_rule, _backward_rule)


def _activation(weights: Hidden, kept: _Kept, layer: int) -> tuple[jax.Array, jax.Array]:
    """A layer's output, and the slope of its swish, from what was kept."""
    scale, shift = weights.scale[layer], weights.shift[layer]
    z = kept[layer][0].astype(scale.dtype) * scale + shift
    gate = _sigmoid(z)
    return z * gate, gate * (1 + z * (1 - gate))


def _sigmoid(z: jax.Array) -> jax.Array:
    """``1 / (1 + exp(-z))``, by a function that compilers evaluate faster; exact to the rounding of 1."""
    return 0.5 + 0.5 * jnp.tanh(0.5 * z)


def _product(compute: Any, a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.matmul(_as(compute, a), _as(compute, b), preferred_element_type=a.dtype)


def _as(compute: Any, array: jax.Array) -> jax.Array:
    return array if compute is None else array.astype(compute)


def _flat(array: jax.Array) -> jax.Array:
    return array.reshape(-1, array.shape[-1])
