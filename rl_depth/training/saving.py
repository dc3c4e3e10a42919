"""Checkpoints out of a running training: copied between two epochs, written while the next ones run.

Axes: ``S`` seeds, ``T`` rows of the replay ring, ``L`` rows that are new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any

import jax
import numpy as np

from .. import runs
from ..config import Config
from . import hosts
from .metrics import lower_is_better
from .trainer import TrainState, to_arrays

_RING = ("state", "action", "reached")  # of the replay: stored once for all, by time
_EPOCH, _VALUE = f"{runs.BEST}_epoch", f"{runs.BEST}_value"


class Saver:
    """Writes the checkpoints of a run, one at a time.

    Args:
      run: its folder.
      config: its configuration.
      restored: the checkpoint that the run goes on from.
    """

    def __init__(self, run: runs.Run, config: Config, restored: runs.Checkpoint | None = None):
        self._run = run
        self._keep = config.keep_checkpoints
        self._with_replay = config.checkpoint_replay == "on"
        self._chain = restored.chain if restored is not None else ()
        self._best = _Best(config, restored.arrays if restored is not None else {}) if config.keep_best else None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._pending: Future[None] | None = None

    def __enter__(self) -> Saver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is being written; its failure matters unless there is another one already."""
        if value is None:
            self.wait()
        else:
            with suppress(Exception):
                self._finish()
        self._writer.shutdown()

    def evaluated(self, epoch: int, state: TrainState, rows: Sequence[Mapping[str, Any]]) -> None:
        """Remember the parameters of the seeds that have never done better."""
        if self._best is not None:
            self._best.update(epoch, state, rows)

    def save(self, epoch: int, state: TrainState) -> None:
        """Copy the state, and write it once the checkpoint before is on the disk.

        Raises:
          OSError: that one could not be written.
        """
        transitions = self._transitions(epoch, state) if self._with_replay else None
        arrays = to_arrays(state.replace(replay=None))
        if self._best is not None:
            arrays |= self._best.arrays
        # On a CPU these are views of memory that the next epoch reuses.
        arrays = {name: np.array(array) for name, array in arrays.items()}
        self._chain = transitions.chain if transitions is not None else ()
        hosts.on_first(lambda: self._submit(epoch, arrays, transitions))

    def wait(self) -> None:
        """Return once everything is on the disk.

        Raises:
          OSError: something could not be written.
        """
        hosts.on_first(self._finish)

    def _submit(self, epoch: int, arrays: dict[str, np.ndarray], transitions: runs.Transitions | None) -> None:
        self._finish()
        self._pending = self._writer.submit(runs.Run.save_checkpoint, self._run, epoch, arrays, self._keep, transitions)

    def _finish(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _transitions(self, epoch: int, state: TrainState) -> runs.Transitions:
        """What the replay has gained since the checkpoint before; all of it if there was none."""
        replay, steps = state.replay, state.replay.last.shape[1]
        end = int(hosts.copy(replay.time)[0])  # every seed has inserted as often
        since = self._chain[-1].end if self._chain else 0
        rows = min(end - since, steps, end)
        new = np.arange(end - rows, end, dtype=np.int32) % steps
        fields = {name: own for name in replay.__dataclass_fields__ if (own := getattr(replay, name)) is not None}
        stored = {f"{runs.REPLAY}{name}": hosts.gather(_rows(fields[name], new)) for name in _RING if name in fields}
        books = {f"{runs.REPLAY}{name}": hosts.gather(fields[name]) for name in fields if name not in _RING}
        return runs.Transitions(
            runs.Segment(epoch, end, rows),
            self._chain,
            {name: array for name, array in stored.items() if array is not None},
            {name: np.array(array) for name, array in books.items() if array is not None},
            steps,
        )


@jax.jit
def _rows(ring: jax.Array, rows: np.ndarray) -> jax.Array:
    return ring[:, rows]


class _Best:
    """Each seed's parameters at the evaluation with its best value of a metric, the earliest of equals."""

    def __init__(self, config: Config, restored: Mapping[str, np.ndarray]):
        assert config.keep_best is not None
        self._metric = config.keep_best
        self._first = config.seed
        self._sign = -1.0 if lower_is_better(config.keep_best) else 1.0
        self.arrays = {name: array for name, array in restored.items() if name.startswith(runs.BEST)}
        self._epoch = self.arrays.get(_EPOCH, np.full(config.seeds, -1, np.int32))
        self._value = self.arrays.get(_VALUE, np.full(config.seeds, np.nan))

    def update(self, epoch: int, state: TrainState, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take the parameters of the seeds whose rows are the best so far."""
        better = np.zeros(len(self._epoch), bool)
        value = self._value.copy()
        for row in rows:
            place, own = row["seed"] - self._first, row[self._metric]
            if np.isfinite(own) and not self._sign * own <= self._sign * self._value[place]:
                better[place], value[place] = True, own
        if not better.any():
            return
        self._epoch, self._value = np.where(better, epoch, self._epoch).astype(np.int32), value
        kind = "params" if state.agent.average is None else "average"  # whichever acts
        for name, array in to_arrays(getattr(state.agent, kind)).items():
            own = f"{runs.BEST}.agent.{kind}{name}"
            old = self.arrays.get(own, array)
            mask = better.reshape(-1, *[1] * (array.ndim - 1))
            self.arrays[own] = np.where(mask, array, old)
        self.arrays |= {_EPOCH: self._epoch, _VALUE: self._value}


def blank_replay(template: TrainState) -> dict[str, np.ndarray]:
    """Arrays of an empty replay, for a checkpoint that was written without."""
    leaves = jax.tree_util.tree_leaves_with_path(template.replay)
    named = {f"{runs.REPLAY[:-1]}{jax.tree_util.keystr(path)}": leaf for path, leaf in leaves}
    return {name: np.full(of.shape, -1 if name.endswith(".last") else 0, of.dtype) for name, of in named.items()}
