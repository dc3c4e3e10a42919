"""The loop of a sweep: starts cells on an executor, tries failed ones again, stops in good order.

A cell's run folder alone says whether it is done, and its lock keeps a cell from being run twice at once, by
this sweep, another one or a person; here is only remembered what this call has tried.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from .. import runs
from .estimates import Estimate, with_times
from .executors import LOG, Executor, Job
from .overview import Display, View, duration, look, summary
from .sweep import Cell, claim

_TICK = 0.5  # seconds between two looks at the jobs
_HELD_AGAIN = 2.0  # seconds until a cell that another process writes is tried again


@dataclass
class Task:
    """A cell, and what this call has done about it.

    Attributes:
      cell: the cell.
      tries: how often it may still be started.
      state: "waiting", "running", "held" by another process, "finished" or "failed".
      reason: how its latest try ended.
      job: its process.
      at: when to look again at a cell that is held, on the monotonic clock.
    """

    cell: Cell
    tries: int
    state: str = "waiting"
    reason: str = ""
    job: Job | None = None
    at: float = 0.0

    def saved_state(self) -> str | None:
        """What the run folder says; None if nothing readable."""
        with suppress(runs.RunError):
            return runs.Run(self.cell.path).status().get("state")
        return None


class Stopped(Exception):  # noqa: N818 - not an error
    """The sweep was asked to stop; its cells have saved."""


def run(
    cells: Sequence[Cell],
    executor: Executor,
    *,
    retries: int = 1,
    estimates: Mapping[str, Estimate] | None = None,
    quiet: bool = False,
) -> list[Task]:
    """Run all cells that are not done and say how each stands.

    Args:
      cells: the sweep.
      executor: where to run them.
      retries: how often to try a failed cell again in this call.
      estimates: by cell name, for the time left.
      quiet: show no progress.

    Raises:
      ConfigError: a folder holds something else; nothing was started.
      Stopped: SIGINT or SIGTERM arrived; running cells were stopped and have saved.
    """
    tasks = [Task(cell, 1 + retries) for cell in cells]
    with Display(quiet=quiet) as display, _stop_requests() as stop:
        schedule = _Schedule(tasks, executor, retries, display, estimates or {})
        schedule.begin()
        try:
            schedule.go(stop)
        finally:
            schedule.stop()
    return tasks


class _Schedule:
    """One call's work on a sweep."""

    def __init__(
        self,
        tasks: list[Task],
        executor: Executor,
        retries: int,
        display: Display,
        estimates: Mapping[str, Estimate],
    ):
        self.tasks = tasks
        self.executor = executor
        self.retries = retries
        self.display = display
        self.estimates = estimates
        self.views: dict[str, View] = {}
        self.stopping = False

    def begin(self) -> None:
        """Make every run folder, so that all can be watched, and see which are done or had failed."""
        for task in self.tasks:
            claim(task.cell)
            state = task.saved_state()
            if state == "finished":
                task.state = "finished"
            elif state == "failed":
                task.tries = self.retries
                task.reason = look(runs.Run(task.cell.path), task.cell.config).note
                task.state = "waiting" if task.tries else "failed"

    def go(self, stop: _Stop) -> None:
        """Work until nothing is left to do."""
        asked = 0
        while any(task.state in ("waiting", "running", "held") for task in self.tasks):
            while asked < stop.count:
                asked += 1
                self._ask_to_stop(asked)
            for task in self.tasks:
                if task.state == "running":
                    self._reap(task)
            if self.stopping and not any(task.state == "running" for task in self.tasks):
                raise Stopped
            if not self.stopping:
                self._start()
            self._show()
            time.sleep(_TICK)
        self._show()

    def stop(self) -> None:
        """Leave no process behind, whatever ended the loop."""
        for task in self.tasks:
            if task.state == "running" and task.job is not None:
                task.job.stop()

    def _ask_to_stop(self, asked: int) -> None:
        if asked == 1:
            self.display.say("stopping: cells that run save first; once more to stop now")
        self.stopping = True
        self.stop()

    def _start(self) -> None:
        """Start what is due and has room, all at once: a cluster takes many jobs as one."""
        room = self.executor.slots - sum(task.state == "running" for task in self.tasks)
        chosen: list[Task] = []
        for task in self.tasks:
            if len(chosen) >= room:
                break
            due = task.state == "waiting" or (task.state == "held" and time.monotonic() >= task.at)
            if due and self._ready(task):
                chosen.append(task)
        if not chosen:
            return
        jobs = self.executor.start_all([task.cell.path for task in chosen])
        for task, job in zip(chosen, jobs, strict=True):
            task.tries -= 1
            task.job, task.state = job, "running"

    def _ready(self, task: Task) -> bool:
        """Whether a cell may be started: not if another process has it, or had it and is done."""
        if not claim(task.cell):
            if task.state != "held":
                self.display.say(f"{task.cell.name}: another process is writing it; waiting for it")
            task.state, task.at = "held", time.monotonic() + _HELD_AGAIN
            return False
        if task.saved_state() == "finished":
            task.state = "finished"
            return False
        if task.tries == 0:
            task.state = "failed"
            return False
        saved = runs.Run(task.cell.path).has_checkpoint()
        self.display.say(f"{task.cell.name}: {'going on from its checkpoint' if saved else 'starting'}")
        return True

    def _reap(self, task: Task) -> None:
        """See how a cell's process ended, if it has."""
        end = task.job.poll() if task.job is not None else ""
        if end is None:
            return
        if task.saved_state() == "finished":
            task.state = "finished"
            return
        task.reason = _reason(task, end)
        # Whether it is tried again, and when, is decided at the next start: its lock may not be free yet.
        task.state = "waiting" if task.tries or not claim(task.cell) else "failed"
        if not self.stopping:
            again = "trying again" if task.state == "waiting" else "given up"
            self.display.say(f"{task.cell.name}: {task.reason}; {again}")

    def _show(self) -> None:
        for task in self.tasks:
            known = self.views.get(task.cell.name)
            if known is None or known.state != "finished":
                self.views[task.cell.name] = look(runs.Run(task.cell.path), task.cell.config)
        views = [self.views[task.cell.name] for task in self.tasks]
        left = self._seconds_left()
        whole = _whole(left, self.executor.slots)
        title = summary(views) + (f"; about {duration(whole)} left" if whole else "")
        self.display.update(views, title, left)

    def _seconds_left(self) -> dict[str, float | None]:
        paces = {name: view.pace for name, view in self.views.items() if view.pace is not None}
        cells = [task.cell for task in self.tasks if task.cell.name in self.estimates]
        timed = with_times(cells, self.estimates, paces)
        left = {task.cell.name: self.views[task.cell.name].left for task in self.tasks if task.state != "failed"}
        return {
            name: own if own is not None or name not in timed else timed[name].seconds for name, own in left.items()
        }


def _whole(left: Mapping[str, float | None], slots: int) -> float | None:
    """Seconds until the last cell is done; None if some cell's are unknown."""
    known = [seconds for seconds in left.values() if seconds is not None]
    if not known or len(known) < len(left):
        return None
    return max(*known, sum(known) / slots, 0.0)


def _reason(task: Task, end: str) -> str:
    """Why a cell failed: what its run folder says, or the last line of its log."""
    view = look(runs.Run(task.cell.path), task.cell.config)
    if view.state == "failed" and view.note and not end.startswith("killed"):
        return view.note
    return f"{end or 'ended early'}; log: {_last_line(task.cell.path / LOG)}"


def _last_line(log: Path) -> str:
    """The last line of a log that says something; of a traceback, the error."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return "none"
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "empty")


class _Stop:
    """How often a signal has asked the sweep to stop."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.count += 1


@contextmanager
def _stop_requests() -> Generator[_Stop]:
    """Count signals for the duration; elsewhere than in the main thread, none."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
