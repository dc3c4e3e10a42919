"""The command line, started as a user starts it."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rl_depth import runs


def test_help_and_version_name_units_and_defaults(cli):
    assert "train" in cli("--help")
    text = cli("train", "--help")
    assert "default: 8" in text and "metres" not in cli("--version")
    assert "--batch-size" in text and "Dense layers" in text


def test_nothing_heavy_is_imported_before_the_flags_are_parsed():
    heavy = "{'jax', 'flax', 'optax', 'brax', 'mujoco', 'matplotlib', 'scipy', 'numpy'}"
    code = f"import sys; import rl_depth.cli; sys.exit(' '.join(sys.modules.keys() & {heavy}) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_train_evaluate_compare(cli):
    cli("train", "--out", "a", *cli.flags(**cli.tiny, seeds=2))
    rows = runs.Run(cli.folder / "a").metrics()
    assert {(row["epoch"], row["seed"]) for row in rows} == {(e, s) for e in (4, 8, 12, 16, 20) for s in (0, 1)}
    assert all(row["env_steps"] == row["epoch"] * 80 for row in rows)
    assert runs.Run(cli.folder / "a").status()["state"] == "finished"

    assert "goal distance" in cli("evaluate", "a", "--episodes", "4", "--json", "found.json")
    found = json.loads((cli.folder / "found.json").read_text())
    assert [row["seed"] for row in found] == [0, 1]
    assert [level["episodes"] for level in found[0]["by_difficulty"]] == [4, 4, 4]
    assert [level["goal_distance"] for level in found[0]["by_difficulty"]] == [4, 5, 6]

    cli("train", "--out", "b", "--quiet", *cli.flags(**cli.tiny, block="looped"))
    text = cli("compare", "a", "b", "--out", "c", "--json", "rows.json")
    assert "stacked" in text and "looped" in text
    rows = json.loads((cli.folder / "rows.json").read_text())
    assert [(row["block"], row["seeds"]) for row in rows] == [("looped", 1), ("stacked", 2)]
    assert rows[0]["parameters"] < rows[1]["parameters"] or rows[0]["depth"] == 4
    assert (cli.folder / "c" / "compare.png").stat().st_size > 10_000


def test_a_looped_run_is_evaluated_at_other_depths_and_a_stacked_one_not_beyond_its_own(cli):
    cli("train", "--out", "loop", "--quiet", *cli.flags(**cli.tiny, block="looped"))
    cli("evaluate", "loop", "--episodes", "2", "--depths", "4,16", "--json", "found.json")
    fixed = json.loads((cli.folder / "found.json").read_text())
    assert [row["depth"] for row in fixed] == [4, 16]
    text = cli("evaluate", "loop", "--episodes", "2", "--halt", "fixed-point:0.2:32", "--json", "found.json")
    assert "halting by fixed-point:0.2:32" in text
    row = json.loads((cli.folder / "found.json").read_text())[0]
    for place in (row, *row["by_difficulty"]):
        share = {int(depth): s for depth, s in place["depth_share"].items()}
        assert set(share) <= set(range(4, 33, 4)) and abs(sum(share.values()) - 1) < 1e-5
        assert abs(sum(depth * s for depth, s in share.items()) - place["depth_mean"]) < 1e-3
    text = cli("evaluate", "loop", "--episodes", "2", "--halt", "budget:16", "--json", "budget.json")
    assert "16 to 16" in text
    budget = json.loads((cli.folder / "budget.json").read_text())[0]
    assert budget["depth_share"] == {"16": 1.0}
    assert abs(budget["dist_final"] - fixed[1]["dist_final"]) < 1e-4
    assert "budget:DEPTH" in cli.refuse("evaluate", "loop", "--halt", "budget:0.1")
    assert "--halt fixed-point:0:8" in cli.refuse("evaluate", "loop", "--halt", "fixed-point:0:8")
    assert "--halt fixed-point:1:7" in cli.refuse("evaluate", "loop", "--halt", "fixed-point:1:7")
    assert "drop --depths" in cli.refuse("evaluate", "loop", "--halt", "fixed-point:1", "--depths", "8")
    assert "--depths: depth 6" in cli.refuse("evaluate", "loop", "--depths", "6")
    cli("train", "--out", "stack", "--quiet", *cli.flags(**cli.tiny))
    assert "stacked and has 4 layers" in cli.refuse("evaluate", "stack", "--depths", "8")
    assert "stacked and has 4 layers" in cli.refuse("evaluate", "stack", "--halt", "budget:8")


def test_extrapolating_tests_looped_runs_beyond_their_depth(cli):
    law = {"block": "looped", "train_recurrence": "uniform:1:3"}
    cli("train", "--out", "runs/loop", "--quiet", *cli.flags(**cli.tiny | {"depth": 8} | law, seeds=2))
    text = cli("extrapolate", "runs", "--depths", "4,8,32", "--episodes", "2", "--out", "found")
    assert "looped, uniform:1:3" in text
    found = json.loads((cli.folder / "found" / "extrapolation.json").read_text())
    assert found["made_with"]["versions"]["jax"] and found["protocol"]["episodes_per_difficulty"] == 2
    (row,) = found["runs"]
    assert row["depths"] == [4, 8, 32] and row["trained_depth"] == 12 and row["seeds"] == [0, 1]
    for part, name, shape in (
        ("capability", "success_any", (2, 3)),
        ("critic", "infonce", (2, 3)),
        ("latents", "two_starts", (2, 8)),
    ):
        one = row[part][name]
        assert np.shape(one["values"]) == shape
        np.testing.assert_allclose(np.mean(one["values"], axis=0), one["mean"], rtol=1e-4, atol=1e-5)
        assert np.all(np.array(one["low"]) <= one["mean"]) and np.all(np.array(one["mean"]) <= one["high"])
    assert row["latents"]["angle"]["mean"][0] is None
    assert set(row["verdicts"]) == {"success_any", "time_at_goal", "dist_final"}
    for verdict in row["verdicts"].values():
        if verdict["breakdown"] == "no capability":  # as an agent this small may be
            assert (verdict["ratio"], verdict["reach"], verdict["breaks_at"]) == (0, 0, None)
            continue
        assert verdict["ratio"] in (4 / 12, 8 / 12, 32 / 12)
        assert (verdict["breaks_at"] is None) == (verdict["breakdown"] == "holds") == (verdict["ratio"] > 1)
    for name in ("extrapolation.png", "latents.png"):
        assert (cli.folder / "found" / name).stat().st_size > 10_000
    cli("train", "--out", "stack", "--quiet", *cli.flags(**cli.tiny))
    assert "stacked and has 4 layers" in cli.refuse("extrapolate", "stack", "--depths", "4,8")
    text = cli("extrapolate", ".", "--depths", "4,8", "--episodes", "2", "--out", "both")
    assert "stack: left out" in text
    assert len(json.loads((cli.folder / "both" / "extrapolation.json").read_text())["runs"]) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--env", "point_mase"], ["point_mase", "point_maze"]),
        (["train", "--depth", "6"], ["--depth 6", "4 or 8"]),
        (["train", "--depth", "8.5"], ["--depth", "8.5"]),
        (["train", "--dept", "8"], ["--dept", "--depth"]),
        (["train", "--batch-size", "99999"], ["--batch-size 99999"]),
        (["train", "--preset", "absent"], ["absent"]),
        (["train", "--preset", "absent.toml"], ["absent.toml"]),
        (["train", "--resume"], ["--resume", "--out"]),
        (["train", "--resume", "--out", "nowhere", "--quiet"], ["--out nowhere", "no run"]),
        (["train", "--backend", "mjx"], ["mjx", "planar"]),
        (["train", "--physics-threads", "0"], ["--physics-threads 0", "at least 1"]),
        (["evaluate"], ["RUN"]),
        (["render"], ["run folders"]),
        (["render", "x", "--env", "ant"], ["not both"]),
        (["render", "--env", "ant", "--policy", "clever"], ["--policy clever", "random"]),
        (["dance"], ["dance"]),
    ],
    ids=" ".join,
)
def test_bad_calls_are_answered_with_one_line_and_touch_nothing(cli, arguments, words):
    text = cli.refuse(*arguments)
    for word in words:
        assert word in text
    assert list(cli.folder.iterdir()) == []


def test_environments_are_listed_and_stepped(cli):
    text = cli("envs", "point_maze", "random_point_maze")
    assert "train eval large" in text and "planar" in text
    text = cli("envs", "point_maze", "--check")
    name, backend, rate = text.splitlines()[-1].split()
    assert (name, backend) == ("point_maze", "planar") and float(rate.replace(",", "")) > 100
    assert "nearest: point_maze" in cli.refuse("envs", "point_mase")


def test_out_may_not_be_a_file(cli):
    (cli.folder / "notes").write_text("keep")
    assert "--out notes: is a file" in cli.refuse("train", "--out", "notes", *cli.flags(**cli.tiny))
    assert (cli.folder / "notes").read_text() == "keep"


def test_packages_of_the_user_s_own_hide_none_of_ours(tmp_path):
    for name in ("envs", "analysis", "configs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not yours')")
    command = [sys.executable, "-m", "rl_depth", "envs"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "point_maze" in done.stdout, done.stderr


def test_a_missing_run_is_a_failure(cli):
    assert "not a run folder" in cli.refuse("evaluate", "nowhere")
    assert "no run folder" in cli.refuse("compare", "nowhere")


def test_no_permission_to_write(cli):
    if os.geteuid() == 0:
        (cli.folder / "file").write_text("")  # root may write anywhere, but not below a file
        target = "file/run"
    else:
        (cli.folder / "closed").mkdir(mode=0o500)
        target = "closed/run"
    assert "cannot be written" in cli.refuse("train", "--out", target, *cli.flags(**cli.tiny))


def test_a_full_disk_keeps_what_was_saved(cli, monkeypatch):
    """A limit on file size stands in for a full disk: the second checkpoint of a growing run hits it."""
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "0")  # whose files are not what is limited here
    cli("train", "--out", "run", "--quiet", *cli.flags(**cli.tiny | {"checkpoint_every": 2, "evals": 4}))
    size = max(f.stat().st_size for f in (cli.folder / "run" / "checkpoints").iterdir())

    text = cli.started(
        "train", "--out", "full", "--quiet", *cli.flags(**cli.tiny), code=1, largest_file=size - 1
    ).strip()
    assert "rl-depth: error: full: " in text and "\n" not in text
    assert runs.Run(cli.folder / "full").status()["state"] == "failed"
    leftovers = [f for f in (cli.folder / "full").rglob("*") if f.name.endswith(".partial")]
    assert not leftovers


def test_tensorboard_gets_every_metric_and_a_missing_extra_is_named(cli):
    pytest.importorskip("tensorboardX")
    cli("train", "--out", "run", "--quiet", "--tensorboard", *cli.flags(**cli.tiny, seeds=2))
    files = sorted((cli.folder / "run" / "tensorboard").rglob("*tfevents*"))
    assert [file.parent.name for file in files] == ["seed0", "seed1"]
    assert all(b"success_any" in file.read_bytes() for file in files)
    if importlib.util.find_spec("wandb") is None:
        assert "rl-depth[wandb]" in cli.refuse("train", "--wandb", "x", "--out", "other", *cli.flags(**cli.tiny))
        assert not (cli.folder / "other").exists()


def test_ctrl_c_saves_and_says_how_to_go_on(cli):
    process = cli.start("train", "--out", "run", *cli.flags(**cli.tiny | {"env_steps": 800_000, "evals": 2}))
    wait_until(lambda: runs.Run(cli.folder / "run").status().get("state") == "running", process)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "rl-depth train --resume --out run" in err and "Traceback" not in err
    run = runs.Run(cli.folder / "run")
    assert run.status()["state"] == "interrupted"
    assert run.load_checkpoint().epoch == run.status()["epoch"] > 0
    del out


def wait_until(condition, process, seconds: float = 120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_diverging_run_stops_with_its_last_good_checkpoint(cli):
    flags = cli.flags(**cli.tiny, actor_lr=1e30, critic_lr=1e30)
    text = cli("train", "--out", "run", "--quiet", *flags, code=1)
    assert "every seed diverged" in text
    run = runs.Run(cli.folder / "run")
    assert run.status()["state"] == "failed" and run.status()["diverged"] == {"0": 2}
    for array in run.load_checkpoint().arrays.values():
        assert not np.issubdtype(array.dtype, np.floating) or np.all(np.isfinite(array))
    assert "every seed diverged" in cli("train", "--resume", "--out", "run", "--quiet", code=1)
    assert run.status()["state"] == "failed"
