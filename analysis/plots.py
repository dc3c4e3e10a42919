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

from .aggregate import mean_interval

if TYPE_CHECKING:
    from rl_depth.extrapolating import Findings

    from .compare import Group
    from .mirage import Finding
    from .table import Series

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


def thresholds(series: Sequence[Series], findings: Sequence[Finding], file: Path) -> None:
    """One panel per environment (row) and metric (column): seeds, medians, and jumps with their intervals."""
    environments = sorted({one.env for one in series})
    metrics = list(dict.fromkeys(one.metric for one in series))
    size = (1.0 + 3.4 * len(metrics), 0.8 + 2.6 * len(environments))
    shape = (len(environments), len(metrics))
    figure, panels = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
    by_place = {(finding.env, finding.block, finding.metric): finding for finding in findings}
    for one in series:
        finding = by_place[one.env, one.block, one.metric]
        panel = panels[environments.index(one.env), metrics.index(one.metric)]
        colour = COLOURS.get(one.block.split(",")[0], "#555555")
        for depth, values in zip(one.depths, one.values, strict=True):
            panel.plot(np.full(len(values), depth), values, "o", color=colour, alpha=0.3, ms=3, mew=0)
        middle = [np.median(values) for values in one.values]
        panel.plot(one.depths, middle, "-", color=colour, label=f"{one.block}: {finding.verdict.verdict}")
        for jump in finding.verdict.jumps:
            panel.axvspan(jump.low, jump.high, color=colour, alpha=0.12, lw=0)
            panel.axvline(jump.depth, color=colour, lw=1, ls="--")
    for panel, environment, metric in (
        (panels[i, j], environment, metric)
        for i, environment in enumerate(environments)
        for j, metric in enumerate(metrics)
    ):
        style(panel)
        panel.set_xscale("log", base=2)
        panel.set_xlabel("depth (dense layers)")
        panel.set_title(environment, fontsize=10)
        panel.set_ylabel(metric_label(metric))
        if panel.has_data():
            panel.legend(fontsize=7, frameon=False)
    save(figure, file)


def extrapolation(found: Sequence[Findings], file: Path) -> None:
    """For each capability and each of the critic's metrics a heat map, runs by test depth, above curves."""
    first = found[0]
    parts = [("capability", name) for name in first.capability] + [("critic", name) for name in first.critic]
    values = {name: [getattr(one, part)[name] for one in found] for part, name in parts}
    size = (1.5 + 3.3 * len(values), 1.4 + 0.28 * len(found) + 3.2)
    heights = [0.8 + 0.28 * len(found), 3.2]
    figure, panels = plt.subplots(
        2, len(values), figsize=size, squeeze=False, layout="constrained", height_ratios=heights
    )
    for (top, bottom), (name, rows) in zip(panels.T, values.items(), strict=True):
        _heat_map(top, found, np.array([row.mean(axis=0) for row in rows]))
        top.set_title(metric_label(name), fontsize=9)
        for i, (one, row) in enumerate(zip(found, rows, strict=True)):
            _band(bottom, one.depths, row, one.label, i)
        bottom.set_xlabel("test depth (dense layers)")
        bottom.set_ylabel(metric_label(name))
    for panel in panels[0, 1:]:
        panel.set_yticklabels([])
    _legend(figure, panels[1, 0], len(found))
    save(figure, file)


def _heat_map(panel: Axes, found: Sequence[Findings], means: np.ndarray) -> None:
    """Means over seeds ``[runs, D]``; a bar stands where the trained depths of a run end."""
    depths = found[0].depths
    image = panel.imshow(means, aspect="auto", cmap="viridis")
    panel.set_xticks(range(len(depths)), [str(depth) for depth in depths], fontsize=7)
    panel.set_yticks(range(len(found)), [one.label for one in found], fontsize=7)
    panel.tick_params(length=0)
    for (i, j), value in np.ndenumerate(means):
        dark = image.norm(value) < 0.6
        panel.text(j, i, f"{value:.3g}", ha="center", va="center", fontsize=6, color="white" if dark else "black")
    for i, one in enumerate(found):
        end = np.count_nonzero(depths <= one.trained) - 0.5
        panel.plot([end, end], [i - 0.42, i + 0.42], color="white", lw=2)


def _legend(figure: plt.Figure, panel: Axes, runs: int) -> None:
    """One legend for all panels, below them."""
    handles, texts = panel.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=min(runs, 4), fontsize=7, frameon=False)


_LATENTS = {
    "step": "relative step of the latent",
    "angle": "angle between steps (degrees)",
    "size": "size of the latent (of the first)",
    "two_starts": "relative distance from another start",
}


def latents(found: Sequence[Findings], file: Path) -> None:
    """How the latent moves with each application."""
    size = (3.4 * len(_LATENTS), 3.2 + 0.2 * len(found) / 4)
    figure, panels = plt.subplots(1, len(_LATENTS), figsize=size, squeeze=False, layout="constrained")
    for panel, (name, label) in zip(panels[0], _LATENTS.items(), strict=True):
        for i, one in enumerate(found):
            values = one.latents[name]
            _band(panel, one.config.block_layers * np.arange(1, values.shape[1] + 1), values, one.label, i)
        panel.set_xlabel("depth (dense layers)")
        panel.set_ylabel(label)
        if name != "angle":
            panel.set_yscale("log")
    _legend(figure, panels[0, 0], len(found))
    save(figure, file)


def _band(panel: Axes, depths: np.ndarray, values: np.ndarray, label: str, place: int) -> None:
    """Mean over seeds ``values [S, D]`` and its 95% bootstrap interval, on log2 depth; ``place`` picks the line."""
    style(panel)
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter("{x:g}")
    found = mean_interval(values)
    look = {"color": f"C{place % 10}", "ls": ("-", "--", ":", "-.")[place // 10 % 4]}
    panel.plot(depths, found.value, label=label, **look)
    if len(values) > 1:
        panel.fill_between(depths, found.low, found.high, color=look["color"], alpha=0.15, lw=0)


def _place(group: Group) -> tuple[str, int, str]:
    return group.config.env, group.config.depth, group.config.block


def save(figure: plt.Figure, file: Path) -> None:
    """Write a figure and forget it."""
    try:
        figure.savefig(file, dpi=150)
    finally:
        plt.close(figure)
