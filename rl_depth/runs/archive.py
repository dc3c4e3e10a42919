"""Runs without what makes them large: the numbers that tables, figures and reports are made from."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

from ..config import InputError
from .folder import CONFIG, META, NUMBERS, STATUS, find_runs, written_to

_BESIDE = ("sweep.toml", "evaluations/*.json", "extrapolation.json", "frontier.json")


def archive(source: Path, out: Path) -> list[Path]:
    """Copy the runs at or below ``source`` to the same places below ``out``, without checkpoints, replay and videos.

    Logs are compressed, and the same numbers give the same bytes. Of the machine, its name and the path of the program
    stay behind. Every command that needs no trained agent reads the copies as it reads the runs.

    Returns:
      The folders written, one per run.

    Raises:
      InputError: there is no run, a file is damaged or cannot be written, or ``out`` holds runs already.
    """
    found = find_runs(source)
    if not found:
        raise InputError(f"{source}: holds no run")
    if find_runs(out):
        raise InputError(f"{out}: holds runs already; give a new folder")
    beside = [file for pattern in _BESIDE for file in source.rglob(pattern)]
    written = []
    for run in found:
        to = out / run.path.relative_to(source)
        meta = json.dumps(_without_machine(run.meta()), indent=2) + "\n"
        with written_to(to):
            for name in (CONFIG, STATUS):
                if (run.path / name).exists():
                    shutil.copyfile(run.path / name, to / name)
            (to / META).write_text(meta, encoding="utf-8")
            for name in NUMBERS:
                if (run.path / name).exists():
                    (to / f"{name}.gz").write_bytes(gzip.compress((run.path / name).read_bytes(), mtime=0))
        written.append(to)
    for file in beside:
        place = out / file.relative_to(source)
        with written_to(place.parent):
            shutil.copyfile(file, place)
    return written


def _without_machine(meta: dict[str, Any]) -> dict[str, Any]:
    for session in meta.get("sessions", ()):
        command = session.get("command", [])
        session["command"] = [Path(word).name for word in command[:1]] + command[1:]
        session.get("host", {}).pop("name", None)
    return meta
