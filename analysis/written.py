"""Folders of results: what a command wrote there it may replace and remove, and nothing else.

Beside its results a command leaves a list of them with their digests. What lies in a folder under the name of a result
but is not on the list, or has changed since, is somebody else's: it stays, and the command refuses to write over it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

from rl_depth.runs import InputError, written_to


def folder(command: str, inputs: Sequence[Path]) -> Path:
    """Where a command's results go if nothing else is said: ``runs/compare/big_maze`` of ``runs/big_maze``."""
    names = [path.resolve().stem if path.is_file() else path.resolve().name for path in inputs]
    stem = "+".join(dict.fromkeys(re.sub(r"[^\w.,=-]+", "_", name) or "root" for name in names[:3]))
    more = f"+{len(names) - 3}" if len(names) > 3 else ""
    return Path("runs") / command / (stem[:100] + more)


@contextlib.contextmanager
def results(out: Path, command: str) -> Generator[Path]:
    """A folder to make results in; when the block ends they go to ``out``, in the place of those of an earlier call.

    Nothing of ``out`` is touched before all results are made, nor if one of them would take the place of a file that
    this command did not write. Results of an earlier call that this one lacks are removed. ``index.html`` goes last.

    Args:
      out: the folder; it appears if need be.
      command: whose list of results is meant.

    Raises:
      InputError: the folder cannot be written, or holds a file that is in the way; names it.
    """
    with written_to(out), tempfile.TemporaryDirectory(prefix=f".{command}-", dir=out) as folder_:
        made = Path(folder_)
        yield made
        listed = out / f".{command}.json"
        earlier = _read(listed)
        new = {file.relative_to(made).as_posix(): _digest(file) for file in made.rglob("*") if file.is_file()}
        for name in new:
            if (out / name).exists() and not _ours(out / name, earlier.get(name, [])):
                raise InputError(
                    f"{out / name}: is there, and not as rl-depth {command} wrote it; move it, or choose another --out"
                )
        # Both digests until all is in place, so that a process that is killed half way leaves nothing foreign behind.
        listed.write_text(json.dumps({name: [*earlier.get(name, []), new[name]] for name in new} | _gone(earlier, new)))
        for name in sorted(new, key=lambda name: name == "index.html"):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).replace(out / name)
        for name, digests in _gone(earlier, new).items():
            if _ours(out / name, digests):
                (out / name).unlink()
        listed.write_text(json.dumps({name: [digest] for name, digest in sorted(new.items())}))


def _gone(earlier: dict[str, list[str]], new: dict[str, str]) -> dict[str, list[str]]:
    return {name: digests for name, digests in earlier.items() if name not in new}


def _read(listed: Path) -> dict[str, list[str]]:
    """Names within the folder and their digests; empty if there is no list, or none that can be read."""
    try:
        found = json.loads(listed.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    inside = {name: digests for name, digests in entries if not (Path(name).is_absolute() or ".." in Path(name).parts)}
    return {name: [str(digest) for digest in own] for name, own in inside.items() if isinstance(own, list)}


def _ours(file: Path, digests: Sequence[str]) -> bool:
    return file.is_file() and not file.is_symlink() and _digest(file) in digests


def _digest(file: Path) -> str:
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
