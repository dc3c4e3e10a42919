"""What several commands share."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .. import signals
from ..config import BUDGET_FORMS, Budget, ConfigError, is_there, whole

Switch = Parameter(negative="")
RunFolders = Annotated[list[Path], Parameter(consume_multiple=True, json_list=False)]
# One metric or several; either name serves both.
Metric = Annotated[str | None, Parameter(name=("--metric", "--metrics"))]
Metrics = Annotated[
    list[str] | None, Parameter(name=("--metrics", "--metric"), consume_multiple=(1, None), negative="")
]

# Parted by blanks; commas stand within one.
Budgets = Annotated[list[str] | None, Parameter(consume_multiple=(1, None), json_list=False, negative="")]


def _seed(type_: Any, tokens: Sequence[Any]) -> int:
    number = whole(type_, tokens)
    if not 0 <= number < 2**31:
        raise ValueError("must lie in [0, 2^31)")
    return number


Seed = Annotated[int, Parameter(converter=_seed)]


def _folder(type_: Any, tokens: Sequence[Any]) -> Path:
    """A folder to write to, which need not be there yet."""
    del type_
    path = Path(tokens[0].value)
    if not tokens[0].value.strip():
        raise ValueError("is empty; the current folder is .")
    if is_there(path) and not path.is_dir():
        raise ValueError("is a file, not a folder")
    _check_place(path)
    return path


def _result(type_: Any, tokens: Sequence[Any]) -> Path:
    """A file to write to; what cannot be written is told of before the work that it is to hold."""
    del type_
    path = Path(tokens[0].value)
    if not tokens[0].value.strip() or path.is_dir():
        raise ValueError("is a folder, not a file")
    _check_place(path)
    return path


def _check_place(path: Path) -> None:
    """Refuse a path that nothing can be written to; makes nothing."""
    try:
        os.fspath(path).encode()
        place = next(place for place in (path, *path.absolute().parents) if place.exists())
        broken = place is not path and not place.is_dir()
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot be written ({getattr(error, 'strerror', None) or error})") from None
    if broken:
        raise ValueError(f"cannot be written ({place} is a file)")
    if not os.access(place, os.W_OK):
        raise ValueError("cannot be written (no permission)")


OutFolder = Annotated[Path, Parameter(converter=_folder)]
ResultFile = Annotated[Path, Parameter(converter=_result)]


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


def read_budgets(texts: Sequence[str] | None, option: str) -> tuple[Budget, ...]:
    """The budgets that an option names, each once."""
    found = []
    for text in texts or ():
        try:
            found.append(Budget.parse(text))
        except ValueError as error:
            known = "" if BUDGET_FORMS in str(error) else f"; forms: {BUDGET_FORMS}"
            raise ConfigError(f"--{option} {text}: {error}{known}") from None
    return tuple(dict.fromkeys(found))
