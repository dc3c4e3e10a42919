"""Noise that a trunk learns to add to its latent after each application, as GRAM does (arXiv 2605.19376).

Axes: ``...`` batch, ``W`` width.
"""

from __future__ import annotations

import math

import flax.struct
import jax
import jax.numpy as jnp

_FIRST = math.log(0.1)  # log standard deviation before anything is learned
_LEAST, _MOST = -5.0, 1.0
_EPS = 1e-12


class Gaussian(flax.struct.PyTreeNode):
    """What is added to a latent, in units of its size (its root mean square)."""

    mean: jax.Array  # [..., W]
    log_std: jax.Array  # [..., W]


def fixed(u: jax.Array, sigma: float) -> Gaussian:
    """Noise of one standard deviation, whatever the latent ``u [..., W]``."""
    return Gaussian(jnp.zeros_like(u), jnp.full_like(u, math.log(sigma)))


def learned(heard: jax.Array, weights: jax.Array, bias: jax.Array) -> Gaussian:
    """A linear layer's, zero at first: mean 0 and standard deviation 0.1; the latter is kept in e^-5 to e."""
    mean, raw = jnp.split(heard @ weights + bias, 2, axis=-1)
    return Gaussian(mean, jnp.clip(_FIRST + raw, _LEAST, _MOST))


def divergence(q: Gaussian, p: Gaussian) -> jax.Array:
    """``KL(q || p)``, nats of all ``W`` entries: ``[...]``."""
    ratio = 2 * (q.log_std - p.log_std)
    shift = jnp.square((q.mean - p.mean) * jnp.exp(-p.log_std))
    return 0.5 * jnp.sum(jnp.exp(ratio) + shift - 1 - ratio, axis=-1)


def balanced(q: Gaussian, p: Gaussian) -> jax.Array:
    """``divergence(q, p)``, by which the prior ``p`` learns four times as much as the posterior ``q``, as in GRAM."""
    held = jax.lax.stop_gradient
    return 0.8 * divergence(held(q), p) + 0.2 * divergence(q, held(p))


def size(u: jax.Array) -> jax.Array:
    """Root mean square of ``u [..., W]``: ``[..., 1]``."""
    return jnp.sqrt(jnp.mean(jnp.square(u), axis=-1, keepdims=True) + _EPS)


def moved(u: jax.Array, noise: Gaussian, key: jax.Array | None) -> jax.Array:
    """``u + size(u) * eps``, ``eps ~ noise`` drawn with ``key``, or its mean without.

    GRAM has no ``size(u)``; with it the noise keeps pace with a latent that grows.
    """
    eps = noise.mean
    if key is not None:
        eps += jnp.exp(noise.log_std) * jax.random.normal(key, u.shape)
    return u + size(u) * eps
