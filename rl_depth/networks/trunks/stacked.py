"""The trunk of Wang et al. (2025): every block with its own weights."""

from __future__ import annotations

import jax

from ..block import Params
from .residual import Residual


class Stacked(Residual):
    """Blocks in sequence, each with its own weights; at test time its first ones can act alone."""

    stacked = True

    def declare(self) -> Params:
        """Weights of all blocks, a leading axis ``N`` on every leaf."""
        count = self.config.applications
        return self.param("blocks", lambda key: jax.vmap(self.draw_block)(jax.random.split(key, count)))
