"""Conclusions from runs and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..config import Whole
from .common import Metric, Metrics, OutFolder, ResultFile, RunFolders, Seed, at_least, show_notes, write_json


def compare(
    inputs: RunFolders,
    /,
    *,
    out: OutFolder | None = None,
    metric: Metric = None,
    json: ResultFile | None = None,
) -> None:
    """Compare runs: final capability over seeds with intervals, looped against stacked at equal cost, learning curves.

    Looped agents meet stacked ones of equal depth, of equal parameters, of equal FLOPs per gradient step, and at equal
    training time. Intervals are 95% percentile intervals of the stratified bootstrap over seeds.

    Parameters
    ----------
    inputs
        Run folders, folders that hold some, or CSV files with columns env, block, depth, metric, and seed, value, or
        mean, n with se, or sd, or low, high (a 95% interval).
    out
        Folder for compare.png, profile.png, matched.png, compare.csv and compare.json
        [default: runs/compare/ and the inputs' names].
    metric
        Metric to compare by, as metrics.jsonl or the table names it [default: success_any, or the first of a table].
    json
        Write the table to this file too.
    """
    from rl_depth.analysis import outputs, written
    from rl_depth.analysis.compare import compare as comparison

    from . import tables

    result = comparison.compare_inputs(inputs, metric)
    files = outputs.write_comparison(result, out or written.folder("compare", inputs))
    tables.show_comparison(result)
    show_notes(result.notes)
    if json is not None:
        write_json(json, result.rows)
    for file in files:
        print(f"written: {file}")


def thresholds(
    inputs: RunFolders,
    /,
    *,
    metrics: Metrics = None,
    out: OutFolder | None = None,
    seed: Seed = 0,
    json: ResultFile | None = None,
) -> None:
    """Say at which depths capability jumps, or that it does not: jump, gradual, flat or undecided.

    A jump of a thresholded metric (success) must show on a continuous one (distance, time at goal) too, or is
    called metric-induced. Looped and stacked series are asked whether their thresholds fall at the same depth, and runs
    which depth each goal difficulty needs.

    Parameters
    ----------
    inputs
        Run folders, folders that hold some, or CSV files with columns env, block, depth, metric, and seed, value, or
        mean, n with se, or sd, or low, high (a 95% interval).
    metrics
        Metrics to judge [default: success_any, time_at_goal and dist_final of runs, by mode and by draws; all of a
        table].
    out
        Folder for thresholds.png, difficulty.png, locations.png and thresholds.csv, the values that were judged
        [default: runs/thresholds/ and the inputs' names].
    seed
        Seed of the bootstrap.
    json
        Write the verdicts to this file too.
    """
    from rl_depth.analysis import outputs, written
    from rl_depth.analysis.thresholds import verdicts

    from . import tables

    found = verdicts.judge(inputs, metrics or (), seed=seed)
    files = outputs.write_verdicts(found, out or written.folder("thresholds", inputs))
    tables.show_verdicts(found)
    show_notes(found.notes)
    if json is not None:
        write_json(json, found.to_json())
    for file in files:
        print(f"written: {file}")


def calibrate(
    *, simulations: Whole = 20, seeds: Whole = 5, seed: Seed = 0, out: OutFolder = Path("runs/calibrate")
) -> None:
    """Measure by simulation how often the threshold detection is wrong, and its power.

    Parameters
    ----------
    simulations
        Simulated data sets per case; 20 take a few minutes.
    seeds
        Seeds per depth.
    seed
        Seed of the random numbers.
    out
        Folder for tables, figure and JSON.
    """
    at_least("simulations", simulations, 1)
    at_least("seeds", seeds, 1)
    from rich.progress import Progress

    from rl_depth.analysis import outputs
    from rl_depth.analysis.calibration import simulate, summary

    from ..runs import written_to

    with written_to(out), Progress() as bar:  # a folder that cannot be made is told of before the work
        task = bar.add_task("cases", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        rows = simulate.run(simulations, seeds, seed, progress=show)
    outputs.write_calibration(rows, out)
    for line in summary.sentences(rows):
        print(line)
    print(f"written: {out}")


def report(
    inputs: RunFolders,
    /,
    *,
    out: Annotated[OutFolder | None, Parameter(name=("--out", "-o"))] = None,
    metrics: Metrics = None,
    seed: Seed = 0,
    json: ResultFile | None = None,
) -> None:
    """Report runs or tables in one page that needs no network: findings with numbers, charts, videos, every run.

    Videos below the folders, and what `extrapolate` and `frontier` wrote there, are taken in; nothing is rendered or
    trained.

    Parameters
    ----------
    inputs
        Run folders, folders that hold some, or CSV files as of `thresholds`.
    out
        Folder for index.html, figures/ (PNG and PDF) and data/ (CSV and JSON)
        [default: runs/report/ and the inputs' names].
    metrics
        Metrics to judge, the leading one first [default: success_any, time_at_goal and dist_final, by mode and
        by draws; all of a table].
    seed
        Seed of the bootstrap.
    json
        Write all that the page says to this file too.
    """
    from rl_depth.analysis import report as reporting
    from rl_depth.analysis import written

    made = reporting.write(inputs, out or written.folder("report", inputs), metrics or (), seed)
    for finding in made.findings:
        print(finding)
    if json is not None:
        write_json(json, made.summary)
    for file in (*made.files, made.page):
        print(f"written: {file}")


def archive(runs: Path, /, *, out: OutFolder) -> None:
    """Copy runs without checkpoints: what compare, thresholds and report read, small enough to keep and to share.

    The copy lies where the runs lay: archive runs/depths --out results/depths, then report results/depths.

    Parameters
    ----------
    runs
        Run folder, or a folder that holds some.
    out
        Folder for the copies. It must not hold runs yet.
    """
    from ..runs import archive as copy

    written = copy(runs, out)
    print(f"written: {out} ({len(written)} {'run' if len(written) == 1 else 'runs'})")
