"""A run folder, for writing and for reading."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from ..config import Config, ConfigError, InputError, RunError, is_there, load, read_toml
from .atomic import read_json, read_lines, write_text
from .checkpoints import Checkpoint, Checkpoints, Transitions
from .locks import is_locked

CONFIG, META, STATUS = "config.toml", "meta.json", "status.json"
NUMBERS = ("metrics.jsonl", "timing.jsonl")
_NEARBY, _LOOKED_AT = 5, 200  # runs that a hint names, and entries of the folder that it looks at for them
# Options that every configuration names, whatever version wrote it. Later ones are off in a run that lacks them.
_NAMED = [
    "env",
    "env_steps",
    "seed",
    "seeds",
    "block",
    "depth",
    "width",
    "block_layers",
    "representation",
    "remat",
    "precision",
    "norm",
    "residual_scale",
    "recurrence_draw",
    "backprop_steps",
    "progressive",
    "injection",
    "latent",
    "step_conditioning",
    "energy",
    "loss",
    "logsumexp_penalty",
    "random_goals",
    "gamma",
    "batch_size",
    "actor_lr",
    "critic_lr",
    "temperature_lr",
    "target_entropy",
    "num_envs",
    "unroll",
    "updates",
    "replay_steps",
    "min_replay_steps",
    "evals",
    "eval_episodes",
    "checkpoint_every",
    "keep_checkpoints",
]


@dataclass(frozen=True)
class Run:
    """A run folder."""

    path: Path

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.name

    @property
    def videos(self) -> Path:
        """Where videos of this run go."""
        return self.path / "videos"

    def evaluation_file(self, name: str) -> Path:
        """Where the result of `rl-depth evaluate` goes."""
        return self.path / "evaluations" / f"{name}.json"

    def config(self) -> Config:
        """The run's configuration, with the physics backend that it steps on once ``meta.json`` says which.

        A file that names none left it to the default of the version and the machine that began the run.

        Raises:
          ConfigError: the file cannot be read, is not a whole configuration, or holds what is not allowed.
        """
        file = self.path / CONFIG
        config, held = load(file), read_toml(file)
        missing = [name for name in _NAMED if name not in held]
        if missing:
            raise ConfigError(f"{file}: lacks {', '.join(missing[:5])}{', ...' if missing[5:] else ''}")
        return config if config.backend else replace(config, backend=self._began_on())

    def meta(self) -> dict[str, Any]:
        """Contents of ``meta.json``."""
        return read_json(self.path / META)

    def _began_on(self) -> str | None:
        """The physics backend of the run's first session; None before it, and where that can no longer be read."""
        try:
            meta = self.meta()
        except RunError:
            return None
        env = meta.get("env") if isinstance(meta, dict) else None
        backend = env.get("backend") if isinstance(env, dict) else None
        return backend if isinstance(backend, str) else None

    def status(self) -> dict[str, Any]:
        """Contents of ``status.json``."""
        return read_json(self.path / STATUS)

    def metrics(self) -> list[dict[str, Any]]:
        """Rows of ``metrics.jsonl``, in the order written."""
        return read_lines(self.path / NUMBERS[0])

    def timing(self) -> list[dict[str, Any]]:
        """Rows of ``timing.jsonl``, in the order written."""
        return read_lines(self.path / NUMBERS[1])

    def write_config(self, config: Config) -> None:
        """Replace ``config.toml``."""
        write_text(self.path / CONFIG, tomli_w.dumps(config.to_dict()))

    def is_held(self) -> bool | None:
        """Whether a process of this machine is writing it; None if that cannot be told."""
        return is_locked(self.path)

    def has_checkpoint(self) -> bool:
        """Whether a checkpoint was written, readable or not."""
        return bool(self._checkpoints.epochs())

    def load_checkpoint(self, epoch: int | None = None, *, replay: bool = True) -> Checkpoint:
        """The checkpoint of an epoch, by default the latest undamaged one; see `Checkpoints.load`."""
        return self._checkpoints.load(epoch, replay=replay)

    def save_checkpoint(
        self, epoch: int, arrays: Mapping[str, np.ndarray], keep: int, transitions: Transitions | None = None
    ) -> None:
        """Write a checkpoint and what it adds to the replay, and remove all but the latest ``keep``."""
        self._checkpoints.save(epoch, arrays, keep, transitions)

    def drop_checkpoints_after(self, epoch: int) -> None:
        """Remove checkpoints later than ``epoch``: those that were found damaged."""
        self._checkpoints.drop_after(epoch)

    def checkpoint_bytes(self) -> int:
        """What checkpoints and replay take on the disk."""
        return self._checkpoints.size()

    def append(self, metrics: Sequence[Mapping[str, Any]], timing: Mapping[str, Any]) -> None:
        """Log one evaluation: a metrics row per seed and a timing row. Every row names its ``epoch``."""
        for name, rows in zip(NUMBERS, (metrics, [timing]), strict=True):
            text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())

    def truncate(self, epoch: int) -> None:
        """Drop log rows later than ``epoch``; training from that checkpoint writes them again."""
        for name in NUMBERS:
            rows = [row for row in read_lines(self.path / name) if row["epoch"] <= epoch]
            write_text(self.path / name, "".join(json.dumps(row) + "\n" for row in rows))

    def write_meta(self, meta: Mapping[str, Any]) -> None:
        """Replace ``meta.json``."""
        write_text(self.path / META, json.dumps(meta, indent=2) + "\n")

    def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace ``status.json``."""
        write_text(self.path / STATUS, json.dumps(status, indent=2) + "\n")

    @property
    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(self.path)


def open_run(path: Path | str) -> Run:
    """A run folder for reading.

    Raises:
      RunError: it is not one.
    """
    path = Path(path)
    if not is_run(path):
        known = _nearby(path.parent)
        hint = f"; runs nearby: {', '.join(known)}" if known else ""
        raise InputError(f"{str(path)[:200]}: not a run folder (no {CONFIG}){hint}")
    return Run(path)


def _nearby(folder: Path) -> list[str]:
    """A few runs in a folder and in those right below it, at a glance: the folder may be the root of a disk."""
    found: list[str] = []
    with contextlib.suppress(OSError):
        below = (child / CONFIG for child in itertools.islice(folder.iterdir(), _LOOKED_AT))
        found = [str(file.parent) for file in below if file.is_file()]
        for child in itertools.islice(folder.iterdir(), _LOOKED_AT // 10):
            with contextlib.suppress(OSError):
                inner = itertools.islice(child.iterdir() if child.is_dir() else (), _LOOKED_AT // 10)
                found += [str(one) for one in inner if (one / CONFIG).is_file()]
    return sorted(found)[:_NEARBY]


def is_run(path: Path | str) -> bool:
    """Whether a path is a run folder."""
    return is_there(Path(path) / CONFIG)


def find_runs(root: Path | str) -> list[Run]:
    """All run folders at or below ``root``, sorted by path."""
    root = Path(root)
    return [Run(file.parent) for file in sorted(root.rglob(CONFIG))]


@contextlib.contextmanager
def written_to(out: Path) -> Generator[None]:
    """Makes the folder that the block writes its results to.

    Raises:
      InputError: it, or a file in it, cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
