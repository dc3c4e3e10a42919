"""Figures. Blue is stacked, orange is looped, everywhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.text import Text

from . import meaning
from .aggregate import iqm_interval, mean_interval, performance_profile
from .compare.matched import AXES, axis_label
from .meaning import lower_is_better
from .significance import LEAST_SEEDS

if TYPE_CHECKING:
    from rl_depth.measured import ByDepth, Findings

    from .calibration.summary import Row
    from .compare.matched import Match
    from .compare.rows import Agents
    from .runs.groups import Group
    from .runs.table import Series
    from .thresholds.difficulty import DifficultyMap
    from .thresholds.locations import Agreement
    from .thresholds.mirage import Finding

COLOURS = {"stacked": "#1f6fb4", "looped": "#d9661f"}
SHADES = {"stacked": plt.colormaps["Blues"], "looped": plt.colormaps["Oranges"]}

_OTHER = plt.colormaps["Greys"]
_BESIDE = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}

_LABELS = {
    "success_any": "success (reached at least once)",
    "success_final": "success at the end",
    "time_at_goal": "time at goal (steps)",
    "steps_to_success": "steps to the first success",
    "dist_final": "final distance to goal (m)",
    "dist_min": "least distance to goal (m)",
    "infonce": "InfoNCE (nats)",
    "categorical_accuracy": "critic's categorical accuracy",
}


def metric_label(metric: str) -> str:
    """Axis label of a metric, with its unit where it is known."""
    name = meaning.bare(metric)
    who = meaning.actor(metric)
    return _LABELS.get(name, name.replace("_", " ")) + (f", {who}" if who else "")


def style(axes: Axes) -> None:
    """Light grid, no box."""
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def depth_axis(axes: Axes, depths: Iterable[float], label: str = "depth (dense layers)") -> None:
    """Log2 axis with the depths there are as its ticks."""
    axes.set_xscale("log", base=2)
    ticks = sorted(set(depths))
    axes.set_xticks(ticks, [f"{depth:g}" for depth in ticks], fontsize=8, rotation=45 if len(ticks) > 8 else 0)
    axes.minorticks_off()
    axes.set_xlabel(label)


def learning_curves(groups: Sequence[Group], metric: str, file: Path) -> None:
    """One panel per environment (row) and depth (column): median over seeds, and their range as a band."""
    environments = sorted({group.config.env for group in groups})
    depths = sorted({group.depth for group in groups})
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
        panel = panels[environments.index(group.config.env), depths.index(group.depth)]
        curves = group.curves[metric]
        colour = COLOURS[group.block]
        same = [g for g in groups if _place(g) == _place(group)]
        dashes = ("-", "--", ":", "-.")[same.index(group) % 4]
        label = group.block if len(same) == 1 else group.label
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


def profiles(groups: Sequence[Agents], metric: str, file: Path) -> None:
    """One panel per environment: share of seeds beyond each value of a metric, with intervals; darker is deeper."""
    environments = sorted({group.env for group in groups})
    size = (0.8 + 6.0 * len(environments), 3.6)
    figure, panels = plt.subplots(1, len(environments), figsize=size, squeeze=False, layout="constrained")
    sign = -1 if lower_is_better(metric) else 1
    for panel, environment in zip(panels[0], environments, strict=True):
        own = [group for group in groups if group.env == environment]
        depths = sorted({group.depth for group in own})
        finals = [group.final(metric) for group in own]
        low, high = min(v.min() for v in finals), max(v.max() for v in finals)
        margin = 0.02 * (high - low) or 0.02
        taus = np.linspace(low - margin, high + margin, 201)
        for group, values in zip(own, finals, strict=True):
            share = performance_profile(sign * values, sign * taus, draws=500)
            colour = SHADES.get(group.block, _OTHER)(0.35 + 0.6 * (depths.index(group.depth) + 1) / len(depths))
            panel.plot(taus, share.value, color=colour, label=f"{group.label} ({len(values)})", lw=1.4)
            if len(values) > 1:
                panel.fill_between(taus, share.low, share.high, color=colour, alpha=0.08, lw=0)
        style(panel)
        panel.set_title(environment, fontsize=10)
        panel.set_xlabel(metric_label(metric))
        panel.set_ylabel(f"share of seeds {'below' if sign < 0 else 'above'}")
        panel.legend(fontsize=7, frameon=False, title="agents (seeds)", title_fontsize=7, **_BESIDE)
    save(figure, file)


def matched(matches: Sequence[Match], file: Path) -> None:
    """One panel per environment (row) and axis (column): looped less stacked by looped depth, with intervals.

    Only matches with a partner are drawn; hollow points are single seeds, which have no interval.
    """
    drawn = [match for match in matches if match.contrast is not None]
    environments, axes = sorted({match.env for match in drawn}), [a for a in AXES if any(m.axis == a for m in drawn)]
    size = (1.2 + 3.0 * len(axes), 0.6 + 2.6 * len(environments))
    shape = (len(environments), len(axes))
    figure, panels = plt.subplots(*shape, figsize=size, squeeze=False, sharey="row", layout="constrained")
    for i, environment in enumerate(environments):
        for j, axis in enumerate(axes):
            panel = panels[i, j]
            own = [match for match in drawn if (match.env, match.axis) == (environment, axis)]
            for match in own:
                gap = match.gap
                bars = [[gap.value - gap.low], [gap.high - gap.value]] if np.isfinite(gap.low) else None
                fill = COLOURS["looped"] if bars else "none"
                panel.errorbar(
                    match.looped_depth, gap.value, bars, fmt="o", color=COLOURS["looped"], mfc=fill, capsize=3
                )
            panel.axhline(0, color=COLOURS["stacked"], lw=1, ls="--")
            style(panel)
            depth_axis(panel, [match.looped_depth for match in own], "looped depth (dense layers)")
            panel.set_title(f"equal {axis_label(axis)}", fontsize=10)
            if j == 0:
                metric = own[0].metric if own else drawn[0].metric
                panel.set_ylabel(f"{environment}\nlooped less stacked,\n{metric_label(metric)}", fontsize=8)
    save(figure, file)


def thresholds(series: Sequence[Series], findings: Sequence[Finding], file: Path) -> None:
    """A panel per environment and way of acting (row) and metric (column): seeds, interquartile means, jumps.

    Jumps have intervals. From five seeds on, interquartile means have 95% bootstrap intervals.
    """
    rows = sorted({(one.env, meaning.actor(one.metric)) for one in series})
    columns = sorted({meaning.bare(one.metric) for one in series}, key=_order)
    size = (1.0 + 3.4 * len(columns), 0.8 + 2.6 * len(rows))
    figure, panels = plt.subplots(len(rows), len(columns), figsize=size, squeeze=False, layout="constrained")
    by_place = {(finding.env, finding.block, finding.metric): finding for finding in findings}
    lines = _lines(dict.fromkeys(one.block for one in series))
    for one in series:
        finding = by_place[one.env, one.block, one.metric]
        row = rows.index((one.env, meaning.actor(one.metric)))
        panel = panels[row, columns.index(meaning.bare(one.metric))]
        panel.set_title(", ".join(filter(None, rows[row])), fontsize=10)
        panel.set_ylabel(metric_label(meaning.bare(one.metric)))
        _depth_curve(panel, one, finding, lines[one.block])
    for (environment, _), across in zip(rows, panels, strict=True):
        for panel in across:
            if not panel.has_data():
                panel.set_axis_off()
                continue
            style(panel)
            depth_axis(panel, [d for one in series if one.env == environment for d in one.depths])
            panel.legend(fontsize=7, frameon=False)
    save(figure, file)


def _order(metric: str) -> tuple[int, str]:
    """Where a metric stands among others: those that have a label first, in that order."""
    known = list(_LABELS)
    return (known.index(metric) if metric in known else len(known), metric)


def _depth_curve(panel: Axes, one: Series, finding: Finding, line: tuple[str, str]) -> None:
    """Capability against depth, with the verdict in the legend."""
    colour, dashes = line
    for depth, values in zip(one.depths, one.values, strict=True):
        panel.plot(np.full(len(values), depth), values, "o", color=colour, alpha=0.3, ms=3, mew=0)
    found = [iqm_interval(values) for values in one.values]
    middle = [float(at.value) for at in found]
    panel.plot(one.depths, middle, dashes, color=colour, label=f"{one.block}: {finding.short}{_p(finding)}")
    if min(map(len, one.values)) >= LEAST_SEEDS:
        low, high = ([float(getattr(at, end)) for at in found] for end in ("low", "high"))
        panel.vlines(one.depths, low, high, color=colour, lw=1.2)
    for jump in finding.verdict.jumps:
        panel.axvspan(jump.low, jump.high, color=colour, alpha=0.12, lw=0)
        panel.axvline(jump.depth, color=colour, lw=1, ls="--")


def _p(finding: Finding) -> str:
    """The p-value behind a verdict: of smooth curves for a jump, of jumps for a gradual rise, of no trend."""
    verdict = finding.verdict
    p = {"jump": verdict.p_jump, "gradual": verdict.p_smooth, "flat": verdict.p_trend}.get(verdict.verdict)
    return "" if p is None else f" (p = {p:.2g})"


def _lines(blocks: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes of each block: stacked and looped in their own colours, variants told apart by dashes."""
    found: dict[str, tuple[str, str]] = {}
    foreign = itertools.cycle(matplotlib.color_sequences["Dark2"])
    seen: dict[str, int] = {}
    for block in blocks:
        kind = block.split(",")[0]
        colour = COLOURS[kind] if kind in COLOURS else to_hex(next(foreign))
        seen[colour] = seen.get(colour, -1) + 1
        found[block] = colour, ("-", "--", ":", "-.")[seen[colour] % 4]
    return found


