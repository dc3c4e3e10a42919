"""The live table in a terminal that is too low for it."""

import io

import pytest
from rich.console import Console

from rl_depth.sweeps.overview import View, fitting


def shown(views, height):
    console = Console(file=io.StringIO(), width=110, height=height, force_terminal=True, color_system=None)
    console.print(fitting(console, views, "runs"))
    return console.file.getvalue().splitlines()


VIEWS = [View(f"depth{i}", "finished" if i < 30 else "waiting") for i in range(40)]
VIEWS[30] = View("depth30", "running", note="a note that folds " * 5)
VIEWS[39] = View("depth39", "failed", note="the disk is full")


@pytest.mark.parametrize("height", [16, 24, 40])
def test_running_and_failed_runs_stay_in_view_and_the_rest_is_counted(height):
    lines = shown(VIEWS, height)
    text = "\n".join(lines)
    assert len(lines) < height
    assert "depth30" in text and "depth39" in text and "not shown: " in text
    names = [line.split()[0] for line in lines if line.strip().startswith("depth")]
    assert names == sorted(names, key=lambda name: int(name.removeprefix("depth")))


def test_a_table_that_fits_is_shown_whole():
    text = "\n".join(shown(VIEWS, 80))
    assert all(view.name in text for view in VIEWS) and "not shown" not in text


def test_the_lowest_terminal_gets_one_line():
    assert sum("depth" in line for line in shown(VIEWS, 3)) == 1
