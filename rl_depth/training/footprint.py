"""What a run needs at least of memory and disk, known before anything is made: sizes that cannot be are refused."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rl_depth.envs.base import GoalEnv

from .. import device
from ..agents.cost import agent_cost, agent_memory
from ..config import Config, ConfigError
from .trainer import Trainer, TrainState


@dataclass(frozen=True)
class Footprint:
    """Bytes that a run needs.

    Attributes:
      state: all that is carried from epoch to epoch, replay included.
      replay: of it.
      learning: a gradient step's gradients and half of what it is counted to keep, and an epoch's draws.
      evaluating: the environments of an evaluation.
      disk: checkpoints and replay on the disk, with the one that is being written.
    """

    state: int
    replay: int
    learning: int
    evaluating: int
    disk: int

    @classmethod
    def counted(cls, config: Config, env: GoalEnv) -> Footprint:
        """What is known without tracing a program, whose shapes may be beyond what JAX counts."""
        cost = agent_cost(config, env.state_size, env.goal_size, env.action_size)
        memory = agent_memory(config, cost, env.state_size, env.goal_size, env.action_size)
        replay = config.seeds * memory.replay
        learning = memory.gradients + memory.activations // 2
        return cls(config.seeds * memory.state + replay, replay, learning, evaluating=0, disk=0)

    @classmethod
    def of(cls, trainer: Trainer, state: TrainState) -> Footprint:
        """The footprint of a run whose states have these shapes; leading axis ``S`` seeds."""
        config, env = trainer.config, trainer.env
        together = config.seeds if jax.default_backend() != "cpu" else 1  # a CPU takes its seeds in turn
        cost = agent_cost(config, env.state_size, env.goal_size, env.action_size)
        memory = agent_memory(config, cost, env.state_size, env.goal_size, env.action_size)
        draws = 3 * 4 * config.updates * config.batch_size
        per_env = _bytes(state.rollout) // (config.seeds * config.num_envs)
        replay, whole = _bytes(state.replay), _bytes(state)
        return cls(
            state=whole,
            replay=replay,
            learning=together * (memory.gradients + memory.activations // 2 + draws),
            evaluating=together * 2 * config.eval_episodes * per_env,  # by the mode and by draws
            disk=_disk(config, whole - replay, replay, _bytes(state.agent.params)),
        )

    @property
    def memory(self) -> int:
        """At least so much of it is in use at once."""
        return self.state + max(self.learning, self.evaluating)

    def check_memory(self, parts: int) -> None:
        """Refuse a run that the memory of this machine, or of so many accelerators, does not hold.

        Raises:
          ConfigError: says what it needs and what there is.
        """
        there = device.memory_bytes(parts)
        if there is not None and self.memory > there:
            raise ConfigError(
                f"this run needs at least {_size(self.memory)} of memory (replay {_size(self.replay)}, a gradient step "
                f"{_size(self.learning)}, an evaluation {_size(self.evaluating)}), this machine has {_size(there)}"
            )

    def check(self, path: Path, parts: int, held: int) -> str:
        """Refuse a run that this machine has no room for.

        Args:
          path: its folder, or where it will be.
          parts: accelerators that it is spread over.
          held: bytes on the disk that it has already.

        Returns:
          What it needs, in words.

        Raises:
          ConfigError: says what it needs and what there is.
        """
        self.check_memory(parts)
        free = _free(path) + held
        if self.disk > free:
            raise ConfigError(
                f"--out {path}: checkpoints take up to {_size(self.disk)}, {_size(free)} are free there; "
                "--checkpoint-replay off and --keep-checkpoints 1 take less"
            )
        return f"at least {_size(self.memory)} of memory, up to {_size(self.disk)} of disk"


def check_episodes(env: Any, episodes: int, option: str) -> None:
    """Refuse more episodes at once than the memory holds.

    Raises:
      ConfigError: names the option, what it needs and what there is.
    """
    state = jax.eval_shape(env.reset, jax.random.key(0))
    needed, there = 2 * episodes * _bytes(state), device.memory_bytes(1)
    if there is not None and needed > there:
        raise ConfigError(f"{option}: needs at least {_size(needed)} of memory, this machine has {_size(there)}")


def _disk(config: Config, core: int, replay: int, params: int) -> int:
    """The checkpoints that are kept and one more, and a ring with what was collected since the oldest of them."""
    best = params if config.keep_best else 0
    whole = (config.keep_checkpoints + 1) * (core + best)
    if config.checkpoint_replay == "off":
        return whole
    saved = config.eval_epochs()[config.checkpoint_every - 1 :: config.checkpoint_every]
    gap = max((late - early for early, late in pairwise((0, *saved, config.epochs))), default=config.epochs)
    between = min(gap * config.unroll / config.replay_steps, 1.0)
    return whole + round(replay * (1 + config.keep_checkpoints * between))


def _bytes(tree: Any) -> int:
    return sum(_leaf_bytes(leaf) for leaf in jax.tree.leaves(tree))


def _leaf_bytes(leaf: Any) -> int:
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    return int(np.prod(leaf.shape, dtype=object)) * leaf.dtype.itemsize


def _free(path: Path) -> int:
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def _size(count: int) -> str:
    """``2_500_000 -> "2.5 MB"``."""
    value, units = float(count), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    for larger in units:
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:,.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
