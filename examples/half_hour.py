"""Half an hour of one GPU: is there a jump at depth 8 in Ant Big Maze, as Wang et al. (2025) report?

    python examples/half_hour.py OUT                       # and again, to go on: on another day, on another machine
    python examples/half_hour.py OUT --minutes 3 ...       # options of `rl-depth train` after these two

Depths take turns, each for its share of the time that is left, so that all have learned for a while whenever it ends.
What a turn did not finish, the next call goes on with. In the end the numbers of all depths are copied, without
checkpoints, into OUT/numbers, and reported in OUT/report.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

DEPTHS = (4, 8, 16)
OPTIONS = {"--preset": "ant_big_maze", "--seeds": "4", "--env-steps": "10000000", "--evals": "20"}
PROGRAM = [sys.executable, "-m", "rl_depth"]
SAVING = 120  # s that a run may take to end its epoch and to save


def main() -> None:
    """Train in turns until the time is over, then report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of runs and report")
    parser.add_argument("--minutes", type=float, default=30, help="time to train for [default: 30]")
    given, options = parser.parse_known_args()
    wanted = OPTIONS | dict(zip(options[::2], options[1::2], strict=True))
    until = time.monotonic() + 60 * given.minutes
    for place, depth in enumerate(DEPTHS):
        share = (until - time.monotonic()) / (len(DEPTHS) - place)
        train(given.out / "runs" / f"depth{depth}", [*itertools.chain(*wanted.items()), "--depth", str(depth)], share)
    shutil.rmtree(given.out / "numbers", ignore_errors=True)
    for command in (
        ["archive", given.out / "runs", "--out", given.out / "numbers"],
        ["report", given.out / "numbers", "--out", given.out / "report"],
    ):
        subprocess.run([*PROGRAM, *command], check=True)


def train(run: Path, options: list[str], seconds: float) -> None:
    """Begin a run or go on with it; after ``seconds`` ask it to save and to end."""
    begun = (run / "config.toml").exists()
    words = ["--resume", "--out", run] if begun else ["--out", run, *options]
    process = subprocess.Popen([*PROGRAM, "train", "--quiet", *words])
    try:
        process.wait(max(seconds, 0))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        process.wait(SAVING)
    if process.returncode not in (0, 130, -signal.SIGTERM):  # the last: it had not begun to listen
        raise SystemExit(f"{run}: training ended with {process.returncode}")


if __name__ == "__main__":
    main()
