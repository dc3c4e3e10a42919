"""Looped against stacked agents at equal cost, in run folders whose answer is known."""

import json

import pytest

from rl_depth.analysis import plots
from rl_depth.analysis.compare.matched import AXES, matched
from rl_depth.analysis.runs.groups import gather


def matches(folder, metric="success_any"):
    return {(m.looped_depth, m.axis): m for m in matched(gather([folder]).groups, metric)}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, fabricate):
    """Loops of any depth do as well as the stack of that depth, in half the time."""
    folder = tmp_path_factory.mktemp("matched")
    for depth, level in ((4, 0.2), (8, 0.5), (16, 0.8)):
        fabricate(folder / f"s{depth}", level, depth=depth, seeds=6, seconds_per_epoch=2.0)
        fabricate(folder / f"l{depth}", level, depth=depth, seeds=6, seconds_per_epoch=1.0, block="looped")
    return folder


def test_each_axis_has_the_partner_that_is_equal_on_it(sweep):
    found = matches(sweep)
    assert {key: m.stacked_depth for key, m in found.items()} == {
        **{(depth, "depth"): depth for depth in (4, 8, 16)},
        **{(depth, "parameters"): 4 for depth in (4, 8, 16)},
        **{(depth, "flops_per_update"): depth for depth in (4, 8, 16)},
        **{(depth, "train_seconds"): depth for depth in (4, 8, 16)},
    }
    for depth in (4, 8, 16):
        costs = found[depth, "parameters"]
        assert costs.looped_cost == costs.stacked_cost
        at_depth = found[depth, "depth"].contrast
        assert abs(at_depth.difference.value) < 0.1
        assert at_depth.difference.low < 0 < at_depth.difference.high or depth == 4
    deep = found[16, "parameters"]
    assert deep.contrast.difference.value == pytest.approx(0.8 * 0.8 - 0.8 * 0.2, abs=0.06)
    assert deep.contrast.improvement.value == 1
    assert "looped, depth 16 against stacked, depth 4 at 18,533 parameters: success_any +0." in deep.text


def test_at_equal_time_the_quicker_agent_has_seen_more(sweep):
    found = matches(sweep)[16, "train_seconds"]
    assert found.looped_cost == found.stacked_cost == pytest.approx(5.0)
    # Loops have made all five evaluations by then, stacks two: means of 0.48, 0.64, 0.8 and of 0.16, 0.32.
    assert found.contrast.difference.value == pytest.approx(0.64 - 0.24, abs=0.06)


def test_lower_distances_are_improvements(sweep):
    found = matches(sweep, "dist_final")[16, "parameters"].contrast
    assert found.difference.value < 0
    assert found.improvement.value == 1


def test_what_is_missing_is_said(tmp_path, fabricate):
    fabricate(tmp_path / "s", 0.5, depth=8, width=64, seeds=2)
    fabricate(tmp_path / "l", 0.5, depth=16, block="looped", seeds=2)
    found = matches(tmp_path)
    assert all(m.contrast is None and m.stacked is None for m in found.values())
    assert found[16, "depth"].text == "looped, depth 16, width 32: no stacked run of this depth, but of 8"
    assert "no stacked run of 18,533 parameters; stacked, depth 8, width 64 has 6.1 times that" in (
        found[16, "parameters"].text
    )
    assert found[16, "depth"].to_json()["difference"] is None


def test_agents_trained_otherwise_are_not_compared(tmp_path, fabricate):
    fabricate(tmp_path / "s", 0.5, depth=8, batch_size=64, env_steps=32_000)
    fabricate(tmp_path / "l", 0.5, depth=8, block="looped")
    found = matches(tmp_path)[8, "depth"]
    assert found.text.endswith("no stacked run with the same env steps (16000), batch size (128)")


def test_unfinished_agents_are_compared_at_equal_time_alone(tmp_path, fabricate):
    fabricate(tmp_path / "s", 0.5, depth=8, until=0.6, seeds=2)
    fabricate(tmp_path / "l", 0.5, depth=8, block="looped", seeds=2)
    found = matches(tmp_path)
    assert "trained for 16,000 steps so far, stacked runs for 9,600" in found[8, "depth"].text
    assert found[8, "train_seconds"].contrast is not None
    assert found[8, "train_seconds"].looped_cost == pytest.approx(0.8 * 3)


def test_times_of_other_devices_or_without_records_are_not_compared(tmp_path, fabricate):
    fabricate(tmp_path / "s", 0.5, depth=8)
    run = fabricate(tmp_path / "l", 0.5, depth=8, block="looped")
    meta = run.meta()
    meta["sessions"][0]["device"]["kind"] = "gpu"
    run.write_meta(meta)
    assert "trained on another device (gpu) than the stacked run (cpu)" in matches(tmp_path)[8, "train_seconds"].text
    (run.path / "timing.jsonl").unlink()
    assert "training time not recorded" in matches(tmp_path)[8, "train_seconds"].text


def test_single_seeds_give_differences_without_intervals(tmp_path, fabricate):
    fabricate(tmp_path / "s", 0.2, depth=8)
    fabricate(tmp_path / "l", 0.8, depth=8, block="looped")
    found = matches(tmp_path)[8, "depth"]
    assert "(fewer than 5 seeds: no interval)" in found.text
    assert found.to_json()["difference"]["low"] is None
    json.dumps(found.to_json(), allow_nan=False)


def test_better_needs_five_seeds_and_a_test_corrected_for_the_page(sweep, tmp_path, fabricate):
    every = matched(gather([sweep]).groups, "success_any")
    apart = {(m.looped_depth, m.axis) for m in every if m.outcome == "better"}
    assert apart == {(depth, axis) for depth in (8, 16) for axis in ("parameters", "train_seconds")} | {
        (4, "train_seconds")
    }
    same = next(m for m in every if (m.looped_depth, m.axis) == (8, "depth"))
    assert same.outcome == "not told apart" and same.p > 0.05
    # Eight pairs differ: at equal depth and FLOPs the loop meets the same stack.
    best = next(m for m in every if (m.looped_depth, m.axis) == (16, "parameters"))
    assert best.contrast.p == pytest.approx(2 / 924)
    fabricate(tmp_path / "s", 0.1, depth=8, seeds=4)
    fabricate(tmp_path / "l", 0.9, depth=8, block="looped", seeds=4)
    found = matched(gather([tmp_path]).groups, "success_any")
    assert {m.outcome for m in found if m.contrast} == {"too few seeds"}
    assert {m.outcome for m in found if not m.contrast} == {""}


def test_one_kind_of_block_gives_nothing_to_compare(tmp_path, fabricate):
    fabricate(tmp_path / "s", 0.5)
    assert matched(gather([tmp_path]).groups, "success_any") == []


def test_the_figure_has_a_panel_per_axis(sweep, tmp_path):
    plots.matched(list(matches(sweep).values()), tmp_path / "matched.png")
    assert (tmp_path / "matched.png").stat().st_size > 10_000
    assert len(AXES) == 4
