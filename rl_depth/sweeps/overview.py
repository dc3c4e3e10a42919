"""How the runs of a folder stand, read while other processes write them, and a table of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..config import Config, ConfigError, InputError
from ..runs import Run, RunError, find_runs
from ..terminal import Table, empty_table, spread

_TICK = 2.0  # seconds between two looks
_STILL = 5  # looks at which nothing went on, after which nothing will: a sweep tries a failed cell again within one
_COLOURS = {"finished": "green", "failed": "red", "running": "cyan", "interrupted": "yellow"}
_COLOURS |= {"killed": "red", "unreadable": "red"}
_LIVES = ("running", "waiting")  # states that may change by themselves


@dataclass(frozen=True)
class Pace:
    """How fast a run went.

    Attributes:
      spent: seconds of training and evaluating so far.
      left: the same to its end, at its latest pace.
      rate: environment steps per second of its latest stretch, per seed.
    """

    spent: float
    left: float
    rate: float

    @property
    def whole(self) -> float:
        """Seconds of the whole run."""
        return self.spent + self.left


def pace(config: Config, timing: Sequence[Mapping[str, Any]]) -> Pace | None:
    """Read a run's `timing.jsonl`; None before its first evaluation after a gradient step."""
    if not timing or not timing[-1]["grad_steps"]:
        return None
    before = timing[-2] if len(timing) > 1 and timing[-2]["grad_steps"] else {"env_steps": 0, "train_seconds": 0.0}
    last = timing[-1]
    seconds = last["train_seconds"] - before["train_seconds"] + last["eval_seconds"]
    rate = (last["env_steps"] - before["env_steps"]) / max(seconds, 1e-9)
    spent = last["train_seconds"] + sum(row["eval_seconds"] for row in timing)
    left = config.epochs * config.epoch_env_steps - last["env_steps"]
    return Pace(spent, left / max(rate, 1e-9), rate)


@dataclass(frozen=True)
class View:
    """A run at one moment.

    Attributes:
      name: of the run.
      state: "waiting" before its process has written anything, then what ``status.json`` says; "killed" if that is
        "running" and no process holds the folder; "unreadable".
      env_steps: taken at its latest evaluation, per seed.
      total: environment steps of the whole run, per seed; 0 if its configuration cannot be read.
      success: `success_any` of each seed at the latest evaluation.
      pace: how fast it went; None before its first evaluation after a gradient step.
      note: why it failed, or cannot be read; seeds that diverged.
    """

    name: str
    state: str
    env_steps: int = 0
    total: int = 0
    success: tuple[float, ...] = ()
    pace: Pace | None = None
    note: str = ""

    @property
    def left(self) -> float | None:
        """Seconds to the end at its latest pace."""
        if self.state == "finished":
            return 0.0
        return self.pace.left if self.pace is not None else None


def look(run: Run, config: Config | None = None) -> View:
    """A run as it stands; whatever is torn, missing or foreign becomes a note.

    Args:
      run: its folder.
      config: its configuration, if known already.
    """
    try:
        return _look(run, config or run.config())
    except (ConfigError, RunError) as error:
        note = str(error)
    except OSError as error:
        note = error.strerror or type(error).__name__
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        note = f"not as rl-depth writes it ({type(error).__name__}: {error})"
    return View(run.name, "unreadable", note=" ".join(note.split()))


def _look(run: Run, config: Config) -> View:
    status = run.status()
    rows = run.metrics()
    latest = [row for row in rows if row["epoch"] == rows[-1]["epoch"]]
    notes = [str(status["reason"])] if status.get("state") == "failed" and "reason" in status else []
    state = str(status.get("state", "waiting"))
    if state == "running" and run.is_held() is False:
        state, notes = "killed", ["its process is gone; go on with --resume"]
    elif state == "running":
        notes += _silence(run, run.timing())
    notes += [f"seed {seed} diverged in epoch {epoch}" for seed, epoch in status.get("diverged", {}).items()]
    return View(
        run.name,
        state,
        int(status.get("env_steps", 0)),
        config.epochs * config.epoch_env_steps,
        tuple(float(row["success_any"]) for row in latest),
        pace(config, run.timing()),
        "; ".join(notes),
    )


def _silence(run: Run, timing: Sequence[Mapping[str, Any]]) -> list[str]:
    """A note if a run that says it is running has written nothing for far longer than it usually takes."""
    since = time.time() - max(entry.stat().st_mtime for entry in run.path.iterdir())
    spent = [0.0, *(row["train_seconds"] for row in timing)]
    usual = max((late - early for early, late in pairwise(spent)), default=600.0)
    return [f"no sign of life for {duration(since)}; killed?"] if since > 60 + 5 * usual else []


