"""What is said about tables and runs whose answer is known."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from rl_depth.analysis import outputs
from rl_depth.analysis.runs.table import Series
from rl_depth.analysis.thresholds import verdicts

DEPTHS = (4, 8, 16, 32, 64, 128, 256, 512)
INDEX = np.arange(8.0)
CURVES = {
    "step": 0.15 + 0.6 * (INDEX >= 2),
    "smooth": 0.1 + 0.8 / (1 + np.exp(-0.9 * (INDEX - 3.5))),
    "flat": np.full(8, 0.5),
    "rise and fall": 0.2 + 0.6 * np.exp(-((INDEX - 3) ** 2) / 6),
}


def write_table(file, curves, *, metric="success_any", seeds=5, deviation=0.06, depths=DEPTHS):
    """``curves``: (env, block) to a curve of the metric; distance goes the other way."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["env", "block", "depth", "seed", "metric", "value"])
        for number, ((env, block), curve) in enumerate(curves.items()):
            rng = np.random.default_rng([number, 77])
            for depth, level in zip(depths, curve, strict=True):
                for seed in range(seeds):
                    value = level + deviation * rng.standard_normal()
                    writer.writerow([env, block, depth, seed, metric, value])
                    if metric == "success_any":
                        writer.writerow([env, block, depth, seed, "dist_final", 5 - 4 * value])
    return file


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    file = tmp_path_factory.mktemp("verdicts") / "table.csv"
    return verdicts.judge([write_table(file, {(name, "stacked"): curve for name, curve in CURVES.items()})])


def test_held_out_curves_get_their_verdicts(judged):
    found = {(one.env, one.metric): one.verdict for one in judged.findings}
    assert len(found) == 8
    for metric in ("success_any", "dist_final"):
        (jump,) = found["step", metric].jumps
        assert jump.depth == 16 and jump.low >= 8 and jump.high <= 32
        assert found["smooth", metric].verdict == "gradual"
        assert found["flat", metric].verdict in ("flat", "undecided")
        assert found["rise and fall", metric].verdict in ("gradual", "undecided")


def test_the_json_keeps_its_contract(judged):
    rows = json.loads(json.dumps(judged.to_json(), allow_nan=False))
    assert isinstance(rows, list)
    for row in rows:
        assert row["verdict"] in ("jump", "gradual", "flat", "undecided")
        assert {"env", "block", "metric", "jumps", "against", "difficulty"} <= row.keys()
        assert all({"depth", "low", "high", "effect", "p"} <= jump.keys() for jump in row["jumps"])
    step = next(row for row in rows if (row["env"], row["metric"]) == ("step", "success_any"))
    assert step["jumps"][0]["label"] == "confirmed"
    assert any("no looped series" in note for note in judged.notes)


def test_looped_thresholds_are_placed_relative_to_stacked_ones(tmp_path):
    curves = {("maze", "stacked"): 0.15 + 0.6 * (INDEX >= 2), ("maze", "looped"): 0.15 + 0.6 * (INDEX >= 4)}
    found = verdicts.judge([write_table(tmp_path / "t.csv", curves)], ["success_any"])
    (one,) = found.agreements
    assert (one.stacked, one.looped, one.found.kind) == ("stacked", "looped", "jump")
    assert one.found.ratio == 4
    assert one.found.low > 1
    assert one.text == f"looped over stacked: {one.found.text}"
    looped, stacked = found.to_json()
    assert (looped["block"], looped["against"][0]["block"], looped["against"][0]["ratio"]) == ("looped", "stacked", 4)
    assert stacked["against"] == []
    files = {file.name for file in outputs.write_verdicts(found, tmp_path / "out")}
    assert files == {"thresholds.png", "locations.png", "thresholds.csv"}


def test_variants_meet_the_stacked_series_that_says_the_same(tmp_path):
    names = ["stacked, width 16", "stacked, width 64", "looped, width 64, injection concat", "looped, width 32"]
    table = write_table(tmp_path / "t.csv", {("maze", name): CURVES["step"] for name in names}, metric="reward")
    found = verdicts.judge([table])
    assert [(one.stacked, one.looped) for one in found.agreements] == [
        ("stacked, width 64", "looped, width 64, injection concat")
    ]


