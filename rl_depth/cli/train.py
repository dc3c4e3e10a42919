"""Training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from .. import signals
from ..config import Config, ConfigError, Whole
from .common import OutFolder, Switch, start


def train(
    *,
    config: Config = Config(),  # noqa: B008 - frozen
    preset: str | None = None,
    out: OutFolder | None = None,
    resume: Annotated[bool, Switch] = False,
    quiet: Annotated[bool, Switch] = False,
    tensorboard: Annotated[bool, Switch] = False,
    wandb: str | None = None,
    wandb_entity: str | None = None,
    wandb_mode: str | None = None,
    devices: Whole | None = None,
    physics_threads: Whole | None = None,
    distributed: Annotated[bool, Switch] = False,
) -> None:
    """Train the agents of one configuration; without options, a depth-8 agent in a small maze.

    Parameters
    ----------
    preset
        Start from a preset, named or a TOML file; flags go on top.
    out
        Run folder [default: a new one below runs/train].
    resume
        Go on with the run in OUT from its latest checkpoint; needs no other option. --env-steps may be raised;
        --evals, --eval-episodes, --checkpoint-every, --keep-checkpoints, --keep-best, --checkpoint-replay may differ.
    quiet
        Show no progress.
    tensorboard
        Write TensorBoard event files into the run folder too.
    wandb
        Log to this Weights & Biases project too, a run for each seed.
    wandb_entity
        User or team of the project [default: the account's].
    wandb_mode
        online, offline or disabled [default: as wandb is set up].
    devices
        Devices of each process to spread seeds and batch over [default: all accelerators, or one CPU].
    physics_threads
        Threads of each device that step environments of the backend mujoco [default: one per core].
    distributed
        Train one run with all processes of this Slurm step or Open MPI job: srun --ntasks N rl-depth train ...
    """
    del preset  # main() made it the source of the options that no flag gave
    with signals.guard():
        start(look=not distributed)
        from .. import runs
        from ..envs import engine
        from ..sweeps import executors
        from ..training import hosts, session, trackers

        wanted = trackers.Wanted(tensorboard, wandb, wandb_entity, wandb_mode)
        try:
            engine.set_threads(physics_threads)
        except ValueError:
            raise ConfigError(f"--physics-threads {physics_threads}: must be at least 1") from None
        if distributed:
            hosts.join(executors.gpus())
        path = Path(hosts.on_first(lambda: out if out is not None else runs.fresh_path(config)))
        places = wanted.trackers() if hosts.is_first() else []
        try:
            session.train(config, path, resume=resume, quiet=quiet, trackers=places, devices=devices)
        except session.Interrupted:
            if hosts.is_first():
                print(f"saved; go on with: rl-depth train --resume --out {path}", file=sys.stderr)
            signals.exit_interrupted()
        if hosts.is_first():
            print(path)
