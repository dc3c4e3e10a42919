"""Question, findings and limits of a report in words, every claim with its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np

from .. import meaning, plots, significance
from ..compare.matched import AXES, Match, axis_label, tested
from ..extrapolation import BREAKDOWNS
from ..runs.table import Series
from ..thresholds.detect import LEAST_DEPTHS
from ..thresholds.difficulty import DifficultyMap
from ..thresholds.locations import CriticalDepth
from . import budgets
from .evidence import Evidence, Level, levels
from .inventory import Extrapolated

_UNIT = re.compile(r" \((steps|m|nats)\)$")
_LISTED = 4  # reasons that a sentence names


@dataclass(frozen=True)
class Statement:
    """A finding: what it is about, in which environment, and a sentence."""

    topic: str
    env: str
    text: str


def question(evidence: Evidence) -> str:
    """What these runs can answer, by what varies among them."""
    if not evidence.agents:
        return "What will these runs show?"
    blocks = sorted({one.block for one in evidence.agents})
    depths = sorted({one.depth for one in evidence.agents})
    what, where = name(evidence.metrics[0]), listed(evidence.environments)
    if len(depths) > 1 and len(blocks) > 1:
        return f"How does {what} change with depth in {where}, and does a weight-tied loop buy the same depth?"
    if len(depths) > 1:
        return f"How does {what} of {blocks[0]} agents change with depth in {where}?"
    if len(blocks) > 1:
        return f"At depth {depths[0]} in {where}, does a weight-tied loop reach what stacked layers reach?"
    return f"What {what} do {blocks[0]} agents of depth {depths[0]} reach in {where}?"


def findings(evidence: Evidence) -> list[Statement]:
    """What the runs show, by environment and topic."""
    found: list[Statement] = []
    for env in evidence.environments:
        own = evidence.of(env, evidence.metrics[0])
        found += [Statement("Capability", env, _capability(series)) for series in own]
        for series in (one for one in own if len(one.depths) > 1):
            found.append(Statement("Thresholds", env, _verdicts(evidence, series)))
        for one in evidence.agreements:
            if one.env == env and one.found.ratio is not None:
                found.append(Statement("Effective depth", env, f"{capital(name(one.metric))}, {one.text}."))
        found += [Statement("Mode and draws", env, text) for text in _acting(evidence, env)]
        found += [Statement("Equal cost", env, text) for text in _matched(evidence, env)]
        maps = [one for one in evidence.maps if one.env == env and len(one.depths) > 1]
        found += [Statement("Goal difficulty", env, _difficulty(one)) for one in maps]
        found += [Statement("Evaluation", env, text) for text in _precision(evidence, env)]
    for one in evidence.extrapolated:
        found.append(Statement("Beyond the trained depth", one.env, _beyond(one)))
    for one in evidence.frontiers:
        found += [Statement("Budgets", one.env, text) for text in budgets.sentences(one)]
    return found


def limits(evidence: Evidence) -> list[str]:
    """What cannot be said, and what would allow it."""
    found = [f"{capital(note)}." for note in evidence.notes]
    if not evidence.agents:
        return found
    for env in evidence.environments:
        found += _limits_of(evidence, env)
    found += _few_seeds_for_many(evidence)
    if any(group.block == "looped" for group in evidence.groups) and not evidence.extrapolated:
        found.append("Looped agents were not tested beyond their trained depths; `rl-depth extrapolate` does that.")
    if len({setup.hardware for setup in evidence.setups}) > 1:
        found.append("The runs were made on different hardware, so their training times do not compare.")
    return found


def _few_seeds_for_many(evidence: Evidence) -> list[str]:
    """Where so few seeds could not tell anything apart, whatever the effect, since so much is compared."""
    several = [p for p in tested(evidence.matches).values() if p is not None]
    needed = significance.seeds_for(len(several))
    if not several or min(evidence.seeds(env) for env in evidence.environments) >= needed:
        return []
    text = f"This page makes {len(several)} comparisons of looped with stacked agents at one error rate of "
    text += f"{significance.LEVEL:.0%}, for which a pair of groups needs {needed} seeds each to be told apart at all."
    return [text]


def _limits_of(evidence: Evidence, env: str) -> list[str]:
    found = []
    depths = {len(one.depths) for one in evidence.of(env, evidence.metrics[0])}
    if depths and max(depths) < LEAST_DEPTHS:
        many = f"{max(depths)} depth{'s' if max(depths) > 1 else ''}"
        found.append(f"{env}: {many} at most in a series; a threshold needs {LEAST_DEPTHS} or more to be judged.")
    elif depths:
        ends = sorted({int(one.depths[place]) for one in evidence.of(env, evidence.metrics[0]) for place in (0, -1)})
        text = f"{env}: a jump at the first or at the last depth cannot be told from a slope that goes on; to judge "
        found.append(text + f"those, sample depths below {ends[0]} and beyond {ends[-1]}.")
    seeds = evidence.seeds(env)
    if seeds == 1:
        found.append(f"{env}: a single seed at some depth has no interval, and cannot tell an effect from chance.")
    elif seeds < significance.LEAST_SEEDS:
        text = f"{env}: a 95% interval of {seeds} seeds is little more than their range, and covers less often; "
        found.append(text + f"nothing is called better or worse below {significance.LEAST_SEEDS} seeds.")
    agreements = [one for one in evidence.agreements if one.env == env]
    if agreements and all(one.found.ratio is None for one in agreements):
        text = "no looped series has a threshold or a rise to compare with one of stacked agents"
        found.append(f"{env}: {text}.")
    for axis in AXES:
        missing = [m.text for m in evidence.matches if (m.env, m.axis) == (env, axis) and m.contrast is None]
        missing = list(dict.fromkeys(missing))
        if missing:
            more = f"; and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
            found.append(f"{env}, equal {axis_label(axis)}: {'; '.join(missing[:_LISTED])}{more}.")
    steps = sorted({int(group.env_steps[-1]) for group in evidence.groups if group.env == env})
    if len(steps) > 1:
        found.append(f"{env}: agents trained for unequal numbers of steps, {steps[0]:,} to {steps[-1]:,}.")
    return found


def _capability(series: Series) -> str:
    """From the shallowest depth to the best and the deepest."""
    found = levels(series)
    what = name(series.metric)
    if len(found) == 1:
        return f"{capital(series.block)} at depth {found[0].depth}: {what} {_amount(series.metric, found[0])}."
    sign = -1 if meaning.lower_is_better(series.metric) else 1
    best = max(found, key=lambda one: sign * one.value)
    text = f"{capital(series.block)}: {what} is {_amount(series.metric, found[0])} at depth {found[0].depth}"
    text += f" and {_amount(series.metric, found[-1])} at depth {found[-1].depth}"
    if best not in (found[0], found[-1]):
        text += f"; best at depth {best.depth}, {_amount(series.metric, best)}"
    return text + "."


def _verdicts(evidence: Evidence, series: Series) -> str:
    """The verdict on the leading metric in full, and whether the others agree with it."""
    own = {one.metric: one for one in evidence.findings if (one.env, one.block) == (series.env, series.block)}
    lead = own.pop(series.metric)
    text = f"{capital(series.block)}, {name(series.metric)}: {lead.text}"
    others = [f"{name(metric)}: {own[metric].short}" for metric in evidence.metrics if metric in own]
    return f"{text}. {capital('; '.join(others))}." if others else f"{text}."


def _acting(evidence: Evidence, env: str) -> list[str]:
    """Where the mode of the policy and its draws lead to different words: about depth, and about looped and stacked."""
    found = [f"{capital(line)}." for line in evidence.disagreements if f"({env}, " in line]
    ways: dict[tuple[str, str], dict[str, Match]] = {}
    for match in (m for m in evidence.matches if m.env == env and m.contrast is not None):
        ways.setdefault((match.looped, match.axis), {})["draws" if meaning.drawn(match.metric) else "mode"] = match
    for (looped, axis), own in ways.items():
        if len(own) == 2 and own["mode"].outcome != own["draws"].outcome:
            text = f"{capital(looped)} against {own['mode'].stacked} at equal {axis_label(axis)}: "
            text += f"{own['mode'].outcome} by the mode, {own['draws'].outcome} by draws"
            found.append(f"{text}; a difference that one way of acting alone shows is induced by how the policy acts.")
    return found


def _precision(evidence: Evidence, env: str) -> list[str]:
    """Whether the evaluation's own error is small beside the seeds', a sentence per block and share."""
    own = [(block, one) for place, block, one in evidence.precisions if place == env]
    return [f"{capital(block)}, {name(one.metric)}: {one.text}." for block, one in own]


def _matched(evidence: Evidence, env: str) -> list[str]:
    """Where looped agents are better or worse than stacked ones, a sentence per kind of cost and way of acting."""
    found = []
    metrics = dict.fromkeys(match.metric for match in evidence.matches)
    for axis, metric in product(AXES, metrics):
        place = (env, axis, metric)
        pairs = [m for m in evidence.matches if (m.env, m.axis, m.metric) == place and m.contrast is not None]
        sorted_pairs: dict[str, list[Match]] = {}
        for match in pairs:
            sorted_pairs.setdefault(_outcome(match), []).append(match)
        if pairs:
            parts = [_outcomes(word, own) for word, own in sorted(sorted_pairs.items())]
            what = f"At equal {axis_label(axis)}, {name(metric)} of looped against stacked agents"
            found.append(f"{what}: {'; '.join(parts)}.")
    return found


def _outcome(match: Match) -> str:
    """What the corrected rank test allows to say."""
    if match.outcome != significance.TOO_FEW:
        return match.outcome
    return f"fewer than {significance.LEAST_SEEDS} seeds, so neither better nor worse,"


def _outcomes(word: str, own: Sequence[Match]) -> str:
    """``worse at looped depths 16 and 32, most at 32: -0.32 [-0.37, -0.27], corrected p 0.03``."""
    most = max(own, key=lambda match: abs(float(match.gap.value)))
    depths = listed(str(depth) for depth in sorted({match.looped_depth for match in own}))
    where = f"{word} at looped depth{'s' if ' ' in depths else ''} {depths}"
    gap = most.gap
    if gap.value == 0:
        return f"{where}, where their means are equal"
    interval = ""
    if np.isfinite(gap.low):
        interval = f" [{number(most.metric, gap.low)}, {number(most.metric, gap.high)}]"
    partner = "" if most.stacked_depth == most.looped_depth else f" against stacked depth {most.stacked_depth}"
    at = f", most at {most.looped_depth}" if " " in depths else ""
    p = "" if most.p is None else f", corrected p {most.p:.2g}"
    return f"{where}{at}{partner}: {number(most.metric, gap.value)}{interval}{p}"


def _difficulty(one: DifficultyMap) -> str:
    """Critical depth by goal distance; neighbours of the same one together."""
    distances = [f"{distance:.3g}" for distance in one.distances]
    parts = []
    for depth, members in groupby(zip(distances, one.critical, strict=True), key=lambda member: member[1].depth):
        own = list(members)
        where = own[0][0] if len(own) == 1 else f"{own[0][0]} to {own[-1][0]}"
        parts.append(f"{where}: {'no depth' if depth is None else _critical([at for _, at in own])}")
    level = f"first depth with {name(one.metric)} half way to the best"
    return f"{capital(one.block)}, {level}, by goal distance: {'; '.join(parts)}."


def _critical(members: Sequence[CriticalDepth]) -> str:
    low = min(at.low for at in members if at.low is not None)
    highs = [at.high for at in members if at.high is not None]
    high = str(max(highs)) if len(highs) == len(members) else "beyond"
    return f"{members[0].depth} [{low}, {high}]"


def _beyond(one: Extrapolated) -> str:
    """The first capability that the test depth changes."""
    changing = [metric for metric in one.capability if np.ptp(one.means[metric].value) != 0]
    metric = next(iter(changing or one.capability))
    means = one.means[metric].value
    what, start = name(metric), f"{capital(one.label)}, trained to depth {one.trained}"
    verdict = one.verdicts[metric]
    if not verdict["reach"]:
        return f"{start}: {what}: {BREAKDOWNS[verdict['breakdown']]}."
    if not changing:
        return f"{start}: {what} is {amount(metric, means[0])} at every test depth, so nothing could be lost."
    best = amount(metric, means[one.depths.tolist().index(verdict["best_depth"])])
    holds = verdict["breakdown"] == "holds"
    ratio = f"{'at least ' if holds else ''}{verdict['ratio']:.3g} times the trained depth"
    if verdict["low"] is not None and verdict["high"] is not None:
        ratio += f" [{verdict['low']:.3g}, {verdict['high']:.3g}]"
    text = f"{start}: {what} is best at test depth {verdict['best_depth']} ({best}) "
    text += f"and stays within {verdict['noise']:.2g} of that up to {verdict['reach']}, {ratio}"
    return f"{text}." if holds else f"{text}; beyond, {BREAKDOWNS[verdict['breakdown']]}."


def name(metric: str) -> str:
    """A metric in a sentence: its axis label without what stands in brackets."""
    label, who = plots.metric_label(meaning.bare(metric)).split(" (")[0], meaning.actor(metric)
    return f"{label} ({who})" if who else label


def number(metric: str, value: float) -> str:
    """A value with as many digits as some dozens of episodes give it: shares to a hundredth."""
    return f"{value:.2f}" if meaning.thresholded(metric) else f"{value:.3g}"


def amount(metric: str, value: float) -> str:
    """A value with its unit: ``0.82``, ``31.5 steps``."""
    unit = _UNIT.search(plots.metric_label(meaning.bare(metric)))
    return number(metric, value) + (f" {unit[1]}" if unit else "")


def _amount(metric: str, level: Level) -> str:
    if level.low is None or level.high is None:
        return f"{amount(metric, level.value)} (one seed)"
    return f"{amount(metric, level.value)} [{number(metric, level.low)}, {number(metric, level.high)}]"


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def capital(text: str) -> str:
    """The first letter large."""
    return text[:1].upper() + text[1:]
