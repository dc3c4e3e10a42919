"""What a metric means, from its name: whether it counts passes of a criterion, which way is better, who acted.

An evaluation logs what a policy's mode does under a metric's own name, what actions drawn from it do under ``drawn_``
before that name, and what the agent that collected the data does under ``collector_``.
"""

from __future__ import annotations

_THRESHOLDED = ("success", "categorical_accuracy")
_CONTINUOUS = ("dist", "time_at_goal", "infonce")
_LOWER_IS_BETTER = ("dist", "infonce", "steps_to_success")

DRAWN = "drawn_"
_COLLECTOR = "collector_"


def bare(metric: str) -> str:
    """The metric itself, whoever acted."""
    return metric.removeprefix(_COLLECTOR).removeprefix(DRAWN)


def drawn(metric: str) -> bool:
    """Whether a metric is of drawn actions."""
    return metric.removeprefix(_COLLECTOR).startswith(DRAWN)


def actor(metric: str) -> str:
    """What acted, as a suffix to a metric: "", "drawn actions", "the collector" or both."""
    who = ["the collector"] if metric.startswith(_COLLECTOR) else []
    return ", ".join([*who, *(["drawn actions"] if drawn(metric) else [])])


def other_way(metric: str) -> str:
    """The same metric of the other way of acting: of draws for the mode's, of the mode for that of draws."""
    who = _COLLECTOR if metric.startswith(_COLLECTOR) else ""
    return who + bare(metric) if drawn(metric) else who + DRAWN + bare(metric)


def thresholded(metric: str) -> bool:
    """Whether a metric counts passes of a criterion."""
    return bare(metric).startswith(_THRESHOLDED)


def continuous(metric: str) -> bool:
    """Whether a metric can confirm a jump of a thresholded one."""
    return bare(metric).startswith(_CONTINUOUS)


def lower_is_better(metric: str) -> bool:
    """Whether a metric should be low: distances and losses."""
    return bare(metric).startswith(_LOWER_IS_BETTER)


def improves(metric: str, effect: float) -> bool:
    """Whether a change of this sign is for the better: down for distances and losses, up for all else."""
    return effect < 0 if lower_is_better(metric) else effect > 0
