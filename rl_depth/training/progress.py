"""What a person sees while a run goes on: a bar in a terminal, a line per evaluation elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ..terminal import spread


class Reporter:
    """Follows a run on the console (stderr, so that results can be piped).

    Args:
      total: environment steps of the run, per seed.
      done: environment steps already taken, by the session that is resumed.
      quiet: show nothing but warnings.
    """

    def __init__(self, total: int, done: int = 0, *, quiet: bool = False):
        self._console = Console(stderr=True, quiet=quiet)
        self._live = self._console.is_terminal and not quiet
        self._progress = Progress(
            TextColumn("{task.fields[steps]}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[score]}"),
            console=self._console,
            disable=not self._live,
        )
        self._task = self._progress.add_task("train", total=total, completed=done, steps="compiling", rate="", score="")
        self._total = total
        self._grad_steps: int | None = None
        self._since = time.monotonic()

    def __enter__(self) -> Reporter:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def epoch(self, env_steps: int, grad_steps: int) -> None:
        """An epoch is done, after so many environment and gradient steps per seed."""
        if not self._live:
            return
        now = time.monotonic()
        if self._grad_steps is not None:
            rate = (grad_steps - self._grad_steps) / max(now - self._since, 1e-9)
            self._progress.update(self._task, rate=f"{rate:,.0f} grad steps/s" if rate else "collecting")
        self._grad_steps, self._since = grad_steps, now
        steps = f"{env_steps:,}/{self._total:,} env steps"
        self._progress.update(self._task, completed=env_steps, steps=steps)

    def evaluation(self, rows: Sequence[Mapping[str, Any]], timing: Mapping[str, float]) -> None:
        """An evaluation is done: one row per seed, and how long training took up to here."""
        at_goal = spread([row["time_at_goal"] for row in rows], digits=1)
        success = spread([row["success_any"] for row in rows])
        score = f"time at goal {at_goal}, success {success}"
        if self._live:
            self._progress.update(self._task, score=score)
        else:
            dist = spread([row["dist_final"] for row in rows])
            first = rows[0]
            self._console.print(
                f"{first['env_steps']:>12,} env steps {first['grad_steps']:>9,} grad steps "
                f"{timing['train_seconds']:7.0f} s  {score}, final distance {dist} m; collecting "
                f"{timing['collect_steps_per_second']:,.0f} env steps/s, learning "
                f"{timing['grad_steps_per_second']:,.0f} grad steps/s",
                highlight=False,
                soft_wrap=True,
            )

    def say(self, message: str) -> None:
        """Print one line."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)
