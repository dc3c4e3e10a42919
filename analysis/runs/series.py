"""From run folders, or a table of anybody's results, to series over depth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_depth.config import ConfigError
from rl_depth.runs import InputError

from .. import meaning
from . import groups as grouping
from . import table
from .groups import Group
from .table import Series

DEFAULT_METRICS = ("success_any", "time_at_goal", "dist_final")
"""What runs are judged by, and the same of drawn actions where they log it (``with_draws``)."""


def with_draws(metrics: Sequence[str], known: Iterable[str]) -> list[str]:
    """Those metrics that are known, each beside the same of drawn actions where that is known."""
    there = set(known)
    return [name for metric in metrics for name in (metric, meaning.other_way(metric)) if name in there]


@dataclass(frozen=True)
class Loaded:
    """Series, the groups of runs behind them (none for a table), and what the reader must know of them."""

    series: list[Series]
    groups: tuple[Group, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """Groups of one environment and block along depth.

    Attributes:
      env: environment.
      block: block and whatever else sets this line apart.
      points: depth and group, ascending in depth.
      note: what else changes with depth; "" if nothing.
    """

    env: str
    block: str
    points: tuple[tuple[int, Group], ...]
    note: str = ""


def load(inputs: Sequence[Path], metrics: Sequence[str] = ()) -> list[Series]:
    """Series of the named metrics; see ``read``."""
    return read(inputs, metrics).series


def read(inputs: Sequence[Path], metrics: Sequence[str] = ()) -> Loaded:
    """Series of the named metrics.

    Args:
      inputs: run folders, or folders that hold some; or CSV files (see ``table.read``).
      metrics: names; if empty those of ``DEFAULT_METRICS`` that the runs have, by mode and by draws, for a table all it
        has.

    Raises:
      RunError: an input holds nothing that can be used, or mixes the two kinds.
      ConfigError: nothing has such a metric; names those there are.
    """
    tables = tables_among(inputs)
    if not tables:
        return from_groups(grouping.gather(inputs), metrics)
    notes: list[str] = []
    try:
        found = table.merge(table.read(path, notes) for path in tables)
    except ValueError as error:
        raise InputError(str(error)) from None
    _check(metrics, {one.metric for one in found})
    return Loaded([one for one in found if not metrics or one.metric in metrics], (), tuple(notes))


def tables_among(inputs: Sequence[Path]) -> list[Path]:
    """The inputs if they are tables, none if they are run folders.

    Raises:
      InputError: they are both.
    """
    tables = [path for path in inputs if path.is_file()]
    if tables and len(tables) < len(inputs):
        raise InputError("give run folders or tables, not both at once")
    return tables


def from_runs(paths: Sequence[Path], metrics: Sequence[str] = ()) -> list[Series]:
    """Final capability of runs; see ``read``."""
    return from_groups(grouping.gather(paths), metrics).series


def from_groups(gathered: grouping.Gathered, metrics: Sequence[str] = ()) -> Loaded:
    """Final capability of groups along depth.

    Raises:
      ConfigError: no group has such a metric; names those there are.
    """
    known = {metric for group in gathered.groups for metric in group.curves}
    _check(metrics, known)
    wanted = metrics or with_draws(DEFAULT_METRICS, known)
    if not wanted:
        raise ConfigError(f"--metrics: name some; the runs have {', '.join(sorted(known))}")
    notes, rows = list(gathered.notes), []
    groups, unfinished = _finished(gathered.groups)
    notes += unfinished
    for line in arrange(groups):
        notes += [line.note] if line.note else []
        for metric in wanted:
            lacking = [str(depth) for depth, group in line.points if metric not in group.curves]
            if lacking:
                notes.append(f"no {metric}: {line.env}, {line.block}, depth {', '.join(lacking)}")
            for depth, group in line.points:
                if metric in group.curves:
                    for seed, value in zip(group.seeds, group.final(metric), strict=True):
                        rows.append((line.env, line.block, depth, str(seed), metric, float(value)))
    return Loaded(table.from_rows(rows), tuple(groups), tuple(notes))


def _finished(groups: Sequence[Group]) -> tuple[list[Group], list[str]]:
    """Groups that finished, per environment, or all if none did; deep agents often finish last, and would look bad."""
    found, notes = [], []
    for env in dict.fromkeys(group.config.env for group in groups):
        own = [group for group in groups if group.config.env == env]
        done = [group for group in own if group.finished]
        found += done or own
        early = [group.label for group in own if done and not group.finished]
        if early:
            notes.append(f"left out of the verdicts, not finished as other depths are: {env}, {'; '.join(early)}")
        elif not done and len({int(group.env_steps[-1]) for group in own}) > 1:
            notes.append(f"depths were not trained for equally many steps yet, which may look like an effect: {env}")
    return found, notes


def _check(metrics: Sequence[str], known: set[str]) -> None:
    for metric in metrics:
        if metric not in known:
            raise ConfigError(f"--metrics {metric}: there are {', '.join(sorted(known))}")


def arrange(groups: Sequence[Group]) -> list[Line]:
    """Groups as lines along depth, each group in at least one; sorted by environment and block.

    Where the networks' depths differ, a line follows the actor's depth at one depth of the critic, or the critic's
    at one of the actor. An option that has another value at every depth (width at equal parameters, say) does not
    part the line, since nothing could then be compared.
    """
    by_env: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by_env[group.config.env].append(group)
    found = []
    for env, own in by_env.items():
        mixed = _unequal(env, own)
        placed = {id(group) for line in mixed for _, group in line.points}
        equal = [line for line in _equal(env, own) if len(line.points) > 1 or id(line.points[0][1]) not in placed]
        found += equal + mixed
    return sorted(found, key=lambda line: (line.env, table.natural(line.block)))


def _equal(env: str, groups: Sequence[Group]) -> list[Line]:
    """Lines of groups whose networks are equally deep."""
    variants: dict[str, dict[str, list[Group]]] = defaultdict(lambda: defaultdict(list))
    for group in groups:
        if len(set(group.depths)) == 1:
            variants[group.block][group.variant].append(group)
    found = []
    for block, own in variants.items():
        every = [group for members in own.values() for group in members]
        if 1 < len(own) == len(every) == len({group.depth for group in every}):
            found.append(_changing(env, block, every))
        else:
            found += [_line(env, variant, [(g.depth, g) for g in members]) for variant, members in own.items()]
    return found


def _changing(env: str, block: str, groups: Sequence[Group]) -> Line:
    """One line although further options change with depth."""
    every = [dict(group.extras) for group in groups]
    names = dict.fromkeys(name for extras in every for name in extras)
    changing = [name for name in names if len({extras.get(name) for extras in every}) > 1]
    fixed = [f"{name} {every[0][name]}" for name in names if name not in changing]
    what = " and ".join(changing)
    name = ", ".join([block, *fixed, f"{what} by depth"])
    note = f"{what} changes with depth, so their effects cannot be told apart: {env}, {block}"
    return _line(env, name, [(group.depth, group) for group in groups], note)


def _unequal(env: str, groups: Sequence[Group]) -> list[Line]:
    """Lines along the depth of the actor, or of the critic, where a group has networks of different depths."""
    unequal = [group for group in groups if len(set(group.depths)) > 1]
    lines: dict[str, list[tuple[int, Group]]] = defaultdict(list)
    for group in groups if unequal else ():
        actor, phi, psi = group.depths
        critic = f"critic depth {phi}" if phi == psi else f"phi depth {phi}, psi depth {psi}"
        lines[f"{group.variant}, by actor depth, {critic}"].append((actor, group))
        if phi == psi:
            lines[f"{group.variant}, by critic depth, actor depth {actor}"].append((phi, group))
    found = [_line(env, name, points) for name, points in lines.items() if len(points) > 1]
    placed = {id(group) for line in found for _, group in line.points}
    alone = [group for group in unequal if id(group) not in placed]
    return found + [_line(env, group.label, [(group.depth, group)]) for group in alone]


def _line(env: str, block: str, points: Sequence[tuple[int, Group]], note: str = "") -> Line:
    return Line(env, block, tuple(sorted(points, key=lambda point: point[0])), note)
