"""How a bad option is refused: in one line that names the option, its value and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from .errors import ConfigError
from .options import Options


def option_name(field: str) -> str:
    """The flag of a field: ``batch_size -> --batch-size``."""
    return "--" + field.replace("_", "-")


def refuse(field: str, value: Any, allowed: str) -> NoReturn:
    """Raise the `ConfigError` of a field's value."""
    raise ConfigError(f"{option_name(field)} {value}: {allowed}")


def refuse_changed(config: Options, fields: Sequence[str], allowed: str) -> None:
    """Refuse the first of the fields that does not have its default."""
    for field in fields:
        if getattr(config, field) != config.__dataclass_fields__[field].default:
            refuse(field, getattr(config, field), allowed)


def nearest(value: int, step: int) -> str:
    """The positive multiples of ``step`` next to a value, as refusals name them."""
    below = value // step * step
    return "nearest: " + " or ".join([str(near) for near in (below, below + step) if near > 0] or [str(step)])
