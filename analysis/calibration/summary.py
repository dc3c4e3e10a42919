"""The calibration of threshold detection as JSON, as tables in Markdown, and as a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]

# A step of at least this size is promised to be found.
_PROMISED = 0.4


def pooled(rows: Iterable[Row], name: str) -> float:
    """Mean share over rows, weighted by their data sets; NaN without rows."""
    chosen = list(rows)
    if not chosen:
        return float("nan")
    return float(np.average([row[name] for row in chosen], weights=[row["simulations"] for row in chosen]))


def summary(rows: Sequence[Row]) -> list[Row]:
    """Per part: false jumps and jumps found, pooled, and the case that does worst; steps with growth by themselves."""
    found = []
    for part in ("tuning", "held out", "designs"):
        own = [row for row in rows if row["part"] == part]
        smooth = [row for row in own if row["kind"] != "jump"]
        steps = [row for row in own if row["kind"] == "jump" and "edge" not in row["truth"] and _size(row) >= _PROMISED]
        growing = [row for row in steps if "growth" in row["truth"]]
        steps = [row for row in steps if row not in growing]
        if not (smooth and steps):
            continue
        worst = max(smooth, key=lambda row: row["jump"])
        least = min(steps, key=lambda row: row["found"])
        found.append(
            {
                "part": part,
                "false": pooled(smooth, "jump"),
                "worst": worst["jump"],
                "worst_case": _name(worst),
                "found": pooled(steps, "found"),
                "least": least["found"],
                "least_case": _name(least),
                "growing": pooled(growing, "found"),
            }
        )
    return found


def sentences(rows: Sequence[Row]) -> list[str]:
    """The pooled rates of each part in words."""
    return [
        f"{row['part']}: {_percent(row['false'])} false jumps; "
        f"{_percent(row['found'])} of steps of {_PROMISED} and more found, "
        f"{_percent(row['growing'])} of steps with growth after them"
        for row in summary(rows)
    ]


def markdown(rows: Sequence[Row]) -> str:
    """All tables."""
    lines = ["## Summary", ""]
    lines += _table(
        ["part", "false jumps", "worst case", "steps of 0.4 and more found", "worst case", "steps with growth found"],
        [
            [
                row["part"],
                _percent(row["false"]),
                f"{_percent(row['worst'])} ({row['worst_case']})",
                _percent(row["found"]),
                f"{_percent(row['least'])} ({row['least_case']})",
                _percent(row["growing"]),
            ]
            for row in summary(rows)
        ],
    )
    head = ["truth", "noise", "jump", "gradual", "flat", "undecided", "found", "too many"]
    for part, title in (("tuning", "Known while tuning"), ("held out", "Held out")):
        own = [row for row in rows if row["part"] == part]
        lines += ["", f"## {title}", "", *_table(head, [_cells(row, [row["noise"]]) for row in own])]
    lines += ["", "## Called a jump, by shape and number of depths", "", *_by_depths(rows, smooth=True)]
    lines += ["", "## Jumps found, by shape and number of depths", "", *_by_depths(rows, smooth=False)]
    own = [row for row in rows if row["part"] == "designs"]
    head[1] = "depths"
    lines += ["", "## Other designs (held out)", ""]
    lines += _table(head, [_cells(row, [_design(row)]) for row in own])
    power = [row for row in rows if row["part"] == "power"]
    for depths in sorted({row["depths"] for row in power}):
        title = f"## Power against seeds, {depths} depths"
        lines += ["", title, "", *_power_table([row for row in power if row["depths"] == depths])]
    return "\n".join(lines) + "\n"


def _design(row: Row) -> str:
    return f"{row['depths']} depths, {row['spacing']:g} doubling{'s' if row['spacing'] != 1 else ''} apart"


def _by_depths(rows: Sequence[Row], *, smooth: bool) -> list[str]:
    """Truths by designs: false jumps of those that have none, true ones found of those that do; gaussian noise."""
    own = [row for row in rows if row["part"] != "power" and row["noise"] == "gaussian"]
    own = [row for row in own if (row["kind"] != "jump") == smooth]
    designs = sorted({(row["depths"], row["spacing"]) for row in own})
    cells = {(row["truth"], row["depths"], row["spacing"]): row["jump" if smooth else "found"] for row in own}
    head = ["truth", *(f"{depths}" + (f" ({spacing:g} apart)" if spacing != 1 else "") for depths, spacing in designs)]
    body = [
        [truth, *(_percent(cells[truth, *at]) if (truth, *at) in cells else "" for at in designs)]
        for truth in dict.fromkeys(row["truth"] for row in own)
    ]
    return _table(head, body)


def _power_table(rows: Sequence[Row]) -> list[str]:
    seeds = sorted({row["seeds"] for row in rows})
    by_place: dict[tuple[str, int], Row] = {(row["truth"], row["seeds"]): row for row in rows}
    body = []
    for name in dict.fromkeys(row["truth"] for row in rows):
        body.append([name, *(_percent(by_place[name, count]["found"]) for count in seeds)])
    return _table(["found", *(f"{count} seeds" for count in seeds)], body)


def _cells(row: Row, middle: list[str]) -> list[str]:
    share: Callable[[str], str] = lambda name: _percent(row[name])  # noqa: E731
    found = share("found") if row["kind"] == "jump" else ""
    verdicts = [share(name) for name in ("jump", "gradual", "flat", "undecided")]
    surplus = share("surplus") if row["kind"] == "jump" else ""
    return [row["truth"], *middle, *verdicts, found, surplus]


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body)]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _size(row: Row) -> float:
    """Height of a step, from its truth's name."""
    return next(float(word.strip(",")) for word in row["truth"].split() if word[0].isdigit())


def _name(row: Row) -> str:
    place = row["noise"] if row["part"] != "designs" else _design(row)
    return f"{row['truth']}; {place}"
