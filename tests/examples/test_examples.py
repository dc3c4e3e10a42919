"""The example is run as a reader would run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "first_steps.py"


@pytest.mark.slow
def test_first_steps(tmp_path):
    command = [sys.executable, EXAMPLE, tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum("success_any" in line for line in lines) == 5
    actions = [line for line in lines if line.startswith("depth")]
    assert len(set(line.split(":")[1] for line in actions)) == 3
    assert float(lines[-1].split(":")[1].removesuffix(" m")) < 10
