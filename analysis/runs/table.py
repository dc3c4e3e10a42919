"""Results as a plain table: what any experiment, or a table in a paper, can be brought into.

CSV with the columns ``env, block, depth, seed, metric, value``, a line per seed; or with ``env, block, depth, metric,
mean, n`` and one of ``se`` (standard error of the mean), ``sd`` (standard deviation over seeds) and the pair ``low,
high`` (95% interval of the mean), a line per depth. Columns may stand in any order and case, with blanks around their
names, apart by comma, semicolon or tab; further columns are ignored, and so are lines before the header that are empty
or begin with ``#``. A value that is empty, nan or infinite is one that is missing.
"""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import stand_ins

COLUMNS = ("env", "block", "depth", "seed", "metric", "value")

_PLACE = ("env", "block", "depth", "metric")
_ERRORS = (("se",), ("sd",), ("low", "high"))
_NEEDED = "env, block, depth, metric, and seed, value, or mean, n with se, or sd, or low, high"

_SHOWN = 3  # missing values that a note names
_MOST_SEEDS = 10_000  # that a mean may speak for
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
      notes: gets a line that says which values are missing, if any are, and one if seeds stand in for means.

    Raises:
      ValueError: the file cannot be read, a column is missing, a field is no number, or two lines give a value for
        the same place; names the file and the line.
    """
    missing: list[str] = []
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            table = _Table(file.read(), str(path))
            rows = list(table.rows(missing))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV table ({error})") from None
    if not rows:
        raise ValueError(f"{path}: no row with a finite value")
    if missing and notes is not None:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        notes.append(f"left out, no finite value: {path}, {'; '.join(missing[:_SHOWN])}{more}")
    if table.error and notes is not None:
        text = (
            f"means with {' and '.join(table.error)}, for which normal seeds of that mean and spread stand in: {path}"
        )
        notes.append(text)
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


class _Table:
    """The rows of a table's text.

    Attributes:
      error: columns that hold the error of means; () if the table holds seeds.
    """

    def __init__(self, text: str, path: str) -> None:
        lines = text.splitlines(keepends=True)
        self.skipped = next(
            (i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines)
        )
        header = lines[self.skipped] if self.skipped < len(lines) else ""
        self.path = path
        self._reader = csv.reader(
            lines[self.skipped :], delimiter=max(",;\t", key=header.count), skipinitialspace=True, strict=True
        )
        self.names = [name.strip().lower() for name in next(self._reader, [])]
        self.error = self._error()
        wanted = ("mean", "n", *self.error) if self.error else ("seed", "value")
        lacking = [name for name in (*_PLACE, *wanted) if name not in self.names]
        if lacking:
            there = ", ".join(name if name else repr(name) for name in self.names[:20]) or "none"
            raise ValueError(f"{path}: no column {', '.join(lacking)}; found are {there}; needed are {_NEEDED}")
        twice = {name for name in (*_PLACE, *wanted) if self.names.count(name) > 1}
        if twice:
            raise ValueError(f"{path}: column {', '.join(sorted(twice))} is there twice")
        self._wanted = (*_PLACE, *wanted)

    def _error(self) -> tuple[str, ...]:
        if "value" in self.names or "mean" not in self.names:
            return ()
        return next((error for error in _ERRORS if set(error) <= set(self.names)), ("se",))

    def rows(self, missing: list[str]) -> Iterator[Row]:
        """Rows with a value; adds the places of those without one to ``missing``."""
        seen: dict[tuple[str, ...], int] = {}
        for cells in self._reader:
            if not any(cell.strip() for cell in cells):
                continue
            line = self._reader.line_num + self.skipped
            fields = dict(zip(self.names, (cell.strip() for cell in cells), strict=False))
            if any(name not in fields for name in self._wanted):
                raise ValueError(f"{self.path}, line {line}: fewer fields than the header has")
            depth = self._depth(fields, line)
            seed = "" if self.error else fields["seed"]
            key = (fields["env"], fields["block"], str(depth), seed, fields["metric"])
            if key in seen:
                what = "env, block, depth and metric" if self.error else "env, block, depth, seed and metric"
                raise ValueError(f"{self.path}, line {line}: the same {what} as line {seen[key]}")
            seen[key] = line
            found = self._means(fields, line) if self.error else {seed: self._value(fields, "value", line)}
            if not all(math.isfinite(value) for value in found.values()):
                who = "" if self.error else f", seed {seed}"
                missing.append(f"line {line} ({key[0]}, {key[1]}, depth {depth}{who}, {key[4]})")
                continue
            for name, value in found.items():
                yield key[0], key[1], depth, name, key[4], value
        if not seen:
            raise ValueError(f"{self.path}: no rows below the header")

    def _depth(self, fields: Mapping[str, str], line: int) -> int:
        depth = _number(fields["depth"], "depth", self.path, line)
        if not (math.isfinite(depth) and depth >= 1 and float(depth).is_integer()):
            raise ValueError(f"{self.path}, line {line}: depth {fields['depth']!r} is not a whole number above 0")
        return int(depth)

    def _value(self, fields: Mapping[str, str], name: str, line: int) -> float:
        return math.nan if fields[name].lower() in _MISSING else _number(fields[name], name, self.path, line)

    def _means(self, fields: Mapping[str, str], line: int) -> dict[str, float]:
        """Seeds that stand in for a line's mean; a single one that is NaN where something is missing."""
        mean, count, *error = (self._value(fields, name, line) for name in ("mean", "n", *self.error))
        if not all(math.isfinite(number) for number in (mean, count)):
            return {"1": math.nan}
        if not (1 <= count <= _MOST_SEEDS and float(count).is_integer()):
            raise ValueError(f"{self.path}, line {line}: n {fields['n']!r} is not a whole number, 1 to {_MOST_SEEDS}")
        if count == 1:
            return {"1": mean}
        if not all(math.isfinite(number) for number in error):
            return {"1": math.nan}
        spread = error[0] if len(error) == 1 else (error[1] - error[0]) / 2
        if spread < 0 or (len(error) == 2 and not error[0] <= mean <= error[1]):
            told = ", ".join(f"{name} {fields[name]!r}" for name in ("mean", *self.error))
            raise ValueError(f"{self.path}, line {line}: {told} are no mean with its error")
        if self.error != ("sd",):
            kind = "error" if self.error == ("se",) else "half"
            spread = stand_ins.deviation(int(count), **{kind: spread})
        values = stand_ins.seeds(mean, spread, int(count))
        return {str(place): float(value) for place, value in enumerate(values, start=1)}


def _number(text: str, name: str, path: str, line: int) -> float:
    try:
        if "_" in text:
            raise ValueError  # Python would read 1_000
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
