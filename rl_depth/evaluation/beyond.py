"""Looped runs at test depths beyond the trained ones: capability, the critic, the latent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from .. import runs
from ..config import Config, ConfigError
from ..measured import Findings
from . import capability, heldout

_TRAINED = 0.99  # share of the gradient steps that the largest trained count covers: laws may have a long tail

# What a label says first, and what tells no runs apart.
_NAMED = ("block", "train_recurrence", "supervise", "segments", "depth", "seed", "seeds")


def those_that_reach(found: Sequence[runs.Run], depths: Sequence[int]) -> tuple[list[runs.Run], list[runs.Run]]:
    """Runs whose actors can act with all depths, and those whose stacked actors are shallower; the first if any can."""

    chosen, shallow = [], []
    for run in found:
        trunk = run.config().trunk("actor")
        (chosen if trunk.tied or trunk.depth >= max(depths) else shallow).append(run)
    return (chosen, shallow) if chosen else (shallow, [])


def measure(found: Sequence[runs.Run], protocol: capability.Protocol, metrics: Sequence[str]) -> list[Findings]:
    """Evaluate and probe runs at every test depth.

    Args:
      found: the runs.
      protocol: how to evaluate; its depths, ascending, are the test depths.
      metrics: capabilities to keep.

    Raises:
      ConfigError: a depth that the agents cannot act with, no such split or metric, or seeds that are no replicates.
      RunError: no usable checkpoint.
    """
    names = labels([run.config() for run in found])
    names = [f"{one} ({run.name})" if names.count(one) > 1 else one for one, run in zip(names, found, strict=True)]
    return [_measure(run, label, protocol, metrics) for run, label in zip(found, names, strict=True)]


def _measure(run: runs.Run, label: str, protocol: capability.Protocol, metrics: Sequence[str]) -> Findings:
    config, depths = protocol.which.of(run), list(protocol.depths)
    if config.per_seed:
        raise ConfigError(f"{run.path}: its seeds differ (--per-seed {config.per_seed}), so they are no replicates")
    rows = capability.evaluate_run(run, protocol)
    for metric in metrics:
        if not isinstance(rows[0].get(metric), float):
            known = ", ".join(sorted(name for name, value in rows[0].items() if isinstance(value, float)))
            raise ConfigError(f"--metrics {metric}: there are {known}")
    shape = (config.seeds, len(depths))
    probes = heldout.probe(run, depths, seed=protocol.seed, which=protocol.which)
    return Findings(
        label=label,
        path=run.path,
        config=config,
        trained=_largest_count(config) * config.trunk("actor").turn_layers,
        depths=np.array(depths),
        capability={m: np.array([row[m] for row in rows], float).reshape(shape) for m in metrics},
        critic={name: probes.pop(name) for name in ("categorical_accuracy", "infonce")},
        halting={name: probes.pop(name) for name in heldout.HALTING if name in probes},
        latents=probes,
    )


def _largest_count(config: Config) -> int:
    law, trunk = config.recurrence(), config.trunk("actor")
    return trunk.applications if law is None else law.quantile(_TRAINED)


def labels(configs: Sequence[Config]) -> list[str]:
    """What to call each run: ``looped, uniform:1:8``, and the options in which the runs differ beyond that."""
    tables = [asdict(config) for config in configs]
    told = [name for name in tables[0] if name not in _NAMED]
    varying = [name for name in told if len({table[name] for table in tables}) > 1]
    return [_label(config, varying) for config in configs]


def _label(config: Config, varying: Sequence[str]) -> str:
    trunk = config.trunk("actor")
    counts = config.train_recurrence or f"fixed:{trunk.applications}"
    parts = [trunk.block, counts if config.supervise == "last" else f"{config.supervise} of {config.segments} segments"]
    for name in varying:
        value, default = getattr(config, name), type(config).__dataclass_fields__[name].default
        if value != default or name == "env":
            parts.append(str(value) if name in ("env", "env_options") else f"{name.replace('_', ' ')} {value}")
    return ", ".join(parts)
