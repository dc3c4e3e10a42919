"""A run killed at any moment and resumed ends bit for bit like one that was left alone."""

import os
import random
import signal
import time

import numpy as np
import pytest

from rl_depth import runs

pytestmark = pytest.mark.slow


def final(folder):
    run = runs.Run(folder)
    assert run.status()["state"] == "finished"
    return run.load_checkpoint(), (folder / "metrics.jsonl").read_bytes()


def assert_same(folder, wanted):
    (checkpoint, metrics), (other, other_metrics) = final(folder), wanted
    assert checkpoint.epoch == other.epoch
    assert checkpoint.arrays.keys() == other.arrays.keys()
    for name, array in checkpoint.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)
    assert metrics == other_metrics


def kill_when(process, condition, seconds=120):
    """SIGKILL the process the moment the condition holds; False if it ended before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        if condition():
            process.kill()
            process.communicate()
            return True
        time.sleep(0.001)
    raise AssertionError("the moment to kill never came")


def test_kills_at_random_moments_change_nothing(cli):
    options = cli.tiny | {"env_steps": 8000, "evals": 25, "seeds": 2}
    cli.started("train", "--out", "whole", "--quiet", *cli.flags(**options))
    wanted = final(cli.folder / "whole")

    cut = cli.folder / "cut"
    generator = random.Random(0)
    process = cli.start("train", "--out", cut, "--quiet", *cli.flags(**options))
    kills = 0
    for attempt in range(6):
        rows = generator.randrange(1, 5) + (len(runs.Run(cut).metrics()) if cut.exists() else 0)
        pause = generator.uniform(0, 0.05)

        def due(rows=rows, pause=pause):
            if cut.exists() and len(runs.Run(cut).metrics()) >= rows:
                time.sleep(pause)
                return True
            return False

        kills += kill_when(process, due)
        process = cli.start("train", "--resume", "--out", cut, "--quiet")
        del attempt
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert kills >= 3
    assert_same(cut, wanted)


def test_a_kill_while_a_checkpoint_is_written_changes_nothing(cli):
    options = cli.tiny | {"env_steps": 4000, "evals": 25, "replay_steps": 1000, "num_envs": 32, "unroll": 5}
    options["min_replay_steps"] = 20
    cli.started("train", "--out", "whole", "--quiet", *cli.flags(**options))
    wanted = final(cli.folder / "whole")
    cut = cli.folder / "cut"
    process = cli.start("train", "--out", cut, "--quiet", *cli.flags(**options))
    checkpoints = cut / "checkpoints"

    def partials():
        return list(checkpoints.glob(".*.partial"))

    def stopped_in_mid_write():
        if not partials() or not list(checkpoints.glob("*.safetensors")):
            return False
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if partials():
            return True
        process.send_signal(signal.SIGCONT)  # the write ended before the signal came
        return False

    assert kill_when(process, stopped_in_mid_write)
    assert partials()
    cli.started("train", "--resume", "--out", cut, "--quiet")
    assert_same(cut, wanted)
    assert not partials()


def test_resuming_passes_over_a_damaged_checkpoint_and_says_so(cli):
    options = cli.tiny | {"env_steps": 3200, "evals": 10}
    cli.started("train", "--out", "whole", "--quiet", *cli.flags(**options))
    wanted = final(cli.folder / "whole")
    process = cli.start("train", "--out", "cut", *cli.flags(**options))
    kill_when(process, lambda: len(runs.Run(cli.folder / "cut").metrics()) >= 4)
    files = sorted((cli.folder / "cut" / "checkpoints").glob("*.safetensors"))
    files[-1].write_bytes(files[-1].read_bytes()[:-100])
    text = cli.started("train", "--resume", "--out", "cut")
    assert f"skipping damaged checkpoint {files[-1].name}" in text
    assert_same(cli.folder / "cut", wanted)


def test_a_run_killed_before_its_first_checkpoint_starts_over_and_says_so(cli):
    options = cli.tiny | {"env_steps": 3200, "evals": 2}
    cli.started("train", "--out", "whole", "--quiet", *cli.flags(**options))
    process = cli.start("train", "--out", "cut", *cli.flags(**options))
    kill_when(process, lambda: runs.Run(cli.folder / "cut").status().get("state") == "running")
    text = cli.started("train", "--resume", "--out", "cut")
    assert "starting over" in text or "resuming after" in text
    assert_same(cli.folder / "cut", final(cli.folder / "whole"))


def test_sigterm_saves_like_ctrl_c(cli):
    process = cli.start("train", "--out", "run", *cli.flags(**cli.tiny | {"env_steps": 800_000, "evals": 2}))
    deadline = time.monotonic() + 120
    while runs.Run(cli.folder / "run").status().get("state") != "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert runs.Run(cli.folder / "run").status()["state"] == "interrupted"
