"""Checkpoints of a run: what learning changes in one file each, and the replay buffer once, in segments.

    checkpoints/<epoch>.safetensors   everything but the replay; names the segments that its replay consists of
    replay/<epoch>.safetensors        transitions collected since the checkpoint before, and the bookkeeping of all

A replay is a ring of ``T`` rows, and a stored transition never changes. So a checkpoint writes only what is new, and
a segment goes when no checkpoint that is kept needs it. A segment is on the disk before the checkpoint that names it.
Checkpoints of version 0.1 hold their replay themselves; they are read alike.

Axes: ``S`` seeds, ``T`` rows of the ring, ``L`` rows of a segment, ``E`` environments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..config import InputError
from .atomic import read_arrays, read_notes, write_arrays

REPLAY = ".replay."
"""What names of a replay's arrays begin with."""
BEST = "best"
"""What names of the best agents' arrays begin with."""


@dataclass(frozen=True)
class Segment:
    """Transitions of the times ``end - rows <= t < end``, in the file of the epoch that wrote them."""

    epoch: int
    end: int
    rows: int


@dataclass(frozen=True)
class Transitions:
    """What a checkpoint adds to the replay on the disk.

    Attributes:
      segment: its epoch, and the times that its rows cover.
      before: segments that hold the rest of the ring, oldest first.
      ring: rows by time, ``[S, L, E, ...]``.
      books: bookkeeping of the whole ring.
      steps: rows of the ring, ``T``.
    """

    segment: Segment
    before: tuple[Segment, ...]
    ring: dict[str, np.ndarray]
    books: dict[str, np.ndarray]
    steps: int

    @property
    def chain(self) -> tuple[Segment, ...]:
        """Segments that hold the ring: those before as far as they are needed, and this one."""
        begin = self.segment.end - self.steps
        return (*(one for one in self.before if one.end > begin), self.segment)


@dataclass(frozen=True)
class Checkpoint:
    """A restored checkpoint.

    Attributes:
      epoch: of the run.
      arrays: by name.
      chain: the segments that its replay was read from, oldest first.
      whole: whether its replay is among the arrays.
      skipped: damaged ones passed over, with the reason.
    """

    epoch: int
    arrays: dict[str, np.ndarray]
    chain: tuple[Segment, ...] = ()
    whole: bool = True
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of the run in a folder."""

    path: Path

    def epochs(self) -> list[int]:
        """Epochs of those that were written, readable or not, in order."""
        return sorted(int(file.stem) for file in self._files("checkpoints"))

    def load(self, epoch: int | None = None, *, replay: bool = True) -> Checkpoint:
        """The checkpoint of an epoch, by default the latest undamaged one.

        If no replay can be read beside any of them, the latest one comes without.

        Args:
          epoch: of the checkpoint.
          replay: read its replay as well, if it has one.

        Raises:
          InputError: there is none; says what is wrong with those that are there.
        """
        wanted = list(reversed(self.epochs())) if epoch is None else [epoch]
        if epoch is not None and epoch not in self.epochs():
            kept = ", ".join(map(str, self.epochs())) or "none"
            raise InputError(f"{self.path}: no checkpoint of epoch {epoch}; kept are {kept}")
        skipped: list[str] = []
        partial: Checkpoint | None = None
        for one in wanted:
            file = self._file("checkpoints", one)
            try:
                arrays, notes = read_arrays(file)
            except (OSError, ValueError) as error:
                skipped.append(f"{file.name} ({error})")
                continue
            chain = _chain(notes)
            alone = Checkpoint(one, arrays, whole=not chain and _holds_replay(arrays), skipped=skipped)
            if not (replay and chain):
                return alone
            try:
                return Checkpoint(one, arrays | self._replay(chain), chain, skipped=skipped)
            except (OSError, ValueError, KeyError) as error:
                partial = partial or alone
                skipped.append(f"{file.name} (its replay: {error})")
        if partial is not None:
            return partial
        reason = f"damaged: {'; '.join(skipped)}" if skipped else "none was written"
        raise InputError(f"{self.path}: no usable checkpoint, {reason}")

    def save(
        self, epoch: int, arrays: Mapping[str, np.ndarray], keep: int, transitions: Transitions | None = None
    ) -> None:
        """Write a checkpoint, and remove all but the latest ``keep`` and what they need."""
        (self.path / "checkpoints").mkdir(exist_ok=True)
        notes = {}
        if transitions is not None:
            (self.path / "replay").mkdir(exist_ok=True)
            layout = {"end": transitions.segment.end, "steps": transitions.steps, "ring": list(transitions.ring)}
            stored = transitions.ring | transitions.books
            write_arrays(self._file("replay", epoch), stored, {"layout": json.dumps(layout)})
            notes["replay"] = json.dumps([[one.epoch, one.end, one.rows] for one in transitions.chain])
        write_arrays(self._file("checkpoints", epoch), arrays, notes)
        for old in self.epochs()[:-keep]:
            self._file("checkpoints", old).unlink()
        self._drop_unneeded()

    def drop_after(self, epoch: int) -> None:
        """Remove checkpoints later than ``epoch``, which were found damaged, and what a killed process left half."""
        for folder in ("checkpoints", "replay"):
            for file in self._files(folder):
                if int(file.stem) > epoch:
                    file.unlink()
            for file in (self.path / folder).glob(".*.partial"):
                file.unlink()

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(file.stat().st_size for name in ("checkpoints", "replay") for file in self._files(name))

    def _drop_unneeded(self) -> None:
        needed = set()
        for epoch in self.epochs():
            try:
                needed |= {one.epoch for one in _chain(read_notes(self._file("checkpoints", epoch)))}
            except (OSError, ValueError):
                continue  # damaged: it needs nothing
        for file in self._files("replay"):
            if int(file.stem) not in needed:
                file.unlink()

    def _replay(self, chain: Sequence[Segment]) -> dict[str, np.ndarray]:
        """The ring, put together from its segments, and its bookkeeping."""
        whole: dict[str, np.ndarray] = {}
        reached = 0
        for segment in chain:
            arrays, notes = read_arrays(self._file("replay", segment.epoch))
            layout = json.loads(notes["layout"])
            steps, end, last = layout["steps"], segment.end, chain[-1].end
            times = np.arange(max(end - segment.rows, last - steps), end)
            if layout["end"] != end or max(end - segment.rows, 0) > max(reached, last - steps, 0):
                raise ValueError(f"segment {segment.epoch} does not continue the one before")
            reached = end
            for name in layout["ring"]:
                rows = arrays.pop(name)
                shape = (rows.shape[0], steps, *rows.shape[2:])
                ring = whole.setdefault(name, np.zeros(shape, rows.dtype))
                ring[:, times % steps] = rows[:, rows.shape[1] - len(times) :]
        return whole | arrays  # the bookkeeping of the latest

    def _file(self, folder: str, epoch: int) -> Path:
        return self.path / folder / f"{epoch:08d}.safetensors"

    def _files(self, folder: str) -> list[Path]:
        files = (self.path / folder).glob("*.safetensors")
        return sorted(file for file in files if file.stem.isdigit())


def _chain(notes: Mapping[str, str]) -> tuple[Segment, ...]:
    return tuple(Segment(*map(int, one)) for one in json.loads(notes.get("replay", "[]")))


def _holds_replay(arrays: Mapping[str, np.ndarray]) -> bool:
    return any(name.startswith(REPLAY) for name in arrays)
