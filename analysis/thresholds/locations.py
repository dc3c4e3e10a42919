"""Where capability appears: critical depths, their intervals, and whether two blocks agree about them.

The critical depth of a series is the first depth whose mean over seeds passes half of the way from its worst to
its best mean. Unlike a jump it exists for gradual curves too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..meaning import lower_is_better
from ..runs.table import Series
from .detect import SIGNIFICANCE, Verdict, detect
from .likelihood import Depths, Sample, Values, sample
from .mirage import Finding

_DRAWS = 2000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class CriticalDepth:
    """The first depth at which half of the best capability is passed.

    Attributes:
      depth: None if no depth passes, or if the level is taken from a series that shows no change with depth.
      low, high: interval over resampled seeds; ``high`` is None if in more than a fortieth of them no depth passes.
      level: the value to pass.
      verdict: of the series (``thresholds.detect``).
    """

    depth: int | float | None
    low: int | float | None
    high: int | float | None
    level: float
    verdict: Verdict

    def to_json(self, **place: Any) -> dict[str, Any]:
        """As plain types, led by what the series is."""
        return place | asdict(self) | {"verdict": self.verdict.to_json()}


def critical_depth(
    depths: Depths,
    values: Values,
    *,
    best: float | None = None,
    higher_is_better: bool = True,
    draws: int = _DRAWS,
    seed: int = 0,
) -> CriticalDepth:
    """First depth ``[D]`` whose mean over seeds of ``values [D, S]`` passes half of the best.

    Args:
      depths: ``[D]``, distinct and positive.
      values: ``[D, S]``, or D sequences of seeds.
      best: the best capability there is, such as 1 for success; half of it is then the level to pass. By default
        the level lies half way between the worst and the best mean of the series.
      higher_is_better: False for distances and losses; ``best`` must then be left out.
      draws: resampled data sets behind the interval.
      seed: of the random numbers.

    Raises:
      ValueError: the series is malformed, or ``best`` is given for a metric that should be low.
    """
    if best is not None and not higher_is_better:
        raise ValueError("a best value halves to a level only where higher is better")
    series, verdict = sample(depths, values), detect(depths, values, seed=seed)
    sign = 1.0 if higher_is_better else -1.0
    drawn = _resampled_means(series, draws, np.random.default_rng(seed))
    level = _levels(sign * series.means[None], best)[0]
    place = _first_passing(sign * series.means[None], np.array([level]))[0]
    places = _first_passing(sign * drawn, _levels(sign * drawn, best))
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(places, [tail, 1 - tail], method="nearest").astype(int)
    low, high = min(low, place), max(high, place)
    unchanged = verdict.verdict == "flat" or (verdict.p_trend or 0.0) >= SIGNIFICANCE
    if best is None and unchanged:
        low = high = place = len(series.x)
    at = [*(int(d) if float(d).is_integer() else float(d) for d in series.depths), None]
    return CriticalDepth(at[place], at[low], at[high], float(sign * level), verdict)


def difficulty_map(
    depths: Depths, values: Sequence[Values], *, best: float | None = None, seed: int = 0
) -> list[CriticalDepth]:
    """Critical depth at each goal difficulty.

    Args:
      depths: ``[D]``.
      values: ``[G, D, S]``, goal difficulties by depths by seeds (seeds may be ragged).
      best: see ``critical_depth``; give it, or an easy and an impossible difficulty look alike.
      seed: of the random numbers.
    """
    return [critical_depth(depths, at, best=best, seed=seed) for at in values]


@dataclass(frozen=True)
class LocationRatio:
    """How two series' thresholds relate, second over first.

    Attributes:
      kind: "jump" if each has a jump (the largest is taken), else "critical depth"; "none" without either.
      ratio: second location over first; None if a series has none.
      low, high: 95% interval over resampled seeds, with each threshold anywhere between its depth and the one
        before: depths that were never tried say no more.
      same: whether the interval holds 1.
      text: the finding in words.
    """

    kind: str
    ratio: float | None
    low: float | None
    high: float | None
    same: bool | None
    text: str

    @property
    def interval(self) -> tuple[float, float, float]:
        """Ratio, low and high, where both series have a location."""
        assert self.ratio is not None and self.low is not None and self.high is not None, self.text
        return self.ratio, self.low, self.high


Points = tuple[Depths, Values]
"""``(depths [D], values [D, S])``."""


def compare_locations(
    series_a: Points,
    series_b: Points,
    *,
    higher_is_better: bool = True,
    verdicts: tuple[Verdict, Verdict] | None = None,
    draws: int = _DRAWS,
    seed: int = 0,
) -> LocationRatio:
    """Do the thresholds of two series, stacked and looped say, fall at the same depth?

    Args:
      series_a, series_b: depths and values of each, in the same metric.
      higher_is_better: False for distances and losses.
      verdicts: of the two series, if they are judged already.
      draws: resampled data sets behind the interval.
      seed: of the random numbers.

    Raises:
      ValueError: a series is malformed.
    """
    samples = [sample(*one) for one in (series_a, series_b)]
    judged = verdicts or [detect(*one, seed=seed) for one in (series_a, series_b)]
    rng = np.random.default_rng(seed)
    try:
        kind, places, drawn = _thresholds(samples, judged, 1.0 if higher_is_better else -1.0, draws, rng)
    except LookupError as error:
        return LocationRatio("none", None, None, None, None, f"no thresholds to compare: {error.args[0]}")
    first, second = (_anywhere_before(s, d, rng) for s, d in zip(samples, drawn, strict=True))
    low, high = np.exp2(np.quantile(second - first, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2]))
    at = [s.depths[p] for s, p in zip(samples, places, strict=True)]
    same = bool(low <= 1 <= high)
    text = f"{kind} at {at[0]:g} and at {at[1]:g}: ratio {at[1] / at[0]:.3g} in [{low:.3g}, {high:.3g}], "
    text += "compatible with the same depth" if same else "not the same depth"
    return LocationRatio(kind, float(at[1] / at[0]), float(low), float(high), same, text)


def _thresholds(
    samples: Sequence[Sample], verdicts: Sequence[Verdict], sign: float, draws: int, rng: np.random.Generator
) -> tuple[str, list[int], list[np.ndarray]]:
    """What kind of threshold both series have, its place in each, and its places in resampled data ``[B]``.

    Raises:
      LookupError: they have none to compare; says why.
    """
    rises = [[jump for jump in verdict.jumps if sign * jump.effect > 0] for verdict in verdicts]
    if all(rises):
        largest = [max(jumps, key=lambda jump: abs(jump.effect)) for jumps in rises]
        places = [int(np.argmin(np.abs(s.depths - j.depth))) for s, j in zip(samples, largest, strict=True)]
        return "jump", places, [_jump_places(s, p, draws, rng) for s, p in zip(samples, places, strict=True)]
    if not all(verdict.verdict in ("jump", "gradual") for verdict in verdicts):
        raise LookupError(" and ".join(verdict.verdict for verdict in verdicts))
    places = [int(_half_way(sign * s.means[None])[0]) for s in samples]
    if 0 in places:
        raise LookupError("half way to the best is passed at the shallowest depth already")
    return "critical depth", places, [_half_way(sign * _resampled_means(s, draws, rng)) for s in samples]


@dataclass(frozen=True)
class Agreement:
    """Whether a looped series has its threshold where a stacked one has it.

    Attributes:
      env, metric: of both.
      stacked, looped: names of their blocks.
      found: the ratio, looped over stacked.
    """

    env: str
    metric: str
    stacked: str
    looped: str
    found: LocationRatio

    @property
    def text(self) -> str:
        """The finding in words."""
        return f"{self.looped} over {self.stacked}: {self.found.text}"


def agreements(findings: Sequence[Finding], series: Sequence[Series], seed: int = 0) -> list[Agreement]:
    """Compare the locations of looped series with those of their partners in the same environment and metric.

    Args:
      findings: verdicts of the series (``mirage.judge``).
      series: what was judged.
      seed: of the random numbers.
    """
    by_name = {(one.env, one.block, one.metric): one for one in series}
    found = []
    for looped in findings:
        near = {f.block: f for f in findings if (f.env, f.metric) == (looped.env, looped.metric)}
        name = partner(looped.block, list(near))
        if name is None:
            continue
        stacked = near[name]
        pair = [by_name[f.env, f.block, f.metric] for f in (stacked, looped)]
        ratio = compare_locations(
            *((one.depths, one.values) for one in pair),
            higher_is_better=not lower_is_better(looped.metric),
            verdicts=(stacked.verdict, looped.verdict),
            seed=seed,
        )
        found.append(Agreement(looped.env, looped.metric, stacked.block, looped.block, ratio))
    return found


def partner(block: str, others: Sequence[str]) -> str | None:
    """The stacked block that a looped one is compared with; None for other blocks, or if there is none.

    "looped, width 64, injection concat" meets the one that shares most of what it says and says nothing else:
    "stacked, width 64" or else "stacked".
    """
    kind, rest = _name_parts(block)
    stacked = [name for name in others if _name_parts(name)[0] == "stacked" and _name_parts(name)[1] <= rest]
    if kind != "looped" or not stacked:
        return None
    return max(stacked, key=lambda name: len(_name_parts(name)[1]))


def _name_parts(block: str) -> tuple[str, frozenset[str]]:
    """``stacked`` and what else a block's name says."""
    kind, *rest = (part.strip() for part in block.split(","))
    return kind, frozenset(rest)


