"""Runs put together: groups that differ in nothing but their seeds, and what had to be left out of them.

Axes: ``S`` seeds, ``N`` evaluations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_depth.config import Config, ConfigError
from rl_depth.runs import InputError, Run, RunError, find_runs

from .differences import NETWORKS, Extras, depth_label, extras_of, majority, options

# Final capability is the mean over this many last evaluations, since a single one is noisy.
LAST = 3

DAMAGE = (OSError, RecursionError, ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)
"""What reading a run folder raises that was damaged, or made by something else: of JSON 100,000 brackets deep, say."""

_PLACES = {"epoch", "env_steps", "grad_steps", "seed"}
_MOST_STEPS = 2**63
_LARGEST = 1e300  # JSON has whole numbers that no float holds
_SHOWN = 3  # places that a note names


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in nothing but their seeds.

    Attributes:
      config: their configuration (the first run's).
      runs: their folders.
      seeds: ``[S]``, sorted.
      env_steps: ``[N]``, evaluations that all seeds have; a seed that diverged keeps its last values from there on.
      curves: metric to ``[S, N]``, NaN where an evaluation lacks it; the last ``LAST`` evaluations all have it.
      seconds: ``[S, N]``, collection and gradient steps up to each evaluation, per seed; NaN where not recorded.
      levels: ``[S]``, entries per goal difficulty (``by_difficulty``) of the last ``LAST`` evaluations together.
      cost: parameters and operations, as ``meta.json`` holds them.
      device: kind of device of the last session; "" if not recorded.
      finished: whether they were trained to the end, or diverged; otherwise no seed was.
      diverged: seeds that diverged.
      extras: option and value of what tells it from other groups of its environment, besides block and depth.
    """

    config: Config
    runs: tuple[str, ...]
    seeds: np.ndarray
    env_steps: np.ndarray
    curves: dict[str, np.ndarray]
    seconds: np.ndarray
    levels: tuple[list[dict[str, Any]], ...]
    cost: dict[str, int]
    device: str
    finished: bool
    diverged: tuple[int, ...]
    extras: Extras

    @property
    def env(self) -> str:
        """Environment."""
        return self.config.env

    @property
    def block(self) -> str:
        """Block of the networks; of most of them where they differ."""
        return majority(self.config, "block")

    @property
    def depths(self) -> tuple[int, int, int]:
        """Depth of actor, phi and psi."""
        actor, phi, psi = (self.config.trunk(network).depth for network in NETWORKS)
        return actor, phi, psi

    @property
    def depth(self) -> int:
        """Depth of the networks; of the deepest where they differ."""
        return max(self.depths)

    @property
    def variant(self) -> str:
        """Block and whatever else differs between groups, without the depth."""
        return ", ".join([self.block, *map(" ".join, self.extras)])

    @property
    def label(self) -> str:
        """``stacked, depth 16`` and whatever else differs between the groups."""
        return ", ".join([self.block, depth_label(self.depths), *map(" ".join, self.extras)])

    @property
    def train_seconds(self) -> float:
        """Seconds of collection and gradient steps, per seed; NaN if not recorded."""
        return float(self.seconds[:, -1].mean())

    def final(self, metric: str) -> np.ndarray:
        """Mean of the last evaluations, per seed ``[S]``."""
        return self.curves[metric][:, -LAST:].mean(axis=1)


@dataclass(frozen=True)
class Gathered:
    """Groups sorted by environment, depth and block, and a line for each thing that the reader must know of them:
    runs left out, seeds that diverged or have not finished."""

    groups: tuple[Group, ...]
    notes: tuple[str, ...]


def collect(paths: Iterable[Path | str]) -> list[Run]:
    """All runs at or below the given paths, each once.

    Raises:
      RunError: a path holds none.
    """
    found: dict[Path, Run] = {}
    for path in paths:
        below = find_runs(path)
        if not below:
            raise InputError(f"{path}: no run folder there")
        found |= {run.path.resolve(): run for run in below}
    return list(found.values())


def gather(paths: Iterable[Path | str]) -> Gathered:
    """Groups of the runs at or below the given paths. What cannot be used is left out and noted.

    Raises:
      RunError: a path holds no run, or no run of all can be used; says why.
    """
    return _gather(collect(paths))


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """The groups of some runs (see ``gather``).

    Raises:
      RunError: none of the runs can be used; says why.
    """
    return list(_gather(runs).groups)


