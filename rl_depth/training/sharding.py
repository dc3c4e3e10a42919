"""Where a run's arrays lie: seeds, and the batch and environments of each, spread over a mesh of devices.

Seeds are spread by hand (`jax.shard_map`), for they never meet. Within a seed the compiler parts the program
along the batch: the logits of a contrastive loss relate every transition to every goal, and the program stays
the one that a single device runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ..config import Config, ConfigError
from ..networks.together import AXIS

_SEED, _BATCH = "seed", "batch"


@dataclass(frozen=True)
class Layout:
    """A mesh of devices with the axes ``seed`` and ``batch``; without one, everything is on the default device."""

    mesh: Mesh | None = None

    @classmethod
    def of(cls, config: Config, devices: int | None = None) -> Layout:
        """The layout of a run.

        Args:
          config: the experiment.
          devices: how many devices of each process; by default as many as the run's sizes can be spread over, or, of
            a CPU's cores, its seeds alone: a core gains nothing from another's part of a batch.

        Raises:
          ConfigError: there are fewer, or seeds, batch and environments cannot be spread evenly over them.
        """
        here, processes = jax.local_devices(), jax.process_count()
        platform = here[0].platform
        if devices is not None and not 1 <= devices <= len(here):
            raise ConfigError(f"--devices {devices}: must lie in 1 to {len(here)}, the {platform} devices of a process")
        fitting = [n for n in range(1, len(here) + 1) if _fits(config, n * processes)]
        if devices is None:
            able = [n for n in fitting if platform != "cpu" or config.seeds % (n * processes) == 0]
            devices = max(able, default=1 if platform == "cpu" else len(here))
        if devices not in fitting:
            raise ConfigError(_refusal(config, devices, processes, fitting))
        total = devices * processes
        if total == 1:
            return cls()
        seeds = math.gcd(config.seeds, total)
        used = [d for process in range(processes) for d in jax.local_devices(process)[:devices]]
        grid = np.array(used).reshape(seeds, total // seeds)
        return cls(Mesh(grid, (_SEED, _BATCH), axis_types=(AxisType.Auto, AxisType.Auto)))

    @property
    def shape(self) -> dict[str, int]:
        """Devices along each axis."""
        return dict(self.mesh.shape) if self.mesh is not None else {_SEED: 1, _BATCH: 1}

    @cached_property
    def whole(self) -> NamedSharding | None:
        """The same array on every device."""
        return None if self.mesh is None else NamedSharding(self.mesh, P())

    @property
    def splits_batch(self) -> bool:
        """Whether the batch and the environments of one seed are spread."""
        return self.shape[_BATCH] > 1

    def per_seed(self, batch_axis: int | None = None) -> NamedSharding | None:
        """An array whose first axis is seeds; ``batch_axis``, if any, is spread as well."""
        if self.mesh is None:
            return None
        if batch_axis is None:
            return NamedSharding(self.mesh, P(_SEED))
        return NamedSharding(self.mesh, P(_SEED, *[None] * (batch_axis - 1), _BATCH))

    def spread(self, tree: Any) -> Any:
        """Within a seed's program: spread the first axis of each array, where it is a multiple of the devices."""
        if not self.splits_batch:
            return tree
        parts = self.shape[_BATCH]

        def constrain(leaf: jax.Array) -> jax.Array:
            return leaf if leaf.shape[0] % parts else jax.lax.with_sharding_constraint(leaf, P(_BATCH))

        return jax.tree.map(constrain, tree)

    def over_seeds(self, program: Callable[..., Any]) -> Callable[..., Any]:
        """``program`` for a leading axis of seeds.

        A CPU works through its seeds one after another, since batching their small matrix products saves nothing
        there and would turn rare resets into a reset per step; an accelerator takes them side by side.
        """

        def one_device(tree: Any) -> Any:
            return (
                jax.lax.map(program, tree)
                if jax.default_backend() == "cpu"
                else jax.vmap(program, axis_name=AXIS)(tree)
            )

        if self.mesh is None:
            return one_device
        # No value of a program is told apart by its seed's device, so there is nothing for check_vma to check.
        # Where the batch stays whole both axes are by hand, as the callbacks of a physics engine must have it.
        by_hand = {_SEED} if self.splits_batch else {_SEED, _BATCH}
        return jax.shard_map(
            one_device, mesh=self.mesh, in_specs=P(_SEED), out_specs=P(_SEED), axis_names=by_hand, check_vma=False
        )

    def put(self, array: np.ndarray, sharding: NamedSharding | None) -> jax.Array:
        """A host array, the same one in every process, on the devices."""
        if sharding is None:
            return jax.numpy.asarray(array)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def _fits(config: Config, total: int) -> bool:
    batch = total // math.gcd(config.seeds, total)
    return config.batch_size % batch == 0 and config.num_envs % batch == 0


def _refusal(config: Config, devices: int, processes: int, fitting: list[int]) -> str:
    batch = devices * processes // math.gcd(config.seeds, devices * processes)
    asked = f"--devices {devices}" + (f" in each of {processes} processes" if processes > 1 else "")
    able = f"; possible here: {', '.join(map(str, fitting))}" if fitting else ""
    return (
        f"{asked}: with --seeds {config.seeds} that is {batch} devices for each seed, which must divide "
        f"--batch-size {config.batch_size} and --num-envs {config.num_envs}{able}"
    )
