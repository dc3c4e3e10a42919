"""Tables and numbers as every command prints them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

_WIDTH = 140  # of a pipe or a file, which have no width of their own
_NARROWEST = 20
_PADDING = 3  # cells that a column takes besides its text
_SENTENCE = (24, 12)  # cells that a sentence should have in a column, and those that it needs to be read at all


@dataclass
class Table:
    """Columns of text, then of numbers, that fit the terminal: no word, number or heading is ever broken in two.

    What all rows have in common stands above a table that would be too wide; where that is not enough, each row
    becomes a paragraph. Cells are text as it is: square brackets mean nothing.

    Attributes:
      title: stands above.
      left: headings of columns of text.
      right: headings of columns of numbers.
      after: headings of columns of text that stand at the end.
      caption: stands below.
    """

    title: str
    left: Sequence[str]
    right: Sequence[str]
    after: Sequence[str] = ()
    caption: str = ""
    rows: list[list[Text]] = field(default_factory=list)
    _ends: set[int] = field(default_factory=set)

    def add_row(self, *cells: str | Text, end_section: bool = False) -> None:
        """Add a line, a cell for each column."""
        if len(cells) != len(self.headings):
            raise ValueError(f"{len(cells)} cells for {len(self.headings)} columns")
        self.rows.append([cell if isinstance(cell, Text) else Text(cell) for cell in cells])
        if end_section:
            self.add_section()

    def add_section(self) -> None:
        """Set the lines so far apart from those that follow."""
        self._ends.add(len(self.rows))

    @property
    def headings(self) -> list[str]:
        """Of all columns."""
        return [*self.left, *(name.replace("_", " ") for name in self.right), *self.after]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the table out for a width."""
        del console
        width = max(options.max_width, _NARROWEST)
        columns = list(range(len(self.headings)))
        wide = [self._natural(i) for i in columns]
        if self._fits(wide, width):
            yield from self._grid(columns, wide, [])
            return
        kept = [i for i in columns if not self._is_common(i)]
        for chosen, sentence in ((columns, _SENTENCE[0]), (kept, _SENTENCE[0]), (kept, _SENTENCE[1])):
            least = [self._least(i, sentence) for i in columns]
            if chosen and self._fits([least[i] for i in chosen], width):
                above = [self._pair(i, self.rows[0]) for i in columns if i not in chosen and self.rows[0][i].plain]
                yield from self._grid(chosen, _shared(chosen, least, wide, width), _lines(above, width))
                return
        yield from self._paragraphs(width)

    def _is_text(self, column: int) -> bool:
        return not len(self.left) <= column < len(self.left) + len(self.right)

    def _is_common(self, column: int) -> bool:
        """Whether all of several rows have the same in a column."""
        return len(self.rows) > 1 and len({row[column].plain for row in self.rows}) == 1

    def _natural(self, column: int) -> int:
        texts = [self.headings[column], *(row[column].plain for row in self.rows)]
        return max(cell_len(line) for text in texts for line in text.split("\n"))

    def _least(self, column: int, sentence: int) -> int:
        """Cells that a column needs so that neither a heading's word nor a number is broken."""
        words = [cell_len(word) for word in self.headings[column].split()] or [0]
        if self._is_text(column):
            texts = [row[column].plain for row in self.rows]
            words += [cell_len(word) for text in texts for word in text.split()]
            words += [min(sentence, cell_len(text)) for text in texts]
        else:
            words += [cell_len(row[column].plain) for row in self.rows]
        return max(words)

    def _fits(self, widths: Sequence[int], width: int) -> bool:
        return sum(widths) + _PADDING * len(widths) <= width

    def _grid(self, columns: Sequence[int], widths: Sequence[int], above: Sequence[str]) -> Iterator[RichTable | Text]:
        yield Text("\n".join([self.title, *above]), style="italic")
        table = RichTable(box=box.SIMPLE_HEAD)
        for i in columns:
            table.add_column(Text(self.headings[i]), justify="left" if self._is_text(i) else "right", width=widths[i])
        for number, row in enumerate(self.rows, start=1):
            table.add_row(*(row[i] for i in columns), end_section=number in self._ends)
        yield table
        if self.caption:
            yield Text(self.caption)

    def _paragraphs(self, width: int) -> Iterator[Text]:
        """A paragraph per row: its words, then its numbers with their headings."""
        yield Text(f"{self.title}\n", style="italic")
        for row in self.rows:
            name = ", ".join(row[i].plain for i in range(len(self.left)) if row[i].plain)
            pairs = [self._pair(i, row) for i in range(len(self.left), len(row)) if row[i].plain]
            yield Text(name, style="bold") if name else Text("-" * min(width, 20))
            yield Text("\n".join(f"  {line}" for line in _lines(pairs, width - 2)) + "\n")
        if self.caption:
            yield Text(self.caption)

    def _pair(self, column: int, row: Sequence[Text]) -> str:
        return f"{self.headings[column]} {row[column].plain}"


def _shared(columns: Sequence[int], least: Sequence[int], wide: Sequence[int], width: int) -> list[int]:
    """Widths of columns between the least and the natural ones that fill a width: the least in need first."""
    widths = list(least)
    left = width - sum(least[i] + _PADDING for i in columns)
    waiting = sorted(columns, key=lambda i: wide[i] - least[i])
    for served, i in enumerate(waiting):
        given = min(wide[i] - least[i], left // (len(waiting) - served))
        widths[i] += given
        left -= given
    return widths


def _lines(pairs: Sequence[str], width: int) -> list[str]:
    """Pairs of a heading and its value in as few lines as hold them whole."""
    lines: list[str] = []
    for pair in pairs:
        if lines and cell_len(lines[-1]) + 3 + cell_len(pair) <= width:
            lines[-1] += f"   {pair}"
        else:
            lines.append(pair)
    return lines


def empty_table(title: str, left: Sequence[str], right: Sequence[str], after: Sequence[str] = ()) -> Table:
    """A table with columns of text, then of numbers, and no lines yet; ``after`` names columns of text at its end."""
    return Table(title, left, right, after)


def show(table: Table) -> None:
    """Print a table on stdout, as wide as the terminal; elsewhere as wide as COLUMNS says, or 140."""
    console = Console()
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console = Console(width=_WIDTH)
    console.print(table, soft_wrap=False)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """One value, or the median and the range of several; nothing for none."""
    if not values:
        return ""
    low, middle, high = (f"{f(values):.{digits}f}" for f in (np.min, np.median, np.max))
    return middle if len(values) == 1 else f"{middle} ({low}-{high})"
