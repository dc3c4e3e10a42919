"""Statistics over seeds as plain types, for tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..aggregate import iqm_interval, performance_profile


class Agents(Protocol):
    """Seeds of one environment, block and depth: a `groups.Group` or a `tabled.Cell`."""

    @property
    def env(self) -> str:
        """Environment."""

    @property
    def block(self) -> str:
        """Kind of block."""

    @property
    def depth(self) -> int:
        """Dense layers."""

    @property
    def label(self) -> str:
        """Block and depth in words."""

    def final(self, metric: str) -> np.ndarray:
        """Final capability ``[S]``."""


_THRESHOLDS = 21  # of a performance profile


def summary(name: str, values: np.ndarray) -> dict[str, float | None]:
    """Statistics over seeds ``[S]``, by the metric's name; all None for no seeds, no interval for one.

    The name itself holds the interquartile mean, ``_low`` and ``_high`` its bootstrap interval, ``_median``, ``_min``
    and ``_max`` what they say.
    """
    names = [name, *(f"{name}_{part}" for part in ("low", "high", "median", "min", "max"))]
    if not len(values):
        return dict.fromkeys(names)
    middle = iqm_interval(values)
    ends = (float(middle.low), float(middle.high)) if len(values) > 1 else (None, None)
    numbers = (float(middle.value), *ends, float(np.median(values)), float(values.min()), float(values.max()))
    return dict(zip(names, numbers, strict=True))


def profile(values: np.ndarray, every: Sequence[np.ndarray], *, lower_is_better: bool) -> dict[str, list[float] | None]:
    """Performance profile: the share of seeds ``[S]`` better than each threshold.

    Args:
      values: the seeds.
      every: seeds of all that is compared, which span the thresholds.
      lower_is_better: whether better is below.
    """
    taus = np.linspace(min(v.min() for v in every), max(v.max() for v in every), _THRESHOLDS)
    sign = -1 if lower_is_better else 1
    found = performance_profile(sign * values, sign * taus)
    several = len(values) > 1
    return {
        "threshold": taus.tolist(),
        "share": found.value.tolist(),
        "low": found.low.tolist() if several else None,
        "high": found.high.tolist() if several else None,
    }


def missing(agents: Sequence[Agents], metric: str) -> list[str]:
    """A line for each thing that keeps agents from being compared: single seeds, single depths, one kind of block."""
    notes = []
    for env in dict.fromkeys(one.env for one in agents):
        own = [one for one in agents if one.env == env]
        single = [one.label for one in own if len(one.final(metric)) == 1]
        if single:
            places = "; ".join(single[:3]) + (f" and {len(single) - 3} more" if len(single) > 3 else "")
            notes.append(f"one seed, so no intervals: {env}, {places}")
        blocks, depths = {one.block for one in own}, {one.depth for one in own}
        if len(blocks) == 1:
            notes.append(f"only {blocks.pop()} networks, so nothing to compare blocks by: {env}")
        if len(depths) == 1:
            notes.append(f"only depth {depths.pop()}, so nothing is said of depth: {env}")
    return notes
