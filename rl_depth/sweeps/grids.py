"""What a sweep varies and what it holds fixed, from a file, from the command line, or from both.

    seeds = 3                       # options of `rl-depth train`, and `preset = "NAME"` to start from one
    env_steps = 160_000

    [grid]                          # every combination is a cell; several [[grid]] tables add up
    block = ["stacked", "looped"]
    depth = [4, 8, 16]

On the command line the same is ``--seeds 3 --env-steps 160000 --block stacked,looped --depth 4,8,16``.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from ..config import (
    PRESETS,
    ConfigError,
    InputError,
    check_keys,
    find_preset,
    is_switch,
    is_there,
    option_name,
    read_option,
    read_toml,
    unknown_option,
)

Scalar = str | int | float | bool

FILE = "sweep.toml"
_HEAD = "# Written by rl-depth: what the latest `rl-depth sweep` into this folder ran.\n"
_NO_GRID = "no [grid] table that lists values of options, such as depth = [4, 8]"
# Options whose own text has commas: several values of these are given as several words.
_COMMAS = ("env_options", "per_seed")


@dataclass(frozen=True)
class Plan:
    """A sweep before it is resolved into cells.

    Attributes:
      base: options that all cells share, a preset's and those of flags included.
      grids: tables of options to lists of values; the cells are all combinations within each.
      source: what messages call it.
      flags: options that flags gave, in `base` or in `grids`.
    """

    base: dict[str, Scalar]
    grids: list[dict[str, list[Scalar]]]
    source: str
    flags: tuple[str, ...] = ()

    def name(self) -> str:
        """``block-depth``: what varies, for the folder of a sweep that has no file."""
        return "-".join(dict.fromkeys(key for grid in self.grids for key in grid))


def find_sweep(name: str) -> Path:
    """The file of a sweep: a path to one, a folder that a sweep was run into, or the name of one that ships.

    Raises:
      ConfigError: there is no such sweep; names the nearest.
    """
    path = Path(name)
    exists = is_there(path)
    if exists and path.is_dir():
        if not (path / FILE).is_file():
            raise ConfigError(f"{path}: is a folder without a {FILE}")
        return path / FILE
    if path.suffix == ".toml" or exists:
        return path
    shipped = {file.stem: file for file in sorted([*PRESETS.glob("*.toml"), *(PRESETS / "sweeps").glob("*.toml")])}
    known = {stem: file for stem, file in shipped.items() if "grid" in read_toml(file)}
    if name in known:
        return known[name]
    if name in shipped:
        raise ConfigError(f"sweep {name}: is a preset, which varies nothing; give it as --preset {name}")
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or list(known)
    raise ConfigError(f"sweep {name[:100]!r}: no such file, and none of that name ships; there are {', '.join(near)}")


def plan(file: Path | None, words: Sequence[str] = (), grid: Sequence[str] = (), preset: str | None = None) -> Plan:
    """Read a sweep.

    Args:
      file: the sweep's file, if there is one.
      words: options of `rl-depth train` with one value or several, as the command line has them; these vary too,
        or replace those of the file.
      grid: further ``OPTION=A,B,...``.
      preset: what to start from, below the file and the flags.

    Raises:
      ConfigError: one line that names the file or flag, and the key at fault.
    """
    source = str(file) if file is not None else "sweep"
    base = read_toml(file) if file is not None else {}
    tables = base.pop("grid", None)
    grids = _grids(source, tables) if tables is not None else []
    fixed, varied = read_flags(words, grid)
    if not grids and not varied:
        lists = "[grid] table that lists values of options, such as depth = [4, 8]"
        raise ConfigError(
            f"{source}: no {lists}"
            if file is not None
            else "sweep: nothing varies; list values, such as --depth 4,8,16"
        )
    if file is not None:
        check_keys(file, base, more=("preset",))
    _check_top(source, base, grids)
    base = _above_preset(source, base, preset)
    for key in (*fixed, *varied):
        if any(key in table for table in grids):
            raise ConfigError(f"{option_name(key)}: {source} varies it; drop the flag, or the key from [grid]")
    shared = {key: value for key, value in base.items() if key not in varied}
    crossed = [table | varied for table in grids] or [varied]
    return Plan(shared | fixed, crossed, source, (*fixed, *varied))


def read_flags(words: Sequence[str], grid: Sequence[str] = ()) -> tuple[dict[str, Scalar], dict[str, list[Scalar]]]:
    """Options of `rl-depth train` on the command line of a sweep: those with one value, and those with several.

    Raises:
      ConfigError: an option or value that is not one, or an option that is given twice.
    """
    fixed: dict[str, Scalar] = {}
    varied: dict[str, list[Scalar]] = {}
    for field, texts in _split(words):
        if field in fixed or field in varied:
            raise ConfigError(f"{option_name(field)}: given twice; list its values after one, such as A,B")
        values = _values(field, texts)
        if len(values) == 1 and not any(text.startswith("[") for text in texts):
            fixed[field] = values[0]
        else:
            varied[field] = values
    for text in grid:
        key, equals, listed = text.partition("=")
        field = key.strip().removeprefix("--").replace("-", "_")
        if not equals or not field:
            raise ConfigError(f"--grid {text!r}: must be OPTION=A,B,...")
        if field in fixed or field in varied:
            raise ConfigError(f"--grid {text}: {option_name(field)} is given twice")
        refusal = unknown_option(option_name(field))
        if refusal is not None:
            raise ConfigError(f"--grid {text}: {refusal}")
        varied[field] = _values(field, [listed])
    for field, values in varied.items():
        _check_list(f"{option_name(field)}", values)
    return fixed, varied


def write(found: Plan, folder: Path) -> str | None:
    """Write what is run into its folder as a sweep file that reads back.

    Returns: a note if a file that is not ours stands there, which is kept.

    Raises:
      InputError: the folder cannot be written.
    """
    file = folder / FILE
    varied = found.grids[0] if len(found.grids) == 1 else found.grids
    text = _HEAD + tomli_w.dumps(found.base | {"grid": varied})
    try:
        if file.exists() and not file.read_text(encoding="utf-8", errors="replace").startswith(_HEAD):
            same = tomllib.loads(text) == read_toml(file)
            return None if same else f"{file}: not written by rl-depth; kept, so that what was run stands nowhere else"
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{FILE}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror})") from None
    return None


def _above_preset(source: str, base: Mapping[str, Any], preset: str | None) -> dict[str, Any]:
    own = dict(base)
    named = own.pop("preset", None)
    if named is not None and preset is not None:
        raise ConfigError(f"--preset {preset}: {source} starts from preset {named}; drop one of the two")
    if named is None and preset is None:
        return own
    try:
        found = find_preset(str(named if named is not None else preset))
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}" if named is not None else f"--preset: {error}") from None
    table = read_toml(found)
    check_keys(found, table, "a preset may not hold this: " if {"grid", "preset"} & table.keys() else "")
    return table | own


def _check_top(source: str, base: Mapping[str, Any], grids: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a key at the top that every table overrides; one that only some do stands for the others."""
    for key in base:
        if grids and all(key in table for table in grids):
            raise ConfigError(f"{source}: {key} stands at the top and in [grid]; drop one of the two")


