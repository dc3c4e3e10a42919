"""What lies below the folders of a report: runs with their options and machines, videos, results at test depths.

Nothing here judges. What cannot be read is noted, and stands in the table as "unreadable".
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth.config import Config, ConfigError
from rl_depth.runs import Run, RunError

from ..aggregate import Estimate
from ..extrapolation import BREAKDOWNS
from ..runs.groups import DAMAGE

VIDEO_BYTES = 24_000_000
"""Most that all videos of a page hold together; base64 makes a third more of it."""

# Told in columns of their own, or of no bearing on results.
_OWN_COLUMNS = (
    "env",
    "block",
    "depth",
    "seed",
    "seeds",
    "checkpoint_every",
    "keep_checkpoints",
    "keep_best",
    "checkpoint_replay",
)


@dataclass(frozen=True)
class RunFacts:
    """A run as the table of runs shows it.

    Attributes:
      name: its folder, from the folder that all runs share.
      path: its folder.
      state: what ``status.json`` says, "waiting" before, or "unreadable".
      options: all options, with None for what is not set; empty if unreadable.
      env_steps, total: environment steps per seed, taken and asked for.
      seeds: seeds with evaluations.
      final: metric to its median over seeds at the last evaluation.
      cost: parameters and operations, as ``meta.json`` holds them.
      train_seconds: collection and gradient steps, all seeds together; None if not recorded.
      sessions: as ``meta.json`` holds them.
      note: what a reader must know: diverged seeds, a failure, damage.
    """

    name: str
    path: Path
    state: str
    options: dict[str, Any] = field(default_factory=dict)
    env_steps: int = 0
    total: int = 0
    seeds: tuple[int, ...] = ()
    final: dict[str, float] = field(default_factory=dict)
    cost: dict[str, int] = field(default_factory=dict)
    train_seconds: float | None = None
    sessions: tuple[dict[str, Any], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Setup:
    """Software and hardware that sessions of runs share.

    Attributes:
      letter: its name in the table of runs.
      software: versions by package.
      commit: of this package; "" if not known; " (changed)" follows if files differed from it.
      hardware: device and host in words.
      runs: names of the runs.
    """

    letter: str
    software: dict[str, str]
    commit: str
    hardware: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Video:
    """A file to show.

    Attributes:
      name: its path, from the folder that all runs share.
      kind: media type.
      content: the file; None if the page had no room for it, or it cannot be read.
      size: bytes.
    """

    name: str
    path: Path
    kind: str
    content: bytes | None
    size: int


@dataclass(frozen=True, eq=False)
class Extrapolated:
    """A looped run at depths beyond the trained ones, as ``rl-depth extrapolate`` found it.

    Attributes:
      label, env, run: what it is called, its environment and folder.
      trained: largest trained depth.
      depths: ``[D]``, test depths.
      capability, critic: metric to values ``[S, D]`` of its seeds.
      means: metric to mean over seeds and interval, ``[D]`` each; NaN ends for a single seed.
      verdicts: metric to the fields of ``analysis.extrapolation.Extrapolation``.
    """

    label: str
    env: str
    run: str
    trained: int
    depths: np.ndarray
    capability: dict[str, np.ndarray]
    critic: dict[str, np.ndarray]
    means: dict[str, Estimate[np.ndarray]]
    verdicts: dict[str, dict[str, Any]]


def comparable(found: Sequence[Extrapolated]) -> list[Extrapolated]:
    """Those tested like the first one: at its depths, in its metrics."""
    return [one for one in found if _tested(one) == _tested(found[0])]


def _tested(one: Extrapolated) -> tuple[list[int], list[str]]:
    return one.depths.tolist(), [*one.capability, *one.critic]


def names_of(paths: Sequence[Path]) -> dict[Path, str]:
    """Paths as seen from the folder that all of them share; the last part of a path that stands alone."""
    if not paths:
        return {}
    shared = os.path.commonpath([path.resolve().parent for path in paths])
    return {path: os.path.relpath(path.resolve(), shared) for path in paths}


def describe(runs: Sequence[Run], metrics: Sequence[str]) -> list[RunFacts]:
    """All runs as they stand, in the order given."""
    names = names_of([run.path for run in runs])
    return [_facts(run, names[run.path], metrics) for run in runs]


def _facts(run: Run, name: str, metrics: Sequence[str]) -> RunFacts:
    try:
        config, status, rows, meta = run.config(), run.status(), run.metrics(), run.meta()
        latest = [row for row in rows if row["epoch"] == rows[-1]["epoch"]]
        timing = run.timing()
        return RunFacts(
            name=name,
            path=run.path,
            state=str(status.get("state", "waiting")),
            options=asdict(config),
            env_steps=int(rows[-1]["env_steps"]) if rows else 0,
            total=config.epochs * config.epoch_env_steps,
            seeds=tuple(sorted({int(row["seed"]) for row in rows})),
            final={m: float(np.median([row[m] for row in latest])) for m in metrics if rows and m in rows[-1]},
            cost=dict(meta.get("cost", {})),
            train_seconds=float(timing[-1]["train_seconds"]) if timing else None,
            sessions=tuple(dict(session) for session in meta.get("sessions", [])),
            note=_note(status),
        )
    except (RunError, ConfigError, OSError) as error:
        note = str(error).removeprefix(f"{run.path}: ").removeprefix(f"{run.path}/")
    except DAMAGE as error:
        note = f"not as rl-depth writes it ({type(error).__name__}: {error})"
    return RunFacts(name, run.path, "unreadable", note=" ".join(note.split()))


def _note(status: Mapping[str, Any]) -> str:
    notes = [str(status["reason"])] if "reason" in status and status.get("state") == "failed" else []
    notes += [f"seed {seed} diverged in epoch {epoch}" for seed, epoch in status.get("diverged", {}).items()]
    return "; ".join(notes)


def differing(facts: Sequence[RunFacts]) -> list[str]:
    """Options besides environment, block, depth and seeds in which the runs differ."""
    tables = [one.options for one in facts if one.options]
    names = [name for name in Config.__dataclass_fields__ if name not in _OWN_COLUMNS]
    return [name for name in names if len({repr(table.get(name)) for table in tables}) > 1]


def shared(facts: Sequence[RunFacts]) -> dict[str, Any]:
    """Options that are set, and the same in all runs."""
    tables = [one.options for one in facts if one.options]
    if not tables:
        return {}
    names = [name for name in tables[0] if len({repr(table.get(name)) for table in tables}) == 1]
    return {name: tables[0][name] for name in names if tables[0][name] is not None}


def setups(facts: Sequence[RunFacts]) -> list[Setup]:
    """Software and hardware of all sessions, most used first."""
    found: dict[str, tuple[dict[str, Any], dict[str, None]]] = {}
    for one in facts:
        for session in one.sessions:
            about = {name: session.get(name) for name in ("versions", "device", "host", "git")}
            about = {name: value if isinstance(value, dict) else {} for name, value in about.items()}
            found.setdefault(json.dumps(about, sort_keys=True), (about, {}))[1][one.name] = None
    ordered = sorted(found.values(), key=lambda entry: -len(entry[1]))
    return [_setup(_letter(i), about, tuple(names)) for i, (about, names) in enumerate(ordered)]


def _letter(place: int) -> str:
    """A, B, ..., Z, A2, B2, ..."""
    return chr(ord("A") + place % 26) + (str(place // 26 + 1) if place >= 26 else "")


def _setup(letter: str, about: Mapping[str, dict[str, Any]], runs: tuple[str, ...]) -> Setup:
    device, host, git = about["device"], about["host"], about["git"]
    kind = str(device.get("kind", "unknown device"))
    hardware = f"{device.get('count', 1)} x {kind}" if kind != "cpu" else "CPU"
    parts = [hardware]
    parts += [f"{host['cpu_cores']} cores"] if "cpu_cores" in host else []
    parts += [" ".join(str(host[name]) for name in ("machine", "system") if name in host)]
    commit = str(git.get("commit", ""))[:12] + (" (changed)" if git.get("dirty") else "")
    versions = {str(name): str(version) for name, version in about["versions"].items() if version is not None}
    return Setup(letter, versions, commit, ", ".join(part for part in parts if part), runs)


def to_rows(facts: Sequence[RunFacts]) -> list[dict[str, Any]]:
    """Runs as JSON holds them."""
    return [asdict(one) | {"path": str(one.path)} for one in facts]


_KINDS = {".mp4": "video/mp4", ".gif": "image/gif"}


def videos(roots: Iterable[Path], limit: int) -> list[Video]:
    """Videos at or below folders, each once; a gif only where no mp4 of its name lies beside it.

    Args:
      roots: the folders.
      limit: bytes of all together; those that do not fit into the rest of it come without their content.
    """
    every = [file for root in roots for file in sorted(root.rglob("*")) if file.suffix in _KINDS and file.is_file()]
    found = {file.resolve(): file for file in every if not file.name.startswith(".")}
    files = [f for f in found.values() if f.suffix == ".mp4" or f.with_suffix(".mp4").resolve() not in found]
    names, left, result = names_of(files), limit, []
    for file in files:
        size = file.stat().st_size
        content = _read(file) if size <= left else None
        left -= size if content is not None else 0
        result.append(Video(names[file], file, _KINDS[file.suffix], content, size))
    return result


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def extrapolated(roots: Iterable[Path]) -> tuple[list[Extrapolated], list[str]]:
    """Results of ``rl-depth extrapolate`` at or below folders, and a note for each file that is none."""
    files = {file.resolve(): file for root in roots for file in sorted(root.rglob("extrapolation.json"))}
    found, notes = [], []
    for file in files.values():
        try:
            found += [_extrapolated(entry) for entry in json.loads(file.read_text(encoding="utf-8"))["runs"]]
        except DAMAGE as error:
            notes.append(f"left out, not as rl-depth extrapolate writes it ({type(error).__name__}): {file}")
    return found, notes


def _extrapolated(entry: Mapping[str, Any]) -> Extrapolated:
    depths = np.array([int(depth) for depth in entry["depths"]])
    tables = {part: {str(name): table for name, table in entry[part].items()} for part in ("capability", "critic")}
    values = {
        part: {name: _array(table["values"], (len(table["values"]), len(depths))) for name, table in own.items()}
        for part, own in tables.items()
    }
    means = {
        name: Estimate(*(_array(table[end] or [None] * len(depths), (len(depths),)) for end in ("mean", "low", "high")))
        for own in tables.values()
        for name, table in own.items()
    }
    verdicts = {name: dict(entry["verdicts"][name]) for name in tables["capability"]}
    for verdict in verdicts.values():
        _check_verdict(verdict, depths)
    return Extrapolated(
        label=str(entry["label"]),
        env=str(entry["env"]),
        run=str(entry["run"]),
        trained=int(entry["trained_depth"]),
        depths=depths,
        means=means,
        verdicts=verdicts,
        **values,
    )


def _array(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """JSON's null is NaN."""
    array = np.array(values, float)
    if array.shape != shape or not array.size:
        raise ValueError(f"values have shape {array.shape}, not {shape}")
    return array


def _check_verdict(verdict: Mapping[str, Any], depths: np.ndarray) -> None:
    need: dict[str, Callable[[Any], bool]] = {
        "best_depth": lambda v: v in depths,
        "reach": lambda v: v == 0 or v in depths,
        "ratio": lambda v: isinstance(v, int | float) and math.isfinite(v),
        "noise": lambda v: isinstance(v, int | float) and math.isfinite(v),
        "low": lambda v: v is None or isinstance(v, int | float),
        "high": lambda v: v is None or isinstance(v, int | float),
        "breakdown": lambda v: v in BREAKDOWNS,
    }
    for name, good in need.items():
        if not good(verdict[name]):
            raise ValueError(f"{name} is {verdict[name]!r}")
