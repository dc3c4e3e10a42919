"""A table compared as far as it goes."""

import csv
import json

import pytest

from rl_depth.analysis.compare.compare import Comparison, compare_inputs
from rl_depth.analysis.outputs import write_comparison
from rl_depth.config import ConfigError
from rl_depth.runs import RunError

TEXT = "env,block,depth,seed,metric,value\n" + "".join(
    f"maze,{block},{depth},{seed},dist_final,{level + seed / 10}\n"
    for block, levels in (("stacked", (8, 4)), ("looped", (8, 2)))
    for depth, level in zip((4, 8), levels, strict=True)
    for seed in range(4)
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TEXT)
    return path


def test_rows_have_the_keys_of_runs_and_the_same_statistics(file, tmp_path, fabricate):
    found = compare_inputs([file])
    assert [(row["block"], row["depth"], row["seeds"]) for row in found.rows] == [
        ("looped", 4, 4),
        ("stacked", 4, 4),
        ("looped", 8, 4),
        ("stacked", 8, 4),
    ]
    row = found.rows[2]
    assert row["dist_final"] == pytest.approx(2.15)
    assert row["deeper"]["difference"]["value"] == pytest.approx(-6)
    assert row["deeper"]["improvement"]["value"] == 1
    (match,) = row["matched"]
    assert (match["axis"], match["stacked"], match["improvement"]["value"]) == ("depth", "stacked, depth 8", 1)
    assert match["difference"]["value"] == pytest.approx(-2)
    assert row["parameters"] is None
    fabricate(tmp_path / "run", 0.5)
    runs = compare_inputs([tmp_path / "run"], "dist_final")
    assert isinstance(runs, Comparison)
    usual = {key for name in ("success_any", "time_at_goal") for key in runs.rows[0] if key.startswith(name)}
    assert row.keys() == runs.rows[0].keys() - usual


def test_files_are_written_without_learning_curves(file, tmp_path):
    files = {path.name: path for path in write_comparison(compare_inputs([file]), tmp_path / "out")}
    assert set(files) == {"profile.png", "matched.png", "compare.csv", "compare.json"}
    assert json.loads(files["compare.json"].read_text())[0]["label"] == "looped, depth 4"
    assert float(list(csv.DictReader(files["compare.csv"].open()))[2]["improvement_over_stacked"]) == 1


def test_what_a_table_lacks_is_said(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("env,block,depth,seed,metric,value\nmaze,mlp,4,0,reward,1\nmaze,mlp,4,0,speed,1\n")
    found = compare_inputs([path])
    assert (found.metric, found.matches) == ("reward", [])
    assert found.notes == (
        "not compared, other metrics: speed",
        "one seed, so no intervals: maze, mlp, depth 4",
        "only mlp networks, so nothing to compare blocks by: maze",
        "only depth 4, so nothing is said of depth: maze",
    )
    with pytest.raises(ConfigError, match="--metric x: there are reward, speed"):
        compare_inputs([path], "x")
    with pytest.raises(RunError, match="not both at once"):
        compare_inputs([path, tmp_path])
