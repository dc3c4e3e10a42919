"""Optional further places for metrics: TensorBoard and Weights & Biases. The run folder never needs them.

Both get the names of the field, as JaxGCRL has them: ``eval/episode_<metric>``, ``training/<metric>``, and
``training/sps`` and ``training/walltime``, against environment steps; docs/metrics.md lists them.
"""

from __future__ import annotations

import importlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, get_args

from ..config import Config, ConfigError
from ..runs import Run, write_text

WandbMode = Literal["online", "offline", "disabled"]

_PLACES = ("epoch", "env_steps", "grad_steps", "seed")
_TIMES = {
    "env_steps_per_second": "training/sps",
    "collect_steps_per_second": "training/collect_sps",
    "grad_steps_per_second": "training/grad_steps_per_second",
    "train_seconds": "training/walltime",
    "eval_seconds": "eval/epoch_eval_time",
}


class Tracker(Protocol):
    """A place that metrics go to."""

    def open(self, run: Run, config: Config, env_steps: int) -> None:
        """Begin, or go on after so many environment steps; the folder is this process's."""

    def log(self, rows: Sequence[Mapping[str, Any]], timing: Mapping[str, float]) -> None:
        """Take in one evaluation, a row per seed."""

    def close(self) -> None:
        """Send what is left."""


@dataclass(frozen=True)
class Wanted:
    """Which trackers a person asks for; as plain types, so that a sweep can hand it to its cells.

    Attributes:
      tensorboard: event files in the run folder.
      wandb: project of Weights & Biases; none if None.
      wandb_entity: its user or team; the account's default if None.
      wandb_mode: "online", "offline" or "disabled"; as the package is set up if None.
      wandb_group: what the seeds' runs are grouped by; the run folder's name if None.
    """

    tensorboard: bool = False
    wandb: str | None = None
    wandb_entity: str | None = None
    wandb_mode: str | None = None
    wandb_group: str | None = None

    def __post_init__(self) -> None:
        modes = get_args(WandbMode)
        if self.wandb_mode is not None and self.wandb_mode not in modes:
            raise ConfigError(f"--wandb-mode {self.wandb_mode}: must be {', '.join(modes)}")
        for name in ("wandb_entity", "wandb_mode"):
            if self.wandb is None and getattr(self, name) is not None:
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(self, name)}: add --wandb PROJECT")

    def to_json(self) -> str:
        """As one word that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Wanted:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))

    def trackers(self) -> list[Tracker]:
        """The trackers, not open yet.

        Raises:
          ConfigError: the package of one is not installed.
        """
        found: list[Tracker] = [TensorBoard()] if self.tensorboard else []
        if self.wandb is not None:
            found.append(WandB(self.wandb, self.wandb_entity, self.wandb_mode, self.wandb_group))
        return found


def _extra(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(f"--{extra}: needs an extra; install rl-depth[{extra}]") from None


def scalars(row: Mapping[str, Any], timing: Mapping[str, float]) -> dict[str, float]:
    """One seed's evaluation under the names of the field."""
    of_episodes = set(row["by_difficulty"][0]) if row.get("by_difficulty") else set()
    found = {}
    for name, value in row.items():
        if isinstance(value, int | float) and name not in _PLACES:
            found[f"eval/episode_{name}" if name in of_episodes else f"training/{name}"] = value
    return found | {theirs: timing[ours] for ours, theirs in _TIMES.items() if ours in timing}


class TensorBoard:
    """Event files in ``tensorboard/`` in the run folder, one sub-folder per seed, against environment steps.

    Points after the checkpoint that a run goes on from are purged, for they are written again.
    """

    def __init__(self) -> None:
        self._writer_class = _extra("tensorboardX", "tensorboard").SummaryWriter
        self._writers: dict[int, Any] = {}

    def open(self, run: Run, config: Config, env_steps: int) -> None:
        """Begin a file for each seed."""
        folder = run.path / "tensorboard"
        purge = env_steps + 1 if folder.exists() else None
        for seed in range(config.seed, config.seed + config.seeds):
            self._writers[seed] = self._writer_class(str(folder / f"seed{seed}"), purge_step=purge)

    def log(self, rows: Sequence[Mapping[str, Any]], timing: Mapping[str, float]) -> None:
        """Write one scalar per metric."""
        for row in rows:
            for name, value in scalars(row, timing).items():
                self._writers[row["seed"]].add_scalar(name, value, row["env_steps"])

    def close(self) -> None:
        """Flush the files."""
        for writer in self._writers.values():
            writer.close()


class WandB:
    """A Weights & Biases run for each seed, in a group.

    Their ids lie in ``wandb.json`` in the run folder beside the steps that were sent, so that a run that is resumed
    goes on with them and sends nothing twice.
    """

    def __init__(self, project: str, entity: str | None = None, mode: str | None = None, group: str | None = None):
        self._wandb = _extra("wandb", "wandb")
        self._options = {"project": project, "entity": entity, "mode": mode}
        self._group = group
        self._runs: dict[int, Any] = {}

    def open(self, run: Run, config: Config, env_steps: int) -> None:
        """Begin or go on with the run of each seed."""
        del env_steps  # what was sent before is in the file
        self._file = run.path / "wandb.json"
        self._sent: dict[str, dict[str, Any]] = _read(self._file)
        for seed in range(config.seed, config.seed + config.seeds):
            own = self._sent.setdefault(str(seed), {"id": secrets.token_hex(4), "env_steps": -1})
            own_run = self._wandb.init(
                **self._options,
                id=own["id"],
                resume="allow",
                reinit="create_new",
                group=self._group or run.name,
                name=f"{run.name}-seed{seed}",
                tags=[config.env, config.block, f"depth {config.depth}"],
                dir=str(run.path),
                config=config.to_dict() | {"seed": seed},
            )
            own_run.define_metric("env_steps")
            own_run.define_metric("*", step_metric="env_steps")
            self._runs[seed] = own_run
        self._remember()

    def log(self, rows: Sequence[Mapping[str, Any]], timing: Mapping[str, float]) -> None:
        """Send one evaluation, unless it was sent before the run was stopped."""
        for row in rows:
            own = self._sent[str(row["seed"])]
            if row["env_steps"] > own["env_steps"]:
                self._runs[row["seed"]].log(scalars(row, timing) | {"env_steps": row["env_steps"]})
                own["env_steps"] = row["env_steps"]
        self._remember()

    def close(self) -> None:
        """Finish the runs."""
        for own in self._runs.values():
            own.finish()

    def _remember(self) -> None:
        write_text(self._file, json.dumps(self._sent, indent=1) + "\n")


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {str(seed): {"id": str(own["id"]), "env_steps": int(own["env_steps"])} for seed, own in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
