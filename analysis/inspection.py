"""Figures of what trained agents hold inside (`rl_depth.measured`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from .plots import save, style

if TYPE_CHECKING:
    from rl_depth.measured import EnergyMap, Inspection

_WALL = "#4a4f57"
_ARROWS_PER_CELL = 2  # along each side
_MOST_COLUMNS = 5  # of single seeds; several have a row each
_NETWORKS = {"actor": r"actor $\pi(a|s,g)$", "phi": r"critic $\phi(s,a)$", "psi": r"critic $\psi(g)$"}
_MARKS = {"phi": (-0.1, "o", "#333333"), "psi": (0.1, "^", "#3a9a6b")}  # blue and orange are blocks elsewhere
_NORMS = {"residual": "residual norm", "relative": "residual norm / stream norm"}


def energy_maps(found: Sequence[Inspection], file: Path) -> None:
    """One panel per run, depth and seed; x downwards and y to the right, as layouts are written.

    Every panel has its own colour scale, since agents' energies share none.
    """
    mapped = [(one, one.energy_map) for one in found if one.energy_map is not None]
    rows, columns = max(len(one.seeds) for one, _ in mapped), len(mapped)
    tiles = [(*pair, row) for row in range(rows) for pair in mapped]
    if rows == 1:
        columns = min(columns, _MOST_COLUMNS)
        rows = -(-len(mapped) // columns)
    height = 2.6 * max(1.0, *(np.divide(*_extent(drawn)) for _, drawn in mapped)) + 0.3
    size = (2.7 * columns + 0.9, height * rows)
    figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    image = None
    for panel in panels.flat[len(tiles) :]:
        panel.set_axis_off()
    for panel, (one, drawn, seed) in zip(panels.flat, tiles, strict=False):
        if seed >= len(one.seeds):
            panel.set_axis_off()
            continue
        image = _energy_map(panel, drawn, seed)
        name = f"{one.label}, seed {one.seeds[seed]}" if len(one.seeds) > 1 else one.label
        panel.set_title(f"{name}\n{_summary(drawn, seed)}", fontsize=7)
    assert image is not None, "no agent has a map"
    bar = figure.colorbar(image, ax=panels, ticks=[0, 1], fraction=0.03, aspect=30, pad=0.01)
    bar.set_label("critic's energy of reaching the goal", fontsize=8)
    bar.ax.set_yticklabels(["least", "greatest"], fontsize=7, rotation=90, va="center")
    save(figure, file)


def _extent(drawn: EnergyMap) -> np.ndarray:
    """Rows and columns of cells from the first free one to the last, and a half wall on each side."""
    return np.ptp(np.argwhere(~drawn.floor.walls), axis=0) + 2


def _energy_map(panel: Axes, drawn: EnergyMap, row: int) -> AxesImage:
    cell, walls, energy = drawn.floor.cell_size, drawn.floor.walls, drawn.energy[row]
    down, across = ((np.array([0, n]) - 0.5) * cell for n in walls.shape)
    low, high = np.nanmin(energy), np.nanmax(energy)
    share = (energy - low) / (high - low) if high > low else np.where(np.isnan(energy), np.nan, 0.5)
    panel.set_facecolor(_WALL)
    image = panel.imshow(share, extent=(*across, *down[::-1]), cmap="viridis", vmin=0, vmax=1)
    first, last = (edge(np.argwhere(~walls), axis=0) * cell for edge in (np.min, np.max))
    panel.set_ylim(last[0] + cell, first[0] - cell)
    panel.set_xlim(first[1] - cell, last[1] + cell)
    if drawn.steering is not None:
        _arrows(panel, drawn, drawn.steering[row])
    panel.plot(*drawn.start[::-1], "o", ms=6, color="white", mec="black", mew=0.8)
    panel.plot(*drawn.goal[::-1], "*", ms=12, color="#ff4b3e", mec="black", mew=0.8)
    panel.set_xlabel("y (m)", fontsize=7)
    panel.set_ylabel("x (m)", fontsize=7)
    panel.tick_params(labelsize=6)
    return image


def _arrows(panel: Axes, drawn: EnergyMap, steering: np.ndarray) -> None:
    every = len(drawn.x) // drawn.floor.walls.shape[0] // _ARROWS_PER_CELL
    sparse = slice(every // 2, None, every)
    action = steering[sparse, sparse]
    x, y = np.meshgrid(drawn.x[sparse], drawn.y[sparse], indexing="ij")
    free = ~np.isnan(action[..., 0])
    # A full action is as long as two arrows stand apart.
    scale = _ARROWS_PER_CELL / drawn.floor.cell_size
    panel.quiver(
        *(y[free], x[free], action[free, 1], action[free, 0]),
        angles="xy",
        scale_units="xy",
        scale=scale,
        pivot="mid",
        width=0.006,
        color="white",
        edgecolor="black",
        linewidth=0.3,
    )


def _summary(drawn: EnergyMap, row: int) -> str:
    low, high = np.nanmin(drawn.energy[row]), np.nanmax(drawn.energy[row])
    ranks = drawn.path_correlation[row], drawn.straight_correlation[row]
    return rf"{low:.3g} to {high:.3g}; $\rho_{{path}}$ {ranks[0]:.2f}, $\rho_{{straight}}$ {ranks[1]:.2f}"


def norms(found: Sequence[Inspection], file: Path) -> None:
    """Residual norms along the trunk of each network (columns), as they are and relative to the stream (rows)."""
    shape = (len(_NORMS), len(_NETWORKS))
    size = (10.5, 5.6)
    figure, panels = plt.subplots(*shape, figsize=size, squeeze=False, sharex=True, sharey="row", layout="constrained")
    colours = _colours(len(found))
    for row, (kind, label) in enumerate(_NORMS.items()):
        for column, (network, name) in enumerate(_NETWORKS.items()):
            panel = panels[row, column]
            for one, colour in zip(found, colours, strict=True):
                values, layers = one.norms[network][kind], one.config.trunk(network).turn_layers
                _band(panel, layers * np.arange(1, values.shape[1] + 1), values, colour, one.label)
            style(panel)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.yaxis.set_minor_formatter(NullFormatter())
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            panel.set_title(name if row == 0 else "", fontsize=10)
            panel.set_ylabel(label if column == 0 else "")
            panel.set_xlabel("dense layers from the trunk's start" if row else "")
    _legend(figure, panels[0, 0], len(found))
    save(figure, file)


def ranks(found: Sequence[Inspection], file: Path) -> None:
    """Effective rank and 99% variance rank of phi and psi, seeds as points; and their spectra."""
    figure, panels = plt.subplots(1, 4, figsize=(13.5, 3.2 + 0.05 * len(found)), layout="constrained")
    places = np.arange(len(found))
    titles = {"effective": "effective rank", "variance": "singular values for 99% of the variance"}
    for panel, (kind, title) in zip(panels[:2], titles.items(), strict=True):
        for network, (shift, marker, colour) in _MARKS.items():
            rank = [one.ranks()[network][kind] for one in found]
            for place, values in zip(places, rank, strict=True):
                panel.plot(np.full(len(values), place + shift), values, marker, color=colour, alpha=0.3, ms=4, mew=0)
            middle = [np.median(values) for values in rank]
            panel.plot(places + shift, middle, marker, color=colour, ms=7, label=_NETWORKS[network])
        style(panel)
        panel.set_xticks(places, [one.label for one in found], rotation=40, ha="right", fontsize=7)
        panel.set_xlim(-0.5, len(found) - 0.5)
        panel.set_ylim(0, 1.1 * panel.dataLim.y1)
        panel.yaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_title(title, fontsize=9)
    panels[0].legend(fontsize=7, frameon=False)
    for panel, network in zip(panels[2:], ("phi", "psi"), strict=True):
        for one, colour in zip(found, _colours(len(found)), strict=True):
            values = one.spectra[network]
            share = values / np.maximum(values[:, :1], np.finfo(np.float32).tiny)
            _band(panel, np.arange(1, share.shape[1] + 1), share, colour, one.label)
        style(panel)
        panel.set_yscale("log")
        panel.set_ylim(bottom=1e-5)
        panel.set_xlabel("index of the singular value")
        panel.set_title(f"spectrum of {_NETWORKS[network]}, largest = 1", fontsize=9)
    _legend(figure, panels[2], len(found))
    save(figure, file)


def _colours(count: int) -> np.ndarray:
    """One colour per run, from light to dark in their order."""
    return plt.get_cmap("viridis_r")(np.linspace(0.1, 0.95, count))


def _band(panel: Axes, x: np.ndarray, values: np.ndarray, colour: np.ndarray, label: str) -> None:
    """Median over seeds ``values [S, N]`` and their range."""
    panel.plot(x, np.median(values, axis=0), ".-", color=colour, label=label, ms=4, lw=1.2)
    low, high = values.min(axis=0), values.max(axis=0)
    if len(x) == 1:
        panel.vlines(x, low, high, color=colour, lw=1)
    elif len(values) > 1:
        panel.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)


def _legend(figure: plt.Figure, panel: Axes, count: int) -> None:
    handles, labels = panel.get_legend_handles_labels()
    columns = min(count, 5)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=7, frameon=False)
