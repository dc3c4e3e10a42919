"""Runs put together by what they are, and what is left out of them."""

import json

import numpy as np
import pytest

from rl_depth.analysis.runs.groups import gather, group_runs
from rl_depth.analysis.thresholds import difficulty
from rl_depth.runs import RunError, find_runs


def labels(folder):
    return [group.label for group in gather([folder]).groups]


def test_seeds_of_one_configuration_make_a_group_whatever_its_bookkeeping(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, depth=8, seed=3, seeds=2)
    fabricate(tmp_path / "b", 0.5, depth=8, seed=0, checkpoint_every=2, keep_checkpoints=1, remat=True)
    fabricate(tmp_path / "c", 0.5, actor_depth=8, critic_depth=8, depth=16, seed=1, seconds_per_epoch=0.8)
    gathered = gather([tmp_path, tmp_path / "a"])
    (group,) = gathered.groups
    assert group.seeds.tolist() == [0, 1, 3, 4]
    assert (group.depth, group.block, group.label, gathered.notes) == (8, "stacked", "stacked, depth 8", ())
    assert group.curves["success_any"].shape == group.seconds.shape == (4, 5)
    assert np.all(np.diff(group.curves["success_any"]) > 0)
    assert group.final("success_any") == pytest.approx(group.curves["success_any"][:, -3:].mean(axis=1))
    assert group.train_seconds == pytest.approx(0.8 * 5)  # a packed run's time is shared among its seeds


def test_labels_say_what_differs_within_the_environment(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, depth=8, width=16)
    fabricate(tmp_path / "b", 0.5, depth=8, width=32)
    fabricate(tmp_path / "c", 0.5, depth=8, width=32, block="looped", injection="concat")
    fabricate(tmp_path / "d", 0.5, depth=8, width=32, block="looped", train_recurrence="uniform:1:3")
    fabricate(tmp_path / "e", 0.5, depth=8, width=64, env="random_point_maze", env_steps=32_000)
    assert labels(tmp_path) == [
        "looped, depth 8, width 32, injection concat",
        "looped, depth 8, width 32, train recurrence uniform:1:3, injection add",
        "stacked, depth 8, width 16",
        "stacked, depth 8, width 32",
        "stacked, depth 8",
    ]


def test_seeds_with_options_of_their_own_are_no_replicates(tmp_path, fabricate):
    fabricate(tmp_path / "run", 0.5, depth=8, seeds=2, per_seed="gamma=[0.9, 0.99]")
    fabricate(tmp_path / "more", 0.5, depth=8, seed=2, seeds=2, gamma=0.9)
    assert labels(tmp_path) == ["stacked, depth 8, gamma 0.9", "stacked, depth 8, gamma 0.99"]
    assert [group.seeds.tolist() for group in gather([tmp_path]).groups] == [[0, 2, 3], [1]]


def test_rows_of_foreign_seeds_are_left_out(tmp_path, fabricate):
    run = fabricate(tmp_path / "run", 0.5, depth=8)
    run.append([row | {"seed": 5} for row in run.metrics()], run.timing()[-1])
    gathered = gather([tmp_path])
    assert gathered.groups[0].seeds.tolist() == [0]
    assert gathered.notes == (f"left out, a seed that the run's config.toml does not have: {run.path}, seed 5",)


