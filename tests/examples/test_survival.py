"""The table of what survived, of runs one of whose seeds diverged."""

import subprocess
import sys
from pathlib import Path

import pytest

from rl_depth.config import Config
from rl_depth.training import session

from ..rl_depth.conftest import TINY

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "survival.py"


def table(folder):
    done = subprocess.run([sys.executable, EXAMPLE, folder], capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_lost_seeds_are_counted_and_the_others_measured(tmp_path):
    session.train(Config(**TINY, norm="pre", residual_scale=0.5), tmp_path / "a")
    lost = Config(**TINY, seeds=2, precision="bfloat16", per_seed="critic_lr=[1e-3, 1e38]")
    session.train(lost, tmp_path / "b")
    code, text = table(tmp_path)
    assert code == 0
    first, second = ([cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:])
    assert [first[:4], second[:4]] == [["4", "inner", "1", "bfloat16"], ["4", "pre", "0.5", "float32"]]
    assert (first[5], second[5]) == ("1 of 2", "1 of 1")
    assert all(0 < float(line[6]) < 10 and float(line[7]) == 2.77 and float(line[8]) <= 1 for line in (first, second))


def test_a_folder_without_runs_is_one_line(tmp_path):
    assert table(tmp_path) == (1, f"{tmp_path}: holds no run that began\n")
