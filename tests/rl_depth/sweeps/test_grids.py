"""Sweeps from the command line, and what of them is written into their folder; nothing is trained here."""

import json
import tomllib

import pytest

from rl_depth.config import ConfigError, read_toml
from rl_depth.sweeps import grids, sweep

from ..conftest import TINY, flags

FIXED = {key: value for key, value in TINY.items() if key != "depth"}


@pytest.mark.parametrize(
    ("words", "fixed", "varied"),
    [
        ("--depth 4,8,16", {}, {"depth": [4, 8, 16]}),
        ("--depth 4 8 16 --seeds 5", {"seeds": 5}, {"depth": [4, 8, 16]}),
        ("--depth=4,8 --block stacked,looped", {}, {"depth": [4, 8], "block": ["stacked", "looped"]}),
        ("--depth [4] --gamma 0.9", {"gamma": 0.9}, {"depth": [4]}),
        ("--target-entropy -0.5,-1 --remat", {"remat": True}, {"target_entropy": [-0.5, -1.0]}),
        ("--remat true,false --no-step-conditioning", {"step_conditioning": False}, {"remat": [True, False]}),
        ("--env ant,reacher --env-steps 1e6", {"env_steps": 1_000_000}, {"env": ["ant", "reacher"]}),
        ("--backprop-steps all,2", {}, {"backprop_steps": ["all", 2]}),
    ],
)
def test_flags_with_several_values_vary(words, fixed, varied):
    assert grids.read_flags(words.split()) == (fixed, varied)


def test_options_whose_text_has_commas_are_listed_by_words():
    fixed, varied = grids.read_flags(
        ["--env-options", "size=5, stitch=true", "--per-seed", "gamma=[0.9, 0.8]", "gamma=[0.7, 0.8]"]
    )
    assert fixed == {"env_options": "size=5, stitch=true"}
    assert varied == {"per_seed": ["gamma=[0.9, 0.8]", "gamma=[0.7, 0.8]"]}


def test_grid_takes_the_same_lists():
    both = grids.read_flags(["--seeds", "2"], ["depth=4,8", "--actor-depth=4", 'env_options=["size=5", "size=7"]'])
    assert both == ({"seeds": 2}, {"depth": [4, 8], "actor_depth": [4], "env_options": ["size=5", "size=7"]})


@pytest.mark.parametrize(
    ("words", "grid", "text"),
    [
        ("--dept 4,8", (), "unknown option --dept; did you mean --depth?"),
        ("--policy-lr 1,2", (), "here it is --actor-lr"),
        ("--depth 4,x", (), "--depth 'x': must be a whole number"),
        ("--block stacked,loop", (), "--block loop: must be one of"),
        ("--depth 4,4", (), "--depth: 4 stands there twice"),
        ("--depth 4 --depth 8", (), "--depth: given twice"),
        ("--depth", (), "--depth: needs a value"),
        ("--depth 4,,8", (), "--depth 4,,8: needs a value"),
        ("--depth [4", (), "--depth [4: is no list"),
        ("--remat=maybe", (), "--remat 'maybe': must be True or False"),
        ("--depth 4", ("depth=8",), "--depth is given twice"),
        ("", ("depth",), "--grid 'depth': must be OPTION=A,B"),
        ("", ("dept=4,8",), "did you mean --depth"),
        ("--seeds 3", (), "nothing varies"),
    ],
)
def test_bad_lists_are_refused_in_one_line(words, grid, text):
    with pytest.raises(ConfigError) as caught:
        grids.plan(None, words.split(), grid)
    assert text in str(caught.value) and "\n" not in str(caught.value)


def test_flags_cross_a_file_and_replace_its_keys(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('seeds = 2\nwidth = 16\n[grid]\nblock = ["stacked", "looped"]\n')
    plan = grids.plan(file, ["--depth", "4,8", "--width", "32"], preset="smoke")
    assert plan.base == read_toml(grids.find_preset("smoke")) | {"seeds": 2, "width": 32}
    assert plan.grids == [{"block": ["stacked", "looped"], "depth": [4, 8]}]
    with pytest.raises(ConfigError, match=r"--block: .*own\.toml varies it"):
        grids.plan(file, ["--block", "looped"])


def test_a_key_at_the_top_and_in_the_grid_is_refused_unless_some_table_lacks_it(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text("depth = 4\n[grid]\ndepth = [4, 8]\n")
    with pytest.raises(ConfigError, match="depth stands at the top and in"):
        grids.plan(file)
    file.write_text("depth = 4\n[[grid]]\ndepth = [8, 16]\n[[grid]]\nwidth = [8, 16]\n")
    assert [cell.config.depth for cell in sweep.read(file, tmp_path)] == [8, 16, 4, 4]


def test_two_presets_are_refused(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('preset = "smoke"\n[grid]\ndepth = [4, 8]\n')
    with pytest.raises(ConfigError, match=r"--preset ant_cpu: .*starts from preset smoke"):
        grids.plan(file, preset="ant_cpu")


def test_sweeps_that_ship_are_found_by_name_and_others_named(tmp_path):
    assert grids.find_sweep("thresholds").name == "thresholds.toml"
    assert len(sweep.cells(grids.plan(grids.find_sweep("extrapolation")), tmp_path)) > 1
    for name, words in (
        ("treshold", "thresholds"),
        ("smoke", "--preset smoke"),
        (str(tmp_path), "without a sweep.toml"),
    ):
        with pytest.raises(ConfigError, match=words):
            grids.find_sweep(name)


def test_what_was_run_is_written_and_reads_back(tmp_path):
    words = [*flags(**FIXED), "--depth", "4,8", "--block", "stacked,looped"]
    plan = grids.plan(None, words)
    assert grids.write(plan, tmp_path) is None
    again = grids.plan(grids.find_sweep(str(tmp_path)))
    assert sweep.cells(again, tmp_path) == sweep.cells(plan, tmp_path)
    several = grids.Plan({}, [{"depth": [4]}, {"width": [8, 16]}], "x")
    assert grids.write(several, tmp_path) is None
    assert grids.plan(tmp_path / "sweep.toml").grids == several.grids


def test_a_sweep_file_of_the_user_s_own_in_the_folder_is_kept(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text("# mine\nseeds = 2\n[grid]\ndepth = [4, 8]\n")
    before = file.read_text()
    assert grids.write(grids.plan(file), tmp_path) is None
    assert "not written by rl-depth" in grids.write(grids.plan(file, ["--seeds", "3"]), tmp_path)
    assert file.read_text() == before


def test_a_cell_from_the_command_line_is_trained_and_logs_to_tensorboard(cli):
    pytest.importorskip("tensorboardX")
    options = cli.flags(**FIXED)
    cli("sweep", "--depth", "4,8", *options, "--out", "runs/d", "--quiet", "--tensorboard", "--json", "rows.json")
    assert [row["state"] for row in json.loads((cli.folder / "rows.json").read_text())] == ["finished", "finished"]
    assert len(list((cli.folder / "runs" / "d").glob("depth*/tensorboard/seed0/*tfevents*"))) == 2
    held = tomllib.loads((cli.folder / "runs" / "d" / "sweep.toml").read_text())
    assert held == FIXED | {"grid": {"depth": [4, 8]}}
    assert "nothing to do" in cli("sweep", "runs/d", "--quiet")


def test_training_at_several_depths_points_to_sweep(cli):
    for words in (["4,8,16"], ["4", "8", "16"], ["4", "--depth", "8"]):
        assert "rl-depth sweep --depth A,B" in cli.refuse("train", "--depth", *words)
    assert list(cli.folder.iterdir()) == []