def _half_way(means: np.ndarray) -> np.ndarray:
    return _first_passing(means, _levels(means, None))


def _levels(means: np.ndarray, best: float | None) -> np.ndarray:
    """Level to pass ``[B]`` for means ``[B, D]``."""
    if best is not None:
        return np.full(len(means), best / 2)
    return (means.min(axis=1) + means.max(axis=1)) / 2


def _first_passing(means: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Index ``[B]`` of the first depth of ``[B, D]`` above its level; D if none is."""
    passing = means > levels[:, None]
    return np.where(passing.any(axis=1), passing.argmax(axis=1), means.shape[1])


def _resampled_means(series: Sample, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Means ``[B, D]`` of seeds drawn with replacement within each depth."""
    return np.stack([v[rng.integers(len(v), size=(draws, len(v)))].mean(axis=1) for v in series.values], axis=1)


def _jump_places(series: Sample, place: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Where the step next to a place lies in resampled data ``[B]``: the largest rise or fall within two depths."""
    means = _resampled_means(series, draws, rng)
    rise = np.diff(means, axis=1) * np.sign(np.diff(series.means)[place - 1])
    low, high = max(place - 3, 0), min(place + 2, rise.shape[1])
    return rise[:, low:high].argmax(axis=1) + low + 1


def _anywhere_before(series: Sample, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Log2 locations ``[B]``, uniform between the depth before each place and the place itself."""
    low = series.x[np.maximum(places - 1, 0)]
    return low + (series.x[places] - low) * rng.random(len(places))
