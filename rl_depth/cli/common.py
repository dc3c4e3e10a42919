"""What several commands share."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..config import ConfigError

Switch = Parameter(negative="")
RunFolders = Annotated[list[Path], Parameter(consume_multiple=True)]


def start() -> None:
    """Load JAX; not before the options are known to be good."""
    from .. import device

    device.start()


def at_least(option: str, value: int, least: int) -> None:
    """Refuse an option's value below ``least``."""
    if value < least:
        raise ConfigError(f"--{option} {value}: must be at least {least}")


def check_writable(file: Path | None) -> None:
    """Refuse a result file that cannot be written, before the work that it is to hold; makes nothing."""
    if file is None:
        return
    try:
        if file.is_dir():
            raise ConfigError(f"{file}: is a folder, not a file")
        place = next(place for place in (file, *file.absolute().parents) if place.exists())
        if place is not file and not place.is_dir():
            raise ConfigError(f"{file}: cannot be written ({place} is a file)")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(file)[:100]}: cannot be written ({error})") from None
    if not os.access(place, os.W_OK):
        raise ConfigError(f"{file}: cannot be written (no permission)")


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
