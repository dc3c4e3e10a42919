"""The benchmark measures what it says, on sizes that take a moment."""

import json

import jax
import pytest

from rl_depth.bench import speed, workload
from rl_depth.runs import RunError

TINY = {"width": 8, "batch": 16}


def test_the_update_is_timed_beside_the_textbook_one():
    rows = speed.updates((4,), ("looped",), **TINY, repetitions=1)
    assert [(row["block"], row["depth"]) for row in rows] == [("looped", 4)]
    assert rows[0]["ratio"] == pytest.approx(rows[0]["ours_ms"] / rows[0]["reference_ms"])
    assert rows[0]["matmul_share"] > 0


def test_a_timed_program_goes_on_from_its_own_state():
    load = workload.make("stacked", 4, 8, 16)
    state = jax.jit(load.agent.create)(jax.random.key(0))
    run = speed._looped(lambda *a: load.agent.update(*a)[0], state, load, {})
    assert [int(run().optimizer.count) for _ in range(2)] == [speed._UPDATES, 2 * speed._UPDATES]
    assert int(state.optimizer.count) == 0


def test_programs_take_turns():
    order = []
    speed.alternated({name: lambda name=name: order.append(name) for name in "ab"}, 2)
    assert "".join(order) == "ababab"


def test_the_parts_of_an_epoch_and_the_replay_are_measured():
    row = speed.epoch(4, env="point_maze", **TINY, repetitions=1)[0]
    assert 1 < row["replay_over_raw"] < 1.2
    assert row["collect_s"] > 0 and row["physics_s"] > 0 and row["networks_and_physics"] > 0


def test_memory_is_what_the_compiler_plans():
    (row,) = speed.memory((64,), ("looped",), width=32, batch=64)
    assert row["remat_mib"] < row["plain_mib"] and row["ratio"] == row["remat_mib"] / row["plain_mib"]


@pytest.mark.slow
def test_the_first_step_is_timed_from_the_start_of_a_process():
    rows = speed.start_up((4, 8), ("stacked",), **TINY)
    assert [row["depth"] for row in rows] == [4, 8]
    for row in rows:
        assert row["cold_s"] > row["cold_init_s"] + row["cold_compile_s"] + row["cold_step_s"] > 0
    assert "reference_s" not in rows[0] and rows[1]["reference_s"] > 0


def test_a_peer_that_does_not_run_is_named(tmp_path):
    with pytest.raises(RunError, match=r"--peer-python .*cannot be run"):
        speed.peer(tmp_path / "python", (4,), **TINY, repetitions=1)


def test_cost_prints_and_writes_its_numbers(cli, tmp_path):
    file = tmp_path / "cost.json"
    text = cli("cost", "--depth", 16, "--width", 16, "--block", "looped", "--json", file)
    numbers = json.loads(file.read_text())
    assert f"{numbers['parameters']:,}" in text and "one gradient step" in text
    assert numbers["update_seconds_at_least"] == numbers["flops_per_update"] / numbers["device_flops_per_second"]


def test_bad_sizes_are_refused(cli):
    assert "--batch 1: must be at least 2" in cli.refuse("bench", "--batch", 1)
    assert "--depth 6: must be a positive multiple" in cli.refuse("bench", "--depths", 6)
    assert "--peer-python /nowhere/python: no such file" in cli.refuse("bench", "--peer-python", "/nowhere/python")
