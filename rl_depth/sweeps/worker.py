"""One cell's own process: ``python -m rl_depth.sweeps.worker RUN`` trains, or goes on training, the run in a folder.

``--tensorboard`` and ``--wandb PROJECT`` before RUN log to these places too, as they do for `rl-depth train`.

Its standard input is a pipe from whoever started it. When that closes, because the other asked for it or is
no more, the run saves and stops: no orphan goes on, whatever ended its parent.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from .. import device, runs, signals
from ..config import ConfigError, RunError, exit_code
from ..training import session, trackers


def _stop_when_input_closes() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _train(given: argparse.Namespace) -> int:
    """Train to the end; the process's exit code."""
    try:
        with signals.guard():
            device.start()
            run = runs.open_run(given.run)
            places = trackers.Wanted(given.tensorboard, given.wandb).trackers()
            session.train(run.config(), run.path, resume=True, quiet=False, trackers=places)
    except session.Interrupted:
        print(f"saved; go on with: rl-depth train --resume --out {given.run}", file=sys.stderr)
        signals.exit_interrupted()
    except (ConfigError, RunError) as error:
        print(f"rl-depth: error: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


if __name__ == "__main__":
    # Slurm's warning before its time limit goes to every process of a job; the parent acts on it.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    threading.Thread(target=_stop_when_input_closes, daemon=True).start()
    parser = argparse.ArgumentParser()
    parser.add_argument("--tensorboard", action="store_true")
    parser.add_argument("--wandb")
    parser.add_argument("run")
    sys.exit(_train(parser.parse_args()))
