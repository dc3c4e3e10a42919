"""A sweep's cells: a plan resolved into configurations and run folders, and checked as a whole.

A cell is one run folder below the sweep's folder, named after what varies: ``stacked-depth16``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError
from cyclopts.config import Dict

from .. import runs
from ..config import Config, ConfigError, explain
from .grids import Plan, Scalar, plan

_MOST_CELLS = 10_000


@dataclass(frozen=True)
class Cell:
    """One point of the grid.

    Attributes:
      name: last part of its folder's path.
      path: its run folder.
      config: its configuration, resolved.
      varied: the options that tell it from other cells, in the order of the name.
    """

    name: str
    path: Path
    config: Config
    varied: dict[str, Scalar]


def read(file: Path, out: Path, flags: Sequence[str] = ()) -> list[Cell]:
    """All cells of a sweep file, in the order of the grid.

    Args:
      file: the sweep.
      out: the folder that will hold the run folders.
      flags: options of `rl-depth train` that replace those of the file, or vary too.

    Raises:
      ConfigError: one line that names the file, and the key or cell at fault; nothing was written.
    """
    return cells(plan(file, flags), out)


def cells(found: Plan, out: Path) -> list[Cell]:
    """All cells of a sweep, in the order of the grid, as run folders below ``out``.

    Raises:
      ConfigError: one line that names the sweep, and the key or cell at fault; nothing was written.
    """
    grids = found.grids
    points = [dict(zip(grid, values, strict=True)) for grid in grids for values in itertools.product(*grid.values())]
    if len(points) > _MOST_CELLS:
        raise ConfigError(f"{found.source}: [grid] has {len(points):,} cells, of which there may be {_MOST_CELLS:,}")
    bare = _bare(grids)
    made = []
    for point in points:
        name = _name(point, bare)
        made.append(Cell(name, out / name, _resolve(found.base | point, f"{found.source}: cell {name}"), point))
    _check_distinct(found.source, made)
    return made


def _resolve(values: Mapping[str, Any], place: str) -> Config:
    """The configuration of one cell, read as a preset would be."""
    app = App(config=Dict(dict(values), source=place), result_action="return_value")

    @app.default
    def resolved(*, config: Config = Config()) -> Config:  # noqa: B008 - frozen
        return config

    try:
        return app([], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        text = explain(error)
        raise ConfigError(text if place in text else f"{place}: {text}") from None
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def _bare(grids: Sequence[Mapping[str, Sequence[Scalar]]]) -> set[str]:
    """Options whose values say by themselves what they are: words that no other option takes."""
    values: dict[str, set[Scalar]] = {}
    for grid in grids:
        for key, listed in grid.items():
            values.setdefault(key, set()).update(listed)
    words = {key for key, own in values.items() if all(isinstance(value, str) for value in own)}
    return {key for key in words if not any(values[key] & values[other] for other in values if other != key)}


def _name(point: Mapping[str, Scalar], bare: set[str]) -> str:
    """``{"depth": 16, "block": "stacked"} -> "stacked-depth16"``."""
    parts = []
    for key, value in sorted(point.items(), key=lambda item: item[0] not in bare):
        if isinstance(value, bool):
            parts.append(key if value else f"no_{key}")
        else:
            text = re.sub(r"[^\w.+]", ".", str(value))
            parts.append(text if key in bare else f"{key}_{text}" if isinstance(value, str) else f"{key}{text}")
    return "-".join(parts)


def _check_distinct(source: str, made: Sequence[Cell]) -> None:
    by_name: dict[str, Cell] = {}
    by_config: dict[Config, Cell] = {}
    for cell in made:
        other = by_name.setdefault(cell.name, cell)
        other = by_config.setdefault(cell.config, cell) if other is cell else other
        if other is not cell:
            also = f", also as {cell.name}" if cell.name != other.name else ""
            raise ConfigError(f"{source}: [grid] holds cell {other.name} twice{also}")


def check_folders(cells: Sequence[Cell]) -> None:
    """Refuse folders that hold something else; writes nothing into folders that do not exist yet.

    Raises:
      ConfigError: names the first cell whose folder holds another configuration, or no run.
    """
    for cell in cells:
        if cell.path.exists():
            claim(cell)


def claim(cell: Cell) -> bool:
    """Make a cell's run folder, or enter it for a moment. False if another process is writing it.

    Raises:
      ConfigError: the folder holds another configuration, or no run.
    """
    try:
        with runs.hold(cell.path, cell.config, resume=True):
            return True
    except runs.RunError:
        return False
    except ConfigError as error:
        raise ConfigError(f"cell {cell.name}: {error}") from None
