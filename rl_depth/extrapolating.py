"""Looped runs at test depths beyond the trained ones: capability, the critic, the latent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import evaluation, probing, runs
from .config import Config, ConfigError


@dataclass(frozen=True)
class Findings:
    """One run, axes ``S`` seeds, ``D`` test depths, ``R`` applications.

    Attributes:
      label: its train recurrence.
      path: its folder.
      config: its configuration.
      trained: largest trained depth of the actor.
      depths: ``[D]``.
      capability: metric to ``[S, D]``.
      critic: categorical accuracy and InfoNCE on held-out batches, ``[S, D]``.
      latents: step, angle, size and two_starts of the actor's latent, ``[S, R]``.
    """

    label: str
    path: Path
    config: Config
    trained: int
    depths: np.ndarray
    capability: dict[str, np.ndarray]
    critic: dict[str, np.ndarray]
    latents: dict[str, np.ndarray]

    def to_json(self) -> dict[str, Any]:
        """As plain types."""

        def plain(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
            # JSON has no NaN: an angle that does not exist, or a latent that ran away.
            return {name: np.where(np.isfinite(a), a, None).tolist() for name, a in arrays.items()}

        parts = {name: plain(getattr(self, name)) for name in ("capability", "critic", "latents")}
        own = {"run": str(self.path), "label": self.label, "trained_depth": self.trained}
        return own | {"depths": self.depths.tolist()} | parts


def measure(run: runs.Run, depths: Sequence[int], protocol: evaluation.Protocol, metrics: Sequence[str]) -> Findings:
    """Evaluate and probe one run at every test depth.

    Raises:
      ConfigError: a depth that the agents cannot act with, no such split, or seeds that are no replicates.
      RunError: no usable checkpoint, or no such metric.
    """
    config = run.config()
    if config.per_seed:
        raise ConfigError(f"{run.path}: its seeds differ (--per-seed {config.per_seed}), so they are no replicates")
    rows = evaluation.evaluate_run(run, protocol)
    for metric in metrics:
        if metric not in rows[0]:
            known = ", ".join(sorted(name for name, value in rows[0].items() if isinstance(value, float)))
            raise runs.RunError(f"--metrics {metric}: there are {known}")
    shape = (config.seeds, len(depths))
    probes = probing.probe(run, list(depths), seed=protocol.seed)
    law = config.recurrence()
    trunk = config.trunk("actor")
    largest = law.largest if law is not None and trunk.block == "looped" else trunk.applications
    if law is not None and law.kind == "lognormal-poisson":
        largest = round(law.mean)  # its tail has no end to speak of
    return Findings(
        label=f"{trunk.block}, {config.train_recurrence or f'fixed:{trunk.applications}'}",
        path=run.path,
        config=config,
        trained=largest * config.block_layers,
        depths=np.array(depths),
        capability={m: np.array([row[m] for row in rows], float).reshape(shape) for m in metrics},
        critic={name: probes.pop(name) for name in ("categorical_accuracy", "infonce")},
        latents=probes,
    )
