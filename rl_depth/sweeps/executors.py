"""Where the cells of a sweep run: processes of this machine, a Slurm cluster or a Ray cluster.

An executor starts a cell's own process and says how it ended; what becomes of the cell is read from its run
folder, never from the executor, and trying again is the sweep's business alone.
"""

from __future__ import annotations

import abc
import importlib.util
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..config import ConfigError

LOG = "log.txt"
_ARRAY = 1000  # jobs in an array; Slurm's default of MaxArraySize is 1001


class Job(Protocol):
    """A cell's process, wherever it is."""

    def poll(self) -> str | None:
        """None while it goes on, then how it ended, in words; "" if well."""

    def stop(self) -> None:
        """Ask it to save and stop; a second time, to stop now."""


class Executor(abc.ABC):
    """Starts cells.

    Attributes:
      slots: jobs it takes at a time.
      options: of the cells' processes, which say where else they log to: see `worker`.
    """

    slots: int
    options: Sequence[str] = ()

    @abc.abstractmethod
    def start(self, path: Path) -> Job:
        """Start the process of the cell in a run folder."""

    def start_all(self, paths: Sequence[Path]) -> list[Job]:
        """Start the cells of several run folders."""
        return [self.start(path) for path in paths]


def spawn(path: Path, environment: dict[str, str] | None = None, options: Sequence[str] = ()) -> subprocess.Popen:
    """Start a cell's process; it stops when its standard input closes. Its output is added to ``log.txt``."""
    with (path / LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "rl_depth.sweeps.worker", *options, str(path)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | (environment or {}),
            start_new_session=True,  # a terminal's ctrl-C is for the sweep, which passes it on
        )


def _wait(child: subprocess.Popen) -> int:
    """Exit code of a cell's process, once it has ended.

    Looks again and again: waiting inside the system would let no cancellation of Ray through, and would hold a
    lock that a handler of submitit's signals needs.
    """
    while child.poll() is None:
        time.sleep(0.2)
    return child.returncode


def _let_save(child: subprocess.Popen) -> None:
    """Ask a cell's process to save and stop, and wait until it has."""
    if child.returncode is None and child.stdin is not None:
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def ending(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}" if code else ""


# Local ----------------------------------------------------------------------------------------------------


