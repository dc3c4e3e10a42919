"""Ctrl-C at any moment is one line and exit code 130."""

import os
import signal
import subprocess
import sys
import time

import pytest

from rl_depth import interrupts


@pytest.mark.parametrize("wait", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("times", [1, 4])
def test_the_command_line_says_one_line_and_nothing_else(cli, wait, times):
    process = cli.start("envs", "--check")
    time.sleep(wait)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    if wait > 0.3:  # before, the interpreter itself may be starting
        assert process.returncode == 130
    if process.returncode == 130:
        assert err.strip() == "rl-depth: interrupted"


def test_what_is_half_done_is_tidied_up_and_more_ctrl_c_ends_at_once(tmp_path):
    code = """
import signal, sys, time
from pathlib import Path
from rl_depth import interrupts
interrupts.install()
half = Path(sys.argv[1])
try:
    with interrupts.tidying():
        half.touch()
        print("ready", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    half.unlink()
    interrupts.end()
"""
    half = tmp_path / "half"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code, str(half)], env=os.environ, **pipes)
    assert process.stdout.readline() == "ready\n" and half.exists()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip(), half.exists()) == (130, "rl-depth: interrupted", False)


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupts.install()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