def test_networks_of_their_own_depth_and_block_are_named(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, depth=8, actor_depth=4)
    fabricate(tmp_path / "b", 0.5, depth=8, phi_depth=16)
    fabricate(tmp_path / "c", 0.5, depth=8, actor_block="looped", actor_width=16)
    assert labels(tmp_path) == [
        "stacked, actor depth 4, critic depth 8, width 32",
        "stacked, depth 8, actor block looped, width 32, actor width 16",
        "stacked, actor depth 8, phi depth 16, psi depth 8, width 32",
    ]


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path, fabricate):
    for seed in range(3):
        fabricate(tmp_path / f"good-{seed}", 0.5, depth=8, seed=seed)
    for seed in (3, 4, 5, 6):
        fabricate(tmp_path / f"none-{seed}", 0.5, depth=8, seed=seed, until=0)
    rows = fabricate(tmp_path / "nan", 0.5, depth=8, seed=7).metrics()
    rows[-1]["dist_final"] = float("nan")
    (tmp_path / "nan" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fabricate(tmp_path / "torn", 0.5, depth=8, seed=8)
    (tmp_path / "torn" / "metrics.jsonl").write_text("{]\n")
    fabricate(tmp_path / "other", 0.5, depth=8, seed=9)
    (tmp_path / "other" / "metrics.jsonl").write_text('{"loss": 1}\n')
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "config.toml").write_text("[tool]\nname = 1\n")
    fabricate(tmp_path / "again", 0.5, depth=8, seed=0)
    gathered = gather([tmp_path])
    assert gathered.groups[0].seeds.tolist() == [0, 1, 2]
    notes = "\n".join(gathered.notes)
    none = ", ".join(gathered.notes).split("no evaluation yet: ")[1]
    assert none.count("none-") == 3 and "and 1 more" in none
    for words in (
        f"dist_final is not finite: {tmp_path}/nan, seed 7",
        f"metrics.jsonl: line 1 is not JSON: {tmp_path}/torn",
        f"metrics.jsonl, line 1 is no evaluation with seed and env_steps: {tmp_path}/other",
        "config.toml: unknown key 'tool'",
        f"the same options and seed as another run: {tmp_path}/good-0 (as {tmp_path}/again)",
    ):
        assert f"left out, {words}" in notes


def test_nothing_usable_is_an_error_that_says_why(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, until=0)
    with pytest.raises(RunError, match=r"no run can be used; left out, no evaluation yet: .*a"):
        gather([tmp_path])
    with pytest.raises(RunError, match="no run folder there"):
        gather([tmp_path / "nowhere"])


def test_finished_seeds_do_not_wait_for_the_others(tmp_path, fabricate):
    fabricate(tmp_path / "done", 0.5, depth=8, seeds=2)
    fabricate(tmp_path / "half", 0.5, depth=8, seed=2, until=0.4)
    fabricate(tmp_path / "early", 0.5, depth=16, seeds=2, until=0.6)
    gathered = gather([tmp_path])
    done, early = gathered.groups
    assert (done.seeds.tolist(), done.env_steps[-1], done.finished) == ([0, 1], 16_000, True)
    assert (early.seeds.tolist(), early.env_steps[-1], early.finished) == ([0, 1], 9_600, False)
    assert f"left out, not finished as other seeds are: {tmp_path}/half, seed 2 at 6,400 of 16,000 steps" in (
        gathered.notes
    )
    assert any(note.startswith("not finished, judged where it stands") for note in gathered.notes)


def test_a_seed_that_diverged_counts_with_what_it_had(tmp_path, fabricate):
    fabricate(tmp_path / "run", 0.5, depth=8, seeds=3, noise=0, diverged={1: 3})
    fabricate(tmp_path / "never", 0.5, depth=8, seed=3, diverged={3: 1})
    gathered = gather([tmp_path])
    (group,) = gathered.groups
    assert group.diverged == (1,)
    assert group.curves["success_any"] == pytest.approx(np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.2, 0.2, 0.2, 0.2], [0.1, 0.2, 0.3, 0.4, 0.5]]))  # fmt: skip  # noqa: E501
    assert gathered.notes == (
        f"left out, diverged before the first evaluation: {tmp_path}/never, seed 3",
        "diverged, judged by the last evaluations before: point_maze, stacked, depth 8, seed 1",
    )


def test_a_seed_that_diverged_does_not_speak_for_those_still_learning(tmp_path, fabricate):
    fabricate(tmp_path / "run", 0.5, depth=8, seeds=3, until=0.8, diverged={1: 2})
    (group,) = gather([tmp_path]).groups
    assert group.seeds.tolist() == [0, 1, 2]
    assert not group.finished


def test_a_torn_last_line_and_lost_small_files_cost_only_what_they_held(tmp_path, fabricate):
    run = fabricate(tmp_path / "run", 0.5, depth=8)
    text = (run.path / "metrics.jsonl").read_text()
    (run.path / "metrics.jsonl").write_text(text[:-20])
    (run.path / "status.json").write_text("{")
    (run.path / "meta.json").write_text("[]")
    (run.path / "timing.jsonl").unlink()
    (group,) = group_runs(find_runs(tmp_path))
    assert group.env_steps.tolist() == [3_200, 6_400, 9_600, 12_800]
    assert group.cost == {}
    assert np.isnan(group.train_seconds)


