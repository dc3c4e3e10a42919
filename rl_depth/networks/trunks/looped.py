"""The weight-tied trunk: one block's weights applied again and again."""

from __future__ import annotations

from ..block import Params
from .residual import Residual


class Looped(Residual):
    """One block, applied as often as the recurrence count says (Geiping et al. 2025, arXiv 2502.05171)."""

    def declare(self) -> Params:
        """Weights of the one block."""
        return self.param("block", self.draw_block)
