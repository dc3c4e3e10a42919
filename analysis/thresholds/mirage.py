"""Verdicts over many series, and a guard against jumps that the metric makes.

Skill that grows steadily crosses a success criterion at some depth, so that success jumps where skill does not
(Schaeffer et al. 2023, arXiv:2304.15004). A jump of a thresholded metric therefore counts only if a continuous
metric of the same environment and block jumps with it, within one depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import meaning
from ..runs.table import Series
from .detect import SIGNIFICANCE, Jump, Verdict, detect

CONFIRMED = "confirmed"
METRIC_INDUCED = "metric-induced"
UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True)
class Finding:
    """What is found about one series, seen beside the others of its environment and block.

    Attributes:
      env, block, metric: which series.
      depths: ``[D]``.
      verdict: of the series, jumps corrected for the number of metrics judged.
      labels: one per jump: "confirmed" (on a continuous metric), "metric-induced" (not so), "unconfirmed" (no
        continuous metric there to ask); jumps of metrics that are not thresholded have "".
    """

    env: str
    block: str
    metric: str
    depths: np.ndarray
    verdict: Verdict
    labels: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The verdict in words, jumps with their labels."""
        notes = [f"{jump.depth}: {label}" for jump, label in zip(self.verdict.jumps, self.labels, strict=True) if label]
        return self.verdict.text + (f" [{', '.join(notes)}]" if notes else "")

    def to_json(self) -> dict[str, Any]:
        """As plain types: env, block, metric, verdict, jumps (with labels where they have one), text, ..."""
        found = self.verdict.to_json(env=self.env, block=self.block, metric=self.metric)
        jumps = [
            jump | ({"label": label} if label else {}) for jump, label in zip(found["jumps"], self.labels, strict=True)
        ]
        return found | {"jumps": jumps, "text": self.text}


def judge(
    series: Sequence[Series], *, smallest_effects: Mapping[str, float] | None = None, seed: int = 0
) -> list[Finding]:
    """Judge every series; correct over the metrics of an environment and block (Holm), then guard.

    Args:
      series: what was measured; metrics that nobody asks about cost power and are better left out.
      smallest_effects: least change of interest per metric (see ``thresholds.detect``).
      seed: of the random numbers.
    """
    smallest = smallest_effects or {}
    groups: dict[tuple[str, str], list[Series]] = {}
    for one in series:
        groups.setdefault((one.env, one.block), []).append(one)
    found = []
    for group in groups.values():
        verdicts = corrected(group, smallest, seed)
        found += [
            Finding(one.env, one.block, one.metric, one.depths, verdict, ("",) * len(verdict.jumps))
            for one, verdict in zip(group, verdicts, strict=True)
        ]
    return guard(found)


def corrected(group: Sequence[Series], smallest: Mapping[str, float], seed: int) -> list[Verdict]:
    """Verdicts of the metrics of one experiment; jumps hold at the 5% level for all of them together (Holm 1979).

    A series whose jump fails is judged again at the level it failed, which says how many seeds are missing.
    """
    # The p-values must be able to fall below the strictest level.
    draws = max(400, int(np.ceil(10 * len(group) / SIGNIFICANCE)))

    def judged(one: Series, level: float) -> Verdict:
        effect = smallest.get(one.metric)
        return detect(one.depths, one.values, smallest_effect=effect, level=level, bootstraps=draws, seed=seed)

    verdicts = [judged(one, SIGNIFICANCE) for one in group]
    p_values = [verdict.p_jump if verdict.p_jump is not None else 1.0 for verdict in verdicts]
    failed = False
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        level = SIGNIFICANCE / (len(group) - rank)
        failed = failed or p_values[i] >= level
        if failed and verdicts[i].jumps:
            verdicts[i] = judged(group[i], min(level, p_values[i]))
    return verdicts


def guard(findings: Sequence[Finding]) -> list[Finding]:
    """Label the jumps of thresholded metrics by whether a continuous one of the same env and block jumps too."""
    found = []
    for one in findings:
        if not meaning.thresholded(one.metric):
            found.append(one)
            continue
        beside = [
            other
            for other in findings
            if (other.env, other.block) == (one.env, one.block) and meaning.continuous(other.metric)
        ]
        found.append(replace(one, labels=tuple(_label(one, jump, beside) for jump in one.verdict.jumps)))
    return found


def _label(one: Finding, jump: Jump, beside: Sequence[Finding]) -> str:
    if not beside:
        return UNCONFIRMED
    place = int(np.searchsorted(one.depths, jump.depth))
    near = one.depths[max(place - 1, 0) : place + 2]
    better = meaning.improves(one.metric, jump.effect)
    for other in beside:
        for its in other.verdict.jumps:
            if near[0] <= its.depth <= near[-1] and meaning.improves(other.metric, its.effect) == better:
                return CONFIRMED
    return METRIC_INDUCED
