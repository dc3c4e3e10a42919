"""Figures. Blue is stacked, orange is looped, everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from .compare import Group

COLOURS = {"stacked": "#1f6fb4", "looped": "#d9661f"}

_LABELS = {
    "success_any": "success (reached at least once)",
    "success_final": "success at the end",
    "time_at_goal": "time at goal (steps)",
    "dist_final": "final distance to goal (m)",
    "dist_min": "least distance to goal (m)",
    "infonce": "InfoNCE (nats)",
    "categorical_accuracy": "critic's categorical accuracy",
}


def metric_label(metric: str) -> str:
    """Axis label of a metric, with its unit where it is known."""
    return _LABELS.get(metric, metric.replace("_", " "))


def style(axes: Axes) -> None:
    """Light grid, no box."""
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def learning_curves(groups: Sequence[Group], metric: str, file: Path) -> None:
    """One panel per environment (row) and depth (column): median over seeds, and their range as a band."""
    environments = sorted({group.config.env for group in groups})
    depths = sorted({group.config.depth for group in groups})
    size = (1.2 + 3.0 * len(depths), 0.7 + 2.4 * len(environments))
    figure, panels = plt.subplots(
        len(environments),
        len(depths),
        figsize=size,
        squeeze=False,
        sharex="row",
        sharey="row",
        layout="constrained",
    )
    for group in groups:
        panel = panels[environments.index(group.config.env), depths.index(group.config.depth)]
        curves = group.curves[metric]
        colour = COLOURS[group.config.block]
        same = [g for g in groups if (g.config.env, g.config.depth, g.config.block) == _place(group)]
        dashes = ("-", "--", ":", "-.")[same.index(group) % 4]
        label = group.config.block if len(same) == 1 else group.label
        label += f" ({len(group.seeds)} seed{'s' if len(group.seeds) > 1 else ''})"
        panel.plot(group.env_steps, np.median(curves, axis=0), dashes, color=colour, label=label)
        if len(curves) > 1:
            panel.fill_between(group.env_steps, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.18, lw=0)
    for i, environment in enumerate(environments):
        panels[i, 0].set_ylabel(f"{environment}\n{metric_label(metric)}")
        for j, depth in enumerate(depths):
            style(panels[i, j])
            if i == 0:
                panels[i, j].set_title(f"depth {depth}", fontsize=10)
            if panels[i, j].has_data():
                panels[i, j].legend(fontsize=7, frameon=False)
    for panel in panels[-1]:
        panel.set_xlabel("environment steps")
        panel.ticklabel_format(axis="x", style="sci", scilimits=(0, 4))
    save(figure, file)


def _place(group: Group) -> tuple[str, int, str]:
    return group.config.env, group.config.depth, group.config.block


def save(figure: plt.Figure, file: Path) -> None:
    """Write a figure and forget it."""
    try:
        figure.savefig(file, dpi=150)
    finally:
        plt.close(figure)
