"""Lines along depth, from runs that differ in more than their depth."""

import pytest

from rl_depth.analysis.runs import series
from rl_depth.analysis.runs.groups import gather
from rl_depth.config import ConfigError
from rl_depth.runs import RunError


def lines(folder):
    return {line.block: [depth for depth, _ in line.points] for line in series.arrange(gather([folder]).groups)}


def test_widths_make_lines_of_their_own(tmp_path, fabricate):
    for width in (16, 32):
        for depth in (4, 8):
            fabricate(tmp_path / f"{width}-{depth}", 0.5, depth=depth, width=width)
    assert lines(tmp_path) == {"stacked, width 16": [4, 8], "stacked, width 32": [4, 8]}


def test_an_option_that_changes_with_depth_is_noted_and_parts_nothing(tmp_path, fabricate):
    for depth, width in ((4, 64), (8, 48), (16, 32)):
        fabricate(tmp_path / f"{depth}", 0.5, depth=depth, width=width, seeds=2)
    assert lines(tmp_path) == {"stacked, width by depth": [4, 8, 16]}
    loaded = series.read([tmp_path], ["success_any"])
    assert loaded.series[0].depths.tolist() == [4, 8, 16]
    assert loaded.notes == ("width changes with depth, so their effects cannot be told apart: point_maze, stacked",)


def test_a_sweep_of_the_actors_depth_is_a_line_along_it(tmp_path, fabricate):
    for depth in (4, 8, 16):
        fabricate(tmp_path / f"{depth}", 0.5, depth=8, actor_depth=depth)
    assert lines(tmp_path) == {"stacked, by actor depth, critic depth 8": [4, 8, 16]}


def test_actor_against_critic_depth_gives_lines_along_both_and_the_diagonal(tmp_path, fabricate):
    for actor in (4, 8):
        for critic in (4, 8):
            fabricate(tmp_path / f"{actor}-{critic}", 0.5, actor_depth=actor, critic_depth=critic)
    assert lines(tmp_path) == {
        "stacked": [4, 8],
        "stacked, by actor depth, critic depth 4": [4, 8],
        "stacked, by actor depth, critic depth 8": [4, 8],
        "stacked, by critic depth, actor depth 4": [4, 8],
        "stacked, by critic depth, actor depth 8": [4, 8],
    }


def test_no_group_is_lost(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, depth=8, actor_depth=4)
    fabricate(tmp_path / "b", 0.5, depth=8, phi_depth=16)
    assert lines(tmp_path) == {
        "stacked, actor depth 4, critic depth 8": [8],
        "stacked, actor depth 8, phi depth 16, psi depth 8": [16],
    }


def test_environments_do_not_mix(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, depth=4)
    fabricate(tmp_path / "b", 0.5, depth=4, env="random_point_maze", batch_size=64)
    found = series.load([tmp_path], ["success_any"])
    assert [(one.env, one.block) for one in found] == [("point_maze", "stacked"), ("random_point_maze", "stacked")]


def test_depths_that_have_not_finished_are_left_out(tmp_path, fabricate):
    fabricate(tmp_path / "4", 0.5, depth=4)
    fabricate(tmp_path / "8", 0.5, depth=8, until=0.4)
    loaded = series.read([tmp_path], ["success_any"])
    assert loaded.series[0].depths.tolist() == [4]
    assert "left out of the verdicts, not finished as other depths are: point_maze, stacked, depth 8" in loaded.notes
    fabricate(tmp_path / "new" / "4", 0.5, depth=4, until=0.8)
    fabricate(tmp_path / "new" / "8", 0.5, depth=8, until=0.4)
    loaded = series.read([tmp_path / "new"], ["success_any"])
    assert loaded.series[0].depths.tolist() == [4, 8]
    assert any("not trained for equally many steps" in note for note in loaded.notes)


def test_unknown_metrics_and_mixed_inputs_are_refused(tmp_path, fabricate):
    fabricate(tmp_path / "run", 0.5)
    (tmp_path / "t.csv").write_text("env,block,depth,seed,metric,value\nm,s,4,0,x,1\n")
    with pytest.raises(ConfigError, match="--metrics speed: there are categorical_accuracy, dist_final"):
        series.load([tmp_path / "run"], ["speed"])
    with pytest.raises(ConfigError, match="--metrics speed: there are x"):
        series.load([tmp_path / "t.csv"], ["speed"])
    with pytest.raises(RunError, match="not both at once"):
        series.load([tmp_path / "run", tmp_path / "t.csv"])
    with pytest.raises(RunError, match="given twice"):
        series.load([tmp_path / "t.csv", tmp_path / "t.csv"])
