"""The gradient step that speed is measured on: an agent of ant's sizes and a random batch."""

from __future__ import annotations

from dataclasses import dataclass

import jax

from .agent import Agent, Batch, Hyper
from .config import BlockKind, Config

SIZES = STATE, GOAL, ACTION = 29, 2, 8  # entries in ant


@dataclass(frozen=True)
class Workload:
    """What a gradient step takes besides the agent's state."""

    config: Config
    agent: Agent
    batch: Batch
    hyper: Hyper


def make(block: BlockKind, depth: int, width: int, batch_size: int, **options: object) -> Workload:
    """Settings of Wang et al. (2025) but for the given sizes and options."""
    config = Config(block=block, depth=depth, width=width, batch_size=batch_size, random_goals=0.0, **options)
    keys = jax.random.split(jax.random.key(7), 3)
    shapes = ((batch_size, STATE), (batch_size, ACTION), (batch_size, GOAL))
    batch = Batch(*(jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)))
    return Workload(config, Agent.of(config, STATE, GOAL, ACTION), batch, Hyper.of(config))
