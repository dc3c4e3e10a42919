"""Many runs: start them, follow them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from ..config import ConfigError, Whole
from .common import OutFolder, ResultFile, Switch, at_least, show_notes, start, write_json

if TYPE_CHECKING:
    from ..sweeps.estimates import Estimate
    from ..sweeps.executors import Executor
    from ..sweeps.grids import Plan
    from ..sweeps.schedule import Task
    from ..sweeps.sweep import Cell

_CLUSTER = Group("Clusters", sort_key=1)


@Parameter(name="*", group=_CLUSTER)
@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What cells get on a cluster; local processes share this machine instead."""

    cpus_per_cell: Whole = 2
    """CPU cores of a cell's job on Slurm or Ray."""
    gpus_per_cell: Whole = 0
    """GPUs of a cell's job on Slurm or Ray."""
    slurm_partition: str | None = None
    """Partition to submit to [default: the cluster's]."""
    slurm_account: str | None = None
    """Account to submit under [default: the user's]."""
    slurm_time: Whole = 1440
    """Time limit of a job, minutes; a cell that needs longer saves before, and queues again."""
    slurm_memory: Whole | None = None
    """Memory of a job, GB [default: the cluster's]."""
    ray_address: str | None = None
    """Ray cluster [default: RAY_ADDRESS, or the one that runs here, or a new one of this machine]."""


def sweep(
    *words: Annotated[str, Parameter(name="FILE-OR-FLAGS", allow_leading_hyphen=True)],
    grid: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    preset: str | None = None,
    out: OutFolder | None = None,
    executor: Literal["local", "slurm", "ray"] = "local",
    workers: Whole | None = None,
    retries: Whole = 1,
    dry_run: Annotated[bool, Switch] = False,
    quiet: Annotated[bool, Switch] = False,
    tensorboard: Annotated[bool, Switch] = False,
    wandb: str | None = None,
    json: ResultFile | None = None,
    cluster: Cluster = Cluster(),
) -> None:
    """Train every cell of a grid; called again, it does what is left to do.

    rl-depth sweep --depth 4,8,16 --block stacked,looped --seeds 5 --out runs/depths

    rl-depth sweep thresholds --env-steps 100000

    What was run is written into the folder as sweep.toml, and `rl-depth sweep FOLDER` goes on with it.

    Parameters
    ----------
    words
        A sweep: a TOML file with options of `train` and lists of values under [grid], a folder that a sweep was run
        into, or the name of one that ships, such as thresholds; and options of `train`, with one value for all cells
        or several to combine: --depth 4,8,16. The sweep may be left out.
    grid
        Options with lists of values too: --grid depth=4,8 block=stacked,looped.
    preset
        Start from a preset, named or a TOML file; the sweep's file and flags go on top.
    out
        Folder of the cells' run folders [default: one below runs/sweep, named after FILE or what varies].
    executor
        Processes of this machine, jobs of a Slurm cluster, or tasks of a Ray cluster.
    workers
        Cells at a time [default: one per GPU, or per two cores; a cluster queues all].
    retries
        How often to try a failed cell again.
    dry_run
        Print the cells with parameters, operations, estimated time and memory; run nothing.
    quiet
        Show no progress.
    tensorboard
        Write TensorBoard event files into the cells' run folders too.
    wandb
        Log the cells to this Weights & Biases project too.
    json
        Write the cells, and how each stands, to this file too.
    """
    at_least("retries", retries, 0)
    if workers is not None:
        at_least("workers", workers, 1)
    _check_cluster(executor, cluster)
    from ..sweeps import grids
    from ..sweeps import sweep as sweeps

    name = words[0] if words and not words[0].startswith("-") else None
    file = grids.find_sweep(name) if name is not None else None
    plan = grids.plan(file, words[0 if name is None else 1 :], grid or (), preset)
    folder = out if out is not None else _folder(name, file, plan)
    cells = sweeps.cells(plan, folder)
    sweeps.check_folders(cells)
    # Before JAX is loaded, which warns of the processes that Ray forks.
    where = None if dry_run else _executor(executor, workers, cluster, folder)
    estimates = _estimates(cells)
    if where is None:
        _show_plan(cells, estimates, folder)
        if json is not None:
            write_json(json, _rows(cells, estimates))
        return
    where.options = [*(["--tensorboard"] if tensorboard else []), *(["--wandb", wandb] if wandb is not None else [])]
    note = grids.write(plan, folder)
    show_notes([note] if note is not None else [])
    from ..sweeps import schedule

    try:
        tasks = schedule.run(cells, where, retries=retries, estimates=estimates, quiet=quiet)
    except schedule.Stopped:
        print(f"stopped; the same command goes on, and `rl-depth watch {folder}` shows how far it is")
        raise SystemExit(130) from None
    if json is not None:
        write_json(json, _rows(cells, _estimates(cells), tasks))
    _conclude(tasks, folder)


def _folder(name: str | None, file: Path | None, plan: Plan) -> Path:
    """Where a sweep goes that was not told: a folder that it was run into before, or one named after it."""
    if name is not None and Path(name).is_dir():
        return Path(name)
    return Path("runs") / "sweep" / (file.stem if file is not None else plan.name())


