"""What newcomers type wrongly, and what is checked before the work."""

import json
import subprocess
import sys

import pytest

from rl_depth import runs
from rl_depth.cli.main import main
from rl_depth.config import Config


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys):
    """Calls the command line in this process, in an empty folder; the one line that it answers with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", ".")])

    def call(*words):
        with pytest.raises(SystemExit) as end:
            main(list(words))
        message = capsys.readouterr().err
        assert end.value.code == 2 and message.startswith("rl-depth: error: ") and message.count("\n") == 1
        return message

    return call


def test_cost_takes_presets_and_says_whether_the_run_fits(cli):
    text = cli("cost", "--preset", "smoke", "--width", "16", "--depth", "4", "--seeds", "2", "--json", "cost.json")
    found = json.loads((cli.folder / "cost.json").read_text())
    assert "fits this device" in text and found["fits"] is True
    assert found["run_planned_bytes"] > found["replay_bytes"] * 2
    assert 0.5 < found["run_counted_bytes"] / found["run_planned_bytes"] < 2
    assert found["host_bytes"] == 2 * (found["state_bytes"] + found["replay_bytes"])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("evaluate x --seed -1", "--seed -1: must lie in [0, 2^31)"),
        ("thresholds x --seed 99999999999", "--seed 99999999999: must lie in"),
        ("calibrate --seed -1", "--seed -1"),
        ("report x --seed -1", "--seed -1"),
        ("extrapolate x --seed -1", "--seed -1"),
        ("compare x --metrics", "--metrics: needs a value"),
        ("compare x --metrics success_any", "no run folder"),
        ("thresholds x --metric success_any", "no run folder"),
        ("evaluate x --depths ,", "lacks a number"),
        ("evaluate x --json .", "is a folder, not a file"),
        ("compare x --json notes/x", "notes is a file"),
        ("compare x --out notes", "--out notes: is a file"),
        ("train --out=", "is empty"),
        ("bench --seeds 0", "--seeds 0: must be at least 1"),
        ("envs point_maze x:y", "'x:y' cannot be imported"),
        ("train --env POINT_MAZE", "nearest: point_maze"),
        ("train --env ./my_lab/cart.py:Cart", "name the module, as import does: my_lab.cart:Cart"),
        ("train --preset smoke --env my_lab.cart:Cart", "put PYTHONPATH=. before the command"),
        ("render --env point_maze", "--env needs --policy random"),
        ("render --env point_maze --policy random --split foo", "--split foo: PointMaze has train, eval"),
        ("evaluate nowhere", "not a run folder"),
        ("evaluate /nowhere", "not a run folder"),
    ],
)
def test_each_mistake_is_answered_with_one_line(refuse, tmp_path, words, text):
    (tmp_path / "notes").write_text("keep")
    (tmp_path / "my_lab").mkdir()
    assert text in refuse(*words.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my_lab", "notes"]


def test_options_of_environments_are_held_against_their_types(refuse):
    for value, words in (('"9"', "'9' must be a whole number"), ("nan", "nan must be a whole number")):
        options = ["--env", "random_point_maze", "--env-options", f"size={value}", "--preset", "smoke"]
        assert words in refuse("train", *options)


def test_runs_nearby_are_named_without_a_walk_through_everything(refuse, tmp_path):
    for place in ("runs/a", "runs/deep/b", "runs/deep/deeper/c"):
        with runs.hold(tmp_path / place, Config(), resume=False):
            pass
    message = refuse("evaluate", "runs/x")
    assert "runs/a" in message and "runs/deep/b" in message and "runs/deep/deeper" not in message


def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "rl_depth", "envs"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and done.stderr == "rl-depth: error: output: No space left on device\n"