def duration(seconds: float) -> str:
    """``75.0 -> "1 min 15 s"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def table(views: Sequence[View], title: str, seconds: Mapping[str, float | None] | None = None) -> Table:
    """One line per run.

    Args:
      views: the runs.
      title: stands above.
      seconds: time left of runs that have none of their own yet, by name.
    """
    numbers = ("env steps", "env steps/s", "success", "time left")
    result = empty_table(title, ("cell", "state"), numbers, ("note",))
    for view in views:
        left = view.left if view.left is not None else (seconds or {}).get(view.name)
        result.add_row(
            view.name,
            Text(view.state, style=_COLOURS.get(view.state, "")),
            f"{view.env_steps:,}/{view.total:,}" if view.total else "",
            f"{view.pace.rate:,.0f}" if view.pace is not None else "",
            spread(view.success),
            "" if left is None or view.state in ("finished", "failed", "killed", "unreadable") else duration(left),
            view.note,
        )
    return result


def fitting(
    console: Console, views: Sequence[View], title: str, seconds: Mapping[str, float | None] | None = None
) -> Table:
    """The table as far as a terminal has lines for it: finished runs are left out first, running ones last."""
    order = ["finished", "waiting", "interrupted", "unreadable", "killed", "failed", "running"]
    dispensable = sorted(views, key=lambda view: order.index(view.state) if view.state in order else 0)
    out: set[int] = set()
    while True:
        shown = [view for view in views if id(view) not in out]
        result = table(shown, title, seconds)
        if out:
            left = [view for view in views if id(view) in out]
            result.caption = f"not shown: {summary(left)}"
        excess = len(console.render_lines(result, pad=False)) - console.height + 1
        if excess <= 0 or len(shown) == 1:
            return result
        fewer = max(1, excess // 3)  # a row may be several lines high
        out |= {id(view) for view in dispensable[len(out) : min(len(out) + fewer, len(views) - 1)]}


class Display:
    """A live table in a terminal; elsewhere a line whenever a cell's state or progress changes.

    Args:
      quiet: show neither.
    """

    def __init__(self, *, quiet: bool = False):
        self._console = Console(stderr=True, quiet=quiet)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._shown: dict[str, tuple[str, int]] = {}

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, views: Sequence[View], title: str, seconds: Mapping[str, float | None]) -> None:
        """Show how the cells stand."""
        if self._live is not None:
            self._live.update(fitting(self._console, views, title, seconds), refresh=True)
            return
        for view in views:
            if view.total and self._shown.get(view.name) != (view.state, view.env_steps):
                self._shown[view.name] = (view.state, view.env_steps)
                if view.state != "waiting":
                    self.say(_line(view))

    def say(self, message: str) -> None:
        """Print one line."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)


def _line(view: View) -> str:
    parts = [f"{view.name}: {view.state}, {view.env_steps:,}/{view.total:,} env steps"]
    if view.success:
        parts.append(f"success {spread(view.success)}")
    if view.left:
        parts.append(f"about {duration(view.left)} left")
    return ", ".join([*parts, *([view.note] if view.note else [])])


def summary(views: Iterable[View]) -> str:
    """``4 finished, 1 running, 1 waiting``."""
    states = [view.state for view in views]
    order = ["finished", "running", "interrupted", "killed", "failed", "unreadable", "waiting"]
    known = sorted(dict.fromkeys(states), key=lambda state: order.index(state) if state in order else len(order))
    return ", ".join(f"{states.count(state)} {state}" for state in known)


def _by_number(run: Run) -> list[tuple[str, int]]:
    """Orders ``depth4`` before ``depth16``."""
    return [(word, int(number or 0)) for word, number in re.findall(r"(\D+)(\d*)", str(run.path))]


class Watcher:
    """Looks at all runs below a folder, again and again; runs that have finished are read once."""

    def __init__(self, root: Path):
        self._root = root
        self._done: dict[Path, View] = {}

    def views(self) -> list[View]:
        """The runs as they stand.

        Raises:
          RunError: there is no run.
        """
        found = sorted(find_runs(self._root), key=_by_number) if self._root.is_dir() else []
        if not found:
            raise InputError(f"{self._root}: no run folder there")
        views = [self._done.get(run.path) or look(run) for run in found]
        views = [
            replace(view, name=str(run.path.relative_to(self._root)) if run.path != self._root else run.name)
            for view, run in zip(views, found, strict=True)
        ]
        self._done = {run.path: view for run, view in zip(found, views, strict=True) if view.state == "finished"}
        return views

    def follow(self) -> None:
        """Show a table until no run goes on or waits; a folder without a run is waited for."""
        with Display() as display:
            if not find_runs(self._root):
                display.say(f"waiting for a run in {self._root}")
            while not find_runs(self._root):
                time.sleep(_TICK)
            still = 0
            while True:
                views = self.views()
                display.update(views, f"{self._root}: {summary(views)}", {})
                still = 0 if any(view.state in _LIVES for view in views) else still + 1
                if still == _STILL or all(view.state == "finished" for view in views):
                    return
                time.sleep(_TICK)


def to_rows(views: Iterable[View]) -> list[dict[str, Any]]:
    """The views as JSON holds them."""
    return [
        {"name": view.name, "state": view.state, "env_steps": view.env_steps, "total_env_steps": view.total}
        | {"success_any": list(view.success), "env_steps_per_second": view.pace.rate if view.pace else None}
        | {"seconds_left": view.left, "note": view.note}
        for view in views
    ]
