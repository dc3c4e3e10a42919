"""A comparison of anybody's results: what `compare` says of runs, as far as a table can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth.config import ConfigError

from .. import meaning
from ..aggregate import Contrast, contrast
from ..runs import series
from ..runs.table import Series
from ..thresholds.locations import partner
from .matched import Match, in_words, settled
from .rows import missing, profile, summary


@dataclass(frozen=True, eq=False)
class Cell:
    """Seeds ``[S]`` of one environment, block and depth."""

    env: str
    name: str
    depth: int
    values: np.ndarray

    @property
    def block(self) -> str:
        """First part of the block's name: stacked, looped, or another."""
        return self.name.split(",")[0]

    @property
    def label(self) -> str:
        """``stacked, depth 16``."""
        return f"{self.name}, depth {self.depth}"

    def final(self, metric: str) -> np.ndarray:
        """The values, which are of one metric."""
        del metric
        return self.values


@dataclass(frozen=True, eq=False)
class TableComparison:
    """Series of one metric; see ``compare.Comparison``, whose shape this has. Costs are unknown."""

    series: tuple[Series, ...]
    metric: str
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """The metric alone."""
        return [self.metric]

    @cached_property
    def cells(self) -> list[Cell]:
        """By environment, depth and block."""
        every = [Cell(s.env, s.block, int(d), v) for s in self.series for d, v in zip(s.depths, s.values, strict=True)]
        return sorted(every, key=lambda cell: (cell.env, cell.depth, cell.name))

    @cached_property
    def matches(self) -> list[Match]:
        """Looped series against stacked ones at equal depth."""
        by_place = {(cell.env, cell.name, cell.depth): cell for cell in self.cells}
        found = []
        for cell in self.cells:
            names = list(dict.fromkeys(s.block for s in self.series if s.env == cell.env))
            other = by_place.get((cell.env, partner(cell.name, names) or "", cell.depth))
            if other is not None:
                found.append(self._match(cell, other))
        return settled(found, {("deeper", place): better.p for place, (_, better) in self.deeper.items()})

    @cached_property
    def deeper(self) -> dict[tuple[str, str], tuple[Cell, Contrast]]:
        """By environment and label, the shallowest cell of the same block and the contrast with it."""
        first = {(cell.env, cell.name): cell for cell in reversed(self.cells)}
        pairs = [(cell, first[cell.env, cell.name]) for cell in self.cells]
        return {(a.env, a.label): (b, self._contrast(a, b)) for a, b in pairs if a is not b}

    def _match(self, cell: Cell, other: Cell) -> Match:
        gap = self._contrast(cell, other)
        text = f"{cell.label} against {other.label}: {in_words(gap, self.metric)}"
        depth = float(cell.depth)
        sides = (cell.label, cell.depth, depth, other.label, other.depth, depth)
        return Match(cell.env, self.metric, "depth", *sides, gap, text)

    def _contrast(self, cell: Cell, other: Cell) -> Contrast:
        return contrast(cell.values, other.values, lower_is_better=meaning.lower_is_better(self.metric))

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One row per cell, with the keys of ``compare.Comparison.rows``; None for what a table does not hold."""
        return [self._row(cell) for cell in self.cells]

    def _row(self, cell: Cell) -> dict[str, Any]:
        unknown = ("width", "diverged", "env_steps", "parameters", "flops_per_update", "train_seconds")
        row: dict[str, Any] = {"env": cell.env, "block": cell.name, "depth": cell.depth, "seeds": len(cell.values)}
        row |= dict.fromkeys(unknown) | summary(self.metric, cell.values)
        row["deeper"] = None
        if (cell.env, cell.label) in self.deeper:
            first, better = self.deeper[cell.env, cell.label]
            row["deeper"] = {"than": first.label, "than_depth": first.depth} | better.to_json()
        mine = [match for match in self.matches if (match.env, match.looped) == (cell.env, cell.label)]
        row["matched"] = [match.to_json() for match in mine]
        every = [other.values for other in self.cells if other.env == cell.env]
        row["profile"] = profile(cell.values, every, lower_is_better=meaning.lower_is_better(self.metric))
        return row | {"label": cell.label, "runs": []}


def compare_tables(paths: Sequence[Path], metric: str | None) -> TableComparison:
    """Read tables and compare what they hold of a metric; if it is None, of the first one.

    Raises:
      RunError: a file is no such table.
      ConfigError: no such metric; names those there are.
    """
    loaded = series.read(paths)
    known = list(dict.fromkeys(one.metric for one in loaded.series))
    metric = metric or (series.DEFAULT_METRICS[0] if series.DEFAULT_METRICS[0] in known else known[0])
    if metric not in known:
        raise ConfigError(f"--metric {metric}: there are {', '.join(known)}")
    own = tuple(one for one in loaded.series if one.metric == metric)
    notes = [f"not compared, other metrics: {', '.join(k for k in known if k != metric)}"] if len(known) > 1 else []
    found = TableComparison(own, metric)
    return replace(found, notes=(*loaded.notes, *notes, *missing(found.cells, metric)))
