"""One cell's own process: ``python -m rl_depth.worker RUN`` trains, or goes on training, the run in a folder.

Its standard input is a pipe from whoever started it. When that closes, because the other asked for it or is
no more, the run saves and stops: no orphan goes on, whatever ended its parent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from .cli import main


def _stop_when_input_closes() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    # Slurm's warning before its time limit goes to every process of a job; the parent acts on it.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    threading.Thread(target=_stop_when_input_closes, daemon=True).start()
    main(["train", "--resume", "--out", sys.argv[1]])