def _gather(runs: Sequence[Run]) -> Gathered:
    notes = _Notes()
    members: dict[Any, list[_Agent]] = defaultdict(list)
    for run in runs:
        try:
            config = run.config()
            agents = _read(run, config, notes)
        except (RunError, ConfigError) as error:
            reason = str(error).removeprefix(f"{run.path}: ").removeprefix(f"{run.path}/")
            notes.left_out(reason, str(run.path))
            continue
        except DAMAGE as error:
            notes.left_out(f"not as rl-depth writes it ({type(error).__name__})", str(run.path))
            continue
        for agent in agents:
            members[tuple(options(agent.config).values())].append(agent)
    chosen = {key: _choose(agents, notes) for key, agents in members.items() if agents}
    if not chosen:
        raise InputError(f"no run can be used; {'; '.join(notes.lines())}")
    extras = extras_of([agents[0].config for agents in chosen.values()])
    groups = [_group(agents, own) for agents, own in zip(chosen.values(), extras, strict=True)]
    for group in groups:
        for seed in group.diverged:
            place = f"{group.config.env}, {group.label}, seed {seed}"
            notes.add("diverged, judged by the last evaluations before", place)
    groups.sort(key=lambda g: (g.config.env, g.depth, g.block, g.label))
    return Gathered(tuple(groups), tuple(notes.lines()))


class _Notes:
    """Notes by reason, so that a hundred runs that did not start make one line."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, reason: str, place: str) -> None:
        self._places.setdefault(reason, []).append(place)

    def once(self, reason: str, place: str) -> None:
        if place not in self._places.get(reason, []):
            self.add(reason, place)

    def left_out(self, reason: str, place: str) -> None:
        self.add(f"left out, {reason}", place)

    def lines(self) -> list[str]:
        found = []
        for reason, places in self._places.items():
            more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
            found.append(f"{reason}: {'; '.join(places[:_SHOWN])}{more}")
        return found


@dataclass(frozen=True, eq=False)
class _Agent:
    """One seed of a run.

    Attributes:
      config: with this seed's own values, if they differ between the run's seeds.
      rows: evaluations by environment steps.
      seconds: training time of this seed by environment steps.
      diverged: whether it stopped learning for good.
    """

    run: Run
    config: Config
    seed: int
    rows: dict[int, dict[str, Any]]
    seconds: dict[int, float]
    diverged: bool

    @property
    def last(self) -> int:
        """Environment steps of the last evaluation."""
        return max(self.rows)

    @property
    def finished(self) -> bool:
        """Whether nothing is to come: trained to the end, or diverged."""
        return self.diverged or self.last >= self.config.epochs * self.config.epoch_env_steps

    def at(self, step: int) -> int:
        """The evaluation that stands for a step: the last one up to there."""
        return max(s for s in self.rows if s <= step)

    def seconds_at(self, step: int) -> float:
        """Training time up to a step, or up to where this seed stopped; NaN if not recorded."""
        return self.seconds.get(step, self.seconds.get(self.at(step), np.nan))


def _read(run: Run, config: Config, notes: _Notes) -> list[_Agent]:
    """The seeds of a run that can be used."""
    rows = run.metrics()
    diverged = _diverged(run)
    if not rows and not diverged:
        raise InputError("no evaluation yet")
    by_seed: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    for number, row in enumerate(rows, start=1):
        if not (isinstance(row, dict) and all(isinstance(row.get(name), int) for name in ("seed", "env_steps"))):
            raise InputError(f"metrics.jsonl, line {number} is no evaluation with seed and env_steps")
        if not 0 <= row["env_steps"] < _MOST_STEPS:
            raise InputError(f"metrics.jsonl, line {number} is at env_steps {row['env_steps']:.3g}")
        by_seed[row["seed"]][row["env_steps"]] = row | {"by_difficulty": _levels(row, run, notes)}
    for seed in diverged - by_seed.keys():
        notes.left_out("diverged before the first evaluation", f"{run.path}, seed {seed}")
    own_seeds = range(config.seed, config.seed + config.seeds)
    timing = _seconds(run, config)
    agents = []
    for seed, own in by_seed.items():
        broken = _not_finite(own)
        if broken:
            notes.left_out(f"{broken} is not finite", f"{run.path}, seed {seed}")
            continue
        if seed not in own_seeds:
            notes.left_out("a seed that the run's config.toml does not have", f"{run.path}, seed {seed}")
            continue
        agents.append(_Agent(run, config.of_seed(seed), seed, own, timing, seed in diverged))
    return agents


def _levels(row: Mapping[str, Any], run: Run, notes: _Notes) -> list[dict[str, Any]]:
    """The evaluation's entries per goal difficulty, numbers alone; none, and a note, if they are something else."""
    found = row.get("by_difficulty", [])
    try:
        levels = [{name: float(value) for name, value in level.items()} for level in found]
        sound = all(np.isfinite(list(own.values())).all() and own["episodes"] >= 1 for own in levels)
        if sound and all("goal_distance" in own for own in levels):
            return levels
    except DAMAGE:
        pass
    notes.once("by_difficulty cannot be read", str(run.path))
    return []


