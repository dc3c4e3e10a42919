"""Training called from Python: in a thread, and interrupted where the process lives on, as a notebook's does."""

import os
import subprocess
import sys
import threading

import pytest

from rl_depth import runs
from rl_depth.config import Config
from rl_depth.training import session

NOTEBOOK = """
import os, signal, sys, threading, time
from pathlib import Path
import rl_depth
from rl_depth.training.session import Interrupted

out = Path(sys.argv[1])
config = rl_depth.Config(**{options})

def press_ctrl_c():
    while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").stat().st_size:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=press_ctrl_c, daemon=True).start()
try:
    rl_depth.train(config, out=out)
except Interrupted:
    print("stopped")
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
except KeyboardInterrupt:
    print("the next cell's own")
"""


@pytest.fixture
def alone(cli, tmp_path) -> list:
    """What a run in the main thread logs."""
    return session.train(Config(**cli.tiny), tmp_path / "alone").metrics()


def test_a_thread_trains_as_the_main_thread_does(cli, tmp_path, alone):
    """Without signal handlers, which only the main thread can have; two at a time, each in its own folder."""
    found = {}

    def work(name: str) -> None:
        found[name] = session.train(Config(**cli.tiny), tmp_path / name).metrics()

    threads = [threading.Thread(target=work, args=[name]) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"first": alone, "second": alone}


def test_a_seed_trained_alone_equals_the_same_seed_among_others(cli, monkeypatch):
    """Bit for bit, in every metric of every evaluation, as users compile; unoptimised, the two programs round apart."""
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "0")
    cli.started("train", "--out", "several", "--quiet", *cli.flags(**cli.tiny, seed=3, seeds=3))
    cli.started("train", "--out", "single", "--quiet", *cli.flags(**cli.tiny, seed=4))
    several, alone = (runs.Run(cli.folder / name).metrics() for name in ("several", "single"))
    assert len(alone) == 5
    assert [row for row in several if row["seed"] == 4] == alone


def test_ctrl_c_in_a_notebook_stops_the_cell_and_the_kernel_lives_on(cli, tmp_path):
    """SIGINT, which a notebook's stop button sends: the run is saved, and the handler of before is back."""
    out = tmp_path / "run"
    options = {**cli.tiny, "env_steps": 400_000, "evals": 500}
    code = NOTEBOOK.replace("{options}", repr(options))
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], env=os.environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["stopped", "the next cell's own"]
    run = runs.Run(out)
    assert run.status()["state"] == "interrupted"
    assert run.has_checkpoint()
