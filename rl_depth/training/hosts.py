"""Several processes that train one run, started together by Slurm or Open MPI: how they meet and agree.

The first process writes the run folder. Whatever can fail in one process alone is done through `on_first` or
`together`, so that all of them go on or all of them stop: a process that waited for one that has stopped would
wait for ever. In a single process these functions only do what they are given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from .. import runs
from ..config import Config, ConfigError, RunError

T = TypeVar("T")

_CHUNK_BYTES = 2**26  # gathered at a time, from each process
_MESSAGE_BYTES = 4096


def join(gpus: Sequence[str]) -> None:
    """Meet the other processes of this Slurm step or Open MPI job; not after JAX has looked for its devices.

    Args:
      gpus: the CUDA devices that this process sees.

    Raises:
      ConfigError: there is no such job around this process, or the others cannot be reached.
    """
    # Between CPU processes, collectives of two programs at once may meet in another order in each.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    # It would take SIGTERM for itself, which asks a run to save and to end.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(local_device_ids=local_gpus(os.environ, gpus))
    except ValueError:
        raise ConfigError(
            "--distributed: no Slurm step or Open MPI job around this process; start it as srun --ntasks N rl-depth ..."
        ) from None
    except RuntimeError as error:
        raise ConfigError(f"--distributed: {' '.join(str(error).split())[:300]}") from None


def local_gpus(environment: Mapping[str, str], gpus: Sequence[str]) -> list[int] | None:
    """Which of the GPUs that a process sees it takes; None leaves the choice to JAX, which takes the one whose
    number is that of the task on its node.

    That is wrong where Slurm shows each task its own GPU only, or where a node has a single task.
    """
    alone = environment.get("SLURM_STEP_TASKS_PER_NODE", "").split("(")[0] == "1"
    return list(range(len(gpus))) if len(gpus) == 1 or (gpus and alone) else None


def is_first() -> bool:
    """Whether this is the process that writes."""
    return jax.process_index() == 0


def any_of(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def on_first(action: Callable[[], T]) -> str:
    """Do something on the first process alone; its result, as text, in all.

    Raises:
      Exception: what ``action`` raised; in the other processes `ConfigError`, if it was that, or `RunError`.
    """
    if jax.process_count() == 1:
        return str(action())
    failure: BaseException | None = None
    kind, text = b"d", ""
    if is_first():
        try:
            text = str(action())
        except BaseException as error:
            failure, kind = error, b"c" if isinstance(error, ConfigError) else b"f"
            text = str(error) or f"the first process met {type(error).__name__}"
    told = _from_first(kind + text.encode())
    if failure is not None:
        raise failure
    kind, text = told[:1], told[1:].decode(errors="replace")
    if kind == b"d":
        return text
    raise ConfigError(text) if kind == b"c" else RunError(text)


class SharedRun(runs.Run):
    """A run folder that the first process of several writes."""

    def drop_checkpoints_after(self, epoch: int) -> None:
        """See `runs.Run`."""
        on_first(lambda: runs.Run.drop_checkpoints_after(self, epoch))

    def append(self, metrics: Sequence[Mapping[str, Any]], timing: Mapping[str, Any]) -> None:
        """See `runs.Run`."""
        on_first(lambda: runs.Run.append(self, metrics, timing))

    def truncate(self, epoch: int) -> None:
        """See `runs.Run`."""
        on_first(lambda: runs.Run.truncate(self, epoch))

    def write_config(self, config: Config) -> None:
        """See `runs.Run`."""
        on_first(lambda: runs.Run.write_config(self, config))

    def write_meta(self, meta: Mapping[str, Any]) -> None:
        """See `runs.Run`."""
        on_first(lambda: runs.Run.write_meta(self, meta))

    def write_status(self, status: Mapping[str, Any]) -> None:
        """See `runs.Run`."""
        on_first(lambda: runs.Run.write_status(self, status))


def together(action: Callable[[], T]) -> T:
    """Do something in every process; if it fails in any, it fails in all.

    Raises:
      Exception: what ``action`` raised; `RunError` where it succeeded but failed elsewhere.
    """
    try:
        result = action()
    except Exception:
        any_of(True)
        raise
    if any_of(False):
        raise RunError("another process of this run failed; its own message says why")
    return result


def _from_first(message: bytes) -> bytes:
    from jax.experimental import multihost_utils

    buffer = np.zeros(_MESSAGE_BYTES, np.uint8)
    cut = message[:_MESSAGE_BYTES]
    buffer[: len(cut)] = np.frombuffer(cut, np.uint8)
    return multihost_utils.broadcast_one_to_all(buffer).tobytes().rstrip(b"\0")


def copy(array: jax.Array) -> np.ndarray:
    """The whole of a small array, on every process."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(array, tiled=True)


def gather(array: jax.Array) -> np.ndarray | None:
    """The whole of a large array on the first process; None on others, unless it is whole there already.

    Goes by pieces, so that no device needs room for more than a piece from each process.
    """
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    from jax.experimental import multihost_utils

    places = [_shards_of(array, process) for process in range(jax.process_count())]
    own = {_place(shard.index, array.shape): shard.data for shard in array.addressable_shards}
    whole = np.empty(array.shape, array.dtype) if is_first() else None
    step = _CHUNK_BYTES // array.dtype.itemsize
    for turn, place in enumerate(places[jax.process_index()]):
        piece = np.asarray(own[place]).ravel()
        parts = [multihost_utils.process_allgather(piece[i : i + step]) for i in range(0, piece.size, step)]
        if whole is None:
            continue
        for process, rows in enumerate(np.concatenate(parts, axis=1)):
            index = tuple(slice(*bounds) for bounds in places[process][turn])
            whole[index] = rows.reshape(whole[index].shape)
    return whole


def _shards_of(array: jax.Array, process: int) -> list[Any]:
    """Places of the pieces that a process holds, each once, in an order that all processes agree on."""
    indices = array.sharding.devices_indices_map(array.shape)
    return sorted({_place(index, array.shape) for device, index in indices.items() if device.process_index == process})


def _place(index: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(s.indices(size)[:2] for s, size in zip(index, shape, strict=True))
