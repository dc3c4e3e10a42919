"""A looped trunk with a slow and a fast latent."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from ...config import TrunkConfig
from ..block import Block, Params, applied
from .base import Application
from .residual import Residual

# What the weights of one block for both levels are called: as a looped trunk calls its own.
_BOTH = "block"

_Levels = tuple[jax.Array, jax.Array]  # z_H, z_L


class TwoLevel(Residual):
    """Two latents in turns, as in HRM (arXiv 2506.21734) and, with one block for both, TRM (arXiv 2510.04871).

    The latent is ``[z_H | z_L]``. One application is ``T = rounds`` rounds of ``n = fast_steps`` fast steps and a slow
    one,

        n times:  z_L <- B_L(z_L; z_H + x)
        z_H <- B_H(z_H; z_L)

    with ``B(z; c)`` the residual block that hears ``c`` as a looped one hears its input. The head reads ``z_H``. With
    ``n = 0``, ``T = 1`` and one block, ``z_L`` stays the input and the trunk is a looped one.

    With ``one_step`` gradients flow through the last call of each level alone and stop at what they start from, HRM's
    approximation of the gradient at a fixed point.
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
        rounds, steps = self.config.rounds, self.config.fast_steps

        def call(own: Params, z: jax.Array, heard: jax.Array) -> jax.Array:
            return applied(self._block, own, Block.__call__, z, heard, phase)

        def fast_steps(own: Params, low: jax.Array, heard: jax.Array, number: int) -> jax.Array:
            return lax.scan(lambda z, _: (call(own, z, heard), None), low, None, number)[0]

        def turn(levels: _Levels, own: tuple[Params, Params], x: jax.Array) -> _Levels:
            high, low = levels
            low = fast_steps(own[1], low, high + x, steps)
            return call(own[0], high, low), low

        def turns(levels: _Levels, own: tuple[Params, Params], x: jax.Array, number: int) -> _Levels:
            return lax.scan(lambda both, _: (turn(both, own, x), None), levels, None, number)[0]

        high, low = jnp.split(h, 2, axis=-1)
        levels = (high, low)
        if not self.config.one_step:
            return jnp.concatenate(turns(levels, (slow, fast), x, rounds), axis=-1)
        held = lax.stop_gradient
        high, low = turns(held(levels), held((slow, fast)), held(x), rounds - 1)
        if steps:
            low = fast_steps(held(fast), low, held(high + x), steps - 1)
            low = call(fast, low, high + x)
        return jnp.concatenate([call(slow, high, low), low], axis=-1)

    @staticmethod
    def application(config: TrunkConfig) -> Application:
        """The block as often as it is called."""
        block = Residual.application(replace(config, block="looped"))
        calls = config.calls
        return Application(
            parameters=block.parameters * (1 if config.tie_levels else 2),
            flops=calls * block.flops,
            graded=block.flops * (min(2, config.fast_steps + 1) if config.one_step else calls),
            latent=2 * config.width,
            kept=calls * block.kept,
            serial=calls * block.serial,
        )
