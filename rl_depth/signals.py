"""How this process is asked to stop, and how it ends then. Knows no JAX, for it is at work before JAX loads.

A handler in Python runs when the interpreter gets its turn, which it does not while XLA compiles, and an exception
that a handler raises within one of JAX's callbacks is lost. So a thread listens as well, on the pipe that the
interpreter's own handler writes to at once, and ends the process where nothing would be lost. It ends without tearing
down the interpreter, for JAX's threads do not survive that.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 130
"""Exit code of a process that was asked to stop."""

_GRACE = 10.0  # s that a command has to take away what it has half done; see `interrupts`
_ASKING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it


class Stop:
    """Whether a signal asked to stop.

    Attributes:
      working: whether what is at hand is saved first; if not, and `guard` listens, a signal ends the process.
      advice: what is said when it ends so.
    """

    def __init__(self, *, guarded: bool = False) -> None:
        self.working = False
        self.advice = ""
        self._asked = False
        self._guarded = guarded

    def __bool__(self) -> bool:
        return self._asked

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        del frame
        if self._guarded and (self._asked or not self.working):
            self._asked = True
            return  # the thread that listens ends the process
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        when = "after this epoch; once more to stop now" if self.working else "as soon as JAX lets it"
        print(f"\n{signal.Signals(number).name}: stopping {when}", file=sys.stderr)

    def heard(self, number: int, times: int) -> None:
        """A signal came, the so-manieth: end the process unless what is at hand is saved first."""
        if self.working and times == 1:
            return
        end(f"{signal.Signals(number).name}: stopped{'; ' if self.advice else ''}{self.advice}")


@contextlib.contextmanager
def requests() -> Generator[Stop]:
    """Turn SIGINT, SIGTERM and SIGHUP into a flag; elsewhere than in the main thread, do nothing."""
    if _listening:
        yield _listening[-1]
        return
    stop = Stop()
    before = _install(stop)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def guard() -> Generator[Stop]:
    """`requests` for a process of ours: one that is asked to stop while nothing is at hand ends, whatever it does."""
    main = threading.current_thread() is threading.main_thread()
    stop = Stop(guarded=main)
    before = _install(stop)
    writer = _listen(stop.heard) if main else None
    _listening.append(stop)
    try:
        yield stop
    finally:
        _listening.remove(stop)
        if writer is not None:
            signal.set_wakeup_fd(-1)
            os.close(writer)  # which ends the thread
        for number, handler in before.items():
            signal.signal(number, handler)


def end_when_interrupted() -> None:
    """From now on, Ctrl-C that the interpreter gets no turn to answer ends this process all the same, after a while.

    A second one ends it at once. Does nothing where `guard` does more.
    """
    if _listening or _waiting or threading.current_thread() is not threading.main_thread():
        return
    _waiting.append(True)

    def heard(number: int, times: int) -> None:
        if number == signal.SIGINT:
            patience = threading.Timer(_GRACE if times == 1 else 0.0, end, ["rl-depth: interrupted"])
            patience.daemon = True
            patience.start()

    _listen(heard)


def end(words: str = "") -> None:
    """End this process now, as one that was interrupted."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    with contextlib.suppress(OSError):
        cursor = _SHOW_CURSOR if os.isatty(2) else ""
        os.write(2, f"{cursor}\n{words}\n".encode() if words else cursor.encode())
    os._exit(INTERRUPTED)


def exit_interrupted() -> NoReturn:
    """Leave as a process that was interrupted."""
    atexit.register(end)
    raise SystemExit(INTERRUPTED)


_listening: list[Stop] = []  # stops of the guards at work
_waiting: list[bool] = []  # whether Ctrl-C ends this process in any case


def _install(stop: Stop) -> dict[int, Any]:
    """Let a flag handle the signals; what handled them before. One that is ignored, as under nohup, stays so."""
    try:
        asking = [number for number in _ASKING if signal.getsignal(number) is not signal.SIG_IGN]
        return {number: signal.signal(number, stop) for number in asking}
    except ValueError:  # not in the main thread
        return {}


def _listen(heard: Callable[[int, int], None]) -> int:
    """Have a thread call ``heard(number, times)`` for every handled signal, until the pipe returned is closed."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def listen() -> None:
        times = 0
        while data := os.read(reader, 1):
            if data[0] in _ASKING:
                times += 1
                heard(data[0], times)

        os.close(reader)

    threading.Thread(target=listen, name="signals", daemon=True).start()
    return writer
