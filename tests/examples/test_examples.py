"""The examples are run as a reader would run them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..rl_depth.conftest import flags

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(example, *arguments):
    """The lines that it prints."""
    command = [sys.executable, EXAMPLES / example, *map(str, arguments)]
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}  # they train for longer than tests do
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_first_steps(tmp_path):
    lines = run("first_steps.py", tmp_path / "run")
    assert sum("success_any" in line for line in lines) == 5
    actions = [line for line in lines if line.startswith("depth")]
    assert len(set(line.split(":")[1] for line in actions)) == 3
    assert float(lines[-1].split(":")[1].removesuffix(" m")) < 10


@pytest.mark.slow
def test_half_an_hour_at_toy_size(tmp_path):
    tiny = {"env": "point_maze", "backend": "planar", "seeds": 1, "evals": 2} | {"env_steps": 1600, "width": 8}
    small = {"batch_size": 16, "num_envs": 4, "unroll": 20, "updates": 3, "replay_steps": 200, "min_replay_steps": 40}
    run("half_hour.py", tmp_path, "--minutes", "5", *flags(**tiny, **small, representation=8, eval_episodes=8))
    for depth in (4, 8, 16):
        assert json.loads((tmp_path / "numbers" / f"depth{depth}" / "status.json").read_text())["state"] == "finished"
    assert (tmp_path / "report" / "index.html").exists()
