"""One cell's own process: ``python -m rl_depth.sweeps.worker RUN`` trains, or goes on training, the run in a folder.

Its standard input is a pipe from whoever started it. When that closes, because the other asked for it or is
no more, the run saves and stops: no orphan goes on, whatever ended its parent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from .. import device, runs, signals
from ..config import ConfigError, RunError, exit_code
from ..training import session


def _stop_when_input_closes() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _train(path: str) -> int:
    """Train to the end; the process's exit code."""
    try:
        with signals.guard():
            device.start()
            session.train(runs.open_run(path).config(), path, resume=True, quiet=False)
    except session.Interrupted:
        return 130
    except (ConfigError, RunError) as error:
        print(f"rl-depth: error: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


if __name__ == "__main__":
    # Slurm's warning before its time limit goes to every process of a job; the parent acts on it.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    threading.Thread(target=_stop_when_input_closes, daemon=True).start()
    sys.exit(_train(sys.argv[1]))
