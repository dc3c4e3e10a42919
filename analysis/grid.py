"""A metric over two options of a sweep: interquartile means with intervals, as a table and a heat map."""

from __future__ import annotations

import difflib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from rl_depth.config import Config, ConfigError
from rl_depth.runs import InputError

from . import plots
from .aggregate import Estimate, iqm_interval
from .runs.groups import Group, gather
from .written import results

Value = str | int | float | bool | None

# Numbers that follow from a configuration; values within this ratio of a cell's least are called equal.
COSTS = ("parameters", "flops_per_update")
_EQUAL = 1.1

_SEED_FIELDS = {"seed", "seeds"}


@dataclass(frozen=True)
class Cell:
    """Runs that differ in nothing but their seeds."""

    panel: tuple[Value, ...]
    x: Value
    y: Value
    group: Group
    values: np.ndarray  # [S], final capability of each seed
    estimate: Estimate[float]


@dataclass(frozen=True)
class Grid:
    """A metric over two options.

    Attributes:
      x, y: the options, or one of `COSTS`.
      metric: the metric.
      panel_options: further options, one panel per combination: the environment, and what would else put two
        groups into one cell.
      also: options that differ between cells of one panel too, without being an axis.
      cells: one per group.
      notes: what was left out, a line each.
    """

    x: str
    y: str
    metric: str
    panel_options: tuple[str, ...]
    also: tuple[str, ...]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()

    def ticks(self, axis: str) -> list[Value]:
        """Values of the ``"x"`` or ``"y"`` axis, least first; an option that is not set comes before all."""
        return sorted({getattr(cell, axis) for cell in self.cells}, key=_order)

    @property
    def panels(self) -> list[tuple[Value, ...]]:
        """Values of ``panel_options``, one tuple per panel."""
        return sorted({cell.panel for cell in self.cells}, key=lambda values: [_order(value) for value in values])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per cell, in the order of panels, y and x."""
        ordered = sorted(self.cells, key=lambda c: ([_order(v) for v in c.panel], _order(c.y), _order(c.x)))
        return [self._row(cell) for cell in ordered]

    def _row(self, cell: Cell) -> dict[str, Any]:
        own = cell.estimate
        return {
            **dict(zip(self.panel_options, cell.panel, strict=True)),
            self.y: cell.y,
            self.x: cell.x,
            "metric": self.metric,
            "seeds": len(cell.values),
            "iqm": float(own.value),
            "low": float(own.low),
            "high": float(own.high),
            "values": cell.values.tolist(),
            "cost": dict(cell.group.cost),
            "also": {name: option(cell.group.config, name) for name in self.also},
            "runs": list(cell.group.runs),
        }


def grid(
    paths: Iterable[Path | str], metric: str, x: str | None = None, y: str | None = None, *, seed: int = 0
) -> Grid:
    """Read runs and lay them out over two options.

    Args:
      paths: run folders, or folders that hold some.
      metric: the metric; a run's value is the mean of its last evaluations.
      x: option along the columns; if both are None, the two that vary.
      y: option along the rows.
      seed: of the bootstrap.

    Raises:
      ConfigError: no such option or metric, or one that does not vary; names what does.
      RunError: no run found, or one without evaluations.
    """
    gathered = gather(paths)
    groups = gathered.groups
    varying = [n for n in _options() if n != "env" and len({getattr(group.config, n) for group in groups}) > 1]
    x, y = _axes(x, y, varying)
    shared = sorted(set.intersection(*(set(group.curves) for group in groups)))
    if metric not in shared:
        raise ConfigError(f"--metric {metric}: the runs have {', '.join(shared)}")
    places = list(zip(_values(groups, x), _values(groups, y), strict=True))
    for name, axis in (("x", 0), ("y", 1)):
        if len({place[axis] for place in places}) == 1:
            known = ", ".join(varying) or "none"
            raise ConfigError(f"--{name} {(x, y)[axis]}: is the same in all runs; options that vary: {known}")
    further = [name for name in varying if name not in (x, y)]
    panel_options = ("env", *_telling_apart(groups, places, further))
    found = []
    for group, (at_x, at_y) in zip(groups, places, strict=True):
        panel = tuple(getattr(group.config, name) for name in panel_options)
        values = group.final(metric)
        found.append(Cell(panel, at_x, at_y, group, values, iqm_interval(values, seed=seed)))
    also = tuple(name for name in further if name not in panel_options and _differs(found, name))
    return Grid(x, y, metric, panel_options, also, tuple(found), gathered.notes)


def option(config: Config, name: str) -> Value:
    """The value of an option; that of ``actor_depth`` and the like after inheritance."""
    value = getattr(config, name)
    owner, _, own = name.rpartition("_")
    if value is None and own in ("block", "depth", "width"):
        if owner in ("actor", "phi", "psi"):
            return getattr(config.trunk(owner), own)
        if owner == "critic":
            return getattr(config, own)
    return value


def _options() -> list[str]:
    return [field.name for field in fields(Config) if field.name not in _SEED_FIELDS]


def _axes(x: str | None, y: str | None, varying: Sequence[str]) -> tuple[str, str]:
    known = [*_options(), *COSTS]
    if x is not None:
        x = x.replace("-", "_")
    if y is not None:
        y = y.replace("-", "_")
    for name, value in (("x", x), ("y", y)):
        if value is not None and value not in known:
            near = difflib.get_close_matches(value, known, n=3, cutoff=0.4)
            raise ConfigError(f"--{name} {value}: no such option; nearest: {', '.join(near) or ', '.join(COSTS)}")
    if x is None and y is None:
        if len(varying) != 2:
            raise ConfigError(f"name the axes with --x and --y; options that vary: {', '.join(varying) or 'none'}")
        y, x = varying
    if x is None or y is None or x == y:
        raise ConfigError(f"--x {x} --y {y}: name two different options")
    return x, y


def _values(groups: Sequence[Group], name: str) -> list[Value]:
    """The value of every group; costs that are nearly equal get the median of theirs."""
    if name not in COSTS:
        return [option(group.config, name) for group in groups]
    for group in groups:
        if group.cost.get(name) is None:
            raise InputError(f"{group.runs[0]}: meta.json names no {name}")
    found = [group.cost[name] for group in groups]
    bins: list[list[int]] = []
    for value in sorted(found):
        if bins and value <= bins[-1][0] * _EQUAL:
            bins[-1].append(value)
        else:
            bins.append([value])
    middle = {value: round(float(np.median(own))) for own in bins for value in own}
    return [middle[value] for value in found]


def _telling_apart(groups: Sequence[Group], places: Sequence[tuple[Value, Value]], names: Sequence[str]) -> list[str]:
    """The first of the options that it takes for no two groups of one environment to share a cell."""
    chosen: list[str] = []
    for name in names:
        values: dict[Any, set[Value]] = defaultdict(set)
        for group, place in zip(groups, places, strict=True):
            panel = tuple(getattr(group.config, other) for other in ("env", *chosen))
            values[panel, place].add(getattr(group.config, name))
        if any(len(own) > 1 for own in values.values()):
            chosen.append(name)
    return chosen


def _differs(cells: Sequence[Cell], name: str) -> bool:
    """Whether an option differs between cells of a panel by more than the axes explain.

    It does not where it follows from one axis alone, as the depth of the actor follows from the depth of all.
    """
    seen: dict[Any, set[Value]] = defaultdict(set)
    for cell in cells:
        value = getattr(cell.group.config, name)
        seen["x", cell.panel, cell.x].add(value)
        seen["y", cell.panel, cell.y].add(value)
    return all(any(len(values) > 1 for place, values in seen.items() if place[0] == axis) for axis in "xy")


def _order(value: Value) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    return (2, value) if isinstance(value, str) else (1, value)


def draw(found: Grid, file: Path) -> None:
    """One heat map per panel; in each cell the interquartile mean over seeds, its interval and their number."""
    xs, ys, panels = found.ticks("x"), found.ticks("y"), found.panels
    size = (1.6 + len(panels) * (0.7 + 1.0 * len(xs)), 1.5 + 0.75 * len(ys))
    figure, axes = plt.subplots(1, len(panels), figsize=size, squeeze=False, sharey=True, layout="constrained")
    values = [float(cell.estimate.value) for cell in found.cells]
    image = None
    for panel, own in zip(axes[0], panels, strict=True):
        table = np.full((len(ys), len(xs)), np.nan)
        for cell in found.cells:
            if cell.panel == own:
                table[ys.index(cell.y), xs.index(cell.x)] = cell.estimate.value
        image = panel.imshow(table, origin="lower", aspect="auto", vmin=min(values), vmax=max(values))
        _write_cells(panel, [cell for cell in found.cells if cell.panel == own], (xs, ys), image)
        panel.set_xticks(range(len(xs)), [_text(x) for x in xs])
        panel.set_yticks(range(len(ys)), [_text(y) for y in ys])
        panel.set_xlabel(_name(found.x))
        names = [f"{n.replace('_', ' ')} {v}" for n, v in zip(found.panel_options[1:], own[1:], strict=True)]
        panel.set_title(", ".join([str(own[0]), *names]), fontsize=9)
    axes[0, 0].set_ylabel(_name(found.y))
    assert image is not None, "a grid has a panel"
    figure.colorbar(image, ax=axes, label=plots.metric_label(found.metric))
    if found.also:
        figure.suptitle(f"cells differ in {', '.join(map(_name, found.also))} too", fontsize=8)
    plots.save(figure, file)


def _write_cells(panel: Axes, cells: Sequence[Cell], ticks: tuple[list[Value], list[Value]], image: Any) -> None:
    for cell in cells:
        own, seeds = cell.estimate, len(cell.values)
        shade = image.norm(float(own.value))
        text = f"{own.value:.3g}"
        text += f"\n{own.low:.3g} to {own.high:.3g}\nn = {seeds}" if seeds > 1 else "\nn = 1"
        colour = "white" if shade < 0.6 else "black"
        place = (ticks[0].index(cell.x), ticks[1].index(cell.y))
        panel.text(*place, text, ha="center", va="center", fontsize=7, color=colour)


def _name(option_: str) -> str:
    return {"flops_per_update": "FLOPs per gradient step"}.get(option_, option_.replace("_", " "))


def _text(value: Value) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def write(found: Grid, out: Path) -> list[Path]:
    """Write ``grid.png`` and ``grid.json`` into a folder; returns the files."""
    with results(out, "grid") as made:
        draw(found, made / "grid.png")
        (made / "grid.json").write_text(json.dumps(found.rows, indent=1) + "\n", encoding="utf-8")
    return [out / "grid.png", out / "grid.json"]