def _grids(source: str, tables: Any) -> list[dict[str, list[Scalar]]]:
    tables = [tables] if isinstance(tables, dict) else tables
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) and table for table in tables):
        raise ConfigError(f"{source}: {_NO_GRID}")
    for table in tables:
        check_keys(Path(source), table, "[grid] ")
        for key, values in table.items():
            if not isinstance(values, list) or not all(isinstance(value, Scalar) for value in values):
                raise ConfigError(f"{source}: [grid] {key}: must be a list of values, such as [4, 8]")
            _check_list(f"{source}: [grid] {key}", values)
    return tables


def _check_list(place: str, values: Sequence[Scalar]) -> None:
    if not values:
        raise ConfigError(f"{place}: the list is empty")
    twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
    if twice is not None:
        raise ConfigError(f"{place}: {twice} stands there twice")


def _split(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """``["--depth", "4", "8", "--no-remat"] -> [("depth", ["4", "8"]), ("remat", ["false"])]``."""
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if not re.match(r"--?[A-Za-z]", word):
            if not found:
                raise ConfigError(f"{word}: a sweep has one FILE, and then options of train")
            found[-1][1].append(word)
            continue
        flag, equals, value = word.partition("=")
        field = flag.removeprefix("--").replace("-", "_")
        if field.startswith("no_") and is_switch(field.removeprefix("no_")):
            found.append((field[3:], ["false"]))
            continue
        refusal = unknown_option(flag)
        if refusal is not None:
            raise ConfigError(refusal)
        found.append((field, [value] if equals else []))
    return found


def _values(field: str, texts: Sequence[str]) -> list[Scalar]:
    """Values of an option from its words: separated by blanks or, but for text with commas of its own, by commas."""
    if not texts and is_switch(field):
        texts = ["true"]
    parts: list[Any] = []
    for text in texts:
        if text.startswith("["):
            try:
                parts += tomllib.loads(f"a = {text}")["a"]
            except tomllib.TOMLDecodeError:
                raise ConfigError(f"{option_name(field)} {text}: is no list as TOML has it") from None
        else:
            parts += [text] if field in _COMMAS else [part.strip() for part in text.split(",")]
    if not parts or "" in parts:
        raise ConfigError(f"{' '.join([option_name(field), *texts])}: needs a value, or several: A,B,...")
    return [read_option(field, str(part)) for part in parts]
