"""What commands write into a folder: figures, tables and JSON of what the rooms below have found."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import plots
from .calibration import summary
from .compare.compare import Comparison
from .compare.tabled import TableComparison
from .runs import table
from .thresholds.verdicts import Verdicts
from .written import results

_CALIBRATION = "threshold-calibration"


def write_verdicts(verdicts: Verdicts, out: Path) -> list[Path]:
    """Write figures and the values that were judged into a folder; returns the files.

    ``thresholds.png``, ``thresholds.csv``; ``difficulty.png`` of runs, and ``locations.png`` where blocks have
    thresholds to compare.

    Raises:
      InputError: the folder cannot be written.
    """
    with results(out, "thresholds") as made:
        plots.thresholds(verdicts.series, verdicts.findings, made / "thresholds.png")
        if verdicts.maps:
            plots.difficulty(verdicts.maps, made / "difficulty.png")
        if any(one.found.ratio is not None for one in verdicts.agreements):
            plots.locations(verdicts.agreements, made / "locations.png")
        table.write(verdicts.series, made / "thresholds.csv")
        names = _names(made, ("thresholds.png", "difficulty.png", "locations.png", "thresholds.csv"))
    return [out / name for name in names]


def _names(made: Path, order: Sequence[str]) -> list[str]:
    """Those results that are there."""
    return [name for name in order if (made / name).exists()]


def write_calibration(rows: Sequence[summary.Row], out: Path) -> list[Path]:
    """Write rows as JSON, as tables in Markdown, and as a figure; returns the files.

    Raises:
      InputError: the folder cannot be written.
    """
    names = [f"{_CALIBRATION}.json", f"{_CALIBRATION}-tables.md", f"{_CALIBRATION}.png"]
    with results(out, "calibrate") as made:
        lines = ",\n".join(json.dumps(row) for row in rows)
        (made / names[0]).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        (made / names[1]).write_text(summary.markdown(rows), encoding="utf-8")
        plots.calibration(rows, made / names[2])
    return [out / name for name in names]


def write_comparison(comparison: Comparison | TableComparison, out: Path) -> list[Path]:
    """Write figures, table and JSON into a folder; returns the files.

    ``compare.png`` (learning curves, of runs), ``profile.png`` (performance profiles), ``matched.png`` if looped and
    stacked ones are there, ``compare.csv`` and ``compare.json``.

    Raises:
      RunError: the folder cannot be written.
    """
    with results(out, "compare") as made:
        if isinstance(comparison, Comparison):
            plots.learning_curves(comparison.groups, comparison.metric, made / "compare.png")
        agents = comparison.groups if isinstance(comparison, Comparison) else comparison.cells
        plots.profiles(agents, comparison.metric, made / "profile.png")
        if any(match.contrast for match in comparison.matches):
            plots.matched(comparison.matches, made / "matched.png")
        _write_table(comparison, made / "compare.csv")
        (made / "compare.json").write_text(json.dumps(comparison.rows, indent=1) + "\n", encoding="utf-8")
        names = _names(made, ("compare.png", "profile.png", "compare.csv", "compare.json", "matched.png"))
    return [out / name for name in names]


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
