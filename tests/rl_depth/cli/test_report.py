"""A report as a user asks for it."""

import json
import re


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
