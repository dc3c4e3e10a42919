"""Results as a plain table, one value per line: what any experiment, or a table in a paper, can be brought into.

CSV with the columns ``env, block, depth, seed, metric, value`` in any order; further columns are ignored. A value
that is empty, nan or infinite is one that is missing.
"""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

COLUMNS = ("env", "block", "depth", "seed", "metric", "value")

_SHOWN = 3  # missing values that a note names
_MISSING = ("", "na", "n/a", "none", "null", "-")


@dataclass(frozen=True)
class Series:
    """One metric of one environment and block, over depth.

    Attributes:
      env, block, metric: what was measured.
      depths: ``[D]``, whole numbers, ascending.
      values: D arrays ``[S_d]``: the seeds of each depth, by ascending seed.
      seeds: D tuples of the seeds' names, in the order of ``values``.
    """

    env: str
    block: str
    metric: str
    depths: np.ndarray
    values: tuple[np.ndarray, ...]
    seeds: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        """``env, block, metric``, for messages."""
        return f"{self.env}, {self.block}, {self.metric}"


def read(path: Path | str, notes: list[str] | None = None) -> list[Series]:
    """Read a CSV file into series, sorted by environment, block and metric.

    Args:
      path: the file.
      notes: gets a line that says which values are missing, if any are.

    Raises:
      ValueError: the file cannot be read, a column is missing, a field is no number, or two lines give a value for
        the same place; names the file and the line.
    """
    missing: list[str] = []
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(_rows(csv.DictReader(file, skipinitialspace=True), str(path), missing))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV table ({error})") from None
    if not rows:
        raise ValueError(f"{path}: no row with a finite value")
    if missing and notes is not None:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        notes.append(f"left out, no finite value: {path}, {'; '.join(missing[:_SHOWN])}{more}")
    return from_rows(rows)


Row = tuple[str, str, int, str, str, float]
"""env, block, depth, seed, metric, value."""


def from_rows(rows: Iterable[Row]) -> list[Series]:
    """Group rows into series, sorted by environment, block and metric; see ``Row``.

    Raises:
      ValueError: two rows give a value for the same place.
    """
    found: dict[tuple[str, str, str], dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for env, block, depth, seed, metric, value in rows:
        seeds = found[env, block, metric][depth]
        if seed in seeds:
            raise ValueError(f"{env}, {block}, depth {depth}, seed {seed}, {metric}: given twice")
        seeds[seed] = value
    return [_series(*key, found[key]) for key in sorted(found, key=lambda key: [natural(part) for part in key])]


def natural(text: str) -> list[tuple[int, str]]:
    """Key that sorts numbers within text by their value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def write(series: Iterable[Series], path: Path | str) -> None:
    """Write series as a CSV file that ``read`` reads back unchanged.

    Raises:
      OSError: the file cannot be written.
    """
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(to_rows(series))


def to_rows(series: Iterable[Series]) -> Iterator[Row]:
    """The rows of series, in their order."""
    for one in series:
        for depth, names, values in zip(one.depths, one.seeds, one.values, strict=True):
            for name, value in zip(names, values, strict=True):
                yield one.env, one.block, int(depth), name, one.metric, float(value)


def merge(tables: Iterable[Sequence[Series]]) -> list[Series]:
    """Series of several tables as those of one.

    Raises:
      ValueError: two tables give a value for the same place.
    """
    return from_rows(row for one in tables for row in to_rows(one))


def _rows(reader: csv.DictReader, path: str, missing: list[str]) -> Iterator[Row]:
    """Rows with a value; adds the places of those without one to ``missing``."""
    lacking = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if lacking:
        raise ValueError(f"{path}: no column {', '.join(lacking)}; needed are {', '.join(COLUMNS)}")
    seen: dict[tuple[str, ...], int] = {}
    for fields in reader:
        line = reader.line_num
        if any(fields[name] is None for name in COLUMNS):
            raise ValueError(f"{path}, line {line}: fewer fields than the header has")
        env, block, seed, metric = (fields[name].strip() for name in ("env", "block", "seed", "metric"))
        depth = _number(fields["depth"], "depth", path, line)
        if not (math.isfinite(depth) and depth >= 1 and depth.is_integer()):
            raise ValueError(f"{path}, line {line}: depth {fields['depth'].strip()!r} is not a whole number above 0")
        key = (env, block, str(depth), seed, metric)
        if key in seen:
            raise ValueError(f"{path}, line {line}: the same env, block, depth, seed and metric as line {seen[key]}")
        seen[key] = line
        value = fields["value"].strip().lower()
        number = math.nan if value in _MISSING else _number(value, "value", path, line)
        if math.isfinite(number):
            yield env, block, int(depth), seed, metric, number
        else:
            missing.append(f"line {line} ({env}, {block}, depth {int(depth)}, seed {seed}, {metric})")
    if not seen:
        raise ValueError(f"{path}: no rows below the header")


def _number(text: str, name: str, path: str, line: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{path}, line {line}: {name} {text.strip()!r} is not a number") from None


def _series(env: str, block: str, metric: str, by_depth: dict[int, dict[str, float]]) -> Series:
    depths = sorted(by_depth)
    seeds = tuple(tuple(sorted(by_depth[depth], key=_numeric_first)) for depth in depths)
    values = tuple(np.array([by_depth[d][s] for s in names]) for d, names in zip(depths, seeds, strict=True))
    return Series(env, block, metric, np.array(depths), values, seeds)


def _numeric_first(seed: str) -> tuple[bool, int, str]:
    return (not seed.isdecimal(), int(seed) if seed.isdecimal() else 0, seed)
