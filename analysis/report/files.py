"""The figures and numbers that lie beside the page."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from .. import frontier, plots
from ..compare.matched import Match
from ..runs import table
from . import budgets, inventory, words
from .evidence import Evidence, levels, measured

FIGURES = ("thresholds", "locations", "matched", "profiles", "learning", "difficulty", "extrapolation", "frontier")
TABLES = ("capability", "intervals", "matched", "learning", "difficulty", "extrapolation", "frontier", "runs")

_PICTURES = (".png", ".pdf")
EVERY = (
    *(f"figures/{stem}{ending}" for stem in FIGURES for ending in _PICTURES),
    *(f"data/{stem}.csv" for stem in TABLES),
    "data/report.json",
)
"""All that a report may write beside its page."""


def write(evidence: Evidence, out: Path) -> list[str]:
    """Write figures (PNG and PDF), tables (CSV) and ``report.json`` below a folder; returns paths from there.

    Raises:
      OSError: they cannot be written.
    """
    for folder in ("figures", "data"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    for ending in _PICTURES:
        written += [f"figures/{stem}{ending}" for stem in _draw(evidence, out / "figures", ending)]
    for stem, (names, rows) in _tables(evidence).items():
        written.append(f"data/{stem}.csv")
        _write_csv(out / written[-1], names, rows)
    if evidence.series:
        written.append("data/capability.csv")
        table.write(evidence.series, out / written[-1])
    written.append("data/report.json")
    content = json.dumps(summary(evidence), indent=1)
    (out / written[-1]).write_text(content + "\n", encoding="utf-8")
    return sorted(written, key=EVERY.index)


def _draw(evidence: Evidence, folder: Path, ending: str) -> list[str]:
    """Static figures; returns the stems of those there is something to draw for."""
    metric = evidence.metrics[0] if evidence.metrics else ""
    lead = [group for group in evidence.groups if metric in group.curves]
    agents = measured(evidence.agents, metric)
    agreements = [one for one in evidence.agreements if one.found.ratio is not None]
    matches = [match for match in evidence.matches if match.contrast is not None and match.metric == metric]
    tested = inventory.comparable(evidence.extrapolated)
    drawings: list[tuple[str, object, Callable[[Path], None]]] = [
        ("thresholds", evidence.series, partial(plots.thresholds, evidence.series, evidence.findings)),
        ("locations", agreements, partial(plots.locations, agreements)),
        ("matched", matches, partial(plots.matched, matches)),
        ("profiles", agents, partial(plots.profiles, agents, metric)),
        ("learning", lead, partial(plots.learning_curves, lead, metric)),
        ("difficulty", evidence.maps, partial(plots.difficulty, evidence.maps)),
        ("extrapolation", tested, partial(plots.extrapolation, tested)),
        ("frontier", evidence.frontiers, partial(frontier.draw, evidence.frontiers)),
    ]
    for stem, there, draw in drawings:
        if there:
            draw(folder / f"{stem}{ending}")
    return [stem for stem, there, _ in drawings if there]


def _tables(evidence: Evidence) -> dict[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]:
    """Columns and rows of the tables besides the judged values themselves."""
    found: dict[str, tuple[Sequence[str], Iterable[Sequence[Any]]]] = {}
    if evidence.series:
        rows = [
            (one.env, one.block, one.metric, at.depth, at.seeds, at.value, at.low, at.high)
            for one in evidence.series
            for at in levels(one)
        ]
        found["intervals"] = (("env", "block", "metric", "depth", "seeds", "iqm", "low", "high"), rows)
    if evidence.groups:
        found["learning"] = (("env", "block", "depth", "metric", "seed", "env_steps", "value"), _curves(evidence))
    if evidence.maps:
        rows = [
            (one.env, one.block, one.metric, distance, depth, i, value)
            for one in evidence.maps
            for distance, row in zip(one.distances, one.values, strict=True)
            for depth, cell in zip(one.depths, row, strict=True)
            for i, value in enumerate(cell)
        ]
        found["difficulty"] = (("env", "block", "metric", "goal_distance", "depth", "place", "value"), rows)
    if evidence.extrapolated:
        rows = [
            (one.env, one.label, one.run, one.trained, metric, depth, i, value)
            for one in evidence.extrapolated
            for metric, values in (one.capability | one.critic).items()
            for i, own in enumerate(values)
            for depth, value in zip(one.depths, own, strict=True)
        ]
        names = ("env", "label", "run", "trained_depth", "metric", "test_depth", "place", "value")
        found["extrapolation"] = (names, rows)
    if evidence.frontiers:
        found["frontier"] = budgets.columns(evidence.frontiers)
    if evidence.matches:
        rows = [list(_match(match).values()) for match in evidence.matches]
        found["matched"] = (list(_match(evidence.matches[0])), rows)
    if evidence.runs:
        found["runs"] = _runs(evidence)
    return found


def _match(match: Match) -> dict[str, Any]:
    """A match as columns: difference and improvement with their ends."""
    row = match.to_json()
    for name in ("difference", "improvement"):
        found = row.pop(name) or dict.fromkeys(("value", "low", "high"))
        row |= {f"{name}{'' if part == 'value' else '_' + part}": value for part, value in found.items()}
    return row | {"text": row.pop("text")}


def _curves(evidence: Evidence) -> Iterable[Sequence[Any]]:
    for group in evidence.groups:
        for metric in (m for m in evidence.metrics if m in group.curves):
            for seed, curve in zip(group.seeds, group.curves[metric], strict=True):
                for step, value in zip(group.env_steps, curve, strict=True):
                    yield group.config.env, group.variant, group.depth, metric, seed, step, value


def _runs(evidence: Evidence) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
    options = list(dict.fromkeys(name for one in evidence.runs for name in one.options))
    names = ["run", "state", "total_env_steps", "env_steps", "seeds_evaluated", *evidence.metrics]
    names += ["parameters", "flops_per_update", "train_seconds", "setup", "note", *(f"config.{o}" for o in options)]
    rows = []
    for one in evidence.runs:
        setups = " ".join(setup.letter for setup in evidence.setups if one.name in setup.runs)
        row: list[Any] = [one.name, one.state, one.total, one.env_steps, " ".join(map(str, one.seeds))]
        row += [one.final.get(metric) for metric in evidence.metrics]
        row += [one.cost.get("parameters"), one.cost.get("flops_per_update"), one.train_seconds, setups, one.note]
        rows.append([*row, *(one.options.get(option) for option in options)])
    return names, rows


def summary(evidence: Evidence) -> dict[str, Any]:
    """All that the page says, as plain types."""
    return {
        "question": words.question(evidence),
        "metrics": list(evidence.metrics),
        "findings": [{"topic": one.topic, "env": one.env, "text": one.text} for one in words.findings(evidence)],
        "limits": words.limits(evidence),
        "thresholds": [finding.to_json() for finding in evidence.findings],
        "disagreements": list(evidence.disagreements),
        "precision": [{"env": env, "block": block} | asdict(one) for env, block, one in evidence.precisions],
        "agreements": [asdict(one) for one in evidence.agreements],
        "matched": [match.to_json() for match in evidence.matches],
        "difficulty": [one.to_json() for one in evidence.maps],
        "frontiers": [one.to_json() for one in evidence.frontiers],
        "runs": inventory.to_rows(evidence.runs),
        "setups": [asdict(setup) for setup in evidence.setups],
    }


def _write_csv(file: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
