"""The host's side of training: one loop that runs the programs, logs, saves, resumes and stops in good order."""

from __future__ import annotations

import difflib
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_depth.envs import engine

from .. import device, runs, signals
from ..config import Config, ConfigError
from . import hosts, metrics, record
from .footprint import Footprint
from .progress import Reporter
from .saving import Saver, blank_replay
from .sharding import Layout
from .trackers import Tracker
from .trainer import Compiling, Programs, Trainer, TrainState, from_arrays, seeds_of

FIRST = "the first gradient steps are taken"  # said on stderr; `rl-depth bench` takes the time


class Interrupted(Exception):  # noqa: N818 - not an error
    """The run was asked to stop; what there was to save is saved."""


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
      resume: go on with the run in ``out`` from its latest checkpoint; an ``out`` that does not exist starts. The
        options of `runs.CHANGEABLE` may differ from those that the run had: they hold from there on.
      quiet: show no progress.
      trackers: further places that metrics go to; opened once the folder is this process's, and closed in the end.
      devices: devices of each process to spread seeds and batch over; by default all accelerators, or one CPU. A
        run may go on with other devices; it repeats bit for bit with the same ones.

    Raises:
      ConfigError: the configuration cannot be run, or not on these devices, or ``out`` holds another run.
      RunError: the run failed; its folder keeps the last good checkpoint.
      Interrupted: SIGINT, SIGTERM or SIGHUP arrived; the run was saved first.
    """
    with signals.requests() as stop, device.memory_told():
        device.check()
        if out is not None and config.backend is None and runs.is_run(out):
            config = replace(config, backend=runs.Run(Path(out)).config().backend)
        trainer = Trainer.of(config, Layout.of(config, devices))
        parts = trainer.layout.mesh.size if trainer.layout.mesh is not None else 1
        if jax.default_backend() == "cpu":
            engine.share_cores(max(1, parts // jax.process_count()))
        Footprint.counted(config, trainer.env).check_memory(parts)
        programs = Programs.of(trainer)
        like = jax.eval_shape(programs.init, seeds_of(config))
        _check_best(config, programs, like)
        path = Path(hosts.on_first(lambda: out if out is not None else runs.fresh_path(config)))
        needs = Footprint.of(trainer, like)
        room = hosts.on_first(lambda: needs.check(path, parts, runs.Run(path).checkpoint_bytes()))
        with _hold(path, config, resume) as run, _failures_noted(run), _none_left_empty(run), device.memory_told():
            stop.advice = f"go on with: rl-depth train --resume --out {path}"
            session = _Session(trainer, programs, run, quiet, trackers, stop)
            session.notes.append(f"on {device.summary()}; {room}")
            session.go(like)
    return run


def _check_best(config: Config, programs: Programs, like: TrainState) -> None:
    """The metric of ``keep_best`` is one of evaluations."""
    if config.keep_best is None:
        return
    known = sorted(jax.eval_shape(programs.evaluate, like).keys() - {"goal_distance", "solved_at_start"})
    if config.keep_best not in known:
        near = difflib.get_close_matches(config.keep_best, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"--keep-best {config.keep_best}: {hint}There are {', '.join(known)}")


@contextmanager
def _hold(path: Path, config: Config, resume: bool) -> Generator[runs.Run]:
    """`runs.hold`, by the first process for all."""
    with ExitStack() as stack:
        hosts.on_first(lambda: stack.enter_context(runs.hold(path, config, resume, change=True)))
        yield runs.Run(path) if jax.process_count() == 1 else hosts.SharedRun(path)


@dataclass
class _Clock:
    """Seconds that the run has spent so far, and how far it was when the rates were last taken."""

    train: float = 0.0
    collect: float = 0.0
    learn: float = 0.0
    before: tuple[float, float, float, int, int] = (0.0, 0.0, 0.0, 0, 0)

    @classmethod
    def of(cls, timing: Sequence[dict[str, Any]], place: dict[str, int]) -> _Clock:
        last = timing[-1] if timing else {}
        train, collect, learn = (float(last.get(f"{name}_seconds", 0.0)) for name in ("train", "collect", "learn"))
        clock = cls(train, collect, learn)
        clock.before = clock._now(place)
        return clock

    def _now(self, place: dict[str, int]) -> tuple[float, float, float, int, int]:
        return self.train, self.collect, self.learn, place["env_steps"], place["grad_steps"]

    def row(self, place: dict[str, int]) -> dict[str, float]:
        """Seconds so far, and steps of each seed per second since the row before."""
        now = self._now(place)
        train, collect, learn, env_steps, updates = (a - b for a, b in zip(now, self.before, strict=True))
        self.before = now
        return {
            "train_seconds": self.train,
            "collect_seconds": self.collect,
            "learn_seconds": self.learn,
            "env_steps_per_second": env_steps / max(train, 1e-9),
            "collect_steps_per_second": env_steps / max(collect, 1e-9),
            "grad_steps_per_second": updates / max(learn, 1e-9) if updates else 0.0,
        }


class _Session:
    """One process's work on a run."""

    def __init__(
        self,
        trainer: Trainer,
        programs: Programs,
        run: runs.Run,
        quiet: bool,
        trackers: Sequence[Tracker],
        stop: signals.Stop,
    ):
        first = hosts.is_first()
        self.config = trainer.config
        self.run = run
        self.trackers = trackers if first else ()
        self.trainer = trainer
        self.programs = programs
        self.quiet = quiet or not first
        self.stop = stop
        self.notes: list[str] = []
        self.compiling: Compiling | None = None
        self.failures = 0  # of the physics, up to the last evaluation

    def go(self, like: TrainState) -> None:
        """Train to the end. ``like`` has the shapes of a state."""
        config = self.config
        saved, state = self._start(like)
        epoch = saved.epoch if saved is not None else 0
        per_epoch = config.epoch_env_steps
        reporter = Reporter(config.epochs * per_epoch, epoch * per_epoch, quiet=self.quiet)
        with ExitStack() as stack:
            self.saver = stack.enter_context(Saver(self.run, config, saved))
            self.reporter = stack.enter_context(reporter)
            for note in self.notes:
                reporter.say(note)
            self._stop_if_due(epoch, state, asked=False)  # a run that is resumed may have diverged already
            if epoch >= config.epochs:
                reporter.say("nothing is left to do: the run has had all its environment steps")
                return record.write_status(self.run, config, "finished", epoch, state)
            for note in record.begin_session(self.run, self.trainer, epoch, self.run.config()):
                reporter.say(note)
            for tracker in self.trackers:
                stack.callback(tracker.close)
                tracker.open(self.run, config, epoch * per_epoch)
            self._compile(state, stack)
            if saved is not None and not saved.whole:
                state = self._refill(state, epoch)
            self.clock = _Clock.of(self.run.timing(), record.place(config, epoch))
            record.write_status(self.run, config, "running", epoch, state)
            self._stop_before_start()
            self.stop.working = True
            stack.callback(setattr, self.stop, "working", False)
            self._loop(epoch, state)

    def _start(self, like: TrainState) -> tuple[runs.Checkpoint | None, TrainState]:
        """The checkpoint to go on from, and the state."""
        layout, seeds = self.trainer.layout, seeds_of(self.config)
        saved = self._load()
        if saved is None:
            if self.run.status():
                self.notes.append("no checkpoint yet: starting over")
            self.run.truncate(0)
            self.run.drop_checkpoints_after(0)
            self.compiling = self.programs.compiling(like)  # meanwhile the first program of a run compiles here
            return None, self.programs.init(layout.put(np.asarray(seeds), layout.per_seed()))
        if saved.epoch > self.config.epochs:
            done = saved.epoch * self.config.epoch_env_steps
            raise ConfigError(f"--env-steps {self.config.env_steps}: {self.run.path} has had {done} already")
        arrays = saved.arrays if saved.whole else saved.arrays | blank_replay(like)
        try:
            state = from_arrays(like, arrays, layout)
        except ValueError as error:
            raise runs.RunError(f"{self.run.path}: {error}; was it written by another version?") from None
        self.notes += [f"skipping damaged checkpoint {reason}" for reason in saved.skipped]
        self.run.drop_checkpoints_after(saved.epoch)
        self.run.truncate(saved.epoch)
        self.notes.append(f"resuming after {saved.epoch * self.config.epoch_env_steps:,} environment steps")
        return saved, state

    def _load(self) -> runs.Checkpoint | None:
        """The latest checkpoint, the same one in every process."""
        saved = hosts.together(lambda: self.run.load_checkpoint() if self.run.has_checkpoint() else None)
        mine = f"{saved.epoch}{'' if saved.whole else ' without replay'}" if saved is not None else "none"
        first = hosts.on_first(lambda: mine)
        if hosts.any_of(mine != first):
            raise runs.RunError(
                f"{self.run.path}: process {jax.process_index()} finds checkpoint {mine}, the first one {first}; "
                "the folder must lie on a file system that all of them share"
            )
        return saved

    def _compile(self, state: TrainState, stack: ExitStack) -> None:
        self._stop_before_start()
        began = time.monotonic()
        self.compiling = self.compiling or self.programs.compiling(state)
        stack.callback(self.compiling.cancel)
        self.programs = self.compiling.programs()
        self.reporter.say(f"compiled in {time.monotonic() - began:.1f} s; run folder {self.run.path}")

    def _refill(self, state: TrainState, epoch: int) -> TrainState:
        """Collect as much as the replay held, with the present policy; these steps count for nothing."""
        config = self.config
        rounds = min(epoch, -(-config.replay_steps // config.unroll))
        for turn in range(-rounds, 0):  # epochs that no run has, so that their keys are new
            state = self.programs.collect(state.replace(epoch=jnp.full_like(state.epoch, turn)))
            jax.block_until_ready(state.epoch)
            self._stop_before_start()
        self.reporter.say(
            f"no replay was saved: filled anew with {rounds * config.epoch_env_steps:,} environment steps of the "
            "present policy, beyond --env-steps; from here on not bit for bit like a run that was left alone"
        )
        return state.replace(epoch=jnp.full_like(state.epoch, epoch))

    def _stop_before_start(self) -> None:
        if hosts.any_of(bool(self.stop)):
            raise Interrupted

    def _loop(self, epoch: int, state: TrainState) -> None:
        config = self.config
        eval_epochs = config.eval_epochs()
        learned: dict[str, Any] = {}
        while epoch < config.epochs:
            epoch += 1
            state, learned = self._epoch(epoch, state)
            self.reporter.epoch(epoch * config.epoch_env_steps, record.grad_steps(config, epoch))
            asked = hosts.any_of(bool(self.stop))
            saving = asked or record.all_diverged(state)
            if epoch in eval_epochs:
                self._evaluate(epoch, state, learned)
                saving |= (eval_epochs.index(epoch) + 1) % config.checkpoint_every == 0
            if saving or epoch == config.epochs:
                self.saver.save(epoch, state)
            self._stop_if_due(epoch, state, asked)
        self.saver.wait()
        record.write_status(self.run, config, "finished", epoch, state)

    def _epoch(self, epoch: int, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """One epoch, done when this returns: so times are true, and a request to stop is met within an epoch."""
        learned: dict[str, Any] = {}
        began = time.monotonic()
        state = self.programs.collect(state)
        jax.block_until_ready(state.epoch)
        collected = time.monotonic()
        if epoch > self.config.warmup_epochs:
            self._check_futures(epoch, state)
            state, learned = self.programs.learn(state)
            jax.block_until_ready(state.epoch)
            if epoch == self.config.warmup_epochs + 1:
                self.reporter.say(FIRST)
        ended = time.monotonic()
        self.clock.train += ended - began
        self.clock.collect += collected - began
        self.clock.learn += ended - collected
        return state, learned

    def _stop_if_due(self, epoch: int, state: TrainState, asked: bool) -> None:
        if record.all_diverged(state):
            self.saver.wait()
            record.write_status(self.run, self.config, "failed", epoch, state)
            raise runs.RunError(f"{self.run.path}: every seed diverged (non-finite loss); status.json says when")
        if asked and epoch < self.config.epochs:
            self.saver.wait()
            record.write_status(self.run, self.config, "interrupted", epoch, state)
            raise Interrupted

    def _check_futures(self, epoch: int, state: TrainState) -> None:
        """Before the first gradient step: some transition must have a future to draw a goal from."""
        if epoch > self.config.warmup_epochs + 1:
            return
        times = np.arange(state.replay.last.shape[1])[:, None]
        if not np.all(np.any(hosts.copy(state.replay.last) + self.config.final_goals > times, axis=(1, 2))):
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
        assert self.compiling is not None
        self.compiling.evaluate.result()  # to wait for its compiler is no time of evaluating
        began = time.monotonic()
        episodes = jax.device_get(self.programs.evaluate(state))
        losses = jax.device_get(learned)
        place = record.place(self.config, epoch)
        per_seed = self.config.per_seed_values()
        rows = []
        for i, diverged in enumerate(hosts.copy(state.diverged)):
            if diverged >= 0:
                self.reporter.say(f"seed {self.config.seed + i} diverged in epoch {diverged}: stopped there")
                continue
            own = {name: values[i] for name, values in episodes.items()}
            row: dict[str, Any] = {**place, "seed": self.config.seed + i, "split": self.trainer.eval_env.split}
            row |= metrics.summarise(own) | {name: float(values[i]) for name, values in losses.items()}
            varied = {"hyper": {name: of[i] for name, of in per_seed.items()}} if per_seed else {}
            rows.append(row | varied | {"by_difficulty": metrics.by_difficulty(own)})
        timing = place | self.clock.row(place) | {"eval_seconds": time.monotonic() - began}
        self.run.append(rows, timing | self._physics_failures())
        self.saver.evaluated(epoch, state, rows)
        record.write_status(self.run, self.config, "running", epoch, state)
        if rows:
            self.reporter.evaluation(rows, timing)
        for tracker in self.trackers:
            tracker.log(rows, timing)


@contextmanager
def _none_left_empty(run: runs.Run) -> Generator[None]:
    """Take the folder away again if there was no memory for the first checkpoint of its run."""
    try:
        yield
    except device.OutOfMemory:
        if not run.has_checkpoint() and not run.metrics():
            hosts.on_first(lambda: shutil.rmtree(run.path))
        raise


@contextmanager
def _failures_noted(run: runs.Run) -> Generator[None]:
    """Write the reason into ``status.json`` when a run fails; OS errors become a `RunError` of one line."""
    try:
        yield
    except (runs.RunError, OSError) as error:
        failure = error if isinstance(error, runs.RunError) else runs.RunError(f"{run.path}: {error.strerror or error}")
        with suppress(OSError, runs.RunError):  # the disk that failed the run may fail this too
            if run.path.exists():
                run.write_status({**run.status(), "state": "failed", "reason": str(failure)})
        raise failure from None
