"""Whole numbers on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from cyclopts import Parameter


def _read_whole(text: str) -> int:
    """Read an integer; Python's and cyclopts' own conversions would round 8.5 down to 8."""
    text = text.replace("_", "")
    try:
        number = float(text)
        whole = int(number)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a whole number") from None
    if whole != number:
        raise ValueError(f"{text!r} is not a whole number")
    return int(text) if text.lstrip("+-").isdigit() else whole


def whole(type_: Any, tokens: Sequence[Any]) -> int:
    """Convert a flag's value to an integer."""
    del type_
    return _read_whole(tokens[0].value)


def whole_or_word(type_: Any, tokens: Sequence[Any]) -> int | str:
    """Convert a flag's value to an integer, or leave it one of the words that ``int | Literal[...]`` allows."""
    words = [word for part in get_args(type_) for word in get_args(part)]
    return tokens[0].value if tokens[0].value in words else whole(type_, tokens)


def _wholes(type_: Any, tokens: Sequence[Any]) -> tuple[int, ...]:
    """Read ``4,8,16`` as well as ``4 8 16``."""
    del type_
    return tuple(_read_whole(part) for token in tokens for part in token.value.split(",") if part)


Whole = Annotated[int, Parameter(converter=whole)]
Wholes = Annotated[tuple[int, ...], Parameter(converter=_wholes, consume_multiple=True)]
