"""The host's side of training: one loop that runs the programs, logs, saves, resumes and stops in good order."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import numpy as np

from .. import device, runs
from ..agents.cost import agent_cost
from ..config import Config
from . import hosts, metrics
from .progress import Reporter
from .sharding import Layout
from .trackers import Tracker
from .trainer import Programs, Trainer, TrainState, from_arrays, seeds_of, to_arrays


class Interrupted(Exception):  # noqa: N818 - not an error
    """The run was asked to stop; it has saved a checkpoint."""


def train(
    config: Config,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    quiet: bool = True,
    trackers: Sequence[Tracker] = (),
    devices: int | None = None,
) -> runs.Run:
    """Train the agents of a configuration and return their run folder.

    Where `hosts.join` was called, every process of the job calls this alike; the first one writes the folder, which
    must lie where all of them can read it.

    Args:
      config: the experiment.
      out: the run folder; by default a new one below ``runs/train``.
      resume: go on with the run in ``out`` from its latest checkpoint; an ``out`` that does not exist starts.
      quiet: show no progress.
      trackers: further places that metrics go to.
      devices: devices of each process to spread seeds and batch over; by default all accelerators, or one CPU. A
        run may go on with other devices; it repeats bit for bit with the same ones.

    Raises:
      ConfigError: the configuration cannot be run, or not on these devices, or ``out`` holds another run.
      RunError: the run failed; its folder keeps the last good checkpoint.
      Interrupted: SIGINT or SIGTERM arrived; the run was saved first.
    """
    if out is not None and config.backend is None and runs.is_run(out):
        config = replace(config, backend=runs.Run(Path(out)).config().backend)
    trainer = Trainer.of(config, Layout.of(config, devices))
    path = Path(hosts.on_first(lambda: out if out is not None else runs.fresh_path(config)))
    with _hold(path, config, resume) as run, _failures_noted(run):
        first = hosts.is_first()
        _Session(trainer, run, quiet or not first, trackers if first else ()).go()
    return run


class _SharedRun(runs.Run):
    """A run folder that the first process of several writes."""

    def save_checkpoint(self, epoch: int, arrays: Mapping[str, np.ndarray], keep: int) -> None:
        hosts.on_first(lambda: runs.Run.save_checkpoint(self, epoch, arrays, keep))

    def drop_checkpoints_after(self, epoch: int) -> None:
        hosts.on_first(lambda: runs.Run.drop_checkpoints_after(self, epoch))

    def append(self, metrics: Sequence[Mapping[str, Any]], timing: Mapping[str, Any]) -> None:
        hosts.on_first(lambda: runs.Run.append(self, metrics, timing))

    def truncate(self, epoch: int) -> None:
        hosts.on_first(lambda: runs.Run.truncate(self, epoch))

    def write_meta(self, meta: Mapping[str, Any]) -> None:
        hosts.on_first(lambda: runs.Run.write_meta(self, meta))

    def write_status(self, status: Mapping[str, Any]) -> None:
        hosts.on_first(lambda: runs.Run.write_status(self, status))


@contextmanager
def _hold(path: Path, config: Config, resume: bool) -> Iterator[runs.Run]:
    """`runs.hold`, by the first process for all."""
    with ExitStack() as stack:
        hosts.on_first(lambda: stack.enter_context(runs.hold(path, config, resume)))
        yield runs.Run(path) if jax.process_count() == 1 else _SharedRun(path)


class _Session:
    """One process's work on a run."""

    def __init__(self, trainer: Trainer, run: runs.Run, quiet: bool, trackers: Sequence[Tracker]):
        self.config = trainer.config
        self.run = run
        self.trackers = trackers
        self.trainer = trainer
        self.programs = Programs.of(trainer)
        self.quiet = quiet
        self.failures = 0  # of the physics, up to the last evaluation

    def go(self) -> None:
        """Train to the end."""
        config = self.config
        epoch, state, notes = self._start()
        if epoch >= config.epochs:
            notes.append("nothing is left to do: the run has had all its environment steps")
        reporter = Reporter(config.epochs * config.epoch_env_steps, epoch * config.epoch_env_steps, quiet=self.quiet)
        with reporter as self.reporter, _stop_requests() as stop:
            for note in notes:
                reporter.say(note)
            self._write_meta()
            began = time.monotonic()
            self.programs = self.programs.compile(state)
            reporter.say(f"compiled in {time.monotonic() - began:.1f} s; run folder {self.run.path}")
            self.seconds = self.run.timing()[-1]["train_seconds"] if self.run.timing() else 0.0
            self._write_status("running", epoch, state)
            self._loop(epoch, state, stop)

    def _start(self) -> tuple[int, TrainState, list[str]]:
        """Epoch and state to go on from, and what to tell about it."""
        seeds = seeds_of(self.config)
        saved = self._load()
        if saved is None:
            resumed = bool(self.run.status())
            self.run.truncate(0)
            layout = self.trainer.layout
            state = self.programs.init(layout.put(np.asarray(seeds), layout.per_seed()))
            return 0, state, ["no checkpoint yet: starting over"] if resumed else []
        try:
            state = from_arrays(jax.eval_shape(self.programs.init, seeds), saved.arrays, self.trainer.layout)
        except ValueError as error:
            raise runs.RunError(f"{self.run.path}: {error}; was it written by another version?") from None
        notes = [f"skipping damaged checkpoint {reason}" for reason in saved.skipped]
        self.run.drop_checkpoints_after(saved.epoch)
        self.run.truncate(saved.epoch)
        notes.append(f"resuming after {saved.epoch * self.config.epoch_env_steps:,} environment steps")
        return saved.epoch, state, notes

    def _load(self) -> runs.Checkpoint | None:
        """The latest checkpoint, the same one in every process."""
        saved = hosts.together(lambda: self.run.load_checkpoint() if self.run.has_checkpoint() else None)
        mine = str(saved.epoch) if saved is not None else "none"
        first = hosts.on_first(lambda: mine)
        if hosts.any_of(mine != first):
            raise runs.RunError(
                f"{self.run.path}: process {jax.process_index()} finds checkpoint {mine}, the first one {first}; "
                "the folder must lie on a file system that all of them share"
            )
        return saved

    def _loop(self, epoch: int, state: TrainState, stop: _Stop) -> None:
        config = self.config
        eval_epochs = config.eval_epochs()
        learned: dict[str, Any] = {}
        self._stop_if_due(epoch, state, asked=False)  # a run that is resumed may have diverged already
        while epoch < config.epochs:
            epoch += 1
            began = time.monotonic()
            state = self.programs.collect(state)
            if epoch > config.warmup_epochs:
                self._check_futures(epoch, state)
                state, learned = self.programs.learn(state)
            # Wait, so that times are true and a request to stop is met within an epoch.
            jax.block_until_ready(state.epoch)
            self.seconds += time.monotonic() - began
            self.reporter.epoch(epoch * config.epoch_env_steps, self._grad_steps(epoch))
            asked = hosts.any_of(bool(stop))
            saving = asked or _all_diverged(state)
            if epoch in eval_epochs:
                self._evaluate(epoch, state, learned)
                saving |= (eval_epochs.index(epoch) + 1) % config.checkpoint_every == 0
            if saving or epoch == config.epochs:
                self.run.save_checkpoint(epoch, to_arrays(state), config.keep_checkpoints)
            self._stop_if_due(epoch, state, asked)
        self._write_status("finished", epoch, state)

    def _stop_if_due(self, epoch: int, state: TrainState, asked: bool) -> None:
        if _all_diverged(state):
            self._write_status("failed", epoch, state)
            raise runs.RunError(f"{self.run.path}: every seed diverged (non-finite loss); status.json says when")
        if asked and epoch < self.config.epochs:
            self._write_status("interrupted", epoch, state)
            raise Interrupted

    def _check_futures(self, epoch: int, state: TrainState) -> None:
        """Before the first gradient step: some transition must have a future to draw a goal from."""
        if epoch > self.config.warmup_epochs + 1:
            return
        times = np.arange(state.replay.last.shape[1])[:, None]
        if not np.all(np.any(hosts.copy(state.replay.last) > times, axis=(1, 2))):
            raise runs.RunError(
                f"{self.config.env}: every episode ended at its first step, so no goal lies ahead of any"
            )

    def _physics_failures(self) -> dict[str, int]:
        """Steps in which the physics gave a copy up since the last evaluation, which is told; empty if none did."""
        trainer = self.trainer
        counts = [getattr(env, "physics_failures", 0) for env in (trainer.env, trainer.eval_env)]
        new, self.failures = sum(counts) - self.failures, sum(counts)
        if not new:
            return {}
        self.reporter.say(f"the physics diverged in {new} steps of single environments: their episodes ended there")
        return {"physics_failures": new}

    def _evaluate(self, epoch: int, state: TrainState, learned: dict[str, Any]) -> None:
        """Log one evaluation of every seed that has not diverged."""
        began = time.monotonic()
        episodes = jax.device_get(self.programs.evaluate(state))
        losses = jax.device_get(learned)
        place = {
            "epoch": epoch,
            "env_steps": epoch * self.config.epoch_env_steps,
            "grad_steps": self._grad_steps(epoch),
        }
        per_seed = self.config.per_seed_values()
        rows = []
        for i, diverged in enumerate(hosts.copy(state.diverged)):
            if diverged >= 0:
                self.reporter.say(f"seed {self.config.seed + i} diverged in epoch {diverged}: stopped there")
                continue
            own = {name: values[i] for name, values in episodes.items()}
            row = {**place, "seed": self.config.seed + i, "split": self.trainer.eval_env.split}
            row |= metrics.summarise(own) | {name: float(values[i]) for name, values in losses.items()}
            varied = {"hyper": {name: of[i] for name, of in per_seed.items()}} if per_seed else {}
            rows.append(row | varied | {"by_difficulty": metrics.by_difficulty(own)})
        timing = place | {"train_seconds": self.seconds, "eval_seconds": time.monotonic() - began}
        self.run.append(rows, timing | self._physics_failures())
        self._write_status("running", epoch, state)
        if rows:
            self.reporter.evaluation(rows, self.seconds)
        for tracker in self.trackers:
            tracker.log(rows)

    def _grad_steps(self, epoch: int) -> int:
        return max(0, epoch - self.config.warmup_epochs) * self.config.updates

    def _write_meta(self) -> None:
        """Record sizes, costs and this session; sessions before it stay."""
        env = self.trainer.env
        sizes = (env.state_size, env.goal_size, env.action_size)
        meta = self.run.meta()
        session = {
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "command": sys.argv,
            **device.describe(),
            "mesh": self.trainer.layout.shape,
        }
        names = ("state_size", "goal_size", "action_size")
        collector = self.config.collector()
        self.run.write_meta(
            {
                "env": dict(zip(names, sizes, strict=True))
                | {
                    "goal_radius": env.goal_radius,
                    "episode_length": env.episode_length,
                    "backend": env.backend,
                },
                "cost": agent_cost(self.config, *sizes).to_dict(),
                **({"collector_cost": agent_cost(collector, *sizes).to_dict()} if collector else {}),
                "sessions": [*meta.get("sessions", []), session],
            }
        )

    def _write_status(self, state_name: str, epoch: int, state: TrainState) -> None:
        diverged = hosts.copy(state.diverged)
        self.run.write_status(
            {
                "state": state_name,
                "epoch": epoch,
                "epochs": self.config.epochs,
                "env_steps": epoch * self.config.epoch_env_steps,
                "grad_steps": self._grad_steps(epoch),
                "diverged": {str(self.config.seed + i): int(e) for i, e in enumerate(diverged) if e >= 0},
            }
        )


def _all_diverged(state: TrainState) -> bool:
    return bool(np.all(hosts.copy(state.diverged) >= 0))


class _Stop:
    """Whether a signal asked the run to stop."""

    def __init__(self) -> None:
        self._asked = False

    def __bool__(self) -> bool:
        return self._asked

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        print(
            f"\n{signal.Signals(number).name}: stopping after this epoch; once more to stop now",
            file=sys.stderr,
        )


@contextmanager
def _stop_requests() -> Iterator[_Stop]:
    """Turn SIGINT and SIGTERM into a flag for the duration; elsewhere than in the main thread, do nothing."""
    stop = _Stop()
    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _failures_noted(run: runs.Run) -> Iterator[None]:
    """Write the reason into ``status.json`` when a run fails; OS errors become a `RunError` of one line."""
    try:
        yield
    except (runs.RunError, OSError) as error:
        failure = error if isinstance(error, runs.RunError) else runs.RunError(f"{run.path}: {error.strerror or error}")
        with suppress(OSError, runs.RunError):  # the disk that failed the run may fail this too
            run.write_status({**run.status(), "state": "failed", "reason": str(failure)})
        raise failure from None
