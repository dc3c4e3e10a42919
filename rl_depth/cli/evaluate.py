"""Measuring trained agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ..config import HALT_FORMS, ConfigError, Halt, Whole, Wholes
from .common import (
    MOST_EPISODES,
    Budgets,
    Metrics,
    OutFolder,
    ResultFile,
    RunFolders,
    Seed,
    Switch,
    read_budgets,
    show_notes,
    start,
    within,
    write_json,
)


def evaluate(
    run: Path,
    /,
    *,
    split: str | None = None,
    episodes: Whole = 32,
    stochastic: Annotated[bool, Switch] = False,
    depths: Wholes = (),
    halt: str | None = None,
    budget: Budgets = None,
    seed: Seed = 0,
    epoch: str = "latest",
    agent_seed: Whole | None = None,
    json: ResultFile | None = None,
) -> None:
    """Measure what a run's agents can do, per goal difficulty.

    Parameters
    ----------
    run
        Run folder.
    split
        Goals to evaluate on [default: the environment's evaluation goals].
    episodes
        Episodes at each goal difficulty.
    stochastic
        Draw actions from the policy instead of its mode.
    depths
        Depths to act with, in dense layers, such as 4,8,16 [default: the trained depth].
    halt
        Let each state choose its depth: fixed-point:EPS[:MAX], action-change:EPS[:MAX], second-order:EPS[:MAX] or, of
        agents trained with --halting-head, learned:EPS[:MAX], where MAX bounds it [default: 256 layers]; or
        budget:DEPTH for the same depth in every state.
    budget
        What an action may cost, such as depth=16,samples=8 or subgoals=16,replan=5; several are parted by blanks.
        depth=LAYERS; samples=K actions to choose from, draws of one pass or, with noise=SIGMA on the latent, as many
        latent trajectories, by rank=energy|medoid, drawn anew every hold=STEPS; subgoals=M candidates from
        source=free|replay, ranked by score=min|sum|graph, a new one every replan=STEPS; oracle=CELLS ahead on the
        shortest path of a maze; mode for none of these.
    seed
        Seed of the episodes.
    epoch
        Checkpoint: an epoch that was kept, best (of a run with --keep-best) or latest.
    agent_seed
        Only the agent of this seed [default: all].
    json
        Write the result to this file [default: one in evaluations/ in the run folder that is named after the options].
    """
    within("episodes", episodes, 1, MOST_EPISODES)
    if halt is not None and depths:
        raise ConfigError(f"--halt {halt}: chooses the depth itself; drop --depths")
    budgets = read_budgets(budget, "budget")
    for option, given in (("depths", depths), ("halt", halt), ("stochastic", stochastic)):
        if budgets and given:
            raise ConfigError(f"--budget {budgets[0]}: says what an action may cost; drop --{option}")
    rule = read_halt(halt)
    start()
    from .. import device, runs
    from ..evaluation import capability, spending
    from ..evaluation.policy import Which
    from . import tables

    folder, which = runs.open_run(run), Which.parse(epoch, agent_seed)
    protocol = capability.Protocol(split, episodes, stochastic, depths, rule, budgets, seed, which)
    with device.memory_told():
        rows = (spending.evaluate_budgets if budgets else capability.evaluate_run)(folder, protocol)
    tables.show_evaluation(rows)
    file = json if json is not None else folder.evaluation_file(protocol.name(rows))
    write_json(file, rows)
    print(f"written: {file}")


def extrapolate(
    runs: RunFolders,
    /,
    *,
    depths: Wholes = (4, 8, 16, 32, 64, 128, 256),
    metrics: Metrics = None,
    split: str | None = None,
    episodes: Whole = 32,
    seed: Seed = 0,
    epoch: str = "latest",
    agent_seed: Whole | None = None,
    out: OutFolder | None = None,
    json: ResultFile | None = None,
) -> None:
    """Test looped runs at depths beyond the trained ones: how far capability carries, and how it breaks.

    Parameters
    ----------
    runs
        Run folders, or folders that hold some; each row of the matrix is a run.
    depths
        Test depths, in dense layers, such as 4,8,16.
    metrics
        Capabilities to test [default: success_any, time_at_goal, dist_final].
    split
        Goals to evaluate on [default: the environment's evaluation goals].
    episodes
        Episodes at each goal difficulty.
    seed
        Seed of the episodes, held-out batches and bootstrap.
    epoch
        Checkpoint: an epoch that was kept, best (of a run with --keep-best) or latest.
    agent_seed
        Only the agent of this seed [default: all].
    out
        Folder for the heat map, the curves and extrapolation.json [default: runs/extrapolate/ and the inputs' names].
    json
        Write the result to this file too.
    """
    within("episodes", episodes, 1, MOST_EPISODES)
    if not depths:
        raise ConfigError("--depths: give at least one")
    start()
    from rl_depth.analysis import extrapolation as judging
    from rl_depth.analysis import plots, written
    from rl_depth.analysis.compare import compare

    from .. import device
    from ..evaluation import beyond, capability
    from ..evaluation.policy import Which
    from . import tables

    names = list(dict.fromkeys(metrics or ["success_any", "time_at_goal", "dist_final"]))
    which = Which.parse(epoch, agent_seed)
    protocol = capability.Protocol(split, episodes, depths=tuple(sorted(set(depths))), seed=seed, which=which)
    chosen, shallow = beyond.those_that_reach(compare.collect(runs), protocol.depths)
    show_notes([f"{run.path}: left out, for its actor is stacked and too shallow" for run in shallow])
    with device.memory_told():
        found = beyond.measure(chosen, protocol, names)
    verdicts = [judging.judge(one, seed) for one in found]
    tables.show_extrapolation(found, verdicts)
    content = {
        "protocol": {"split": split, "episodes_per_difficulty": episodes, "seed": seed, "epoch": epoch},
        "made_with": device.describe(),
        "runs": judging.report(found, verdicts, seed),
    }
    out = out or written.folder("extrapolate", runs)
    with written.results(out, "extrapolate") as made:
        write_json(made / "extrapolation.json", content)
        plots.extrapolation(found, made / "extrapolation.png")
        plots.latents(found, made / "latents.png")
    if json is not None:
        write_json(json, content)
    for name in ("extrapolation.json", "extrapolation.png", "latents.png"):
        print(f"written: {out / name}")


def export(run: Path, /, *, agent: Path, epoch: str = "latest", agent_seed: Whole | None = None) -> None:
    """Write one agent to one file, which rl_depth.load reads anywhere.

    Parameters
    ----------
    run
        Run folder.
    agent
        The safetensors file to write: parameters, and the configuration beside them.
    epoch
        Checkpoint: an epoch that was kept, best (of a run with --keep-best) or latest.
    agent_seed
        Seed of the agent [default: the run's first].
    """
    start()
    from ..evaluation import policy

    which = policy.Which.parse(epoch, agent_seed)
    written = policy.export(run, agent, which.seed, epoch=which.epoch)
    print(f"written: {agent} (epoch {written.epoch})")


def read_halt(text: str | None) -> Halt | None:
    """The rule that ``--halt`` names."""
    try:
        return Halt.parse(text) if text is not None else None
    except ValueError as error:
        known = str(error) if HALT_FORMS in str(error) else f"{error}; forms: {HALT_FORMS}"
        raise ConfigError(f"--halt {text}: {known}") from None
