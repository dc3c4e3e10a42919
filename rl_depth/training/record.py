"""What a run's folder says of its sessions: who trained it where, with which options, and how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import device, runs
from ..agents.cost import agent_cost
from ..config import Config
from . import hosts
from .trainer import Trainer, TrainState


def begin_session(run: runs.Run, trainer: Trainer, epoch: int, before: Config) -> list[str]:
    """Record sizes, costs, this session, and options that it goes on with otherwise; what was there before stays.

    Args:
      run: the folder.
      trainer: with the configuration from now on.
      epoch: that the session goes on after.
      before: the configuration in the folder so far.

    Returns:
      What to tell about it, a line each.
    """
    config, env = trainer.config, trainer.env
    meta = run.meta()
    sizes = {name: getattr(env, name) for name in ("state_size", "goal_size", "action_size")}
    about = {name: getattr(env, name) for name in ("goal_radius", "episode_length", "backend")}
    collector = config.collector()
    session: dict[str, Any] = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "from_epoch": epoch,
    }
    session |= {**device.describe(), "mesh": trainer.layout.shape}
    sessions = meta.get("sessions", [])
    history = meta.get("history") or [{"epoch": 0, **_changeable(before)}]
    changed = _changed(history, config)
    run.write_meta(
        {
            "env": sizes | about,
            "cost": agent_cost(config, *sizes.values()).to_dict(),
            **({"collector_cost": agent_cost(collector, *sizes.values()).to_dict()} if collector else {}),
            "history": [*history, {"epoch": epoch, **changed}] if changed else history,
            "sessions": [*sessions, session],
        }
    )
    if config != before:
        run.write_config(config)
    said = [f"from here on {name} = {value}" for name, value in changed.items()] if epoch else []
    return [*said, *_other_cores(sessions, session)]


def _changeable(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in runs.CHANGEABLE}


def _changed(history: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    held: dict[str, Any] = {}
    for entry in history:
        held |= entry
    now = _changeable(config)
    defaults = _changeable(type(config)())
    return {name: value for name, value in now.items() if value != held.get(name, defaults[name])}


def _other_cores(sessions: Sequence[Mapping[str, Any]], session: Mapping[str, Any]) -> list[str]:
    """XLA's sums on a CPU depend on the number of cores that it may use."""
    before = sessions[-1].get("host", {}).get("cpu_cores_usable") if sessions else None
    now = session["host"]["cpu_cores_usable"]
    if before in (None, now) or session["device"]["platform"] != "cpu":
        return []
    return [f"this session may use {now} cores, the one before {before}: not bit for bit as with the same number"]


def write_status(run: runs.Run, config: Config, state_name: str, epoch: int, state: TrainState) -> None:
    """Say how far the run is, and how it stands."""
    diverged = hosts.copy(state.diverged)
    run.write_status(
        {
            "state": state_name,
            "epoch": epoch,
            "epochs": config.epochs,
            "env_steps": epoch * config.epoch_env_steps,
            "grad_steps": grad_steps(config, epoch),
            "diverged": {str(config.seed + i): int(e) for i, e in enumerate(diverged) if e >= 0},
        }
    )


def grad_steps(config: Config, epoch: int) -> int:
    """Gradient steps of each seed after an epoch."""
    return max(0, epoch - config.warmup_epochs) * config.updates


def place(config: Config, epoch: int) -> dict[str, int]:
    """Where in a run an epoch's end is."""
    return {
        "epoch": epoch,
        "env_steps": epoch * config.epoch_env_steps,
        "grad_steps": grad_steps(config, epoch),
    }


def all_diverged(state: TrainState) -> bool:
    """Whether no seed goes on."""
    return bool(np.all(hosts.copy(state.diverged) >= 0))
