"""The gradient step that speed is measured on: an agent of ant's sizes and a random batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..agents import Batch, ContrastiveAgent, Hyper
from ..config import BlockKind, Config

SIZES = STATE, GOAL, ACTION = 29, 2, 8  # entries in ant


@dataclass(frozen=True)
class Workload:
    """What a gradient step takes besides the agent's state."""

    config: Config
    agent: ContrastiveAgent
    batch: Batch
    hyper: Hyper


def make(block: BlockKind, depth: int, width: int, batch_size: int, **options: Any) -> Workload:
    """Settings of Wang et al. (2025) but for the given sizes and options."""
    config = Config(block=block, depth=depth, width=width, batch_size=batch_size, random_goals=0.0, **options)
    rng = np.random.default_rng(7)  # no program to compile, for the time to the first step is measured too
    parts = {"state": STATE, "action": ACTION, "goal": GOAL}
    batch = Batch(**{name: jnp.asarray(rng.normal(size=(batch_size, n)), jnp.float32) for name, n in parts.items()})
    return Workload(config, ContrastiveAgent.of(config, STATE, GOAL, ACTION), batch, Hyper.of(config))
