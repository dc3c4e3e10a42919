"""From episodes to numbers: means over episodes, as a whole and per goal difficulty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# Difficulties with at most this many distinct whole values are kept apart; others fall into four bins.
_MAX_LEVELS = 64
_BINS = 4


def summarise(episodes: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Means over episodes of what `rollout.evaluate` returns, ``[E]`` each."""
    return {name: float(np.mean(values)) for name, values in episodes.items()}


def lower_is_better(metric: str) -> bool:
    """Whether a metric of `rollout.evaluate` should be low: distances, and steps that were needed."""
    of_anyone = metric.removeprefix("collector_").removeprefix("drawn_")
    return of_anyone.startswith(("dist", "steps_to_success"))


def by_difficulty(episodes: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Means per goal difficulty, easiest first.

    Each entry holds ``goal_distance`` (cells: the value; metres: mean of its bin), ``episodes`` (their
    number) and the mean of every other metric.
    """
    distance = np.asarray(episodes["goal_distance"])
    rows = []
    for group in groups(distance):
        means = summarise({name: np.asarray(values)[group] for name, values in episodes.items()})
        rows.append({"goal_distance": means.pop("goal_distance"), "episodes": int(group.sum()), **means})
    return rows


def groups(distance: np.ndarray) -> list[np.ndarray]:
    """Masks of the episodes of each difficulty: whole values apart (cells), others in four equal bins."""
    levels = np.unique(distance)
    if len(levels) <= _MAX_LEVELS and np.all(levels == np.round(levels)):
        return [distance == level for level in levels]
    edges = np.linspace(distance.min(), distance.max(), _BINS + 1)
    which = np.clip(np.digitize(distance, edges) - 1, 0, _BINS - 1)
    return [which == i for i in range(_BINS) if np.any(which == i)]
