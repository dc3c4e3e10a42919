"""What commands write into a folder: figures, tables and JSON of what the rooms below have found."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_depth.runs import written_to

from . import plots
from .calibration import summary
from .compare.compare import Comparison
from .compare.tabled import TableComparison
from .runs import table
from .thresholds.verdicts import Verdicts

_CALIBRATION = "threshold-calibration"

# In a folder of results: names and digests of the files that a call wrote there, so that a later one removes those
# that it does not write again, as long as nobody has changed them, and nothing else.
_WRITTEN = ".written.json"


def _remember(out: Path, files: Sequence[Path]) -> None:
    (out / _WRITTEN).write_text(json.dumps({file.name: _digest(file) for file in files}), encoding="utf-8")


def _drop_earlier(out: Path) -> None:
    try:
        written = json.loads((out / _WRITTEN).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    for name, digest in written.items() if isinstance(written, dict) else ():
        file = out / name
        if file.parent == out and file.is_file() and _digest(file) == digest:
            file.unlink()


def _digest(file: Path) -> str:
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()


def write_verdicts(verdicts: Verdicts, out: Path) -> list[Path]:
    """Write figures and the values that were judged into a folder; returns the files.

    ``thresholds.png``, ``thresholds.csv``; ``difficulty.png`` of runs, and ``locations.png`` where blocks have
    thresholds to compare.

    Raises:
      InputError: the folder cannot be written.
    """
    files = [out / "thresholds.png"]
    with written_to(out):
        _drop_earlier(out)
        plots.thresholds(verdicts.series, verdicts.findings, files[0])
        if verdicts.maps:
            files.append(out / "difficulty.png")
            plots.difficulty(verdicts.maps, files[-1])
        if any(one.found.ratio is not None for one in verdicts.agreements):
            files.append(out / "locations.png")
            plots.locations(verdicts.agreements, files[-1])
        files.append(out / "thresholds.csv")
        table.write(verdicts.series, files[-1])
        _remember(out, files)
    return files


def write_calibration(rows: Sequence[summary.Row], out: Path) -> list[Path]:
    """Write rows as JSON, as tables in Markdown, and as a figure; returns the files.

    Raises:
      InputError: the folder cannot be written.
    """
    files = [out / f"{_CALIBRATION}.json", out / f"{_CALIBRATION}-tables.md", out / f"{_CALIBRATION}.png"]
    with written_to(out):
        lines = ",\n".join(json.dumps(row) for row in rows)
        files[0].write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        files[1].write_text(summary.markdown(rows), encoding="utf-8")
        plots.calibration(rows, files[2])
    return files


def write_comparison(comparison: Comparison | TableComparison, out: Path) -> list[Path]:
    """Write figures, table and JSON into a folder; returns the files.

    ``compare.png`` (learning curves, of runs), ``profile.png`` (performance profiles), ``matched.png`` if looped and
    stacked ones are there, ``compare.csv`` and ``compare.json``.

    Raises:
      RunError: the folder cannot be written.
    """
    files = [out / name for name in ("profile.png", "compare.csv", "compare.json")]
    with written_to(out):
        _drop_earlier(out)
        if isinstance(comparison, Comparison):
            files.insert(0, out / "compare.png")
            plots.learning_curves(comparison.groups, comparison.metric, files[0])
        agents = comparison.groups if isinstance(comparison, Comparison) else comparison.cells
        plots.profiles(agents, comparison.metric, out / "profile.png")
        if any(match.contrast for match in comparison.matches):
            files.append(out / "matched.png")
            plots.matched(comparison.matches, files[-1])
        _write_table(comparison, out / "compare.csv")
        (out / "compare.json").write_text(json.dumps(comparison.rows, indent=1) + "\n", encoding="utf-8")
        _remember(out, files)
    return files


def _write_table(comparison: Comparison | TableComparison, file: Path) -> None:
    """Rows without what is nested; contrasts as flat columns."""
    nested = {"runs", "deeper", "matched", "profile"}
    rows = []
    for row in comparison.rows:
        flat = {name: value for name, value in row.items() if name not in nested}
        flat |= _flat("improvement_over_shallowest", row["deeper"])
        at_depth = next((match for match in row["matched"] if match["axis"] == "depth"), None)
        rows.append(flat | _flat("improvement_over_stacked", at_depth))
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _flat(name: str, found: dict[str, Any] | None) -> dict[str, float | None]:
    pair = (found or {}).get("improvement") or {"value": None, "low": None, "high": None}
    return {name: pair["value"], f"{name}_low": pair["low"], f"{name}_high": pair["high"]}
