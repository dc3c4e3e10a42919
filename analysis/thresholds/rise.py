"""Where a series changes: its steepest doubling, and the depth at which half of the change is done.

Whatever the verdict on a series is, this describes its means over seeds; no test stands behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .likelihood import Sample


@dataclass(frozen=True)
class Rise:
    """The way from the least to the greatest mean over seeds, or back where the greatest comes first.

    Attributes:
      falls: whether it is a fall.
      low, high: the two means.
      start, end: neighbouring depths between which the mean changes most per doubling.
      share: of the whole change that lies between them.
      half_at: first depth at which half of the change is done.
      edges: which of the steepest doubling's ends are the first and the last depth, where nothing tells a jump from
        a slope that begins below or goes on beyond: "first", "last", both or none.
    """

    falls: bool
    low: float
    high: float
    start: int | float
    end: int | float
    share: float
    half_at: int | float
    edges: tuple[str, ...]

    @property
    def text(self) -> str:
        """As a part of a sentence: ``steepest from 8 to 16, 68% of the whole rise; half of it is done at 16``."""
        what = "fall" if self.falls else "rise"
        return (
            f"steepest from {self.start:g} to {self.end:g}, {self.share:.0%} of the whole {what}; "
            f"half of it is done at {self.half_at:g}"
        )

    @property
    def advice(self) -> str:
        """What to sample where the steepest doubling is the first or the last one; else nothing."""
        if not self.edges:
            return ""
        where = {"first": f"below {self.start:g}", "last": f"beyond {self.end:g}"}
        places = " and ".join(where[edge] for edge in self.edges)
        return f"the first and the last depth cannot be judged: sample depths {places}"

    def to_json(self) -> dict[str, Any]:
        """``steepest`` and ``half_at`` as plain types."""
        return {"steepest": {"from": self.start, "to": self.end, "share": self.share}, "half_at": self.half_at}


def rise(series: Sample) -> Rise | None:
    """Where the means of a series change; None for a single depth, or means that are all the same."""
    means = series.means
    least, greatest = int(means.argmin()), int(means.argmax())
    span = float(means[greatest] - means[least])
    if span == 0:
        return None
    first, last = sorted((least, greatest))
    falls = greatest < least
    done = (means - means[first]) / (means[last] - means[first])
    gains = np.diff(done)[first:last] / np.diff(series.x)[first:last]
    steepest = first + int(gains.argmax())
    half = first + int((done[first : last + 1] >= 0.5).argmax())
    edges = [edge for edge, there in (("first", steepest == 0), ("last", steepest == len(means) - 2)) if there]
    at = [int(depth) if float(depth).is_integer() else float(depth) for depth in series.depths]
    return Rise(
        falls=falls,
        low=float(means[least]),
        high=float(means[greatest]),
        start=at[steepest],
        end=at[steepest + 1],
        share=float(done[steepest + 1] - done[steepest]),
        half_at=at[half],
        edges=tuple(edges),
    )