def watch(root: Path, /, *, once: Annotated[bool, Switch] = False, json: ResultFile | None = None) -> None:
    """Follow the runs of a folder in a table, until none goes on; waits for a folder that does not exist yet.

    Parameters
    ----------
    root
        Folder of a sweep, or of any runs.
    once
        Print the table once.
    json
        With --once, write it to this file too.
    """
    if json is not None and not once:
        raise ConfigError(f"--json {json}: goes with --once")
    from .. import terminal
    from ..sweeps import overview

    watcher = overview.Watcher(root)
    if not once:
        watcher.follow()
        return
    views = watcher.views()
    terminal.show(overview.table(views, f"{root}: {overview.summary(views)}"))
    if json is not None:
        write_json(json, overview.to_rows(views))


def _check_cluster(executor: str, cluster: Cluster) -> None:
    """Refuse options that the executor does not read."""
    at_least("cpus-per-cell", cluster.cpus_per_cell, 1)
    at_least("gpus-per-cell", cluster.gpus_per_cell, 0)
    at_least("slurm-time", cluster.slurm_time, 1)
    default = Cluster()
    for name in Cluster.__dataclass_fields__:
        value = getattr(cluster, name)
        owner = name.split("_")[0]
        read = executor == owner if owner in ("slurm", "ray") else executor != "local"
        if value != getattr(default, name) and not read:
            goes = f"--executor {owner}" if owner in ("slurm", "ray") else "--executor slurm or ray"
            raise ConfigError(f"--{name.replace('_', '-')} {value}: goes with {goes}")


def _executor(name: str, workers: int | None, cluster: Cluster, folder: Path) -> Executor:
    from ..sweeps import executors

    if name == "local":
        return executors.Local(workers)
    resources = executors.Resources(cluster.cpus_per_cell, cluster.gpus_per_cell, cluster.slurm_memory)
    if name == "slurm":
        found: Any = executors.slurm(
            folder / ".submitit", resources, cluster.slurm_time, cluster.slurm_partition, cluster.slurm_account
        )
    else:
        found = executors.Ray(resources, cluster.ray_address)
    found.slots = workers or found.slots
    return found


def _estimates(cells: list[Cell]) -> dict[str, Estimate]:
    """What each cell takes; this process counts on the CPU, and leaves GPUs to the cells."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    start()
    from ..runs import Run
    from ..sweeps import estimates, overview

    counted = {cell.name: estimates.count(cell) for cell in cells}
    views = {cell.name: overview.look(Run(cell.path), cell.config) for cell in cells}
    paces = {name: view.pace for name, view in views.items() if view.pace is not None}
    return estimates.with_times(cells, counted, paces)


def _show_plan(cells: list[Cell], estimates: dict[str, Estimate], folder: Path) -> None:
    """Print what would run, and what the times rest on."""
    from .. import terminal
    from ..runs import Run
    from ..sweeps import overview

    plan = terminal.empty_table(
        f"{folder}: {len(cells)} cells; nothing was started",
        ("cell", "state"),
        ("seeds", "parameters", "FLOP/update", "FLOP", "memory", "time"),
    )
    for cell in cells:
        own = estimates[cell.name]
        state = overview.look(Run(cell.path), cell.config).state if cell.path.exists() else "new"
        numbers = [str(cell.config.seeds), f"{own.parameters:,}"]
        numbers += [_amount(number) for number in (own.flops_per_update, own.flops)]
        time = "unknown" if own.seconds is None else overview.duration(own.seconds)
        plan.add_row(cell.name, state, *numbers, f"{_amount(own.memory_bytes)}B", time)
    terminal.show(plan)
    print("parameters and FLOP/update: of one agent; FLOP, memory and time: of all seeds of a cell")
    print("memory: counted arrays (weights, gradients, Adam, replay, activations); JAX itself takes more")
    for basis in dict.fromkeys(own.basis for own in estimates.values()):
        names = [name for name, own in estimates.items() if own.basis == basis]
        print(f"time of {', '.join(names)}: {basis}")


def _amount(number: float) -> str:
    """``2.4e10 -> "24.0 G"``."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if number < 1000:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.4g} E"


def _rows(cells: list[Cell], estimates: dict[str, Estimate], tasks: list[Task] | None = None) -> list[dict[str, Any]]:
    by_name = {task.cell.name: task for task in tasks or []}
    rows = []
    for cell in cells:
        row = {"name": cell.name, "path": str(cell.path), "varied": cell.varied, "seeds": cell.config.seeds}
        row |= estimates[cell.name].to_dict()
        if cell.name in by_name:
            row |= {"state": by_name[cell.name].state, "reason": by_name[cell.name].reason}
        rows.append(row)
    return rows


def _conclude(tasks: list[Task], folder: Path) -> None:
    failed = [task for task in tasks if task.state == "failed"]
    started = any(task.job is not None for task in tasks)
    done = f"{len(tasks) - len(failed)} of {len(tasks)} cells finished"
    print(f"{folder}: {done}" + ("" if started else "; nothing to do"))
    for task in failed:
        print(f"failed: {task.cell.name}: {task.reason}")
    if failed:
        raise SystemExit(1)
