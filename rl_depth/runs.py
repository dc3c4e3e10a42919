"""The run folder: the only code that knows its file names, for writing and for reading.

    config.toml     every option, resolved
    meta.json       sizes and costs of the agent; versions, device, git state and command line of each session
    metrics.jsonl   one object per evaluation and seed; holds nothing that depends on the clock
    timing.jsonl    one object per evaluation: seconds spent so far
    status.json     how far the run is and how it ended
    checkpoints/    <epoch>.safetensors, the latest few
    evaluations/    what `rl-depth evaluate` found
    videos/
    log.txt         what the process printed, if a sweep started it

A killed process leaves every file readable: small files and checkpoints appear by rename, and a torn last
line of a ``.jsonl`` file is dropped.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from .config import Config, ConfigError, InputError, RunError, is_there, load, option_name, read_toml

_CONFIG, _META, _STATUS, _LOCK = "config.toml", "meta.json", "status.json", ".lock"
# Options that every configuration names, whatever version wrote it. Later ones are off in a run that lacks them.
_NAMED = [
    "env",
    "env_steps",
    "seed",
    "seeds",
    "block",
    "depth",
    "width",
    "block_layers",
    "representation",
    "remat",
    "precision",
    "norm",
    "residual_scale",
    "recurrence_draw",
    "backprop_steps",
    "progressive",
    "injection",
    "latent",
    "step_conditioning",
    "energy",
    "loss",
    "logsumexp_penalty",
    "random_goals",
    "gamma",
    "batch_size",
    "actor_lr",
    "critic_lr",
    "temperature_lr",
    "target_entropy",
    "num_envs",
    "unroll",
    "updates",
    "replay_steps",
    "min_replay_steps",
    "evals",
    "eval_episodes",
    "checkpoint_every",
    "keep_checkpoints",
]
_NEARBY = 300  # entries of a folder that are looked at for a run to name
_LOGS = ("metrics.jsonl", "timing.jsonl")


@dataclass(frozen=True)
class Checkpoint:
    """A restored checkpoint."""

    epoch: int
    arrays: dict[str, np.ndarray]
    skipped: list[str] = field(default_factory=list)  # damaged ones passed over, with the reason


@dataclass(frozen=True)
class Run:
    """A run folder."""

    path: Path

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.name

    @property
    def videos(self) -> Path:
        """Where videos of this run go."""
        return self.path / "videos"

    def evaluation_file(self, name: str) -> Path:
        """Where the result of `rl-depth evaluate` goes."""
        return self.path / "evaluations" / f"{name}.json"

    def config(self) -> Config:
        """The run's configuration, with the physics backend that it steps on once ``meta.json`` says which.

        A file that names none left it to the default of the version and the machine that began the run.

        Raises:
          ConfigError: the file cannot be read, is not a whole configuration, or holds what is not allowed.
        """
        file = self.path / _CONFIG
        config, held = load(file), read_toml(file)
        missing = [name for name in _NAMED if name not in held]
        if missing:
            raise ConfigError(f"{file}: lacks {', '.join(missing[:5])}{', ...' if missing[5:] else ''}")
        return config if config.backend else replace(config, backend=self._began_on())

    def meta(self) -> dict[str, Any]:
        """Contents of ``meta.json``."""
        return self._read_json(_META)

    def _began_on(self) -> str | None:
        """The physics backend of the run's first session; None before it."""
        meta = self.meta()
        env = meta.get("env") if isinstance(meta, dict) else None
        backend = env.get("backend") if isinstance(env, dict) else None
        return backend if isinstance(backend, str) else None

    def status(self) -> dict[str, Any]:
        """Contents of ``status.json``."""
        return self._read_json(_STATUS)

    def metrics(self) -> list[dict[str, Any]]:
        """Rows of ``metrics.jsonl``, in the order written."""
        return _read_lines(self.path / _LOGS[0])

    def timing(self) -> list[dict[str, Any]]:
        """Rows of ``timing.jsonl``, in the order written."""
        return _read_lines(self.path / _LOGS[1])

    def has_checkpoint(self) -> bool:
        """Whether a checkpoint was written, readable or not."""
        return bool(self._checkpoints())

    def load_checkpoint(self) -> Checkpoint:
        """The latest undamaged checkpoint.

        Raises:
          RunError: there is none; says what is wrong with those that are there.
        """
        skipped: list[str] = []
        for file in reversed(self._checkpoints()):
            try:
                return Checkpoint(int(file.stem), _read_arrays(file), skipped)
            except (OSError, ValueError) as error:
                skipped.append(f"{file.name} ({error})")
        reason = f"damaged: {'; '.join(skipped)}" if skipped else "none was written"
        raise InputError(f"{self.path}: no usable checkpoint, {reason}")

    def save_checkpoint(self, epoch: int, arrays: Mapping[str, np.ndarray], keep: int) -> None:
        """Write a checkpoint and remove all but the latest ``keep``."""
        folder = self.path / "checkpoints"
        folder.mkdir(exist_ok=True)
        _write_arrays(folder / f"{epoch:08d}.safetensors", arrays)
        for old in self._checkpoints()[:-keep]:
            old.unlink()

    def drop_checkpoints_after(self, epoch: int) -> None:
        """Remove checkpoints later than ``epoch``: those that were found damaged."""
        for file in self._checkpoints():
            if int(file.stem) > epoch:
                file.unlink()

    def append(self, metrics: Sequence[Mapping[str, Any]], timing: Mapping[str, Any]) -> None:
        """Log one evaluation: a metrics row per seed and a timing row. Every row names its ``epoch``."""
        for name, rows in zip(_LOGS, (metrics, [timing]), strict=True):
            text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())

    def truncate(self, epoch: int) -> None:
        """Drop log rows later than ``epoch``; training from that checkpoint writes them again."""
        for name in _LOGS:
            rows = [row for row in _read_lines(self.path / name) if row["epoch"] <= epoch]
            _write_text(self.path / name, "".join(json.dumps(row) + "\n" for row in rows))

    def write_meta(self, meta: Mapping[str, Any]) -> None:
        """Replace ``meta.json``."""
        _write_text(self.path / _META, json.dumps(meta, indent=2) + "\n")

    def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace ``status.json``."""
        _write_text(self.path / _STATUS, json.dumps(status, indent=2) + "\n")

    def _checkpoints(self) -> list[Path]:
        files = (self.path / "checkpoints").glob("*.safetensors")
        return sorted(file for file in files if file.stem.isdigit())

    def _read_json(self, name: str) -> dict[str, Any]:
        file = self.path / name
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{file}: cannot be read ({' '.join(str(error).split())[:200]})") from None
        return content


def open_run(path: Path | str) -> Run:
    """A run folder for reading.

    Raises:
      RunError: it is not one.
    """
    path = Path(path)
    if not is_run(path):
        known = [str(run.path) for run in itertools.islice(_nearby(path.parent), 5)]
        hint = f"; runs nearby: {', '.join(known)}" if known else ""
        raise InputError(f"{str(path)[:200]}: not a run folder (no {_CONFIG}){hint}")
    return Run(path)


def _nearby(folder: Path) -> Iterator[Run]:
    """Runs in a folder and in the folders in it, of which no more than a few hundred are looked at."""
    with contextlib.suppress(OSError):
        near = sorted(entry for entry in itertools.islice(folder.iterdir(), _NEARBY) if entry.is_dir())
        for place in near:
            if (place / _CONFIG).is_file():
                yield Run(place)
        for place in near:
            with contextlib.suppress(OSError):
                below = sorted(itertools.islice(place.iterdir(), _NEARBY // 10))
                yield from (Run(inner) for inner in below if (inner / _CONFIG).is_file())


def is_run(path: Path | str) -> bool:
    """Whether a path is a run folder."""
    return is_there(Path(path) / _CONFIG)


def find_runs(root: Path | str) -> list[Run]:
    """All run folders at or below ``root``, sorted by path."""
    root = Path(root)
    return [Run(file.parent) for file in sorted(root.rglob(_CONFIG))]


def fresh_path(config: Config) -> Path:
    """A folder below ``runs/train`` that does not exist yet, named after the experiment."""
    stem = Path("runs") / "train" / f"{config.env.replace(':', '.')}-{config.block}-{config.depth}"
    candidates = (stem if n == 1 else stem.with_name(f"{stem.name}-{n}") for n in itertools.count(1))
    return next(path for path in candidates if not path.exists())


@contextlib.contextmanager
def hold(path: Path, config: Config, resume: bool) -> Iterator[Run]:
    """Create or enter a run folder for writing, and keep other processes out until the block ends.

    A new folder appears with its configuration in it or not at all.

    Raises:
      ConfigError: the folder holds another configuration, or a run and ``resume`` is False.
      RunError: another process writes it, or it cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"--out {path}: is a file, not a folder")
    new = not (path / _CONFIG).exists()
    if new and path.exists() and any(entry.name != _LOCK for entry in path.iterdir()):
        raise ConfigError(f"--out {path}: not empty and not a run folder")
    if not new:
        _check_same(path, Run(path).config(), config, resume)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / _LOCK).open("a")
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot be written ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{path}: another process is writing this run") from None
        if new:
            _write_text(path / _CONFIG, tomli_w.dumps(config.to_dict()))
        yield Run(path)


