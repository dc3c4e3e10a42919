"""A metric over two options of a sweep."""

import itertools
import json

import numpy as np
import pytest

from rl_depth import runs
from rl_depth.analysis import grid
from rl_depth.cli import main
from rl_depth.config import Config, ConfigError

TINY = {"env_steps": 3200, "num_envs": 4, "unroll": 20, "replay_steps": 200, "min_replay_steps": 40, "batch_size": 16}


def write(folder, value, parameters=1000, **options):
    """A run of two evaluations whose later ones have ``value(seed)``."""
    config = Config(**TINY | {"seeds": 3} | options)
    name = "-".join(f"{key}{option}" for key, option in options.items())
    with runs.hold(folder / name, config, resume=False) as run:
        for epoch in (1, 2):
            rows = [
                {"epoch": epoch, "env_steps": 80 * epoch, "seed": seed, "success_any": value(seed)}
                | {"time_at_goal": 1.0, "dist_final": 1.0}
                for seed in range(config.seeds)
            ]
            run.append(rows, {"epoch": epoch, "env_steps": 80 * epoch, "train_seconds": 1.0})
        run.write_meta({"cost": {"parameters": parameters, "flops_per_update": 7 * parameters}})
    return run


@pytest.fixture
def two_by_two(tmp_path):
    for actor, critic in itertools.product((4, 16), (8, 16)):
        base = actor / 100 + critic / 1000
        write(tmp_path, lambda seed, base=base: base + seed / 10, actor_depth=actor, critic_depth=critic)
    return tmp_path


def test_cells_hold_the_interquartile_mean_and_its_interval(two_by_two):
    found = grid.grid([two_by_two], "success_any", "critic-depth", "actor_depth")
    assert (found.ticks("x"), found.ticks("y"), found.panels) == ([8, 16], [4, 16], [("point_maze",)])
    assert [(row["actor_depth"], row["critic_depth"]) for row in found.rows] == [(4, 8), (4, 16), (16, 8), (16, 16)]
    for row in found.rows:
        base = row["actor_depth"] / 100 + row["critic_depth"] / 1000
        np.testing.assert_allclose(row["values"], [base, base + 0.1, base + 0.2])
        assert row["iqm"] == pytest.approx(base + 0.1)
        assert base - 1e-9 <= row["low"] < row["iqm"] < row["high"] <= base + 0.2 + 1e-9
        assert row["cost"] == {"parameters": 1000, "flops_per_update": 7000} and len(row["runs"]) == 1
    assert found.also == ()


def test_the_two_options_that_vary_are_the_default_axes(two_by_two):
    found = grid.grid([two_by_two], "success_any")
    assert (found.x, found.y) == ("critic_depth", "actor_depth")


def test_a_third_option_gets_panels_only_where_it_tells_cells_apart(tmp_path):
    for depth, block, width in itertools.product((4, 8), ("stacked", "looped"), (8, 16)):
        write(tmp_path, float, depth=depth, block=block, width=width)
    found = grid.grid([tmp_path], "success_any", "depth", "width")
    assert found.panel_options == ("env", "block")
    assert found.panels == [("point_maze", "looped"), ("point_maze", "stacked")] and len(found.cells) == 8


def test_options_that_differ_together_make_no_more_panels_than_it_takes(tmp_path):
    for depth, batch, (block, width) in itertools.product((4, 8), (16, 32), (("stacked", 8), ("looped", 16))):
        write(tmp_path, float, depth=depth, batch_size=batch, block=block, width=width)
    found = grid.grid([tmp_path], "success_any", "depth", "batch_size")
    assert found.panel_options == ("env", "block") and found.also == ()


def test_an_option_that_differs_along_the_grid_is_named(tmp_path):
    for depth, batch in itertools.product((4, 8), (16, 32)):
        odd = depth == 8 and batch == 32
        write(tmp_path, float, depth=depth, batch_size=batch, gamma=0.5 if odd else 0.9, width=2 * depth)
    found = grid.grid([tmp_path], "success_any", "depth", "batch_size")
    assert found.also == ("gamma",)  # the width follows from the depth
    assert found.rows[-1]["also"] == {"gamma": 0.5}


