"""Rows, notes and files of a comparison."""

import csv
import json

import numpy as np
import pytest

from rl_depth.analysis import aggregate
from rl_depth.analysis.compare.compare import compare
from rl_depth.analysis.outputs import write_comparison
from rl_depth.config import ConfigError


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, fabricate):
    folder = tmp_path_factory.mktemp("compare")
    for depth, level in ((4, 0.2), (8, 0.6)):
        for block in ("stacked", "looped"):
            fabricate(folder / f"{block}-{depth}", level, depth=depth, seeds=5, block=block)
    return folder


def test_a_row_holds_the_interquartile_mean_and_its_interval(sweep):
    comparison = compare([sweep])
    assert [(row["block"], row["depth"], row["seeds"]) for row in comparison.rows] == [
        ("looped", 4, 5),
        ("stacked", 4, 5),
        ("looped", 8, 5),
        ("stacked", 8, 5),
    ]
    row, group = comparison.rows[3], comparison.groups[3]
    final = group.final("success_any")
    assert row["success_any"] == pytest.approx(aggregate.iqm(final))
    assert row["success_any_low"] < row["success_any"] < row["success_any_high"]
    assert (row["success_any_median"], row["success_any_min"]) == (np.median(final), final.min())
    assert row["diverged"] == 0 and row["width"] == 32
    assert comparison.notes == ()


def test_depths_are_compared_with_the_shallowest_and_blocks_with_each_other(sweep):
    rows = compare([sweep]).rows
    assert rows[0]["deeper"] is rows[1]["deeper"] is None
    assert rows[3]["deeper"]["than"] == "stacked, depth 4"
    assert rows[3]["deeper"]["improvement"]["value"] == 1
    assert {match["axis"] for match in rows[2]["matched"]} == {
        "depth",
        "parameters",
        "flops_per_update",
        "train_seconds",
    }
    assert rows[3]["matched"] == []
    lower = compare([sweep], "dist_final").rows
    assert lower[3]["deeper"]["improvement"]["value"] == 1
    assert lower[3]["deeper"]["difference"]["value"] < 0


@pytest.mark.parametrize(("metric", "better"), [("success_any", np.greater), ("dist_final", np.less)])
def test_profiles_are_shares_of_seeds_beyond_thresholds(sweep, metric, better):
    comparison = compare([sweep], metric)
    for row, group in zip(comparison.rows, comparison.groups, strict=True):
        profile, final = row["profile"], group.final(metric)
        shares = [better(final, tau).mean() for tau in profile["threshold"]]
        assert profile["share"] == pytest.approx(shares)
        assert all(low <= s <= high for low, s, high in zip(profile["low"], shares, profile["high"], strict=True))
    assert comparison.rows[0]["profile"]["threshold"] == comparison.rows[3]["profile"]["threshold"]


def test_files_hold_the_same_numbers(sweep, tmp_path):
    comparison = compare([sweep])
    files = {file.name: file for file in write_comparison(comparison, tmp_path / "out")}
    assert set(files) == {"compare.png", "profile.png", "matched.png", "compare.csv", "compare.json"}
    for name in ("compare.png", "profile.png", "matched.png"):
        assert files[name].stat().st_size > 10_000
    assert json.loads(files["compare.json"].read_text()) == json.loads(json.dumps(comparison.rows, allow_nan=False))
    table = list(csv.DictReader(files["compare.csv"].open()))
    assert float(table[2]["success_any"]) == comparison.rows[2]["success_any"]
    assert table[0]["improvement_over_shallowest"] == ""
    assert float(table[2]["improvement_over_shallowest"]) == 1
    assert 0 <= float(table[2]["improvement_over_stacked_low"]) <= float(table[2]["improvement_over_stacked"]) <= 1


def test_what_cannot_be_said_is_noted(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, depth=8)
    comparison = compare([tmp_path])
    assert comparison.notes == (
        "one seed, so no intervals: point_maze, stacked, depth 8",
        "only stacked networks, so nothing to compare blocks by: point_maze",
        "only depth 8, so nothing is said of depth: point_maze",
    )
    assert comparison.rows[0]["success_any_low"] is None
    assert {file.name for file in write_comparison(comparison, tmp_path / "out")} == {
        "compare.png",
        "profile.png",
        "compare.csv",
        "compare.json",
    }


def test_runs_without_the_metric_are_left_out_and_an_unknown_one_is_refused(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, depth=8)
    rows = fabricate(tmp_path / "b", 0.5, depth=4).metrics()
    for row in rows:
        del row["infonce"]
    (tmp_path / "b" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    comparison = compare([tmp_path], "infonce")
    assert [group.depth for group in comparison.groups] == [8]
    assert "left out, no infonce: point_maze, stacked, depth 4" in comparison.notes
    with pytest.raises(ConfigError, match="--metric speed: the runs have categorical_accuracy, "):
        compare([tmp_path], "speed")


def test_unfinished_depths_are_not_compared_with_finished_ones(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, depth=4)
    fabricate(tmp_path / "b", 0.5, depth=8, until=0.4)
    assert compare([tmp_path]).rows[1]["deeper"] is None
