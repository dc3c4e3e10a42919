"""A sweep file: a base configuration and the options to vary over it, read into cells and checked as a whole.

    seeds = 3                       # options of `rl-depth train`, and `preset = "NAME"` to start from one
    env_steps = 160_000

    [grid]                          # every combination is a cell; several [[grid]] tables add up
    block = ["stacked", "looped"]
    depth = [4, 8, 16]

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
from ..config import Config, ConfigError, check_keys, explain, find_preset, option_name, read_toml

Scalar = str | int | float | bool


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
      flags: options of `rl-depth train` that replace those of the file.

    Raises:
      ConfigError: one line that names the file, and the key or cell at fault; nothing was written.
    """
    base = read_toml(file)
    grids = _grids(file, base.pop("grid", None))
    check_keys(file, base, more=("preset",))
    preset = base.pop("preset", None)
    if preset is not None:
        base = _preset(file, preset) | base
    varied = list(dict.fromkeys(key for grid in grids for key in grid))
    _check_flags(file, flags, varied)
    points = [dict(zip(grid, values, strict=True)) for grid in grids for values in itertools.product(*grid.values())]
    bare = _bare(grids)
    names = [_name(point, bare) for point in points]
    cells = []
    for name, point in zip(names, points, strict=True):
        config = _resolve(base | point, flags, f"{file}: cell {name}")
        cells.append(Cell(name, out / name, config, point))
    _check_distinct(file, cells)
    return cells


def _grids(file: Path, tables: Any) -> list[dict[str, list[Scalar]]]:
    tables = [tables] if isinstance(tables, dict) else tables
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) and table for table in tables):
        raise ConfigError(f"{file}: no [grid] table that lists values of options, such as depth = [4, 8]")
    for table in tables:
        check_keys(file, table, "[grid] ")
        for key, values in table.items():
            if not isinstance(values, list) or not all(isinstance(value, Scalar) for value in values):
                raise ConfigError(f"{file}: [grid] {key}: must be a list of values, such as [4, 8]")
            if not values:
                raise ConfigError(f"{file}: [grid] {key}: the list is empty")
            twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
            if twice is not None:
                raise ConfigError(f"{file}: [grid] {key}: {twice} stands there twice")
    return tables


def _preset(file: Path, name: Any) -> dict[str, Any]:
    try:
        found = find_preset(str(name))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    table = read_toml(found)
    check_keys(found, table, "a preset may not hold this: " if {"grid", "preset"} & table.keys() else "")
    return table


def _check_flags(file: Path, flags: Sequence[str], varied: Sequence[str]) -> None:
    given = {flag.partition("=")[0] for flag in flags}
    for key in varied:
        if option_name(key) in given:
            raise ConfigError(f"{option_name(key)}: {file} varies it; drop the flag, or the key from [grid]")


def _resolve(values: Mapping[str, Any], flags: Sequence[str], place: str) -> Config:
    """The configuration of one cell, read as a preset would be."""
    app = App(config=Dict(dict(values), source=place), result_action="return_value")

    @app.default
    def resolved(*, config: Config = Config()) -> Config:  # noqa: B008 - frozen
        return config

    try:
        return app(list(flags), exit_on_error=False, print_error=False)
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


def _check_distinct(file: Path, cells: Sequence[Cell]) -> None:
    for one, other in itertools.combinations(cells, 2):
        if one.config == other.config or one.name == other.name:
            raise ConfigError(
                f"{file}: [grid] holds cell {one.name} twice"
                + (f", also as {other.name}" if one.name != other.name else "")
            )


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
