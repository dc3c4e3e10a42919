"""Ctrl-C on the command line: one line and exit code 130, from the first moment on and whatever is going on.

Nothing is raised: an exception amid an import or in a callback of XLA is swallowed or printed by whoever is called
there, and an ordinary exit amid the work of XLA's threads may crash. Only where something half done must be removed
does ctrl-C unwind: within `tidying`. Training and sweeps, which save first, have handlers of their own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Generator
from types import FrameType

_GRACE = 10  # seconds to tidy up in

_tidying = False


def install() -> None:
    """Answer ctrl-C, unless whoever started this process has it ignored or answers it already."""
    ours = threading.current_thread() is threading.main_thread()
    if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


@contextlib.contextmanager
def tidying() -> Generator[None]:
    """Within, the first ctrl-C raises ``KeyboardInterrupt``; one more, or ten seconds, end the process."""
    global _tidying  # noqa: PLW0603 - of the process, as the signal is
    _tidying = True
    try:
        yield
    finally:
        _tidying = False


def end() -> None:
    """End the process now, with what was printed so far."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        sys.stdout.flush()
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h")  # a live table hides the cursor
        sys.stderr.write("rl-depth: interrupted\n")
        sys.stderr.flush()
    os._exit(130)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    global _tidying  # noqa: PLW0603
    if not _tidying:
        end()
    _tidying = False
    signal.signal(signal.SIGALRM, lambda *_: end())
    signal.alarm(_GRACE)
    raise KeyboardInterrupt