def test_metrics_that_blocks_do_not_share_are_named(tmp_path):
    one = write_table(tmp_path / "1.csv", {("maze", "stacked"): CURVES["flat"]}, metric="success_final")
    two = write_table(tmp_path / "2.csv", {("maze", "looped"): CURVES["flat"]}, metric="reward")
    found = verdicts.judge([one, two])
    assert found.agreements == []
    assert "no metric that stacked and looped share, so where thresholds fall is not compared: maze" in found.notes
    assert any("no continuous metric" in note for note in found.notes)


def test_depths_of_a_single_seed_do_not_forbid_the_rest(tmp_path):
    file = write_table(tmp_path / "t.csv", {("maze", "stacked"): CURVES["step"]}, metric="reward")
    file.write_text(file.read_text() + "maze,stacked,1024,0,reward,0.8\nmaze,stacked,2048,0,reward,nan\n")
    found = verdicts.judge([file])
    assert found.findings[0].verdict.jumps[0].depth == 16
    assert found.series[0].depths.tolist() == list(DEPTHS)
    assert "left out of the verdicts, a single seed: maze, stacked, depth 1024" in found.notes
    assert any("no finite value" in note and "depth 2048" in note for note in found.notes)


def test_too_few_depths_and_seeds_say_what_is_missing(tmp_path):
    flat = {("maze", "stacked"): [0.5]}
    (one,) = verdicts.judge([write_table(tmp_path / "a.csv", flat, metric="reward", depths=(4,))]).findings
    assert one.text == "undecided: at least 4 depths are needed, not 1"
    single = write_table(tmp_path / "b.csv", {("maze", "stacked"): CURVES["flat"]}, metric="reward", seeds=1)
    (one,) = verdicts.judge([single]).findings
    assert "4 more seeds needed" in one.text


def test_runs_have_maps_of_difficulty_beside_their_verdicts(tmp_path, fabricate):
    for depth in (4, 8, 16, 32):
        fabricate(tmp_path / f"{depth}", lambda d, depth=depth: 0.9 if depth >= 4 * d else 0.1, depth=depth, seeds=3)
    found = verdicts.judge([tmp_path], ["dist_final", "success_any"])
    assert [one.metric for one in found.maps] == ["dist_final"]
    rows = {row["metric"]: row for row in found.to_json()}
    assert rows["success_any"]["difficulty"] is None
    assert rows["dist_final"]["difficulty"]["distances"] == [2, 4, 6]
    files = {file.name for file in outputs.write_verdicts(found, tmp_path / "out")}
    assert files == {"thresholds.png", "difficulty.png", "thresholds.csv"}


def test_copied_seeds_are_noted(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["env,block,depth,seed,metric,value"]
    for depth in (4, 8, 16, 32):
        first, other = rng.uniform(0.2, 0.8, 2)
        lines += [f"maze,stacked,{depth},{seed},dist_final,{first if seed < 2 else other + seed}" for seed in range(4)]
        lines += [f"maze,looped,{depth},{seed},dist_final,{depth / 100 + seed * 0.001:.3f}" for seed in range(4)]
        lines += [f"maze,stacked,{depth},{seed},success_any,1.0" for seed in range(4)]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    notes = verdicts.judge([tmp_path / "table.csv"]).notes
    copies = [note for note in notes if "copies" in note]
    assert copies == ["seeds 0, 1 have equal values at every depth, as copies would: maze, stacked, dist_final"]


def test_depths_whose_seeds_all_agree_are_noted():
    values = tuple(np.full(5, value) for value in (0.1, 0.2, 0.7, 0.8))
    one = Series("maze", "stacked", "dist_final", np.array([4, 8, 16, 32]), values, (tuple("01234"),) * 4)
    assert verdicts.copied(one)[0].startswith("seeds 0, 1, 2, 3, 4 have equal values at every depth")
    one = replace(one, seeds=tuple(tuple(f"{depth}{seed}" for seed in range(5)) for depth in range(4)))
    assert verdicts.copied(one)[0].startswith("all seeds have one value at depth 4, 8, 16, 32")
