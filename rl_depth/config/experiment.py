"""The configuration of an experiment, checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from cyclopts import Parameter

from .checks import check
from .options import Options
from .types import settle


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """One experiment: a point-maze agent of depth 8 unless told otherwise.

    Raises:
      ConfigError: on construction, if a value has the wrong type or is none of its choices, or if a value or a
        combination of values is not allowed.
    """

    def __post_init__(self) -> None:
        settle(self)
        super().__post_init__()
        check(self)