def locations(agreements: Sequence[Agreement], file: Path) -> None:
    """Ratio of threshold locations, looped over stacked, with intervals; 1 is the same effective depth."""
    drawn = [one for one in agreements if one.found.ratio is not None]
    figure, panel = plt.subplots(figsize=(6.4, 1.2 + 0.4 * len(drawn)), layout="constrained")
    for y, one in enumerate(drawn):
        ratio, low, high = one.found.interval
        bars = [[ratio - min(low, ratio)], [max(high, ratio) - ratio]]
        marker = "o" if one.found.kind == "jump" else "s"
        panel.errorbar(ratio, y, xerr=bars, fmt=marker, color=COLOURS["looped"], capsize=3)
    panel.axvline(1, color=COLOURS["stacked"], lw=1, ls="--")
    names = [f"{one.env}, {one.metric}\n{one.looped} / {one.stacked} ({one.found.kind})" for one in drawn]
    panel.set_yticks(range(len(drawn)), names, fontsize=7)
    style(panel)
    ends = [end for one in drawn for end in (*one.found.interval[1:], 1.0)]
    powers = range(int(np.floor(np.log2(min(ends)))), int(np.ceil(np.log2(max(ends)))) + 1)
    depth_axis(panel, [2.0**power for power in powers], "depth of the threshold, looped over stacked")
    save(figure, file)


