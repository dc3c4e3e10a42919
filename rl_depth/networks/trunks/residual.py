"""Trunks of residual blocks, whether each has weights of its own or all share one's."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ...config import TrunkConfig
from ..block import Block, Params, applied
from .base import Application, Trunk


class Residual(Trunk):
    """A trunk whose application is one `Block`."""

    def advance(
        self, weights: Params, h: jax.Array, x: jax.Array, i: jax.Array, count: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        """One block; nothing in it is random."""
        del key
        return applied(self._block, weights, Block.__call__, h, x, jnp.stack([i / count, 1 / count]))

    def draw_block(self, key: jax.Array) -> Params:
        """Weights of one block."""
        blank = jnp.zeros((1, self.config.width))
        return self._block.init(key, blank, blank, jnp.zeros(2))["params"]

    @property
    def _block(self) -> Block:
        return Block(self.config, parent=None)

    @staticmethod
    def application(config: TrunkConfig) -> Application:
        """The block's layers, and what its variants add: norms, the projections of the input and of the time."""
        c, w = config, config.width
        inject = 2 * w * w if c.injection == "concat" else 0
        condition = 2 * w if c.step_conditioning else 0
        parameters = c.block_layers * (w * w + 3 * w) + 2 * w * (c.norm != "inner")
        parameters += sum(kernel + w for kernel in (inject, condition) if kernel) + (c.residual_scale == "learned")
        flops = 2 * (c.block_layers * w * w + inject)
        return Application(
            parameters=parameters,
            flops=flops,
            graded=flops,
            latent=w,
            kept=c.block_layers * w,
            serial=c.block_layers + (inject > 0),
        )
