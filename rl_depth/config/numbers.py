"""Whole numbers on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from cyclopts import Parameter


def read_whole(text: str) -> int:
    """Read an integer; Python's and cyclopts' own conversions would round 8.5 down to 8."""
    text = text.replace("_", "")
    try:
        number = float(text)
        whole = int(number)
    except (ValueError, OverflowError):
        raise ValueError("must be a whole number") from None
    if whole != number:
        raise ValueError("must be a whole number")
    return int(text) if text.lstrip("+-").isdigit() else whole


def whole(type_: Any, tokens: Sequence[Any]) -> int:
    """Convert a flag's value to an integer."""
    del type_
    return read_whole(tokens[0].value)


def whole_or_word(type_: Any, tokens: Sequence[Any]) -> int | str:
    """Convert a flag's value to an integer, or leave it one of the words that ``int | Literal[...]`` allows."""
    words = [word for part in get_args(type_) for word in get_args(part)]
    return tokens[0].value if tokens[0].value in words else whole(type_, tokens)


def _wholes(type_: Any, tokens: Sequence[Any]) -> tuple[int, ...]:
    """Read ``4,8,16`` as well as ``4 8 16``."""
    del type_
    parts = [part.strip() for token in tokens for part in token.value.split(",")]
    if "" in parts:
        raise ValueError("lacks a number; write such as 4,8,16")
    return tuple(read_whole(part) for part in parts)


Whole = Annotated[int, Parameter(converter=whole)]
Wholes = Annotated[tuple[int, ...], Parameter(converter=_wholes, consume_multiple=(1, None), negative="")]
