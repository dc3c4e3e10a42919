"""What newcomers type wrongly, and what is checked before the work."""

import json

import pytest


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
        ("train --env my_lab.cart:Cart", "put PYTHONPATH=. before the command"),
        ("render --env point_maze", "--env needs --policy random"),
        ("render --env point_maze --policy random --split foo", "--split foo: PointMaze has train, eval"),
        ("evaluate nowhere", "not a run folder"),
        ("evaluate /nowhere", "not a run folder"),
    ],
)
def test_each_mistake_is_answered_with_one_line(cli, words, text):
    (cli.folder / "notes").write_text("keep")
    (cli.folder / "my_lab").mkdir()
    message = cli.refuse(*words.split())
    assert text in message
    assert sorted(path.name for path in cli.folder.iterdir()) == ["my_lab", "notes"]


def test_options_of_environments_are_held_against_their_types(cli):
    for value, words in (('"9"', "'9' must be a whole number"), ("nan", "nan must be a whole number")):
        options = ["--env", "random_point_maze", "--env-options", f"size={value}", "--preset", "smoke"]
        assert words in cli.refuse("train", *options)


def test_runs_nearby_are_named_without_a_walk_through_everything(cli):
    from rl_depth import runs
    from rl_depth.config import Config

    for place in ("runs/a", "runs/deep/b", "runs/deep/deeper/c"):
        with runs.hold(cli.folder / place, Config(), resume=False):
            pass
    message = cli.refuse("evaluate", "runs/x")
    assert "runs/a" in message and "runs/deep/b" in message and "runs/deep/deeper" not in message


def test_a_full_disk_is_one_line(cli):
    import subprocess
    import sys

    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "rl_depth", "envs"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and done.stderr == "rl-depth: error: output: No space left on device\n"
