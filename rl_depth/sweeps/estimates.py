"""What a cell will take, before it has run: operations, memory and time, and what each figure rests on.

Operations and memory are counted from shapes. Time is never guessed from operations alone, which say little
about small networks: it is taken from cells of the same sweep that have run, and unknown before any has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..agents.cost import agent_cost, agent_memory
from ..training.trainer import eval_split, make_env
from .overview import Pace
from .sweep import Cell

NO_TIMES = "unknown until the first cell has run"


@dataclass(frozen=True)
class Estimate:
    """What one cell takes, all its seeds together, and a collector beside them.

    Attributes:
      parameters: of one agent, the learner where another collects.
      flops_per_update: of its gradient step.
      flops: of the whole run: gradient steps, acting and evaluating.
      memory_bytes: weights with gradients and Adam's moments, replay, activations kept for the backward pass.
      seconds: training and evaluating, without start-up and compiling; None if nothing is known.
      basis: what ``seconds`` rests on.
    """

    parameters: int
    flops_per_update: int
    flops: int
    memory_bytes: int
    seconds: float | None = None
    basis: str = NO_TIMES

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def count(cell: Cell) -> Estimate:
    """Operations and memory of a cell.

    Raises:
      ConfigError: its environment cannot be made, or has no such backend.
    """
    c = cell.config
    env = make_env(c)
    evaluated = make_env(c, eval_split(env, c))
    agents = [c, *([collector] if (collector := c.collector()) else [])]
    costs = [agent_cost(one, env.state_size, env.goal_size, env.action_size) for one in agents]
    updates = max(0, c.epochs - c.warmup_epochs) * c.updates
    evaluating = len(c.eval_epochs()) * c.eval_episodes * evaluated.episode_length
    flops = sum(updates * cost.flops_per_update + evaluating * cost.flops_per_action for cost in costs)
    collecting = c.epochs * c.epoch_env_steps * costs[-1].flops_per_action
    sizes = (env.state_size, env.goal_size, env.action_size)
    memories = [agent_memory(one, cost, *sizes) for one, cost in zip(agents, costs, strict=True)]
    held = sum(memory.state + memory.gradients for memory in memories) + memories[0].replay
    return Estimate(
        parameters=costs[0].parameters,
        flops_per_update=costs[0].flops_per_update,
        flops=c.seeds * (flops + collecting),
        memory_bytes=c.seeds * (held + max(memory.activations for memory in memories)),
    )


def with_times(
    cells: Sequence[Cell], estimates: Mapping[str, Estimate], paces: Mapping[str, Pace]
) -> dict[str, Estimate]:
    """The estimates with seconds: measured for cells that have run, scaled from the nearest of them for others.

    Args:
      cells: the sweep.
      estimates: by cell name.
      paces: of the cells that have run, by cell name.
    """
    known = [cell for cell in cells if cell.name in paces]

    def timed(cell: Cell) -> Estimate:
        own = estimates[cell.name]
        if cell.name in paces:
            return replace(own, seconds=paces[cell.name].whole, basis="its own pace here")
        if not known:
            return own

        def distance(other: Cell) -> tuple[bool, float]:
            ratio = own.flops / max(estimates[other.name].flops, 1)
            return other.config.env != cell.config.env, abs(math.log(max(ratio, 1e-12)))

        near = min(known, key=distance)
        # Time grows no faster than operations and hardly shrinks with them: small networks are bound by overheads.
        factor = max(own.flops / max(estimates[near.name].flops, 1), _steps(cell) / _steps(near))
        return replace(own, seconds=paces[near.name].whole * factor, basis=f"{near.name}, scaled by operations")

    return {cell.name: timed(cell) for cell in cells}


def _steps(cell: Cell) -> int:
    return cell.config.epochs * cell.config.epoch_env_steps
