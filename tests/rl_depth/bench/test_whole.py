"""Whole runs are timed as processes, and a peer that cannot train is named."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from rl_depth.bench import whole
from rl_depth.runs import RunError

MARKS = [{"env_steps": 800 * n, "train_seconds": 2.0 * n, "eval_seconds": 0.001} for n in (1, 2)]
WORK = whole.Work(rounds=4, num_evals=2, num_envs=4, episode_length=129, batch=256, unroll=50)


def peer(folder: Path, body: str) -> Path:
    """A stand-in for the Python that has the peer."""
    file = folder / "python"
    file.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def test_both_do_the_same_work():
    asked, ours = WORK.peer_arguments(), WORK.our_arguments()
    ours = dict(zip(ours[::2], ours[1::2], strict=True))
    assert ours["--updates"] == "2" and WORK.warmup == 20
    rounds = (asked["env_steps"] - 4 * 1000) // (4 * 50)
    assert rounds == 4 and int(ours["--env-steps"]) == 4 * 50 * (20 + rounds)


def test_rates_of_the_peer_are_per_second_of_training(tmp_path):
    python = peer(tmp_path, f"print({whole.PEER_FIRST!r}, file=sys.stderr)\nprint({json.dumps({'marks': MARKS})!r})")
    row = whole._peer_row(python, WORK, str(tmp_path))
    assert row["env_steps_per_s"] == 200 and row["grad_steps_per_s"] == 2  # a round of 50 steps in 4 copies each second
    assert row["first_s"] < row["wall_s"] and row["peak_mib"] > 0


def test_a_peer_that_lacks_something_is_one_line(tmp_path):
    python = peer(tmp_path, "print('noise\\nno jaxgcrl here', file=sys.stderr)\nsys.exit(1)")
    with pytest.raises(RunError, match=r"^--peer-python .*/python: no jaxgcrl here$"):
        whole.against_peer(python, WORK, 1)
    script = Path(whole.__file__).with_name("peer_train.py")
    seen = whole.watch([sys.executable, str(script), json.dumps(WORK.peer_arguments())], "never", str(tmp_path))
    assert seen.code == 1 and seen.err.splitlines()[-1].startswith("jaxgcrl cannot train in this environment: ")


def test_a_run_that_fails_says_why(tmp_path):
    with pytest.raises(RunError, match="--env nowhere"):
        whole._ours(["--env", "nowhere"], tmp_path / "run", os.devnull)


def test_whole_asks_for_what_it_needs(cli):
    assert "--whole: needs --peer-python" in cli.refuse("bench", "--whole")
    assert "--rounds 5: must be a multiple of 4" in cli.refuse(
        "bench", "--whole", "--rounds", 5, "--peer-python", sys.executable
    )


@pytest.mark.slow
def test_a_start_is_timed_to_the_first_gradient_steps():
    (row,) = whole.starts(["point_maze"])
    assert row["env"] == "point_maze" and row["cold_s"] > 0 and row["warm_s"] > 0
