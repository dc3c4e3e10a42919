"""How often the detection of thresholds is right, by simulation on known curves (``truths``).

A case is a truth, a seed noise and a design (depths, seeds); its row holds the share of each verdict over many
data sets. False jumps are verdicts "jump" where the truth is flat or gradual; a jump is found if the verdict is
"jump" and every true jump has a called one within one depth.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..thresholds.detect import Verdict, detect
from . import truths
from .truths import Noise, Truth

_VERDICTS = ("jump", "gradual", "flat", "undecided")

_SHALLOWEST = 4

_DEPTHS = 9

# Depths and doublings between them, other than the nine doublings apart that the method was made on.
_DESIGNS = ((5, 1.0), (6, 1.0), (7, 1.0), (8, 1.0), (10, 1.0), (15, 0.5))

_POWER_HEIGHTS = (0.2, 0.3, 0.4, 0.6)
_POWER_SEEDS = (3, 5, 8, 10, 15, 20)
_POWER_DEPTHS = (5, 9)
_POWER_DEVIATION = 0.1

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What data sets are drawn from.

    Attributes:
      part: which table it belongs to: "tuning", "held out", "designs" or "power".
      truth: the curve.
      noise: name of the seed noise.
      draw: seed noise.
      depths: number of depths.
      spacing: doublings between them.
      seeds: per depth.
    """

    part: str
    truth: Truth
    noise: str
    draw: Noise
    depths: int
    spacing: float
    seeds: int

    @property
    def label(self) -> str:
        """Names the case; its random numbers depend on this alone, not on which other cases run."""
        return f"{self.truth.name}, {self.noise}, {self.depths} x {self.spacing:g}, {self.seeds} seeds"


def cases(seeds: int = 5) -> list[Case]:
    """All cases of the full table; ``seeds`` per depth in all but the table of power."""
    found = []
    for truth in truths.TRUTHS:
        for name, draw in (truths.NOISES | truths.HELD_OUT_NOISES).items():
            part = "held out" if truth.held_out or name in truths.HELD_OUT_NOISES else "tuning"
            found.append(Case(part, truth, name, draw, _DEPTHS, 1.0, seeds))
        for depths, spacing in (design for design in _DESIGNS if design[0] >= truth.least_depths):
            found.append(Case("designs", truth, "gaussian", truths.gaussian, depths, spacing, seeds))
    noise = partial(truths.gaussian, deviation=_POWER_DEVIATION)
    for height in _POWER_HEIGHTS:
        truth = Truth(f"step {height:g}", truths.step(height), "jump")
        label = f"gaussian {_POWER_DEVIATION:g}"
        for depths in _POWER_DEPTHS:
            found += [Case("power", truth, label, noise, depths, 1.0, count) for count in _POWER_SEEDS]
    return found


def measure(case: Case, simulations: int, seed: int = 0) -> Row:
    """Draw data sets of a case and judge each.

    Returns:
      The case in plain types, and as shares of the data sets: the four verdicts, ``found`` (every true jump has a
      called one within one depth), ``exact`` (at its very depth) and ``surplus`` (more jumps than there are).
    """
    rng = np.random.default_rng([seed, zlib.crc32(case.label.encode())])
    u = case.spacing * np.arange(case.depths)
    tally: Counter[str] = Counter()
    for i in range(simulations):
        curve, places = case.truth.draw(u, rng)
        verdict = detect(_SHALLOWEST * 2**u, case.draw(curve, case.seeds, rng), seed=i)
        tally[verdict.verdict] += 1
        tally["found"] += _found(verdict, u, places, 1)
        tally["exact"] += _found(verdict, u, places, 0)
        tally["surplus"] += len(verdict.jumps) > len(places)
    shares = {name: tally[name] / simulations for name in (*_VERDICTS, "found", "exact", "surplus")}
    return {
        "part": case.part,
        "truth": case.truth.name,
        "kind": case.truth.kind,
        "noise": case.noise,
        "depths": case.depths,
        "spacing": case.spacing,
        "seeds": case.seeds,
        "simulations": simulations,
    } | shares


def _found(verdict: Verdict, u: np.ndarray, places: tuple[int, ...], within: int) -> bool:
    called = [int(np.argmin(np.abs(_SHALLOWEST * 2**u - jump.depth))) for jump in verdict.jumps]
    return bool(places) and all(any(abs(place - one) <= within for one in called) for place in places)


def run(
    simulations: int = 300,
    seeds: int = 5,
    seed: int = 0,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Measure all cases; about 20 ms per data set and core.

    Args:
      simulations: data sets per case.
      seeds: per depth, in all but the table of power.
      seed: of the random numbers.
      progress: called with cases done and cases in all.

    Raises:
      ValueError: the counts are too small.
    """
    if simulations < 1 or seeds < 1:
        raise ValueError(f"{simulations} simulations, {seeds} seeds: both must be at least 1")
    every, rows = cases(seeds), []
    for case in every:
        rows.append(measure(case, simulations, seed))
        if progress is not None:
            progress(len(rows), len(every))
    return rows