def test_a_metric_must_be_there_at_the_end(tmp_path, fabricate):
    rows = fabricate(tmp_path / "run", 0.5, depth=8).metrics()
    del rows[0]["infonce"], rows[-1]["dist_min"]
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (group,) = gather([tmp_path]).groups
    assert np.isnan(group.curves["infonce"][0, 0])
    assert "dist_min" not in group.curves


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("status.json", {"diverged": {"x": 1}}),
        ("status.json", {"diverged": 3}),
        ("meta.json", {"sessions": 3, "cost": 4}),
        ("meta.json", {"sessions": [3]}),
        ("meta.json", {"sessions": [{"device": "GPU"}]}),
    ],
)
def test_small_files_written_by_something_else_say_nothing(tmp_path, fabricate, file, content):
    fabricate(tmp_path / "a", 0.5, depth=8)
    (tmp_path / "a" / file).write_text(json.dumps(content))
    (group,) = gather([tmp_path]).groups
    assert group.diverged == () and len(group.seeds) == 1


DAMAGE = {
    "deep metrics": ("metrics.jsonl", "[" * 100_000 + "\n"),
    "deep meta": ("meta.json", "[" * 100_000),
    "deep status": ("status.json", "[" * 100_000),
    "deep timing": ("timing.jsonl", "[" * 100_000 + "\n"),
    "metrics a folder": ("metrics.jsonl", None),
    "timing a folder": ("timing.jsonl", None),
    "meta a folder": ("meta.json", None),
    "config a folder": ("config.toml", None),
    "config deep": ("config.toml", "a = " + "[" * 100_000),
    "config binary": ("config.toml", "\udcff"),
    "rows are numbers": ("metrics.jsonl", "3\n"),
    "huge steps": ("metrics.jsonl", '{"seed": 0, "env_steps": 1' + "0" * 400 + "}\n"),
    "huge value": ("metrics.jsonl", '{"seed": 0, "env_steps": 16000, "success_any": 1' + "0" * 400 + "}\n"),
    "costs in words": ("meta.json", '{"cost": {"parameters": "many", "flops_per_update": null}, "sessions": [3]}'),
    "times in words": ("timing.jsonl", '{"env_steps": 3200, "train_seconds": "long"}\n'),
    "a list of seeds": ("status.json", '{"diverged": [0, 1]}'),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_folder_never_stops_the_analysis_of_others(tmp_path, fabricate, name):
    fabricate(tmp_path / "good", 0.5, depth=8)
    bad = fabricate(tmp_path / "bad", 0.5, depth=16).path
    file, text = DAMAGE[name]
    (bad / file).unlink()
    if text is None:
        (bad / file).mkdir()
    else:
        (bad / file).write_text(text, errors="surrogateescape")
    found = gather([tmp_path])
    assert found.groups[0].depth == 8
    assert len(found.groups) == 2 or any("left out" in note and "bad" in note for note in found.notes)


@pytest.mark.parametrize(
    "levels",
    [
        "text",
        [1],
        3,
        None,
        {"a": 1},
        [{"goal_distance": "far", "episodes": 3}],
        [{"goal_distance": 1.0, "episodes": 0}],
        [{"episodes": 3}],
        [{"goal_distance": 1.0, "episodes": 3, "success_any": [1]}],
        [{"goal_distance": 1.0, "episodes": 3, "success_any": 10**400}],
    ],
)
def test_entries_per_difficulty_of_odd_types_are_left_out_with_a_note(tmp_path, fabricate, levels):
    fabricate(tmp_path / "good", 0.5, depth=8)
    bad = fabricate(tmp_path / "bad", 0.5, depth=16)
    rows = [row | {"by_difficulty": levels} for row in bad.metrics()]
    (bad.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = gather([tmp_path])
    assert [len(group.levels[0]) > 0 for group in found.groups] == [True, False]
    assert any(note.startswith("by_difficulty cannot be read") and note.count("bad") == 1 for note in found.notes)
    assert len(difficulty.from_groups(found.groups)[0].depths) == 2


def test_a_copied_run_of_several_seeds_is_named_once(tmp_path, fabricate):
    fabricate(tmp_path / "one", 0.5, seeds=3)
    fabricate(tmp_path / "two", 0.5, seeds=3)
    (note,) = [note for note in gather([tmp_path]).notes if "same options" in note]
    assert note.count("two (as") == 1
