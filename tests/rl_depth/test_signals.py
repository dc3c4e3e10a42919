"""Processes that are asked to stop: at once where nothing is lost, after saving where something is."""

import signal
import subprocess
import sys
import time

import pytest

GUARD = """
import sys, time
from rl_depth import signals
with signals.guard() as stop:
    stop.advice = "go on with: it"
    stop.working = {working}
    print("ready", flush=True)
    end = time.monotonic() + 60
    while not ({working} and stop) and time.monotonic() < end:
        try:
            time.sleep(0.01)
        except KeyboardInterrupt:  # as JAX's callbacks swallow it
            pass
    print("saved", flush=True)
    time.sleep({rest})
"""
COMMAND = """
import signal, time
from rl_depth import signals
signals._GRACE = 0.3
signal.signal(signal.SIGINT, lambda *_: None)  # as an exception that JAX's callbacks swallow
signals.end_when_interrupted()
print("ready", flush=True)
time.sleep(60)
"""


def begin(code):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_a_process_that_has_nothing_to_save(number):
    process = begin(GUARD.format(working=False, rest=0))
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "saved" not in out
    assert err.strip() == f"{number.name}: stopped; go on with: it"


def test_a_signal_while_at_work_is_a_flag_and_a_second_one_ends_it():
    process = begin(GUARD.format(working=True, rest=0))
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and out == "saved\n" and "stopping after this epoch" in err
    process = begin(GUARD.format(working=True, rest=60))
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "saved\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_ctrl_c_ends_a_command_even_if_its_exception_is_lost():
    process = begin(COMMAND)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_a_signal_that_is_ignored_stays_so():
    """As under nohup."""
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + GUARD.format(working=False, rest=0)
    process = begin(code)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130
