"""The site builds without a warning: no dead link, no page outside the table of contents, no docstring out of shape."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_site_builds(tmp_path):
    pytest.importorskip("sphinx")
    build = Path(sys.executable).with_name("sphinx-build")  # with `python -m`, usage lines would name that
    command = [build, "--quiet", "--fail-on-warning", "--keep-going", DOCS, tmp_path / "site"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    commands = (tmp_path / "site" / "reference" / "commands.html").read_text()
    python = (tmp_path / "site" / "reference" / "python.html").read_text()
    assert (
        "rl-depth train [OPTIONS]" in commands and "--train-recurrence" in commands and "--slurm-partition" in commands
    )
    assert 'id="rl_depth.load"' in python and 'id="rl_depth.Config.train_recurrence"' in python
    assert "Annotated" not in python and " at 0x" not in python and "[default: none]" in python
