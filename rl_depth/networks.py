"""The networks: residual blocks, stacked and looped trunks, and the one network class built on them.

Axes: ``...`` batch, ``I`` input, ``W`` width, ``O`` output, ``N`` blocks.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from .config import TrunkConfig
from .recurrence import iterate

Params = dict[str, Any]

# Uniform in +-1/sqrt(fan-in), as in Wang et al. (2025).
_Dense = partial(nn.Dense, kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"))


class Block(nn.Module):
    """Residual unit of Wang et al. (2025): ``h + [swish . LayerNorm . Dense]^layers (h)``.

    With an ``x``, the trunk's input is injected: the inner function reads ``h + x`` ("add") or a linear
    projection of ``[h, x]`` ("concat"), the residual path stays ``h`` ("recall", Bansal et al. 2022).

    Attributes:
      width: units of each layer.
      layers: dense layers.
      injection: "add", "concat" or "none".
    """

    width: int
    layers: int
    injection: str = "none"

    @nn.compact
    def __call__(self, h: jax.Array, x: jax.Array) -> jax.Array:
        """``h, x [..., W] -> [..., W]``."""
        y = h
        if self.injection == "add":
            y = h + x
        elif self.injection == "concat":
            y = _Dense(self.width, name="inject")(jnp.concatenate([h, x], axis=-1))
        for _ in range(self.layers):
            y = nn.swish(nn.LayerNorm()(_Dense(self.width)(y)))
        return h + y


class Trunk(nn.Module):
    """Block applications in sequence, each with its own weights (stacked) or all with one set (looped).

    Depth counts dense layers: ``applications * block_layers``. Stacked weights carry a leading axis ``N`` and
    are scanned over, so that neither tracing nor compiling grows with depth.
    """

    config: TrunkConfig

    @nn.compact
    def __call__(self, h: jax.Array, depth: jax.Array | None = None, key: jax.Array | None = None) -> jax.Array:
        """Run the trunk.

        Args:
          h: ``[..., W]``, the input layer's output.
          depth: traced dense layers to act with instead of the trunk's own, forward only; a multiple of
            ``block_layers``. A stacked trunk runs its first ``depth`` layers, a looped one any number.
          key: reserved for trunks that draw noise; these do not.

        Returns:
          ``[..., W]``.
        """
        del key
        c = self.config
        tied = c.block == "looped"
        block = Block(c.width, c.block_layers, c.injection if tied else "none", parent=None)
        blank = jnp.zeros((1, c.width))

        def init(key: jax.Array) -> Params:
            return block.init(key, blank, blank)["params"]

        def apply(params: Params, h: jax.Array, x: jax.Array) -> jax.Array:
            return block.apply({"params": params}, h, x)

        if c.remat:
            apply = jax.checkpoint(apply, prevent_cse=False)
        count = c.applications if depth is None else depth // c.block_layers
        if tied:
            params = self.param("block", init)
            return iterate(lambda latent: apply(params, latent, h), h, count)
        params = self.param("blocks", lambda key: jax.vmap(init)(jax.random.split(key, c.applications)))
        if depth is None:
            return lax.scan(lambda latent, p: (apply(p, latent, h), None), h, params)[0]

        def nth(i: jax.Array, latent: jax.Array) -> jax.Array:
            return apply(
                jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, i, keepdims=False), params),
                latent,
                h,
            )

        return lax.fori_loop(0, count, nth, h)


class Network(nn.Module):
    """Input layer (Dense, LayerNorm, swish), trunk, linear head: actor, phi and psi alike.

    Attributes:
      trunk: the trunk.
      out: outputs ``O`` of the head.
    """

    trunk: TrunkConfig
    out: int

    @nn.compact
    def __call__(self, x: jax.Array, depth: jax.Array | None = None, key: jax.Array | None = None) -> jax.Array:
        """``x [..., I] -> [..., O]``; ``depth`` and ``key`` as in `Trunk`."""
        h = nn.swish(nn.LayerNorm(name="input_norm")(_Dense(self.trunk.width, name="input")(x)))
        h = Trunk(self.trunk, name="trunk")(h, depth, key)
        return _Dense(self.out, name="head")(h)
