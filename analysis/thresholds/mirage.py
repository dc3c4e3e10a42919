"""Verdicts over many series, and a guard against jumps that the metric makes.

Skill that grows steadily crosses a success criterion at some depth, so that success jumps where skill does not
(Schaeffer et al. 2023, arXiv:2304.15004). A jump of a thresholded metric therefore counts only if a continuous
metric of the same environment and block jumps with it, within one depth. In the same way a jump may be due to how the
policy acts: its mode may get stuck where drawn actions do not. Where both were measured, each jump says whether the
other way of acting shows it too.
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

BOTH = "mode and draws"
MODE_ALONE = "mode alone"
DRAWS_ALONE = "draws alone"


@dataclass(frozen=True)
class Finding:
    """What is found about one series, seen beside the others of its environment and block.

    Attributes:
      env, block, metric: which series.
      depths: ``[D]``.
      verdict: of the series, jumps corrected for the number of metrics judged.
      labels: one per jump: "confirmed" (on a continuous metric, of the same way of acting), "metric-induced" (not so),
        "unconfirmed" (no continuous metric there to ask); jumps of metrics that are not thresholded have "".
      acting: one per jump: "mode and draws", "mode alone" or "draws alone"; "" where one of them was not measured.
    """

    env: str
    block: str
    metric: str
    depths: np.ndarray
    verdict: Verdict
    labels: tuple[str, ...] = ()
    acting: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """``jump at 16`` or the verdict's word."""
        jumps = [f"{'jump' if jump.effect > 0 else 'drop'} at {jump.depth}" for jump in self.verdict.jumps]
        return " and ".join(jumps) or self.verdict.verdict

    @property
    def text(self) -> str:
        """The verdict in words, jumps with their labels."""
        notes = []
        for jump, label, acting in zip(self.verdict.jumps, self.labels, self._acting, strict=True):
            told = [label, f"by {acting}" if acting else ""]
            notes += [f"{jump.depth}: {' '.join(part for part in told if part)}"] if any(told) else []
        return self.verdict.text + (f" [{', '.join(notes)}]" if notes else "")

    @property
    def _acting(self) -> tuple[str, ...]:
        return self.acting or ("",) * len(self.verdict.jumps)

    def to_json(self) -> dict[str, Any]:
        """As plain types: env, block, metric, verdict, jumps (with labels where they have one), text, ..."""
        found = self.verdict.to_json(env=self.env, block=self.block, metric=self.metric)
        jumps = [
            jump | ({"label": label} if label else {}) | ({"acting": acting} if acting else {})
            for jump, label, acting in zip(found["jumps"], self.labels, self._acting, strict=True)
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
    """Label jumps: of thresholded metrics by whether a continuous one jumps too, of all by which way of acting does."""
    found = []
    for one in findings:
        near = [other for other in findings if (other.env, other.block) == (one.env, one.block)]
        labels = one.labels
        if meaning.thresholded(one.metric):
            beside = [
                f for f in near if meaning.continuous(f.metric) and meaning.drawn(f.metric) == meaning.drawn(one.metric)
            ]
            labels = tuple(_label(one, jump, beside) for jump in one.verdict.jumps)
        other = next((f for f in near if f.metric == meaning.other_way(one.metric)), None)
        acting = tuple(_shown_by(one, jump, other) for jump in one.verdict.jumps) if other else ()
        found.append(replace(one, labels=labels, acting=acting))
    return found


def _label(one: Finding, jump: Jump, beside: Sequence[Finding]) -> str:
    if not beside:
        return UNCONFIRMED
    return CONFIRMED if any(_jumps_with(one, jump, other) for other in beside) else METRIC_INDUCED


def _shown_by(one: Finding, jump: Jump, other: Finding) -> str:
    if _jumps_with(one, jump, other):
        return BOTH
    return DRAWS_ALONE if meaning.drawn(one.metric) else MODE_ALONE


def _jumps_with(one: Finding, jump: Jump, other: Finding) -> bool:
    """Whether another series jumps within one depth, for the better or the worse as this one does."""
    place = int(np.searchsorted(one.depths, jump.depth))
    near = one.depths[max(place - 1, 0) : place + 2]
    better = meaning.improves(one.metric, jump.effect)
    return any(
        near[0] <= its.depth <= near[-1] and meaning.improves(other.metric, its.effect) == better
        for its in other.verdict.jumps
    )


def disagreements(findings: Sequence[Finding]) -> list[str]:
    """A line for each series on which the mode of the policy and drawn actions lead to different verdicts."""
    by_place = {(one.env, one.block, one.metric): one for one in findings}
    lines = []
    for one in findings:
        other = by_place.get((one.env, one.block, meaning.other_way(one.metric)))
        if other is None or meaning.drawn(one.metric) or _agree(one, other):
            continue
        text = f"the policy's mode and its drawn actions disagree about {one.metric} ({one.env}, {one.block}): "
        text += f"{one.short} by the mode, {other.short} by draws"
        alone = {label for finding in (one, other) for label in finding.acting if label in (MODE_ALONE, DRAWS_ALONE)}
        if alone:
            text += "; a jump that one way of acting alone shows is induced by how the policy acts"
        lines.append(text)
    return lines


def _agree(one: Finding, other: Finding) -> bool:
    same = one.verdict.verdict == other.verdict.verdict and len(one.verdict.jumps) == len(other.verdict.jumps)
    return same and all(label == BOTH for label in (*one.acting, *other.acting))
