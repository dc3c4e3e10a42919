"""One process at a time: the lock of a run folder, on file systems that have locks and on those that have none."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

from ..config import ConfigError, RunError

try:
    import fcntl
except ImportError:
    raise ConfigError("rl_depth runs on Linux and macOS; on Windows, use its Linux subsystem (WSL)") from None

LOCK, _OWNER = ".lock", ".lock.owner"
OWN_FILES = (LOCK, _OWNER)
"""What a lock leaves in a folder."""

# What a file system without locks answers; anything else means that another process has the lock.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}
_TRIES, _PAUSE = 4, 0.05  # s: whoever only looks whether a lock is taken holds it for a moment


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Keep other processes out of a folder until the block ends.

    Raises:
      RunError: another process is in it.
      OSError: the lock file cannot be opened.
    """
    with (path / LOCK).open("a") as lock:
        try:
            _take(lock)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise RunError(f"{path}: another process is writing this run") from None
            with _owned(path):
                yield
            return
        yield


def is_locked(path: Path) -> bool | None:
    """Whether a process of this machine is in a folder; None if that cannot be told."""
    try:
        with (path / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return None


def _take(lock: IO[str]) -> None:
    for attempt in range(_TRIES):
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE)


@contextlib.contextmanager
def _owned(path: Path) -> Generator[None]:
    """The same by a file that names host and process, where the file system has no locks."""
    file = path / _OWNER
    own = {"host": platform.node(), "pid": os.getpid(), "since": _since(os.getpid())}
    for _ in range(2):
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(json.dumps(own))
            break
        except FileExistsError:
            _refuse_if_alive(path, file)
            file.unlink(missing_ok=True)
    else:
        raise RunError(f"{path}: another process is writing this run")
    print(f"{path}: its file system has no locks; {_OWNER} keeps other processes out instead", file=sys.stderr)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _refuse_if_alive(path: Path, file: Path) -> None:
    try:
        owner: Any = json.loads(file.read_text(encoding="utf-8"))
        host, pid, since = owner["host"], int(owner["pid"]), owner["since"]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{path}: another process may be writing this run; if not, delete {file}") from None
    if host != platform.node():
        raise RunError(f"{path}: process {pid} on {host} is writing this run; if it is no more, delete {file}")
    if _since(pid) == since and _exists(pid):
        raise RunError(f"{path}: process {pid} is writing this run")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _since(pid: int) -> str | None:
    """When a process began, in ticks since the machine did; None where that cannot be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
