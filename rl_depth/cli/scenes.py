"""Looking at agents and environments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..config import ConfigError, Whole
from .common import MOST_EPISODES, OutFolder, Seed, Switch, read_budgets, start, within


def render(
    runs: Annotated[list[Path] | None, Parameter(consume_multiple=True, json_list=False)] = None,
    /,
    *,
    env: str | None = None,
    policy: str | None = None,
    split: str | None = None,
    backend: str | None = None,
    episodes: Whole = 2,
    depth: Whole | None = None,
    budget: str | None = None,
    seed: Seed = 0,
    epoch: str | None = None,
    agent_seed: Whole | None = None,
    out: OutFolder | None = None,
    gif: Annotated[bool, Switch] = False,
    size: Annotated[tuple[Whole, Whole], Parameter(negative="")] = (480, 360),
) -> None:
    """Make a video and an interactive page of episodes; several runs go side by side.

    Parameters
    ----------
    runs
        Run folders.
    env
        Show this environment instead of runs; needs --policy.
    policy
        Policy for --env: random.
    split
        Starts and goals to draw [default: evaluation goals].
    backend
        Physics backend for --env [default: the environment's first].
    episodes
        Episodes, one after another.
    depth
        Depth to act with, in dense layers [default: the trained depth].
    budget
        What an action may cost, such as samples=8 or depth=16,subgoals=16,replan=5; see evaluate.
    seed
        Seed of the episodes; the same starts and goals for all runs.
    epoch
        Checkpoint: an epoch that was kept, best (of a run with --keep-best) or latest [default: latest].
    agent_seed
        Seed of the agent that acts [default: each run's first].
    out
        Folder for the files [default: videos/ in the first run's folder, or runs/render/ENV].
    gif
        Write a gif as well.
    size
        Width and height of one picture, pixels.
    """
    within("episodes", episodes, 1, MOST_EPISODES)
    for side in size:
        if not 64 <= side <= 4096:
            raise ConfigError(f"--size {size[0]} {size[1]}: each must lie in 64 to 4096 pixels")
    _check_who(runs, env, policy, backend, {"depth": depth, "budget": budget, "epoch": epoch, "agent-seed": agent_seed})
    if budget is not None and depth is not None:
        raise ConfigError(f"--budget {budget}: say the depth in it, as depth={depth}; drop --depth")
    (spent,) = read_budgets([budget], "budget") if budget is not None else (None,)
    start()
    from .. import device, interrupts
    from ..evaluation import episodes as recording
    from ..evaluation.policy import Which

    which = Which.parse(epoch, agent_seed)
    options = recording.Options(
        split=split, episodes=episodes, depth=depth, budget=spent, seed=seed, size=size, gif=gif, which=which
    )
    with interrupts.tidying(), device.memory_told():
        if env is not None:
            files = recording.show_random(env, backend, options, out)
        else:
            files = recording.show_runs(runs or [], options, out)
    for file in files:
        print(f"written: {file}")


def _check_who(
    runs: list[Path] | None, env: str | None, policy: str | None, backend: str | None, of_runs: dict[str, object]
) -> None:
    """Either runs, or an environment with a policy and none of the options ``of_runs``."""
    if bool(runs) == (env is not None):
        raise ConfigError("render: give run folders, or --env NAME --policy random, not both and not neither")
    if env is not None and policy is None:
        raise ConfigError("render: --env needs --policy random; an agent is shown by naming its run")
    if env is not None and policy != "random":
        raise ConfigError(f"--policy {policy}: with --env it must be random")
    if env is None and (policy is not None or backend is not None):
        raise ConfigError("--policy and --backend go with --env; a run has its own")
    for name, value in of_runs.items():
        if env is not None and value is not None:
            raise ConfigError(f"--{name} {value}: a random policy has no {name.replace('-', ' ')}")


def envs(
    names: Annotated[list[str] | None, Parameter(consume_multiple=True, json_list=False)] = None,
    /,
    *,
    check: Annotated[bool, Switch] = False,
) -> None:
    """List environments: sizes, splits, backends.

    Parameters
    ----------
    names
        Environments [default: all].
    check
        Step them on each of their backends instead, and print steps per second; all of them take a while.
    """
    from rl_depth import envs as registry

    try:
        chosen = [registry.check_name(name) for name in names or registry.names()]
    except ValueError as error:
        raise ConfigError(str(error)) from None
    start()
    from ..runs import RunError
    from . import tables

    try:
        for name in chosen if names else ():
            registry.make(name)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if not check:
        tables.show_environments(chosen)
    elif broken := tables.check_environments(chosen):
        raise RunError(f"not finite under random actions: {', '.join(broken)}")
