"""What a metric means, from its name: whether it counts passes of a criterion, and which way is better."""

from __future__ import annotations

_THRESHOLDED = ("success", "categorical_accuracy")
_CONTINUOUS = ("dist", "time_at_goal", "infonce")
_LOWER_IS_BETTER = ("dist", "infonce")


def thresholded(metric: str) -> bool:
    """Whether a metric counts passes of a criterion."""
    return metric.startswith(_THRESHOLDED)


def continuous(metric: str) -> bool:
    """Whether a metric can confirm a jump of a thresholded one."""
    return metric.startswith(_CONTINUOUS)


def lower_is_better(metric: str) -> bool:
    """Whether a metric should be low: distances and losses."""
    return metric.startswith(_LOWER_IS_BETTER)


def improves(metric: str, effect: float) -> bool:
    """Whether a change of this sign is for the better: down for distances and losses, up for all else."""
    return effect < 0 if lower_is_better(metric) else effect > 0
