"""What several commands share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .. import signals
from ..config import ConfigError

Switch = Parameter(negative="")
RunFolders = Annotated[list[Path], Parameter(consume_multiple=True)]


def start(*, look: bool = True) -> None:
    """Load JAX, and let it look for its devices; not before the options are known to be good."""
    from .. import device

    signals.end_when_interrupted()
    device.start()
    if look:
        device.check()


def at_least(option: str, value: int, least: int) -> None:
    """Refuse an option's value below ``least``."""
    if value < least:
        raise ConfigError(f"--{option} {value}: must be at least {least}")


def within(option: str, value: int, least: int, most: int) -> None:
    """Refuse an option's value outside of ``least`` to ``most``."""
    if not least <= value <= most:
        raise ConfigError(f"--{option} {value}: must lie in {least} to {most}")


MOST_EPISODES = 100_000
MOST_SEED = 2**31 - 1


def write_json(file: Path, content: Any) -> None:
    """Write a result, with the folders above it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror})") from None


def show_notes(notes: Sequence[str]) -> None:
    """Print what was left out or is missing, a line each."""
    for note in notes:
        print(f"note: {note}")
