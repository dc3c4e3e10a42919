"""A run so small that starting Python takes longer than training."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl_depth.cli import main as command_line

TINY = {
    "env_steps": 1600,
    "depth": 4,
    "width": 8,
    "representation": 8,
    "batch_size": 16,
    "num_envs": 4,
    "unroll": 20,
    "updates": 3,
    "replay_steps": 200,
    "min_replay_steps": 40,
    "evals": 5,
    "eval_episodes": 8,
}


def flags(**options) -> list[str]:
    """``batch_size=16`` as ``--batch-size 16``."""
    return [word for name, value in options.items() for word in ("--" + name.replace("_", "-"), str(value))]


_LIMITED = """
import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Cli:
    """Runs ``rl-depth`` in an empty folder, in this process or as a user would start it."""

    tiny = TINY
    flags = staticmethod(flags)

    def __init__(self, folder: Path):
        self.folder = folder

    def start(self, *arguments, largest_file: int | None = None) -> subprocess.Popen:
        """A running process; no file it writes may grow beyond ``largest_file`` bytes."""
        command = [sys.executable, "-m", "rl_depth", *map(str, arguments)]
        if largest_file is not None:
            command = [sys.executable, "-c", _LIMITED, str(largest_file), *command]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=os.environ, **pipes)

    def started(self, *arguments, code: int = 0, largest_file: int | None = None) -> str:
        """Run a process to the end; what it printed, both streams."""
        process = self.start(*arguments, largest_file=largest_file)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return out + err

    def __call__(self, *arguments, code: int = 0) -> str:
        """The same in this process, which has loaded its packages and keeps what it has compiled."""
        out, err = io.StringIO(), io.StringIO()
        found = 0
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                command_line.main([*map(str, arguments)])
            except SystemExit as left:
                found = left.code
        text = out.getvalue() + err.getvalue()
        assert found == code, text
        return text

    def refuse(self, *arguments, code: int = 2) -> str:
        """The one line that a bad call is answered with."""
        text = self(*arguments, code=code).strip()
        assert text.startswith("rl-depth: error: ") and "\n" not in text, text
        return text


@pytest.fixture
def cli(tmp_path) -> Cli:
    return Cli(tmp_path)
