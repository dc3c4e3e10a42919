"""The interpolating recurrent unit: a gated cell iterated, of "On computation and RL" (arXiv 2602.05999)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ...config import TrunkConfig
from ..block import Params
from .base import Application, Trunk

_EPS = 1e-6  # Flax's, of LayerNorm


class Iru(Trunk):
    """Cells with a gate that interpolates between memory and proposal, so that no loop can run away.

    The latent is ``[h | c]``, both zero at first. One application runs ``block_layers`` cells in sequence,

        u = LayerNorm([x, h]);  f = sigmoid(W_f u + b_f);  c <- f c + (1 - f) tanh(W_i u + b_i);  h <- tanh(c)

    each with its own weights, ``b_f = 1`` at first, and then adds the ``h`` that it began with. ``c`` stays in
    (-1, 1) and so an application moves ``h`` by less than 1. All applications share their weights. A cell's two
    products stand side by side: it counts as one dense layer of depth.

    Source: ``InterpolationThinkingCell`` and its actor in the authors' code; there the input is normalised before it
    enters, here the input layer has done so.
    """

    def declare(self) -> Params:
        """Weights of the cells, a leading axis ``L`` on every leaf."""
        c = self.config
        layers, w = c.block_layers, c.width

        def init(key: jax.Array) -> Params:
            del key  # kernels come from `network.draw_kernels`

            def dense(bias: float) -> Params:
                return {"kernel": jnp.zeros((layers, 2 * w, w)), "bias": jnp.full((layers, w), bias)}

            norm = {"scale": jnp.ones((layers, 2 * w)), "shift": jnp.zeros((layers, 2 * w))}
            return {"forget": dense(1.0), "propose": dense(0.0), "norm": norm}

        return self.param("cells", init)

    def read(self, h: jax.Array) -> jax.Array:
        """``h`` of ``[h | c]``."""
        return h[..., : self.config.width]

    def advance(
        self, weights: Params, h: jax.Array, x: jax.Array, i: jax.Array, count: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        """All cells once."""
        del i, count, key
        first, memory = jnp.split(h, 2, axis=-1)
        thought = first
        for layer in range(self.config.block_layers):
            own = jax.tree.map(lambda leaf, layer=layer: leaf[layer], weights)
            u = _normalised(own["norm"], jnp.concatenate([x, thought], axis=-1))
            gate = nn.sigmoid(self._dense(own["forget"], u))
            memory = gate * memory + (1 - gate) * jnp.tanh(self._dense(own["propose"], u))
            thought = jnp.tanh(memory)
        return jnp.concatenate([first + thought, memory], axis=-1)

    def _dense(self, weights: Params, u: jax.Array) -> jax.Array:
        factors: Any = u.dtype if self.config.precision == "float32" else jnp.dtype(self.config.precision)
        product = jnp.matmul(u.astype(factors), weights["kernel"].astype(factors), preferred_element_type=u.dtype)
        return product + weights["bias"]

    @staticmethod
    def application(config: TrunkConfig) -> Application:
        """Two products of ``[2W, W]`` in each cell; kept is what automatic differentiation keeps of norm and gates."""
        layers, w = config.block_layers, config.width
        flops = layers * 2 * (2 * 2 * w * w)
        return Application(
            parameters=layers * (2 * (2 * w * w + w) + 4 * w),
            flops=flops,
            graded=flops,
            latent=2 * w,
            kept=layers * 15 * w,
            serial=layers,
        )


def _normalised(weights: Params, y: jax.Array) -> jax.Array:
    mean = jnp.mean(y, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(y - mean), axis=-1, keepdims=True)
    return (y - mean) * jax.lax.rsqrt(variance + _EPS) * weights["scale"] + weights["shift"]
