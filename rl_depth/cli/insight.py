"""Looking into trained agents, and at sweeps over two options."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ..config import ConfigError, Whole, Wholes
from .common import OutFolder, ResultFile, RunFolders, Seed, show_notes, start, within, write_json

MOST_BATCHES = 10_000


def inspect(
    runs: RunFolders,
    /,
    *,
    depths: Wholes = (),
    goal: Annotated[tuple[float, float] | None, Parameter(negative="")] = None,
    batches: Whole = 8,
    seed: Seed = 0,
    epoch: str = "latest",
    agent_seed: Whole | None = None,
    out: OutFolder | None = None,
    json: ResultFile | None = None,
) -> None:
    """Look into agents: energy over a maze's floor, residual norms along the trunks, rank of the representations.

    Parameters
    ----------
    runs
        Run folders, or folders that hold some.
    depths
        Depths to run looped agents with, such as 4,8,16; runs with a stacked network keep their own [default: own].
    goal
        Goal of the energy maps, x and y in m [default: that of an evaluation episode].
    batches
        Held-out batches for norms and ranks.
    seed
        Seed of the held-out episodes, and of start and goal of the energy maps.
    epoch
        Checkpoint: an epoch that was kept, best (of a run with --keep-best) or latest.
    agent_seed
        Only the agent of this seed [default: all].
    out
        Folder for energy_maps.png (mazes only), norms.png, ranks.png and inspect.json
        [default: runs/inspect/ and the inputs' names].
    json
        Write the numbers to this file too.
    """
    within("batches", batches, 1, MOST_BATCHES)
    start()
    from rl_depth.analysis import inspection, written
    from rl_depth.analysis.compare import compare

    from .. import device
    from ..evaluation import internals
    from ..evaluation.policy import Which
    from . import tables

    chosen = compare.collect(runs)
    if depths and not any(internals.is_looped(run.config()) for run in chosen):
        raise ConfigError(f"--depths {','.join(map(str, depths))}: no run has looped networks alone; drop it")
    tested = tuple(sorted(set(depths)))
    which, found = Which.parse(epoch, agent_seed), []
    for run in chosen:
        own = tested if internals.is_looped(run.config()) else ()
        with device.memory_told():
            found += internals.inspect(run, own, goal=goal, batches=batches, seed=seed, which=which)
    mapped = any(one.energy_map is not None for one in found)
    if goal is not None and not mapped:
        raise ConfigError(f"--goal {goal[0]:g} {goal[1]:g}: no run is in a maze; drop it")
    found.sort(key=lambda one: (one.config.env, one.config.block, one.shown_depth, one.label))
    names = [*(["energy_maps"] if mapped else []), "norms", "ranks"]
    content = [one.to_json() for one in found]
    out = out or written.folder("inspect", runs)
    with written.results(out, "inspect") as made:
        for name in names:
            getattr(inspection, name)(found, made / f"{name}.png")
        write_json(made / "inspect.json", content)
    if json is not None:
        write_json(json, content)
    tables.show_inspections(found)
    for name in (*(f"{name}.png" for name in names), "inspect.json"):
        print(f"written: {out / name}")


def grid(
    runs: RunFolders,
    /,
    *,
    x: str | None = None,
    y: str | None = None,
    metric: Annotated[str, Parameter(name=("--metric", "--metrics"))] = "success_any",
    seed: Seed = 0,
    out: OutFolder | None = None,
    json: ResultFile | None = None,
) -> None:
    """Draw a metric over two options of a sweep: interquartile mean over seeds and its 95% interval in each cell.

    The environment gets a panel of its own, and so does what else would put two groups of runs into one cell.

    Parameters
    ----------
    runs
        Run folders, or folders that hold some.
    x
        Option along the columns, such as actor_depth, or parameters or flops_per_update, which put runs together
        that differ by less than 10% [default: the second of the two that vary].
    y
        Option along the rows [default: the first].
    metric
        Metric, as metrics.jsonl names it: the mean of the last evaluations.
    seed
        Seed of the bootstrap.
    out
        Folder for grid.png and grid.json [default: runs/grid/ and the inputs' names].
    json
        Write the cells to this file too.
    """
    from rl_depth.analysis import grid as layout
    from rl_depth.analysis import written

    from . import tables

    found = layout.grid(runs, metric, x, y, seed=seed)
    files = layout.write(found, out or written.folder("grid", runs))
    if json is not None:
        write_json(json, found.rows)
    tables.show_grid(found)
    show_notes(found.notes)
    for file in files:
        print(f"written: {file}")
