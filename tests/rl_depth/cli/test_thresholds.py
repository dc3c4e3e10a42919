"""Verdicts from a table, as a user asks for them."""

import csv
import json
import random

import pytest


@pytest.fixture
def results(cli):
    """A step at depth 32 for stacked networks, nothing for looped ones."""
    draw = random.Random(0)
    with (cli.folder / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["env", "block", "depth", "seed", "metric", "value"])
        for block in ("stacked", "looped"):
            for depth in (4, 8, 16, 32, 64, 128, 256):
                level = 0.5 if block == "looped" else 0.2 if depth < 32 else 0.8
                for seed in range(5):
                    writer.writerow(["ant", block, depth, seed, "success_any", level + draw.gauss(0, 0.05)])
                    writer.writerow(["ant", block, depth, seed, "time_at_goal", 100 * level + draw.gauss(0, 5)])
    return "results.csv"


def test_a_step_in_a_table_is_called_a_jump_and_a_flat_curve_flat(cli, results):
    text = cli("thresholds", results, "--out", "found", "--json", "found.json")
    assert "jump at 32" in text
    found = {(row["block"], row["metric"]): row for row in json.loads((cli.folder / "found.json").read_text())}
    assert len(found) == 4
    for metric in ("success_any", "time_at_goal"):
        row = found["stacked", metric]
        assert row["verdict"] == "jump" and row["env"] == "ant"
        (jump,) = row["jumps"]
        assert jump["depth"] == 32 and 16 <= jump["low"] <= 32 <= jump["high"] <= 64
        assert jump["p"] < 0.05 and jump["effect"] > 0
        assert found["looped", metric]["verdict"] == "flat" and found["looped", metric]["jumps"] == []
    assert found["stacked", "success_any"]["jumps"][0]["label"] == "confirmed"
    assert (cli.folder / "found" / "thresholds.png").stat().st_size > 10_000
    again = cli("thresholds", "found/thresholds.csv", "--out", "again")
    assert "jump at 32" in again


def test_runs_are_judged_too_and_one_depth_is_not_enough(cli):
    cli("train", "--out", "run", "--quiet", *cli.flags(**cli.tiny, seeds=2))
    cli("thresholds", "run", "--out", "found", "--json", "found.json")
    rows = json.loads((cli.folder / "found.json").read_text())
    by_mode = {"success_any", "time_at_goal", "dist_final"}
    assert {row["metric"] for row in rows} == by_mode | {f"drawn_{metric}" for metric in by_mode}
    assert {row["verdict"] for row in rows} == {"undecided"}


def test_brackets_in_names_stand_as_they_are(cli):
    lines = ["env,block,depth,seed,metric,value"]
    lines += [
        f'{env},"{block}",{depth},{seed},dist,{depth + seed}'
        for env in ("ant[big]", "ant[small]", "x[/]")
        for block in ("stacked", "looped, K[train]")
        for depth in (4, 8)
        for seed in range(2)
    ]
    (cli.folder / "named.csv").write_text("\n".join(lines) + "\n")
    for command in ("thresholds", "compare"):
        text = cli(command, "named.csv")
        assert all(name in text for name in ("ant[big]", "ant[small]", "x[/]", "K[train]"))
        assert f"runs/{command}/named" in text


def test_results_are_written_over_nothing_else(cli, results):
    cli("thresholds", results, "--out", "place")
    (cli.folder / "place" / "thresholds.csv").write_text("mine")
    assert "thresholds.csv: is there, and not as rl-depth thresholds wrote it" in cli.refuse(
        "thresholds", results, "--out", "place"
    )
    assert (cli.folder / "place" / "thresholds.csv").read_text() == "mine"


def test_broken_tables_are_refused_in_one_line(cli, results):
    (cli.folder / "broken.csv").write_text("env,block,depth,seed,metric\nant,stacked,4,0,x\n")
    assert "no column value" in cli.refuse("thresholds", "broken.csv")
    (cli.folder / "text.csv").write_text("env,block,depth,seed,metric,value\nant,stacked,4,0,x,much\n")
    assert "line 2" in cli.refuse("thresholds", "text.csv")
    assert "speed" in cli.refuse("thresholds", results, "--metrics", "speed")
    assert "no run folder" in cli.refuse("thresholds", "nowhere.csv")
