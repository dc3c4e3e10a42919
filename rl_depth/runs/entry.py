"""Who may write a run folder, and with which options."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from ..config import Config, ConfigError, option_name
from .folder import CONFIG, Run
from .locks import OWN_FILES, locked

CHANGEABLE = (
    "env_steps",
    "evals",
    "eval_episodes",
    "checkpoint_every",
    "keep_checkpoints",
    "keep_best",
    "checkpoint_replay",
)
"""Options that a run may go on with otherwise: none of them changes what an epoch does."""


def fresh_path(config: Config) -> Path:
    """A folder below ``runs/train`` that does not exist yet, named after the experiment."""
    stem = Path("runs") / "train" / f"{config.env.replace(':', '.')}-{config.block}-{config.depth}"
    candidates = (stem if n == 1 else stem.with_name(f"{stem.name}-{n}") for n in itertools.count(1))
    return next(path for path in candidates if not path.exists())


@contextlib.contextmanager
def hold(path: Path, config: Config, resume: bool, *, change: bool = False) -> Generator[Run]:
    """Create or enter a run folder for writing, and keep other processes out until the block ends.

    A new folder appears with its configuration in it or not at all.

    Args:
      path: the folder.
      config: of the run.
      resume: enter a folder that holds this run already.
      change: then let the options of `CHANGEABLE` differ; the folder keeps its own until `Run.write_config`.

    Raises:
      ConfigError: the folder holds another configuration, or a run and ``resume`` is False, or it cannot be written.
      RunError: another process writes it.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"--out {path}: is a file, not a folder")
    new = not (path / CONFIG).exists()
    if new and path.exists() and any(entry.name not in OWN_FILES for entry in path.iterdir()):
        raise ConfigError(f"--out {path}: not empty and not a run folder")
    if not new:
        _check_same(path, Run(path).config(), config, resume, change)
    made = not path.exists()
    with contextlib.ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(path))
            if new:
                Run(path).write_config(config)
        except OSError as error:
            if made:
                shutil.rmtree(path, ignore_errors=True)  # nothing but the lock is in it
            raise ConfigError(f"--out {path}: cannot be written ({error.strerror})") from None
        yield Run(path)


def _check_same(path: Path, old: Config, new: Config, resume: bool, change: bool) -> None:
    if new.backend is None:  # whatever the run began on
        new = replace(new, backend=old.backend)
    differ = [name for name in Config.__dataclass_fields__ if getattr(old, name) != getattr(new, name)]
    allowed = CHANGEABLE if change else ()
    if refused := [name for name in differ if name not in allowed]:
        changes = ", ".join(f"{option_name(n)} {getattr(old, n)} there, {getattr(new, n)} here" for n in refused)
        raise ConfigError(f"--out {path}: holds a run with another configuration ({changes})")
    if not resume:
        raise ConfigError(f"--out {path}: holds this run already; add --resume to go on, or choose another folder")
    law = old.recurrence()
    if "env_steps" in differ and law is not None and law.kind == "curriculum":
        raise ConfigError(
            f"--env-steps {new.env_steps}: --train-recurrence {old.train_recurrence} spreads over the run's "
            f"{old.env_steps} steps, so that a longer run is another one from its start"
        )
