"""One trained agent in one file: its parameters, and in the notes its configuration and how far it was trained."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tomli_w

from ..config import Config, ConfigError, InputError
from .atomic import read_arrays, write_arrays


def write_agent(file: Path, arrays: Mapping[str, np.ndarray], config: Config, epoch: int) -> None:
    """Put an agent in the place of a safetensors file.

    Raises:
      InputError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(file, arrays, {"config": tomli_w.dumps(config.to_dict()), "epoch": str(epoch)})
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror or error})") from None


def read_agent(file: Path) -> tuple[dict[str, np.ndarray], Config, int]:
    """Arrays, configuration and epoch of a file that `write_agent` wrote. Executes nothing.

    Raises:
      InputError: it cannot be read, or is no such file.
    """
    try:
        arrays, notes = read_arrays(file)
        return arrays, Config(**tomllib.loads(notes["config"])), int(notes["epoch"])
    except ConfigError as error:
        raise InputError(f"{file}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{file}: not an agent that rl-depth export wrote ({reason})") from None
