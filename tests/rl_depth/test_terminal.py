"""Tables at the widths that terminals have: nothing is broken in two, nothing is lost, brackets are text."""

import io
import re

import pytest
from rich.console import Console

from rl_depth.terminal import Table, empty_table, show


def printed(table: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    text = console.file.getvalue()
    assert all(len(line) <= width for line in text.splitlines()), text
    return text


def wide() -> Table:
    left, right = ("environment", "agents"), ("depth", "seeds", "parameters", "train s", "success_any", "P(better)")
    table = empty_table("final capability", left, right)
    for env, depth in (("point_maze", 4), ("point_maze", 64)):
        numbers = (str(depth), "5", f"{61_509 * depth:,}", "123", "0.71 [0.62,0.80]", f"0.9{depth} [0.85,1.00]")
        table.add_row(env, "looped, uniform:1:8", *numbers)
    return table


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40])
def test_no_number_and_no_word_is_broken_at_any_width(width):
    text = printed(wide(), width)
    for whole in (
        "point_maze",
        "uniform:1:8",
        "3,936,576",
        "0.71 [0.62,0.80]",
        "0.964 [0.85,1.00]",
        "P(better)",
        "parameters",
    ):
        assert whole in text, text


def test_what_all_rows_share_goes_above_a_table_that_is_too_wide():
    assert len(re.findall("point_maze", printed(wide(), 200))) == 2
    text = printed(wide(), 80)
    assert len(re.findall("point_maze", text)) == 1 and "environment point_maze" in text


def test_each_row_becomes_a_paragraph_where_no_table_fits():
    text = printed(wide(), 40)
    assert text.count("success any 0.71 [0.62,0.80]") == 2


def test_sentences_wrap_between_words():
    table = empty_table("verdicts", ("environment", "verdict"), ())
    table.add_row("random_point_maze", "gradual: a smooth curve from 45.4 to 448 explains it, a jump does not; " * 2)
    for width in (80, 60):
        words = {word for line in printed(table, width).splitlines() for word in line.split()}
        assert {"random_point_maze", "gradual:", "explains"} <= words


@pytest.mark.parametrize(
    "text", ["ant[big]", "x[/]", "[bold]b[/bold]", "r[a]", "K[train]", ":smile:", "[link=file:///x]y"]
)
@pytest.mark.parametrize("width", [200, 20])
def test_brackets_are_text(text, width):
    table = empty_table(f"of {text}", (text, "b"), (text,))
    table.add_row(text, "1", text)
    assert printed(table, width).count(text) >= 3


def test_a_pipe_is_as_wide_as_columns_says_else_140(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    table = empty_table("t", (), [f"column{i}" for i in range(10)])
    table.add_row(*["1234567890"] * 10)
    show(table)
    assert max(map(len, capsys.readouterr().out.splitlines())) > 100
    monkeypatch.setenv("COLUMNS", "60")
    show(table)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


def test_a_row_of_another_length_is_an_error():
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        empty_table("t", ("a",), ("b",)).add_row("x")