def extrapolation(found: Sequence[ByDepth], file: Path) -> None:
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


def _heat_map(panel: Axes, found: Sequence[ByDepth], means: np.ndarray) -> None:
    """Means over seeds ``[runs, D]``; a bar stands where the trained depths of a run end."""
    depths = found[0].depths
    image = panel.imshow(means, aspect="auto", cmap="viridis")
    panel.set_xticks(range(len(depths)), [str(depth) for depth in depths], fontsize=7)
    panel.set_yticks(range(len(found)), [one.label for one in found], fontsize=7)
    panel.tick_params(length=0)
    for (i, j), value in np.ndenumerate(means):
        dark = np.asarray(image.norm(value)) < 0.6
        panel.text(j, i, f"{value:.3g}", ha="center", va="center", fontsize=6, color="white" if dark else "black")
    for i, one in enumerate(found):
        end = np.count_nonzero(depths <= one.trained) - 0.5
        panel.plot([end, end], [i - 0.42, i + 0.42], color="white", lw=2)


def _legend(figure: plt.Figure, panel: Axes, runs: int) -> None:
    """One legend for all panels, below them."""
    handles, texts = panel.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=min(runs, 4), fontsize=7, frameon=False)


def difficulty(maps: Sequence[DifficultyMap], file: Path) -> None:
    """One heat map per series: goal distance by depth, mean over seeds, and the critical depth of each distance."""
    columns = min(len(maps), 3)
    rows = -(-len(maps) // columns)
    size = (0.8 + 3.6 * columns, 0.6 + 3.0 * rows)
    figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for panel in panels.flat[len(maps) :]:
        panel.set_axis_off()
    bounds = {
        metric: _bounds([one.means for one in maps if one.metric == metric]) for metric in {m.metric for m in maps}
    }
    for panel, one in zip(panels.flat, maps, strict=False):
        low, high = bounds[one.metric]
        image = panel.imshow(one.means, origin="lower", aspect="auto", vmin=low, vmax=high)
        figure.colorbar(image, ax=panel, label=metric_label(one.metric))
        panel.set_xticks(range(len(one.depths)), [str(depth) for depth in one.depths])
        panel.set_yticks(range(len(one.distances)), [f"{distance:.3g}" for distance in one.distances], fontsize=8)
        panel.set_xlabel("depth (dense layers)")
        panel.set_ylabel("goal distance")
        panel.set_title(f"{one.env}: {one.block}", fontsize=10)
        at = [(list(one.depths).index(c.depth), i) for i, c in enumerate(one.critical) if c.depth is not None]
        if at:
            panel.plot(*zip(*at, strict=True), "o-", color="#d62728", mfc="white", ms=5, lw=1, label="critical depth")
            panel.legend(fontsize=7, loc="upper left")
    save(figure, file)


def calibration(rows: Sequence[Row], file: Path) -> None:
    """Left: verdict "jump" per truth, a dot per noise and design; right: power against seeds."""
    shown = [row for row in rows if row["part"] != "power"]
    names = list(dict.fromkeys(row["truth"] for row in shown))
    picture, (left, right) = plt.subplots(1, 2, figsize=(11, 0.9 + 0.24 * len(names)), layout="constrained")
    for part, colour in (("tuning", "#1f6fb4"), ("held out", "#d9661f"), ("designs", "#6b8e23")):
        own = [row for row in shown if row["part"] == part]
        places = [len(names) - names.index(row["truth"]) for row in own]
        left.plot([100 * row["jump"] for row in own], places, "o", ms=4, alpha=0.6, color=colour, label=part)
    left.axvline(5, color="black", lw=0.8, ls="--")
    left.set_yticks(range(len(names), 0, -1), names, fontsize=8)
    left.set_xlabel("called a jump (%)")
    left.legend(fontsize=8, frameon=False, loc="center right")
    power = [row for row in rows if row["part"] == "power"]
    most = max((row["depths"] for row in power), default=0)
    for name, depths in dict.fromkeys((row["truth"], row["depths"]) for row in power):
        own = [row for row in power if (row["truth"], row["depths"]) == (name, depths)]
        shares, dashes = [100 * row["found"] for row in own], "-" if depths == most else "--"
        colour = f"C{list(dict.fromkeys(row['truth'] for row in power)).index(name)}"
        label = f"{name}, {depths} depths"
        right.plot([row["seeds"] for row in own], shares, f"o{dashes}", ms=4, color=colour, label=label)
    right.axhline(80, color="black", lw=0.8, ls="--")
    right.set(xlabel="seeds", ylabel="jump found within one depth (%)", ylim=(0, 102))
    if power:
        right.set_title(f"seed noise: {power[0]['noise']}", fontsize=9)
        right.legend(fontsize=8, frameon=False)
    style(left)
    style(right)
    save(picture, file)


def _bounds(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    """Least and largest of all that is finite."""
    every = np.concatenate([array.ravel() for array in arrays])
    return float(np.nanmin(every)), float(np.nanmax(every))


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
            values, layers = one.latents[name], one.config.trunk("actor").turn_layers
            _band(panel, layers * np.arange(1, values.shape[1] + 1), values, one.label, i)
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
    colour, dashes = f"C{place % 10}", ("-", "--", ":", "-.")[place // 10 % 4]
    panel.plot(depths, found.value, label=label, color=colour, ls=dashes)
    if len(values) > 1:
        panel.fill_between(depths, found.low, found.high, color=colour, alpha=0.15, lw=0)


def _place(group: Group) -> tuple[str, int, str]:
    return group.config.env, group.depth, group.block


def save(figure: plt.Figure, file: Path) -> None:
    """Write a figure and forget it. Names that mathtext cannot read, as between two dollar signs, stand as they are."""
    try:
        try:
            figure.savefig(file, dpi=150)
        except ValueError:
            for text in figure.findobj(Text):
                text.set_parse_math(False)
            figure.savefig(file, dpi=150)
    finally:
        plt.close(figure)