def is_held(run: Run) -> bool | None:
    """Whether a process is writing a run now; None where locks tell nothing."""
    try:
        with (run.path / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


@contextlib.contextmanager
def written_to(out: Path) -> Iterator[None]:
    """Makes the folder that the block writes its results to.

    Raises:
      InputError: it, or a file in it, cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None


def _check_same(path: Path, old: Config, new: Config, resume: bool) -> None:
    if new.backend is None:  # whatever the run began on
        new = replace(new, backend=old.backend)
    differ = [name for name in Config.__dataclass_fields__ if getattr(old, name) != getattr(new, name)]
    if differ:
        changes = ", ".join(f"{option_name(n)} {getattr(old, n)} there, {getattr(new, n)} here" for n in differ)
        raise ConfigError(f"--out {path}: holds a run with another configuration ({changes})")
    if not resume:
        raise ConfigError(f"--out {path}: holds this run already; add --resume to go on, or choose another folder")


def _write_text(file: Path, text: str) -> None:
    with _replacing(file) as partial:
        partial.write_text(text, encoding="utf-8")


def _write_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    ready = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with _replacing(file) as partial:
        try:
            save_file(ready, partial, metadata={"digest": _digest(ready)})
        except SafetensorError as error:  # its only way to say that the disk is full
            raise OSError(f"{file.name} cannot be written: {error}") from None


def _read_arrays(file: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stored:
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a dict
            digest = (stored.metadata() or {}).get("digest")
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    if digest != _digest(arrays):
        raise ValueError("contents do not match their checksum")
    return arrays


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8))
    return digest.hexdigest()


@contextlib.contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """A path to write to; it takes the place of ``file`` once it is safely on the disk."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        yield partial
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _read_lines(file: Path) -> list[dict[str, Any]]:
    """Objects of a ``.jsonl`` file; a torn last line is dropped.

    Raises:
      RunError: another line is not JSON.
    """
    if not file.exists():
        return []
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    rows = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError):
            raise InputError(f"{file}: line {number} is not JSON") from None
    return rows
