"""Whether an evaluation has episodes enough: its own error against what the seeds of an agent differ by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .groups import LAST, Group

SHARE = 1 / 3
"""Of the spread over seeds; above, the episodes of the evaluation make a good part of what looks like seeds."""


@dataclass(frozen=True)
class Precision:
    """How exactly a share of episodes is known, over groups of seeds.

    Attributes:
      metric: the share.
      episodes: behind each seed's value, the last evaluations together; the fewest of any.
      error: standard error of a seed's value from its episodes alone, ``sqrt(p (1 - p) / episodes)``.
      spread: standard deviation over seeds, the evaluation's error within it.
      needed: episodes of one evaluation with which the error would be ``SHARE`` of what is left of the spread without
        it; None if nothing is left: the seeds differ by no more than the evaluation's error.
    """

    metric: str
    episodes: int
    error: float
    spread: float
    needed: int | None

    @property
    def enough(self) -> bool:
        """Whether the error is below ``SHARE`` of the spread."""
        return self.error < SHARE * self.spread

    @property
    def text(self) -> str:
        """In words, with the numbers."""
        text = f"the evaluation's own error is {self.error:.3f} ({self.episodes} episodes a seed, binomial), "
        text += f"{'below' if self.enough else 'not below'} a third of the spread over seeds, {self.spread:.3f}"
        if self.enough:
            return text
        if self.needed is None:
            return f"{text}: the seeds differ by no more than their evaluations do"
        return f"{text}: --eval-episodes {self.needed} would do"


def precision(groups: Sequence[Group], metric: str) -> Precision | None:
    """Of a metric that is a share of episodes; None without two seeds anywhere, or where every episode ends alike."""
    several = [group for group in groups if metric in group.curves and len(group.seeds) > 1]
    shares = [group.final(metric) for group in several]
    if not several or not any(0 < share.mean() < 1 for share in shares):
        return None
    counts = [_episodes(group) for group in several]
    variance = np.mean([share.mean() * (1 - share.mean()) for share in shares])
    error = np.mean([s.mean() * (1 - s.mean()) / count for s, count in zip(shares, counts, strict=True)])
    spread = np.mean([share.var(ddof=1) for share in shares])
    left = spread - error
    needed = int(np.ceil(variance / (SHARE**2 * left) / LAST)) if left > 0 else None
    return Precision(metric, min(counts), float(np.sqrt(error)), float(np.sqrt(spread)), needed)


def _episodes(group: Group) -> int:
    """Episodes behind a seed's value: those that evaluations say they had, or were asked for."""
    told = [sum(int(level.get("episodes", 0)) for level in levels) for levels in group.levels]
    return min(told) or group.config.eval_episodes * min(LAST, len(group.env_steps))
