"""Whole runs as a user starts them: how long they take to start, and ours against the peer's training command.

Every run is a process of its own, from its start to its end. Processor seconds and peak memory are the operating
system's for that process and those it waited for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..runs import Run, RunError
from ..training.session import FIRST
from .peer_train import FIRST as PEER_FIRST

Row = dict[str, Any]

_ENTRY = "from rl_depth.cli.main import main; import sys; main(sys.argv[1:])"


@dataclass(frozen=True)
class Work:
    """What both train: the peer's shapes and counts, which ours follow.

    Attributes:
      env: an environment that both have under this name.
      backend: its physics.
      rounds: rounds of ``unroll`` steps and gradient steps, a multiple of ``num_evals``.
      depth: dense layers of each trunk.
      width: units of a layer.
      batch: transitions of a gradient step; divides ``num_envs * (episode_length - 1)``, which a round trains on.
    """

    env: str = "ant"
    backend: str = "spring"
    rounds: int = 24
    depth: int = 4
    width: int = 64
    batch: int = 256
    num_envs: int = 64
    unroll: int = 62
    episode_length: int = 1001
    min_replay: int = 1000
    replay: int = 10_000
    num_evals: int = 4
    num_eval_envs: int = 64
    seed: int = 0

    @property
    def updates(self) -> int:
        """Gradient steps of a round."""
        return self.num_envs * (self.episode_length - 1) // self.batch

    @property
    def warmup(self) -> int:
        """Rounds that collect only."""
        return -(-self.min_replay // self.unroll)

    def peer_arguments(self) -> dict[str, Any]:
        """Of ``peer_train.py``; the peer rounds its number of rounds down from the steps after ``min_replay``."""
        steps = self.num_envs * (self.min_replay + self.rounds * self.unroll)
        return asdict(self) | {"env_steps": steps}

    def our_arguments(self) -> list[str]:
        """Of `rl-depth train`."""
        values = {
            "env": self.env,
            "backend": self.backend,
            "depth": self.depth,
            "width": self.width,
            "batch-size": self.batch,
            "num-envs": self.num_envs,
            "unroll": self.unroll,
            "episode-length": self.episode_length,
            "updates": self.updates,
            "min-replay-steps": self.warmup * self.unroll + 1,  # collected before the first round
            "replay-steps": self.replay,
            "env-steps": self.num_envs * self.unroll * (self.warmup + self.rounds),
            "evals": self.num_evals,
            "eval-episodes": self.num_eval_envs // 2,  # by the mode and by draws
            "random-goals": 0,
            "seed": self.seed,
        }
        return [word for name, value in values.items() for word in (f"--{name}", str(value))]


@dataclass(frozen=True)
class Seen:
    """One process: ``first_s`` wall seconds to a line on stderr, and what it took to the end."""

    first_s: float | None
    wall_s: float
    cpu_s: float
    peak_mib: float
    out: str
    err: str
    code: int


def watch(command: Sequence[str], line: str, cache: str) -> Seen:
    """Run a command with a folder for compiled programs and wait for it; ``line`` is part of one on its stderr."""
    own = ("JAX_COMPILATION_CACHE_DIR",)
    environment = {name: value for name, value in os.environ.items() if name not in own} | {"XDG_CACHE_HOME": cache}
    first, said = None, []
    with tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stderr is not None
            for text in process.stderr:
                said.append(text)
                if first is None and line in text:
                    first = time.perf_counter() - began
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        out.seek(0)
        printed = out.read()
    kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    cpu = usage.ru_utime + usage.ru_stime
    return Seen(first, wall, cpu, kib / 1024, printed, "".join(said), process.returncode)


def starts(names: Sequence[str]) -> list[Row]:
    """Wall seconds from the start of ``rl-depth train --env X`` to the end of its first gradient steps.

    Sizes are the defaults, of an epoch with one gradient step and no evaluation before it. ``cold_s`` without
    compiled programs, ``warm_s`` with those of the cold start; ``*_cpu_s`` are of the whole run, which evaluates once.
    """
    rows = []
    for name in names:
        row: Row = {"env": name}
        with tempfile.TemporaryDirectory() as folder:
            for way in ("cold", "warm"):
                sizes = f"--env {name} --updates 1 --min-replay-steps 50 --env-steps 1 --evals 1".split()
                seen = _ours(sizes, Path(folder) / way, str(Path(folder) / "cache"))
                row |= {f"{way}_s": seen.first_s, f"{way}_cpu_s": seen.cpu_s}
        rows.append(row)
    return rows


def _ours(arguments: Sequence[str], out: Path, cache: str) -> Seen:
    seen = watch([sys.executable, "-c", _ENTRY, "train", *arguments, "--out", str(out)], FIRST, cache)
    if seen.code or seen.first_s is None:
        raise RunError(f"rl-depth train {' '.join(arguments)}: {_last(seen.err)}")
    return seen


def against_peer(python: Path, work: Work, turns: int) -> list[Row]:
    """The peer's training and ours, in turns, each cold; a row for each and turn, and their ratios (peer over ours).

    ``first_s``: wall seconds to the end of the first gradient steps. The peer says nothing before the end of its first
    epoch, whose evaluation and further rounds, at the steady rate, are subtracted. ``env_steps_per_s`` and
    ``grad_steps_per_s``: of the time for both, after the first epoch.

    Raises:
      RunError: the peer does not train under this Python; one line says what it lacks.
    """
    rows: list[Row] = []
    for turn in range(1, turns + 1):
        with tempfile.TemporaryDirectory() as folder:
            peer = _peer_row(python, work, folder)
            run = Path(folder) / "run"
            ours = _our_row(_ours(work.our_arguments(), run, str(Path(folder) / "ours")), run)
        rows += [{"who": "jaxgcrl", "turn": turn} | peer, {"who": "ours", "turn": turn} | ours]
        more = {"env_steps_per_s", "grad_steps_per_s"}  # where more is better
        ratios = {key: ours[key] / peer[key] if key in more else peer[key] / ours[key] for key in ours}
        rows.append({"who": "times as good", "turn": turn} | ratios)
    return rows


def _peer_row(python: Path, work: Work, cache: str) -> Row:
    script = Path(__file__).with_name("peer_train.py")
    try:
        seen = watch([str(python), str(script), json.dumps(work.peer_arguments())], PEER_FIRST, cache)
    except OSError as error:
        raise RunError(f"--peer-python {python}: cannot be run ({error.strerror})") from None
    if seen.code or seen.first_s is None:
        raise RunError(f"--peer-python {python}: {_last(seen.err)}")
    marks = json.loads(seen.out.strip().splitlines()[-1])["marks"]
    rounds = work.rounds // work.num_evals
    steady = (marks[-1]["train_seconds"] - marks[0]["train_seconds"]) / (rounds * (len(marks) - 1))
    first = seen.first_s - marks[0]["eval_seconds"] - (rounds - 1) * steady
    return _row(seen, first, work.num_envs * work.unroll / steady, work.updates / steady)


def _our_row(seen: Seen, run: Path) -> Row:
    timing = [row for row in Run(run).timing() if row["grad_steps"]]
    if len(timing) < 2:
        raise RunError("a comparison needs two evaluations after gradient steps")
    early, late = timing[0], timing[-1]
    seconds = late["train_seconds"] - early["train_seconds"]
    rates = ((late[name] - early[name]) / seconds for name in ("env_steps", "grad_steps"))
    assert seen.first_s is not None
    return _row(seen, seen.first_s, *rates)


def _row(seen: Seen, first: float, env_steps: float, grad_steps: float) -> Row:
    return {
        "first_s": first,
        "env_steps_per_s": env_steps,
        "grad_steps_per_s": grad_steps,
        "wall_s": seen.wall_s,
        "cpu_s": seen.cpu_s,
        "peak_mib": seen.peak_mib,
    }


def _last(err: str) -> str:
    return (err.strip().splitlines() or ["no output"])[-1]
