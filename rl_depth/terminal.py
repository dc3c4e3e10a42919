"""Tables and numbers as every command prints them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDTH = 140  # of a pipe or a file, which have no width of their own


def empty_table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    """A table with columns of text, then of numbers, and no lines yet."""
    table = Table(title=escape(title), box=box.SIMPLE_HEAD, title_justify="left")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name.replace("_", " "), justify="right", overflow="fold")
    return table


def show(table: Table) -> None:
    """Print a table on stdout."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """One value, or the median and the range of several; nothing for none."""
    if not values:
        return ""
    low, middle, high = (f"{f(values):.{digits}f}" for f in (np.min, np.median, np.max))
    return middle if len(values) == 1 else f"{middle} ({low}-{high})"
