"""One network's trunk, with nothing left to inherit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BlockKind = Literal["stacked", "looped", "two-level", "iru"]


def turn_calls(block: str, rounds: int, fast_steps: int) -> int:
    """Block calls in sequence in one application of a kind of trunk."""
    return rounds * (fast_steps + 1) if block == "two-level" else 1


@dataclass(frozen=True)
class TrunkConfig:
    """One network's trunk. Options of loops and of levels are neutral in a trunk that has none."""

    block: BlockKind
    depth: int
    width: int
    block_layers: int = 4
    window: int | None = None  # most applications that gradients flow through; all if None
    one_step: bool = False  # of those, gradients flow through the last call of each level's block alone
    norm: str = "inner"
    residual_scale: float | Literal["learned"] = 1.0
    injection: str = "none"
    latent: str = "input"
    step_conditioning: bool = False
    step_limit: float | None = None
    remat: bool = False
    precision: str = "float32"
    fast_steps: int = 1
    rounds: int = 1
    tie_levels: bool = False
    feedback: bool = False
    noise: float | Literal["learned"] | None = None  # of each application's latent, relative to its size

    @property
    def tied(self) -> bool:
        """Whether all applications share their weights, so that there may be any number of them."""
        return self.block != "stacked"

    @property
    def calls(self) -> int:
        """Block calls in sequence in one application."""
        return turn_calls(self.block, self.rounds, self.fast_steps)

    @property
    def turn_layers(self) -> int:
        """Dense layers in sequence in one application."""
        return self.calls * self.block_layers

    @property
    def applications(self) -> int:
        """Applications in sequence: blocks of a stacked trunk, recurrence count of any other."""
        return self.depth // self.turn_layers
