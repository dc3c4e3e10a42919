"""Does capability jump at a depth? One series of one metric: depths, and values with seeds as replicates.

A jump "at D" is a rise (or fall: negative effect) whose first depth at the new level is D, too sharp for any
smooth curve; growth may follow it. Smooth is a monotone curve, or a rise and fall, that takes two doublings of depth
or more from 10% to 90% of a rise (``curves.SMOOTH_DOUBLINGS``), such a curve on top of even growth, or one that is
straight in log2 depth from or up to some depth. The test is a bootstrap likelihood ratio of models that jump against
the best smooth model; ``docs/results/threshold-calibration.md`` has its error rates.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .likelihood import Contest, Depths, Sample, Values, around, contest, noise, observed, sample, variance_floor
from .rise import Rise, rise

SIGNIFICANCE = 0.05

_MOST_JUMPS = 3
LEAST_DEPTHS = 4
LEAST_SEEDS = 2

# With a single seed nothing is known of noise; this many are a start.
_FIRST_SEEDS = 5

# Without a smallest effect of interest, "flat" means that this many seed deviations would have shown.
_FLAT_DEVIATIONS = 2.0

# A search over models needs an effect larger by about this factor than a test at a known depth (simulated).
_SEARCH = 1.25

# Seeds per depth among which the number needed is looked for.
SEED_LADDER = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64)

_POWER_DRAWS = 200

# A curve that comes back by less than this share of its range is said to rise, or to fall, alone.
_TURN = 0.1


@dataclass(frozen=True)
class Jump:
    """A jump of capability.

    Attributes:
      depth: first depth at the new level.
      low, high: 95% interval of that depth over resampled seeds.
      effect: new level minus old, in units of the metric; negative for a fall.
      p: p-value against the best smooth curve (beside the jumps found before this one).
    """

    depth: int | float
    low: int | float
    high: int | float
    effect: float
    p: float


@dataclass(frozen=True)
class Verdict:
    """What can be said about one series.

    Attributes:
      verdict: "jump", "gradual", "flat" or "undecided".
      jumps: in order of depth; empty unless the verdict is "jump".
      text: the finding in words.
      p_trend: p-value of no dependence on depth (permutation); None where it cannot be tested.
      p_jump: p-value of the best smooth curve against a jump; None where it cannot be tested.
      p_smooth: p-value of the best jump against a smooth curve; None where it was not tested.
      model: the family that describes the series best (BIC).
      bic: BIC per family, less the best one's.
      seeds: fewest seeds at a depth.
      more_seeds: further seeds per depth for a decision with 80% power; None if decided or if none would do.
      rise: where the means change most, whatever the verdict; None if they do not change.
    """

    verdict: str
    jumps: tuple[Jump, ...]
    text: str
    p_trend: float | None = None
    p_jump: float | None = None
    p_smooth: float | None = None
    model: str | None = None
    bic: dict[str, float] | None = None
    seeds: int = 0
    more_seeds: int | None = None
    rise: Rise | None = None

    def to_json(self, **place: Any) -> dict[str, Any]:
        """As plain types, led by what the series is: ``to_json(env=.., block=.., metric=..)``.

        ``steepest`` (``from``, ``to``, ``share`` of the whole rise) and ``half_at`` say where the means change.
        """
        found = place | asdict(self) | {"jumps": [asdict(jump) for jump in self.jumps]}
        del found["rise"]
        return found | (self.rise.to_json() if self.rise else {"steepest": None, "half_at": None})


def detect(
    depths: Depths,
    values: Values,
    *,
    smallest_effect: float | None = None,
    level: float = SIGNIFICANCE,
    bootstraps: int = 400,
    seed: int = 0,
) -> Verdict:
    """Judge one series.

    Args:
      depths: ``[D]``, distinct and positive.
      values: ``[D, S]``, or D sequences of seeds.
      smallest_effect: least change of interest, in units of the metric: a smaller jump is not called, and "flat"
        says that so much would have shown. By default any jump counts, and flat is judged at two seed deviations.
      level: significance level of a jump; lower where several metrics of one experiment are judged (Holm).
      bootstraps: simulated data sets behind each p-value; more for a low level.
      seed: of the random numbers; the same seed gives the same verdict.

    Raises:
      ValueError: the series is malformed (see ``likelihood.sample``).
    """
    series = sample(depths, values)
    found = _judged(series, smallest_effect, level, bootstraps, seed)
    where = rise(series)
    if where is None:
        return found
    parts = [found.text, where.text]
    if where.edges and found.verdict != "flat" and len(series.x) >= LEAST_DEPTHS:
        parts.append(where.advice)
    return replace(found, text="; ".join(parts), rise=where)


def _judged(series: Sample, smallest_effect: float | None, level: float, bootstraps: int, seed: int) -> Verdict:
    """The verdict, in words without where the series changes."""
    seeds = int(series.counts.min())
    missing, more = _missing(series, seeds)
    if missing:
        return Verdict("undecided", (), f"undecided: {missing}", seeds=seeds, more_seeds=more)
    if series.span == 0:
        return Verdict("flat", (), f"flat: every value is {series.values[0][0]:.4g}", seeds=seeds)
    rng = np.random.default_rng(seed)
    whole = contest(series.x, series.counts)
    bic = whole.bic(observed(series), variance_floor(series, series.counts))
    p_trend = _p_trend(series, whole, bootstraps, rng)
    about: dict[str, Any] = {"p_trend": p_trend, "model": min(bic, key=bic.__getitem__), "bic": bic, "seeds": seeds}
    if p_trend >= SIGNIFICANCE:
        return _without_trend(series, smallest_effect, about)
    test = _test(series, whole, bootstraps, rng)
    about |= {"p_jump": test.p_jump, "p_smooth": test.p_smooth}
    if test.jumps(level):
        return _jumping(
            series, test, level=level, smallest=smallest_effect or 0.0, size=bootstraps, rng=rng, about=about
        )
    if test.p_smooth < SIGNIFICANCE:
        text = f"gradual: {_course(test.smooth)}; a smooth curve explains it, a jump does not"
        return Verdict("gradual", (), text, **about)
    return _unresolved(series, test, level, rng, about)


@dataclass(frozen=True)
class _Test:
    """Best smooth curve against best jump: log likelihood ratio, p-values, fits ``[D]``, place of the larger step."""

    ratio: float
    p_jump: float
    p_smooth: float
    smooth: np.ndarray
    jumping: np.ndarray
    place: int

    def jumps(self, level: float) -> bool:
        """Smooth curves are rejected, and the jump does better than them: curves of neither kind reject both."""
        return self.p_jump < level and self.ratio > 0


def _missing(series: Sample, seeds: int) -> tuple[str, int | None]:
    """What keeps a series from being judged at all ("" if nothing), and the further seeds that would help."""
    if len(series.x) < LEAST_DEPTHS:
        return f"at least {LEAST_DEPTHS} depths are needed, not {len(series.x)}", None
    if seeds < LEAST_SEEDS:
        more = _FIRST_SEEDS - seeds
        return f"{seeds} seed at some depth, so nothing tells noise from effect; {more} more seeds needed", more
    return "", None


def _p_trend(series: Sample, whole: Contest, size: int, rng: np.random.Generator) -> float:
    """P-value of no dependence on depth: values permuted over depths, most that any model explains."""
    every = np.concatenate(series.values)
    ends = np.cumsum(series.counts).astype(int)[:-1]
    shuffled = rng.permuted(np.broadcast_to(every, (size, len(every))), axis=1)
    means = np.stack([part.mean(axis=1) for part in np.split(shuffled, ends, axis=1)], axis=1)
    families = whole.smooth + whole.jumping
    found = whole.most_gain(families, observed(series).means)
    return _share(whole.most_gain(families, means) >= found * (1 - 1e-9))


def _test(series: Sample, pair: Contest, size: int, rng: np.random.Generator) -> _Test:
    """Bootstrap likelihood ratio, once with the best smooth curve as truth and once with the best jump."""
    floor, data = variance_floor(series, series.counts), observed(series)
    found = pair.ratio(data, floor)
    basis, index = pair.best(pair.smooth, data, floor)
    smooth = basis.predict(series.means, index)
    if_smooth = pair.ratio(around(smooth, noise(series, series.counts, size, rng)), floor)
    basis, index = pair.best(pair.jumping, data, floor)
    jumping = basis.predict(series.means, index)
    if_jump = pair.ratio(around(jumping, noise(series, series.counts, size, rng)), floor)
    return _Test(
        ratio=float(found[0]),
        p_jump=_share(if_smooth >= found),
        p_smooth=_share(if_jump <= found),
        smooth=smooth,
        jumping=jumping,
        place=basis.largest_step(series.means, index),
    )


def _share(hits: np.ndarray) -> float:
    """Bootstrap p-value, never zero (Davison & Hinkley 1997, eq. 4.11)."""
    return float((1 + hits.sum()) / (1 + len(hits)))


def _without_trend(series: Sample, smallest_effect: float | None, about: dict[str, Any]) -> Verdict:
    """Flat if a change of interest would have shown, even at a single depth; else more seeds are needed."""
    of_interest = smallest_effect if smallest_effect is not None else _FLAT_DEVIATIONS * series.deviation
    shows = detectable(series.deviation, len(series.x), about["seeds"])
    if shows <= of_interest:
        return Verdict("flat", (), f"flat: no change with depth; {shows:.3g} at one depth would have shown", **about)
    enough = [s for s in SEED_LADDER if detectable(series.deviation, len(series.x), s) <= of_interest]
    more = enough[0] - about["seeds"] if enough else None
    wanted = f"{more} more seeds" if more else f"more than {SEED_LADDER[-1]} seeds"
    text = f"undecided: no change seen, but less than {shows:.3g} would not have shown; {wanted} needed"
    return Verdict("undecided", (), text, more_seeds=more, **about)


def detectable(deviation: float, depths: int, seeds: int) -> float:
    """Change at a single depth that shows with 80% power at the 5% level, given the standard deviation over seeds."""
    return _SEARCH * (1.960 + 0.842) * deviation * float(np.sqrt(1 / seeds + 1 / (seeds * (depths - 1))))


def _unresolved(series: Sample, test: _Test, level: float, rng: np.random.Generator, about: dict[str, Any]) -> Verdict:
    needed = seeds_to_decide(series, test.smooth, test.jumping, level, rng)
    at = _plain(series.depths[test.place])
    text = f"undecided: a jump at {at} and a smooth curve both explain it; "
    if needed is None:
        text += f"{SEED_LADDER[-1]} seeds would not decide, depths between or beyond these might"
        return Verdict("undecided", (), text, **about)
    more = max(needed - about["seeds"], 1)
    return Verdict("undecided", (), text + f"{more} more seeds needed", more_seeds=more, **about)


def seeds_to_decide(
    series: Sample, smooth: np.ndarray, jumping: np.ndarray, level: float, rng: np.random.Generator
) -> int | None:
    """Fewest seeds per depth that tell one curve ``[D]`` from the other with 80% power; None if the ladder ends."""

    def power(seeds: int) -> float:
        counts = np.full(len(series.x), float(seeds))
        pair, floor = contest(series.x, counts), variance_floor(series, counts)
        if_smooth = pair.ratio(around(smooth, noise(series, counts, _POWER_DRAWS, rng)), floor)
        if_jump = pair.ratio(around(jumping, noise(series, counts, _POWER_DRAWS, rng)), floor)
        return float((if_jump > max(np.quantile(if_smooth, 1 - level), 0.0)).mean())

    low, high = -1, len(SEED_LADDER)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(SEED_LADDER[middle]) >= 0.8 else (middle, high)
    return SEED_LADDER[high] if high < len(SEED_LADDER) else None


def _jumping(
    series: Sample,
    test: _Test,
    *,
    level: float,
    smallest: float,
    size: int,
    rng: np.random.Generator,
    about: dict[str, Any],
) -> Verdict:
    """Jumps one after the other: each must beat smooth curves beside those already found, at a stricter level."""
    found = {test.place: test.p_jump}
    while len(found) < _MOST_JUMPS:
        beside = contest(series.x, series.counts, tuple(found))
        if not (beside.smooth and beside.jumping):
            break
        further = _test(series, beside, size, rng)
        if not further.jumps(level / (1 + len(found))):
            break
        found[further.place] = further.p_jump
    jumps = tuple(
        _located(series, place, tuple(set(found) - {place}), p=p, size=size, rng=rng)
        for place, p in sorted(found.items())
    )
    large = tuple(jump for jump in jumps if abs(jump.effect) >= smallest)
    if not large:
        text = f"gradual: the step of {jumps[0].effect:+.3g} at {jumps[0].depth} is below {smallest:.3g}"
        return Verdict("gradual", (), text, **about)
    return Verdict("jump", large, "; ".join(_in_words(jump) for jump in large), **about)


def _located(
    series: Sample, place: int, others: tuple[int, ...], *, p: float, size: int, rng: np.random.Generator
) -> Jump:
    """Effect of the step at a place, and the interval of its depth over resampled seeds."""
    beside = contest(series.x, series.counts, others)
    draws = around(series.means, noise(series, series.counts, size, rng))
    low, high = np.quantile(beside.places(draws), [0.025, 0.975], method="nearest").astype(int)
    effect = beside.effect(observed(series), place)
    low, high = min(low, place), max(high, place)
    return Jump(_plain(series.depths[place]), _plain(series.depths[low]), _plain(series.depths[high]), effect, p)


def _course(curve: np.ndarray) -> str:
    """``rises from 45.4 to 448``, ``falls ..``, or ``rises from .. to .., then falls to ..``, of a curve ``[D]``."""
    first, last, low, high = (float(value) for value in (curve[0], curve[-1], curve.min(), curve.max()))
    tolerance = _TURN * (high - low)
    if high - max(first, last) > tolerance:
        return f"rises from {first:.3g} to {high:.3g}, then falls to {last:.3g}"
    if min(first, last) - low > tolerance:
        return f"falls from {first:.3g} to {low:.3g}, then rises to {last:.3g}"
    return f"{'rises' if last > first else 'falls'} from {first:.3g} to {last:.3g}"


def _in_words(jump: Jump) -> str:
    kind = "jump" if jump.effect > 0 else "drop"
    return f"{kind} at {jump.depth} in [{jump.low}, {jump.high}] by {jump.effect:+.3g} (p = {jump.p:.2g})"


def _plain(depth: float) -> int | float:
    """A depth as an int where it is whole."""
    return int(depth) if float(depth).is_integer() else float(depth)
