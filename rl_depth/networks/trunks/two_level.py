"""A looped trunk with a slow and a fast latent."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from ...config import TrunkConfig
from ..block import Params
from .base import Application
from .residual import Residual

# What the weights of one block for both levels are called: as a looped trunk calls its own.
_BOTH = "block"


class TwoLevel(Residual):
    """Two latents in turns, as in HRM (arXiv 2506.21734) and, with one block for both, TRM (arXiv 2510.04871).

    The latent is ``[z_H | z_L]``. One application is ``T = rounds`` rounds of ``n = fast_steps`` fast steps and a slow
    one,

        n times:  z_L <- B_L(z_L; z_H + x)
        z_H <- B_H(z_H; z_L)

    with ``B(z; c)`` the residual block that hears ``c`` as a looped one hears its input. The head reads ``z_H``. With
    ``n = 0``, ``T = 1`` and one block, ``z_L`` stays the input and the trunk is a looped one.
    """

    def declare(self) -> Params:
        """Weights of one block, or of one for each level."""
        if self.config.tie_levels:
            return {_BOTH: self.param(_BOTH, self.draw_block)}
        return {level: self.param(level, self.draw_block) for level in ("slow", "fast")}

    def read(self, h: jax.Array) -> jax.Array:
        """``z_H`` of ``[z_H | z_L]``."""
        return h[..., : self.config.width]

    def advance(
        self, weights: Params, h: jax.Array, x: jax.Array, i: jax.Array, count: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        """All rounds; nothing in them is random."""
        del key
        slow, fast = (weights.get(level, weights.get(_BOTH)) for level in ("slow", "fast"))
        phase = jnp.stack([i / count, 1 / count])

        def call(own: Params, z: jax.Array, heard: jax.Array) -> jax.Array:
            return self._block.apply({"params": own}, z, heard, phase)

        def turn(levels: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
            high, low = levels
            heard = high + x
            low = lax.scan(lambda z, _: (call(fast, z, heard), None), low, None, self.config.fast_steps)[0]
            return (call(slow, high, low), low), None

        levels = tuple(jnp.split(h, 2, axis=-1))
        return jnp.concatenate(lax.scan(turn, levels, None, self.config.rounds)[0], axis=-1)

    @staticmethod
    def application(config: TrunkConfig) -> Application:
        """The block as often as it is called."""
        block = Residual.application(replace(config, block="looped"))
        calls = config.calls
        return Application(
            parameters=block.parameters * (1 if config.tie_levels else 2),
            flops=calls * block.flops,
            latent=2 * config.width,
            kept=calls * block.kept,
            serial=calls * block.serial,
        )