class Local(Executor):
    """Processes of this machine: one per GPU if there are any, else no more than cores.

    Args:
      workers: processes at a time; by default one per GPU, or one per two cores, as XLA runs several threads.

    Raises:
      ConfigError: more workers than GPUs or cores.
    """

    def __init__(self, workers: int | None = None):
        self._gpus = gpus()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        most, what = (len(self._gpus), "GPUs") if self._gpus else (cores, "cores")
        if workers is not None and workers > most:
            raise ConfigError(f"--workers {workers}: this machine has {most} {what}; at most one process for each")
        self.slots = workers or (most if self._gpus else max(1, cores // 2))
        self._cores = max(1, cores // self.slots)

    def start(self, path: Path) -> Job:
        """Start the process of the cell in a run folder, on a GPU of its own."""
        gpu = self._gpus.pop(0) if self._gpus else None
        environment = {"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else {"JAX_NUM_CPU_DEVICES": str(self._cores)}

        def ended() -> None:
            if gpu is not None:
                self._gpus.append(gpu)

        return LocalJob(spawn(path, environment, self.options), ended)


@dataclass
class LocalJob:
    """A child of this process."""

    process: subprocess.Popen
    ended: Callable[[], None]
    _end: str | None = field(default=None, init=False)

    def poll(self) -> str | None:
        """How it ended; None while it goes on."""
        if self._end is None and self.process.poll() is not None:
            self._end = ending(self.process.returncode)
            self.ended()
        return self._end

    def stop(self) -> None:
        """Ask it to save and stop; a second time, to stop now."""
        stdin = self.process.stdin
        if stdin is not None and not stdin.closed:
            stdin.close()
        else:
            self.process.terminate()


def gpus() -> list[str]:
    """Names of the CUDA devices that JAX could use here, found without loading JAX."""
    if os.environ.get("JAX_PLATFORMS", "cuda").split(",")[0] not in ("cuda", "gpu"):
        return []
    if not any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13)):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device for device in visible.split(",") if device]
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []


# Slurm ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Resources:
    """What a cell gets on a cluster: CPU cores, GPUs and, on Slurm, memory in GB."""

    cpus: int = 2
    gpus: int = 0
    memory: int | None = None


class Submitit(Executor):
    """Jobs of a submitit executor.

    Args:
      executor: `submitit.SlurmExecutor`, or `submitit.LocalExecutor` to try things out.
      slots: jobs submitted at a time.
      gone: whether the cluster no longer knows a job that has left no result.
    """

    def __init__(self, executor: Any, slots: int, gone: Callable[[Any], bool]):
        self._executor, self._gone, self.slots = executor, gone, slots

    def start(self, path: Path) -> Job:
        """Submit the cell in a run folder."""
        return self.start_all([path])[0]

    def start_all(self, paths: Sequence[Path]) -> list[Job]:
        """Submit the cells of several run folders, as arrays: schedulers are asked once for up to a thousand."""
        works = [Requeueable(path.resolve(), self.options) for path in paths]
        if len(works) == 1:
            return [SubmititJob(self._executor.submit(works[0]), self._gone)]
        jobs: list[Job] = []
        for first in range(0, len(works), _ARRAY):
            with self._executor.batch():
                submitted = [self._executor.submit(work) for work in works[first : first + _ARRAY]]
            jobs += [SubmititJob(job, self._gone) for job in submitted]
        return jobs


@dataclass
class SubmititJob:
    """A submitted job."""

    job: Any
    gone: Callable[[Any], bool]

    def poll(self) -> str | None:
        """How it ended; None while it goes on."""
        # job.result() can wait for ever for a job that was killed, where there is no accounting.
        if not self.job.paths.result_pickle.exists() and not self.gone(self.job):
            return None
        if not self.job.paths.result_pickle.exists():
            return f"job {self.job.job_id} ended without a result: killed"
        error = self.job.exception()
        if error is not None:
            return f"job {self.job.job_id}: {str(error).strip().splitlines()[-1]}"
        return ending(self.job.result())

    def stop(self) -> None:
        """Cancel it: it saves if it runs."""
        self.job.cancel(check=False)


class Requeueable:
    """The work of a submitted job; asked to make room, it saves, and the job queues again."""

    def __init__(self, path: Path, options: Sequence[str] = ()):
        self.path, self.options = path, tuple(options)
        self._child: subprocess.Popen | None = None

    def __call__(self) -> int:
        """Run the cell; its exit code."""
        self._child = spawn(self.path, options=self.options)
        try:
            return _wait(self._child)
        finally:
            _let_save(self._child)

    def checkpoint(self) -> Any:
        """What to queue again, once the child has saved."""
        import submitit

        if self._child is not None:
            _let_save(self._child)
        return submitit.helpers.DelayedSubmission(Requeueable(self.path, self.options))


def slurm(folder: Path, resources: Resources, minutes: int, partition: str | None, account: str | None) -> Submitit:
    """An executor that submits to the Slurm cluster of this machine.

    Args:
      folder: submitit's files; must be seen by the cluster's nodes.
      resources: of each cell.
      minutes: a job's time limit; a cell that needs longer saves before, and queues again.
      partition: Slurm's, or its default.
      account: Slurm's, or its default.

    Raises:
      ConfigError: submitit is not installed, or this machine has no Slurm.
    """
    try:
        import submitit
    except ImportError:
        raise ConfigError("--executor slurm: needs submitit; pip install 'rl-depth[slurm]'") from None
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise ConfigError("--executor slurm: no sbatch and srun here; run the sweep where jobs are submitted from")
    executor = submitit.SlurmExecutor(folder, max_num_timeout=1000)
    options: dict[str, Any] = {"array_parallelism": _ARRAY}  # how many run at a time is the scheduler's business
    options |= {"job_name": "rl-depth", "time": minutes, "cpus_per_task": resources.cpus, "partition": partition}
    memory = f"{resources.memory}GB" if resources.memory is not None else None
    options |= {"account": account, "gpus_per_node": resources.gpus or None, "mem": memory}
    executor.update_parameters(**{name: value for name, value in options.items() if value is not None})
    return Submitit(executor, sys.maxsize, _Queue().lacks)


class _Queue:
    """Slurm's queue, asked for at most once in ten seconds."""

    def __init__(self) -> None:
        self._asked = 0.0
        self._jobs: set[str] | None = None
        self._missing: dict[str, int] = {}

    def lacks(self, job: Any) -> bool:
        """Whether a job was out of the queue at two looks in a row, its result having had time to appear."""
        if time.monotonic() - self._asked > 10:
            self._asked = time.monotonic()
            listed = subprocess.run(["squeue", "-h", "-r", "-o", "%i"], capture_output=True, text=True, check=False)
            self._jobs = set(listed.stdout.split()) if listed.returncode == 0 else None
            if self._jobs is not None:
                self._missing = {name: looks + 1 for name, looks in self._missing.items() if name not in self._jobs}
        if self._jobs is None or job.job_id in self._jobs:
            return False
        return self._missing.setdefault(job.job_id, 0) >= 2


# Ray ------------------------------------------------------------------------------------------------------


class Ray(Executor):
    """Tasks of a Ray cluster, which queues what does not fit yet.

    Args:
      resources: of each cell.
      address: of the cluster; by default the one that ``RAY_ADDRESS`` names or that runs here, else a new one
        of this machine.

    Raises:
      ConfigError: Ray is not installed, cannot be reached, or no node is big enough.
    """

    def __init__(self, resources: Resources, address: str | None = None):
        try:
            import ray
        except ImportError:
            raise ConfigError("--executor ray: needs Ray; pip install 'rl-depth[ray]'") from None
        self._ray = ray
        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True)
            except (ConnectionError, ValueError, RuntimeError) as error:
                text = " ".join(str(error).split())[:200]
                raise ConfigError(f"--ray-address {address or 'none given'}: {text}") from None
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(n.get("CPU", 0) >= resources.cpus and n.get("GPU", 0) >= resources.gpus for n in nodes):
            asked = f"--cpus-per-cell {resources.cpus} --gpus-per-cell {resources.gpus}"
            raise ConfigError(f"{asked}: no node of the Ray cluster has both")
        self.slots = sys.maxsize
        # Ray's own retries are off: the sweep tries again, and counts.
        # Its types know no parameter that has a default.
        self._task: Any = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0)(run_cell)

    def start(self, path: Path) -> Job:
        """Submit the cell in a run folder."""
        return RayJob(self._ray, self._task.remote(path.resolve(), tuple(self.options)))


@dataclass
class RayJob:
    """A submitted task."""

    ray: Any
    task: Any
    _stopped: bool = False

    def poll(self) -> str | None:
        """How it ended; None while it goes on."""
        if not self.ray.wait([self.task], timeout=0)[0]:
            return None
        try:
            return ending(self.ray.get(self.task))
        except self.ray.exceptions.RayError as error:
            return " ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])

    def stop(self) -> None:
        """Ask it to save and stop; a second time, to stop now."""
        self.ray.cancel(self.task, force=self._stopped)
        self._stopped = True


def run_cell(path: Path, options: Sequence[str] = ()) -> int:
    """Run a cell's process to its end, in a Ray worker; its exit code. Cancelled, it lets the process save first."""
    # Ray cancels by SIGINT, which a worker ignores if the sweep was started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    child = spawn(path, options=options)
    try:
        return _wait(child)
    finally:
        _let_save(child)
