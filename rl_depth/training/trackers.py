"""Optional further places for metrics: TensorBoard and Weights & Biases. The run folder never needs them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from ..config import Config, ConfigError


class Tracker(Protocol):
    """A place that metrics go to."""

    def log(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in one evaluation, a row per seed."""

    def close(self) -> None:
        """Send what is left."""


def _extra(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(f"--{extra}: needs an extra; install rl-depth[{extra}]") from None


def _scalars(row: Mapping[str, Any]) -> dict[str, float]:
    places = ("epoch", "env_steps", "grad_steps", "seed")
    return {n: v for n, v in row.items() if isinstance(v, int | float) and n not in places}


class TensorBoard:
    """Event files in ``folder``, one sub-folder per seed, against environment steps."""

    def __init__(self, folder: Path):
        self._writer_class = _extra("tensorboardX", "tensorboard").SummaryWriter
        self._folder = folder
        self._writers: dict[int, Any] = {}

    def log(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write one scalar per metric."""
        for row in rows:
            seed = row["seed"]
            if seed not in self._writers:
                self._writers[seed] = self._writer_class(str(self._folder / f"seed{seed}"))
            for name, value in _scalars(row).items():
                self._writers[seed].add_scalar(name, value, row["env_steps"])

    def close(self) -> None:
        """Flush the files."""
        for writer in self._writers.values():
            writer.close()


class WandB:
    """One Weights & Biases run; metrics are named ``seed<seed>/<metric>``."""

    def __init__(self, project: str, config: Config, name: str):
        self._run = _extra("wandb", "wandb").init(project=project, name=name, config=config.to_dict())

    def log(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Send one evaluation."""
        for row in rows:
            scalars = {f"seed{row['seed']}/{n}": v for n, v in _scalars(row).items()}
            self._run.log(scalars | {"env_steps": row["env_steps"]})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()
