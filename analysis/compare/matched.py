"""Looped against stacked agents at equal depth, equal parameters, equal FLOPs per gradient step, equal training time.

Each looped group is compared with one stacked group of the same environment that was trained with the same options
(all but those of the trunk), so that both are agents that exist: nothing is interpolated between depths, across which
capability may jump. A loop has the parameters of one block however often it is applied, so its partner at equal
parameters is a shallow stack.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from rl_depth.config import Config

from .. import meaning, significance
from ..aggregate import Contrast, Estimate, contrast
from ..runs.differences import ARCHITECTURE, LOOP_ONLY, NETWORKS, options
from ..runs.groups import LAST, Group

AXES = ("depth", "parameters", "flops_per_update", "train_seconds")

TOLERANCE = 1.25
"""Costs within this factor of each other count as equal."""

_UNITS = {
    "depth": ("depth", "{:.0f} layers"),
    "parameters": ("parameters", "{:,.0f} parameters"),
    "flops_per_update": ("FLOPs per gradient step", "{:.3g} FLOPs per gradient step"),
    "train_seconds": ("training time", "{:.3g} s of training"),
}


@dataclass(frozen=True)
class Match:
    """A looped group and its stacked partner on one axis.

    Attributes:
      env, metric: what is compared.
      axis: what is equal, one of ``AXES``.
      looped, looped_depth: the looped group's label and depth.
      looped_cost: its value on the axis; seconds are those at which both were read off. None if unknown.
      stacked, stacked_depth, stacked_cost: the same of its partner; None if there is none.
      contrast: looped less stacked, and the probability that looped is better; None without a partner.
      text: the finding, or what is missing, in words.
      p: p-value of no difference, corrected for all comparisons beside this one (``settled``); None if not tested.
      outcome: "better" or "worse" (looped than stacked), "not told apart", or "too few seeds"; "" without a partner.
    """

    env: str
    metric: str
    axis: str
    looped: str
    looped_depth: int
    looped_cost: float | None
    stacked: str | None
    stacked_depth: int | None
    stacked_cost: float | None
    contrast: Contrast | None
    text: str
    p: float | None = None
    outcome: str = ""

    @property
    def gap(self) -> Estimate[float]:
        """Looped less stacked, of a match with a partner."""
        assert self.contrast is not None, self.text
        return self.contrast.difference

    def to_json(self) -> dict[str, Any]:
        """As plain types; ``difference`` and ``improvement`` with low and high, or None without a partner."""
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "contrast"}
        pair = self.contrast.to_json() if self.contrast else {"difference": None, "improvement": None}
        return found | pair


def axis_label(axis: str) -> str:
    """An axis in words."""
    return _UNITS[axis][0]


def matched(groups: Sequence[Group], metric: str, *, seed: int = 0) -> list[Match]:
    """Compare every looped group with its stacked partner on each axis.

    Args:
      groups: groups of any environments; those that mix looped and stacked networks are passed over.
      metric: a metric that groups have; groups without it are passed over.
      seed: of the bootstrap.

    Returns:
      Matches by looped group in the given order, then by axis; none of environments without stacked groups. They are
      settled among themselves.
    """
    usable = [group for group in groups if metric in group.curves]
    found = []
    for loop in (group for group in usable if _blocks(group) == {"looped"}):
        stacks = [g for g in usable if g.config.env == loop.config.env and _blocks(g) == {"stacked"}]
        found += [_match(loop, stacks, metric, axis, seed) for axis in AXES] if stacks else []
    return settled(found)


def settled(matches: Sequence[Match], beside: Mapping[Hashable, float | None] | None = None) -> list[Match]:
    """Say which matches are better or worse, at one error rate for all of them and what else a page compares.

    The same two groups compared on several axes are one comparison, except at equal time, when both may be read off
    earlier.

    Args:
      matches: the matches.
      beside: p-values of further comparisons on the page.
    """
    corrected = significance.adjusted(tested(matches) | dict(beside or {}))
    found = []
    for match in matches:
        if match.contrast is None:
            found.append(match)
            continue
        p = corrected[_pair(match)]
        better = float(match.contrast.improvement.value) > 0.5
        found.append(replace(match, p=p, outcome=significance.outcome(p, better)))
    return found


def tested(matches: Sequence[Match]) -> dict[Hashable, float | None]:
    """P-values of the different comparisons among matches, not corrected."""
    return {_pair(match): match.contrast.p for match in matches if match.contrast is not None}


def _pair(match: Match) -> Hashable:
    return match.env, match.metric, match.looped, match.stacked, match.axis == "train_seconds"


def _blocks(group: Group) -> set[str]:
    return {group.config.trunk(network).block for network in NETWORKS}


def _match(loop: Group, stacks: Sequence[Group], metric: str, axis: str, seed: int) -> Match:
    try:
        partner = _partner(loop, stacks, axis)
        costs, values = _at_equal_time(loop, partner, metric) if axis == "train_seconds" else ((), ())
    except LookupError as error:
        cost = None if axis == "train_seconds" else _cost(loop, axis)
        where = f"{loop.label}: {error.args[0]}"
        return Match(loop.config.env, metric, axis, loop.label, loop.depth, cost, None, None, None, None, where)
    costs = costs or (_cost(loop, axis), _cost(partner, axis))
    values = values or (loop.final(metric), partner.final(metric))
    found = contrast(*values, lower_is_better=meaning.lower_is_better(metric), seed=seed)
    text = f"{loop.label} against {partner.label} at {_UNITS[axis][1].format(costs[0])}: {in_words(found, metric)}"
    about = (loop.config.env, metric, axis, loop.label, loop.depth, costs[0])
    return Match(*about, partner.label, partner.depth, costs[1], found, text)


def _partner(loop: Group, stacks: Sequence[Group], axis: str) -> Group:
    """The stacked group to compare with.

    Raises:
      LookupError: there is none; says what is missing.
    """
    same = [group for group in stacks if _training(group.config) == _training(loop.config)]
    if not same:
        least = min((_differing(_training(group.config), _training(loop.config)) for group in stacks), key=len)
        raise LookupError(f"no stacked run with the same {', '.join(least)}")
    if axis == "train_seconds":
        return _of_equal_shape(loop, same)
    same = _as_far(loop, same)
    if axis == "depth":
        return _of_equal_shape(loop, same)
    cost = _cost(loop, axis)
    known = [(group, its) for group in same if (its := _cost(group, axis))]
    if not cost or not known:
        raise LookupError(f"{axis_label(axis)} not recorded in meta.json")

    def distance(of: tuple[Group, float]) -> tuple[float, int, int]:
        group, its = of
        return _ratio(its, cost), _strangeness(group, loop), abs(group.depth - loop.depth)

    best, its = min(known, key=distance)
    if _ratio(its, cost) > TOLERANCE:
        wanted, share = _UNITS[axis][1].format(cost), its / cost
        raise LookupError(f"no stacked run of {wanted}; {best.label} has {share:.2g} times that")
    return best


def _as_far(loop: Group, stacks: Sequence[Group]) -> list[Group]:
    """Those trained for as many steps: one of both may not have finished."""
    found = [group for group in stacks if group.env_steps[-1] == loop.env_steps[-1]]
    if not found:
        steps = ", ".join(f"{step:,}" for step in sorted({int(group.env_steps[-1]) for group in stacks}))
        raise LookupError(f"trained for {loop.env_steps[-1]:,} steps so far, stacked runs for {steps}")
    return found


def _of_equal_shape(loop: Group, stacks: Sequence[Group]) -> Group:
    deep = [group for group in stacks if group.depths == loop.depths]
    if not deep:
        depths = ", ".join(str(depth) for depth in sorted({group.depth for group in stacks}))
        raise LookupError(f"no stacked run of this depth, but of {depths}")
    wide = [group for group in deep if _widths(group) == _widths(loop)]
    if not wide:
        raise LookupError("no stacked run of this depth has the same width")
    return min(wide, key=lambda group: _strangeness(group, loop))


def _widths(group: Group) -> list[int]:
    return [group.config.trunk(network).width for network in NETWORKS]


def _training(config: Config) -> dict[str, Any]:
    """Options that say how an agent is trained."""
    return {name: value for name, value in options(config).items() if " " not in name and name not in ARCHITECTURE}


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [f"{name.replace('_', ' ')} ({other[name]})" for name in one if one[name] != other[name]]


def _strangeness(stack: Group, loop: Group) -> int:
    """How many options of the trunks differ, besides what a loop alone has."""
    one, other = options(stack.config), options(loop.config)
    return sum(one[name] != other[name] for name in one if name not in LOOP_ONLY and not name.endswith(" block"))


def _cost(group: Group, axis: str) -> float | None:
    return float(group.depth) if axis == "depth" else group.cost.get(axis)


def _ratio(one: float, other: float) -> float:
    return max(one / other, other / one)


Pair = tuple[np.ndarray, np.ndarray]


def _at_equal_time(loop: Group, stack: Group, metric: str) -> tuple[tuple[float, float], Pair]:
    """Capability when each seed of both had trained for as long as the quickest of all.

    Returns:
      The seconds of both (the same), and values ``[S]`` of both: means of the last evaluations up to then.

    Raises:
      LookupError: times are not recorded, or of different devices, or came before an evaluation.
    """
    if not (np.isfinite(loop.seconds).all() and np.isfinite(stack.seconds).all()):
        raise LookupError("training time not recorded in timing.jsonl")
    if loop.device != stack.device:
        raise LookupError(f"trained on another device ({loop.device}) than the stacked run ({stack.device})")
    budget = min(_trained_for(loop), _trained_for(stack))
    return (budget, budget), (_up_to(loop, metric, budget), _up_to(stack, metric, budget))


def _trained_for(group: Group) -> float:
    """Seconds of the quickest seed that did not stop early by diverging."""
    sound = [seed not in group.diverged for seed in group.seeds]
    ends = group.seconds[:, -1]
    return float(ends[sound].min() if any(sound) else ends.max())


def _up_to(group: Group, metric: str, budget: float) -> np.ndarray:
    found = []
    for seconds, curve in zip(group.seconds, group.curves[metric], strict=True):
        seen = curve[(seconds <= budget * (1 + 1e-9)) & np.isfinite(curve)]
        if not len(seen):
            raise LookupError(f"{group.label} was not evaluated within {budget:.3g} s of training")
        found.append(seen[-LAST:].mean())
    return np.array(found)


def in_words(found: Contrast, metric: str) -> str:
    """A contrast of looped with stacked seeds."""
    difference, improvement = found.difference, found.improvement
    text = f"{metric} {difference.value:+.3g}"
    if np.isfinite(difference.low):
        text += f" [{difference.low:+.3g}, {difference.high:+.3g}]"
    text += f", probability of improvement {improvement.value:.2f}"
    if np.isfinite(improvement.low):
        return text + f" [{improvement.low:.2f}, {improvement.high:.2f}]"
    return text + f" (fewer than {significance.LEAST_SEEDS} seeds: no interval)"