def test_runs_of_nearly_equal_parameters_share_a_row(tmp_path):
    for depth, width, parameters in ((4, 44, 980), (8, 32, 1000), (4, 89, 4100), (8, 64, 4000)):
        write(tmp_path, float, parameters, depth=depth, width=width)
    found = grid.grid([tmp_path], "success_any", "depth", "parameters")
    assert [row["parameters"] for row in found.rows] == [990, 990, 4050, 4050]
    assert [row["cost"]["parameters"] for row in found.rows] == [980, 1000, 4100, 4000]
    assert found.ticks("y") == [990, 4050] and found.ticks("x") == [4, 8] and len(found.panels) == 1
    assert grid.grid([tmp_path], "success_any", "depth", "flops_per_update").ticks("y") == [6930, 28350]


def test_inherited_depths_and_unset_options_have_their_places(tmp_path):
    for depth, collector in itertools.product((4, 8), (None, 4)):
        write(tmp_path, float, depth=depth, collector_depth=collector)
    found = grid.grid([tmp_path], "success_any", "collector_depth", "phi_depth")
    assert found.ticks("x") == [None, 4] and found.ticks("y") == [4, 8]
    assert found.also == ()  # the depth follows from the row


def test_one_seed_has_a_value_and_no_interval_to_show(tmp_path, capsys):
    for depth, batch in itertools.product((4, 8), (16, 32)):
        write(tmp_path, lambda seed: 0.5, depth=depth, batch_size=batch, seeds=1)
    main.main(["grid", str(tmp_path), "--out", str(tmp_path / "out")])
    assert " to " not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"x": "actor_deth", "y": "depth"}, ["--x actor_deth", "actor_depth"]),
        ({"x": "actor_depth"}, ["--y None"]),
        ({"x": "actor_depth", "y": "actor_depth"}, ["two different"]),
        ({"x": "actor_depth", "y": "width"}, ["--y width", "actor_depth, critic_depth"]),
        ({"metric": "success"}, ["--metric success", "success_any"]),
    ],
    ids=str,
)
def test_axes_that_cannot_be_are_refused(two_by_two, options, words):
    with pytest.raises(ConfigError) as error:
        grid.grid([two_by_two], **{"metric": "success_any"} | options)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_three_options_that_vary_need_names(two_by_two):
    write(two_by_two, float, actor_depth=4, critic_depth=8, width=16)
    with pytest.raises(ConfigError, match=r"--x and --y.*width, actor_depth, critic_depth"):
        grid.grid([two_by_two], "success_any")


def test_a_run_with_a_metric_that_is_not_finite_is_left_out_and_named(two_by_two):
    file = two_by_two / "actor_depth4-critic_depth8" / "metrics.jsonl"
    file.write_text(file.read_text().replace('"dist_final": 1.0', '"dist_final": NaN'))
    found = grid.grid([two_by_two], "dist_final")
    (note,) = (note for note in found.notes if "dist_final is not finite" in note)
    assert note.startswith("left out") and "actor_depth4-critic_depth8" in note
    assert len(found.cells) == 3


def test_from_the_command_line_to_the_files(two_by_two, capsys):
    out = two_by_two / "out"
    options = ["--x", "actor_depth", "--y", "critic_depth", "--json", str(out / "copy.json")]
    main.main(["grid", str(two_by_two), "--out", str(out), *options])
    text = capsys.readouterr().out
    assert "interquartile mean" in text and "0.048 to 0.248" in text and text.count("written: ") == 2
    rows = json.loads((out / "grid.json").read_text())
    assert rows == json.loads((out / "copy.json").read_text()) and len(rows) == 4
    assert (out / "grid.png").stat().st_size > 10_000
