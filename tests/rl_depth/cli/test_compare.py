"""Comparisons and verdicts of run folders, as a user asks for them."""

import json
import math

import pytest


@pytest.fixture
def sweep(cli, fabricate):
    """Two blocks at five depths, and three runs that cannot be used."""
    for block in ("stacked", "looped"):
        for depth in (4, 8, 16, 32, 64):
            level = 0.2 if depth < 16 else 0.8
            fabricate(cli.folder / "runs" / f"{block}-{depth}", level, depth=depth, seeds=4, block=block)
    fabricate(cli.folder / "runs" / "waiting", 0.5, depth=8, seed=9, until=0)
    fabricate(cli.folder / "runs" / "diverged", 0.8, depth=64, seed=9, diverged={9: 3})
    (cli.folder / "runs" / "foreign").mkdir()
    (cli.folder / "runs" / "foreign" / "config.toml").write_text("[tool]\n")
    return "runs"


def test_compare_prints_aggregates_matches_and_what_was_left_out(cli, sweep):
    text = cli("compare", sweep, "--out", "found", "--json", "rows.json")
    for words in (
        "interquartile mean over seeds",
        "P(improves)",
        "looped against stacked, success_any",
        "note: left out, no evaluation yet: runs/waiting",
        "note: left out, config.toml: unknown key 'tool'",
        "note: diverged, judged by the last evaluations before: point_maze, stacked, depth 64, seed 9",
        "written: found/matched.png",
    ):
        assert words in text
    rows = json.loads((cli.folder / "rows.json").read_text())
    assert rows == json.loads((cli.folder / "found" / "compare.json").read_text())
    assert [row["seeds"] for row in rows] == [4] * 9 + [5]
    assert all(math.isfinite(row["success_any_low"]) for row in rows)
    assert all(len(row["matched"]) == (4 if row["block"] == "looped" else 0) for row in rows)


def test_thresholds_of_runs_say_where_blocks_agree_and_which_goals_need_depth(cli, sweep):
    text = " ".join(cli("thresholds", sweep, "--out", "found", "--json", "rows.json").split())  # a cell may wrap
    for words in (
        "do thresholds fall at the same effective depth?",
        "compatible with the same",
        "critical depth",
        "note: left out, no evaluation yet: runs/waiting",
        "written: found/difficulty.png",
        "written: found/locations.png",
    ):
        assert words in text
    rows = json.loads((cli.folder / "rows.json").read_text())
    success = next(row for row in rows if (row["block"], row["metric"]) == ("looped", "success_any"))
    assert [one["depth"] for one in success["difficulty"]["critical"]] == [16, 16, 16]
    assert success["against"][0]["low"] <= 1 <= success["against"][0]["high"]


def test_bad_metrics_and_empty_folders_are_answered_in_one_line(cli, fabricate):
    fabricate(cli.folder / "runs" / "a", 0.5, until=0)
    assert "no run can be used; left out, no evaluation yet" in cli.refuse("compare", "runs")
    fabricate(cli.folder / "runs" / "b", 0.5)
    assert "--metric speed: the runs have" in cli.refuse("compare", "runs", "--metric", "speed")
    assert "--metrics speed: there are" in cli.refuse("thresholds", "runs", "--metrics", "speed")
    assert not (cli.folder / "runs" / "compare").exists()
