"""Capability against what an action costs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ..config import ConfigError, Whole
from .common import (
    MOST_EPISODES,
    Budgets,
    OutFolder,
    ResultFile,
    RunFolders,
    Seed,
    read_budgets,
    start,
    within,
    write_json,
)


def frontier(
    runs: RunFolders,
    /,
    *,
    budgets: Budgets = None,
    metric: Annotated[str, Parameter(name=("--metric", "--metrics"))] = "success_any",
    split: str | None = None,
    episodes: Whole = 32,
    seed: Seed = 0,
    epoch: str = "latest",
    agent_seed: Whole | None = None,
    out: OutFolder | None = None,
    json: ResultFile | None = None,
) -> None:
    """Say which way of spending computation on an action buys most: depth, samples, latent noise or subgoals.

    Every budget is a point: capability against operations and against dense layers in sequence. All are measured in the
    same episodes; intervals are of a bootstrap over seeds and episodes.

    Parameters
    ----------
    runs
        Run folders, or folders that hold some.
    budgets
        What an action may cost, parted by blanks, such as depth=8 depth=16 samples=4 subgoals=8,replan=5; see evaluate.
    metric
        Capability to weigh.
    split
        Goals to evaluate on [default: the environment's evaluation goals].
    episodes
        Episodes at each goal difficulty.
    seed
        Seed of the episodes and of the bootstrap.
    epoch
        Checkpoint: an epoch that was kept, best (of a run with --keep-best) or latest.
    agent_seed
        Only the agent of this seed [default: all].
    out
        Folder for frontier.png and frontier.json [default: runs/frontier/ and the inputs' names].
    json
        Write the result to this file too.
    """
    within("episodes", episodes, 1, MOST_EPISODES)
    chosen = read_budgets(budgets, "budgets")
    if not chosen:
        raise ConfigError("--budgets: say what an action may cost, such as mode depth=16 samples=4 subgoals=8,replan=5")
    start()
    from rl_depth.analysis import frontier as judging
    from rl_depth.analysis import written
    from rl_depth.analysis.compare import compare

    from .. import device
    from ..evaluation import capability, spending
    from ..evaluation.policy import Which
    from . import tables

    which = Which.parse(epoch, agent_seed)
    protocol = capability.Protocol(split, episodes, budgets=chosen, seed=seed, which=which)
    with device.memory_told():
        measured = spending.measure(compare.collect(runs), protocol, metric)
    found = judging.frontiers(measured, seed)
    tables.show_frontiers(found)
    content = {
        "protocol": {"split": split, "episodes_per_difficulty": episodes, "seed": seed, "epoch": epoch},
        "made_with": device.describe(),
        "frontiers": [one.to_json() for one in found],
    }
    out = out or written.folder("frontier", runs)
    with written.results(out, "frontier") as made:
        write_json(made / "frontier.json", content)
        judging.draw(found, made / "frontier.png")
    if json is not None:
        write_json(json, content)
    for name in ("frontier.json", "frontier.png"):
        print(f"written: {out / name}")
