"""A report as a user asks for it."""

import json
import re

import pytest

from rl_depth import runs


def test_the_command_writes_page_and_json_and_prints_findings(cli, fabricate):
    for depth in (4, 8):
        fabricate(cli.folder / "runs" / f"depth{depth}", 0.1 * depth, depth=depth, seeds=2)
    text = cli("report", "runs", "-o", "out", "--metrics", "time_at_goal", "dist_final", "--json", "all.json")
    assert "written: out/index.html" in text
    assert re.search(r"point_maze: Stacked: time at goal is \S+ steps \[.*\] at depth 4 and", text)
    assert json.loads((cli.folder / "all.json").read_text())["metrics"] == ["time_at_goal", "dist_final"]


def test_a_bad_call_is_one_line_and_leaves_nothing(cli, fabricate):
    assert "no run folder" in cli.refuse("report", "nowhere", "-o", "out")
    fabricate(cli.folder / "runs" / "one", 0.5)
    assert "success_any" in cli.refuse("report", "runs", "-o", "out", "--metrics", "speed")
    assert not (cli.folder / "out").exists()


def test_archived_runs_are_small_name_no_machine_and_give_the_same_page(cli, fabricate):
    for depth in (4, 8):
        fabricate(cli.folder / "runs" / "deep" / f"depth{depth}", 0.1 * depth, depth=depth, seeds=2)
    (cli.folder / "runs" / "sweep.toml").write_text("[grid]\ndepth = [4, 8]\n", encoding="utf-8")
    run = cli.folder / "runs" / "deep" / "depth4"
    (run / "checkpoints").mkdir(exist_ok=True)
    (run / "checkpoints" / "00000005.safetensors").write_bytes(b"large")
    assert "written: kept (2 runs)" in cli("archive", "runs", "--out", "kept")
    files = {str(file.relative_to(cli.folder / "kept")) for file in (cli.folder / "kept").rglob("*") if file.is_file()}
    names = {"config.toml", "meta.json", "metrics.jsonl.gz", "status.json", "timing.jsonl.gz"}
    assert files == {"sweep.toml"} | {f"deep/depth{depth}/{name}" for depth in (4, 8) for name in names}
    for session in json.loads((cli.folder / "kept" / "deep" / "depth4" / "meta.json").read_text())["sessions"]:
        assert "/" not in session["command"][0]
        assert "name" not in session["host"]
    for folder in ("runs", "kept"):
        cli("report", folder, "-o", f"{folder}-page", "--metrics", "success_any")
    for name in ("capability.csv", "intervals.csv", "learning.csv"):
        pages = [(cli.folder / f"{folder}-page" / "data" / name).read_bytes() for folder in ("runs", "kept")]
        assert pages[0] == pages[1]
    assert "holds runs already" in cli.refuse("archive", "runs", "--out", "kept")
    assert "holds no run" in cli.refuse("archive", "nowhere", "--out", "other")


def test_a_damaged_archive_is_named(cli, fabricate):
    fabricate(cli.folder / "runs" / "one", 0.5)
    cli("archive", "runs", "--out", "kept")
    (cli.folder / "kept" / "one" / "metrics.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(runs.InputError, match=r"metrics\.jsonl\.gz: is damaged"):
        runs.open_run(cli.folder / "kept" / "one").metrics()