def _not_finite(rows: Mapping[int, Mapping[str, Any]]) -> str | None:
    """The first metric that holds no finite number somewhere."""
    for row in rows.values():
        for name, value in row.items():
            if value is None or (isinstance(value, int | float) and not abs(value) < _LARGEST):
                return name
    return None


def _choose(agents: Sequence[_Agent], notes: _Notes) -> list[_Agent]:
    """Each seed once, and finished ones alone if there are any; sorted by seed."""
    by_seed: dict[int, _Agent] = {}
    for agent in sorted(agents, key=lambda a: (not a.finished, -a.last)):
        if agent.seed in by_seed:
            kept = by_seed[agent.seed].run.path
            notes.once("left out, the same options and seed as another run", f"{agent.run.path} (as {kept})")
        else:
            by_seed[agent.seed] = agent
    found = [by_seed[seed] for seed in sorted(by_seed)]
    finished = [agent for agent in found if agent.finished]
    if all(agent.diverged for agent in finished) and len(finished) < len(found):
        finished = []  # those that diverged do not speak for those still learning
    for agent in found:
        if not agent.finished:
            end = agent.config.epochs * agent.config.epoch_env_steps
            reason = "not finished as other seeds are" if finished else None
            place = f"{agent.run.path}, seed {agent.seed} at {agent.last:,} of {end:,} steps"
            notes.left_out(reason, place) if reason else notes.add("not finished, judged where it stands", place)
    return finished or found


def _group(agents: Sequence[_Agent], extras: Extras) -> Group:
    steps = _common_steps(agents)
    at = [[agent.at(step) for step in steps] for agent in agents]
    rows = [[agent.rows[s] for s in own] for agent, own in zip(agents, at, strict=True)]
    names = {n for own in rows for row in own for n, v in row.items() if isinstance(v, int | float)} - _PLACES
    curves = {n: np.array([[_number(row.get(n)) for row in own] for own in rows], float) for n in sorted(names)}
    first = agents[0].run
    meta = _json(first.meta)
    sessions = meta.get("sessions")
    session = sessions[-1] if isinstance(sessions, list) and sessions and isinstance(sessions[-1], dict) else {}
    device = session.get("device")
    return Group(
        config=agents[0].config,
        runs=tuple(dict.fromkeys(str(agent.run.path) for agent in agents)),
        seeds=np.array([agent.seed for agent in agents]),
        env_steps=np.array(steps),
        curves={name: curve for name, curve in curves.items() if np.isfinite(curve[:, -LAST:]).all()},
        seconds=np.array([[agent.seconds_at(step) for step in steps] for agent in agents]),
        levels=tuple([level for row in own[-LAST:] for level in row["by_difficulty"]] for own in rows),
        cost=_costs(meta.get("cost")),
        device=str(device.get("kind", "")) if isinstance(device, dict) else "",
        finished=all(agent.finished for agent in agents),
        diverged=tuple(agent.seed for agent in agents if agent.diverged),
        extras=extras,
    )


def _costs(found: Any) -> dict[str, int]:
    """Parameters and operations: numbers above 0."""
    known = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in known if isinstance(value, int | float) and 0 < value < _LARGEST}


def _number(value: Any) -> float:
    """A metric's value; NaN for what is none."""
    return value if isinstance(value, int | float) else np.nan


def _common_steps(agents: Sequence[_Agent]) -> list[int]:
    """Evaluations of all seeds that did not diverge; those that did stand still at their last one."""
    sound = [set(agent.rows) for agent in agents if not agent.diverged]
    steps = set.intersection(*sound) if sound else set.union(*(set(agent.rows) for agent in agents))
    first = max(min(agent.rows) for agent in agents)
    found = sorted(step for step in steps if step >= first)
    if not found:
        raise InputError(f"{agents[0].run.path}: its seeds have no evaluation in common")
    return found


def _seconds(run: Run, config: Config) -> dict[int, float]:
    """Training time of one seed by environment steps; empty if it cannot be read: only wall times are then missing."""
    try:
        return {row["env_steps"]: float(row["train_seconds"]) / config.seeds for row in run.timing()}
    except (RunError, *DAMAGE):
        return {}


def _diverged(run: Run) -> set[int]:
    """Seeds that stopped learning for good; a status that does not say is taken for none."""
    found = _json(run.status).get("diverged")
    return {int(seed) for seed in found if str(seed).isdecimal()} if isinstance(found, dict) else set()


def _json(read: Callable[[], Any]) -> dict[str, Any]:
    """A small file of a run; empty if it cannot be read: costs, device or divergence are then unknown."""
    try:
        found = read()
    except (RunError, *DAMAGE):
        return {}
    return found if isinstance(found, dict) else {}
