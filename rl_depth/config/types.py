"""What type each option has, read off its annotation, and values of Python and NumPy brought to it."""

from __future__ import annotations

import difflib
import math
import sys
import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import ConfigError
from .numbers import read_whole
from .options import Options

_SWITCH = {"true": True, "yes": True, "false": False, "no": False}

_LARGEST = sys.maxsize  # of a whole number that files hold

_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}


def settle(config: Options) -> None:
    """Bring every field of a configuration to its own type, in place.

    NumPy's numbers become Python's, whole numbers become floats where those are meant; nothing else is converted.

    Raises:
      ConfigError: a field holds something of another type, or a word that is none of its choices.
    """
    for field in kinds():
        value = getattr(config, field)
        found = _settled(field, value)
        if found is not value:
            object.__setattr__(config, field, found)


@cache
def kinds() -> dict[str, tuple[Any, ...]]:
    """Of each option the types it may have and the words it may be, from its annotation."""
    return {field: _kinds(hint) for field, hint in get_type_hints(Options).items()}


def is_switch(field: str) -> bool:
    """Whether there is an option of this name that is on or off."""
    return bool in kinds().get(field, ())


def read_option(field: str, text: str) -> str | int | float | bool:
    """An option's value from its text, as the command line reads it.

    Raises:
      ConfigError: it is of another type, or none of the choices.
    """
    own = kinds()[field]
    if str in own or text in [kind for kind in own if isinstance(kind, str)]:
        return text
    try:
        if int in own:
            return _settled(field, read_whole(text))
        if float in own:
            return float(text.replace("_", ""))
    except ValueError:
        raise ConfigError(refusal(field, text)) from None
    if bool in own and text.lower() in _SWITCH:
        return _SWITCH[text.lower()]
    raise ConfigError(refusal(field, text))


def refusal(field: str, value: Any, place: str | None = None) -> str:
    """The line that a value of the wrong type, or none of the choices, is answered with.

    Args:
      field: the option.
      value: as it was given, text on a command line.
      place: what to call the option; by default its flag.
    """
    own = [kind for kind in kinds()[field] if kind is not type(None)]
    words = [kind for kind in own if isinstance(kind, str)]
    allowed = " or ".join(_WORDS[kind] for kind in own if not isinstance(kind, str))
    if words:
        listed = words[0] if len(words) == 1 else f"one of {', '.join(words)}"
        allowed = f"{allowed} or {listed}" if allowed else listed
    near = difflib.get_close_matches(value, words, n=1, cutoff=0.6) if isinstance(value, str) else []
    hint = f"; did you mean {near[0]}?" if near else ""
    if isinstance(value, float) and value.is_integer() and int in own and abs(value) <= _LARGEST:
        hint = f", written {value:.0f}"
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        hint = f" of at most {_LARGEST}" if int in own else " of ordinary size"
    plain = words and isinstance(value, str) and value.isprintable() and value.strip()
    name = place if place is not None else "--" + field.replace("_", "-")
    return " ".join(f"{name} {short(value if plain else _repr(value))}: must be {allowed}{hint}".split())


def short(text: str) -> str:
    """A text, cut if it is so long that it would hide what is said of it."""
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text):,} characters)"


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # a number with more digits than Python prints
        return "a number of thousands of digits"


def _kinds(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) in (types.UnionType, Union):
        return tuple(kind for part in get_args(hint) for kind in _kinds(part))
    return (hint,)


def _settled(field: str, value: Any) -> Any:
    """The value as its option holds it."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # a number of NumPy or JAX
        value = value.item()
    own = kinds()[field]
    if type(value) in own and type(value) is not int:
        return value
    if isinstance(value, str):
        if any(value == kind for kind in own if isinstance(kind, str)):
            return str(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        if int in own and abs(value) <= _LARGEST:
            return int(value)
        if float in own and math.isfinite(_float(value)):
            return float(value)
    raise ConfigError(refusal(field, value))


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
