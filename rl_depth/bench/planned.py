"""What the compiler plans for a run's learning on this device, before anything is run."""

from __future__ import annotations

from dataclasses import dataclass

import jax

from ..config import Config
from ..training.trainer import Programs, Trainer, seeds_of


@dataclass(frozen=True)
class Planned:
    """Memory of an epoch's gradient steps, all seeds together.

    Attributes:
      state: bytes of what is carried from epoch to epoch, replay included.
      work: bytes beside it while the program runs.
    """

    state: int
    work: int

    @property
    def peak(self) -> int:
        """Bytes in use at once."""
        return self.state + self.work


def plan(config: Config) -> Planned:
    """Compile a run's learning for the shapes of its state; nothing is allocated.

    Raises:
      ConfigError: its environment cannot be made.
    """
    trainer = Trainer.of(config)
    like = jax.eval_shape(jax.vmap(trainer.init), seeds_of(config))
    found = Programs.of(trainer).learn.lower(like).compile().memory_analysis()
    assert found is not None, "this platform does not say"
    beside = found.output_size_in_bytes - found.alias_size_in_bytes + found.temp_size_in_bytes
    return Planned(found.argument_size_in_bytes, beside)
