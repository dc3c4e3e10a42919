"""What is measured in trained agents and judged elsewhere: plain arrays, with no JAX to load.

Axes: ``S`` seeds, ``D`` test depths or dimensions, ``R`` applications, ``B`` budgets, ``E`` episodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import runs
from .config import Budget, Config

if TYPE_CHECKING:
    from rl_depth.envs.mazes import Floor

_SHARE = 0.99  # of the variance that the variance rank keeps


class ByDepth(Protocol):
    """What a picture of a run at many test depths needs, fresh or read from a file."""

    @property
    def label(self) -> str:
        """What it is called beside other runs."""

    @property
    def trained(self) -> int:
        """Largest trained depth."""

    @property
    def depths(self) -> np.ndarray:
        """``[D]``, test depths."""

    @property
    def capability(self) -> dict[str, np.ndarray]:
        """Metric to values ``[S, D]``."""

    @property
    def critic(self) -> dict[str, np.ndarray]:
        """Metric to values ``[S, D]``."""


@dataclass(frozen=True)
class Findings:
    """One run, axes ``S`` seeds, ``D`` test depths, ``R`` applications.

    Attributes:
      label: its block, its train recurrence, and what else tells it from the runs beside it.
      path: its folder.
      config: its configuration.
      trained: largest trained depth of the actor, which 99% of the gradient steps did not exceed.
      depths: ``[D]``.
      capability: metric to ``[S, D]``.
      critic: categorical accuracy and InfoNCE on held-out batches, ``[S, D]``.
      latents: step, angle, size and two_starts of the actor's latent, ``[S, R]``.
      halting: of a critic whose halting head has learned: what `evaluation.heldout.critic_halting` says, ``[S, D]``.
    """

    label: str
    path: Path
    config: Config
    trained: int
    depths: np.ndarray
    capability: dict[str, np.ndarray]
    critic: dict[str, np.ndarray]
    latents: dict[str, np.ndarray]
    halting: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Spending:
    """One run under several budgets.

    Attributes:
      label: what tells it from the runs beside it.
      path: its folder.
      config: its configuration.
      split: where starts and goals come from.
      budgets: what an action may cost, ``B`` of them.
      flops: what it costs: operations, ``[B]``.
      serial: dense layers in sequence, ``[B]``.
      metric: the capability.
      values: of each episode, the same episodes for all budgets and seeds: ``[B, S, E]``.
      goal_distance: difficulty of each episode's goal, ``[E]``.
      train_flops: operations of one seed's gradient steps until the checkpoint.
    """

    label: str
    path: Path
    config: Config
    split: str
    budgets: tuple[Budget, ...]
    flops: np.ndarray
    serial: np.ndarray
    metric: str
    values: np.ndarray
    goal_distance: np.ndarray
    train_flops: float


@dataclass(frozen=True)
class EnergyMap:
    """The critic's energy of reaching one goal from everywhere on the floor of a maze.

    Attributes:
      floor: the walls.
      start, goal: ``[2]``, m.
      x, y: coordinates of the positions, ``[X]`` and ``[Y]``, m.
      energy: of the actor's mode action in that position, NaN in walls: ``[S, X, Y]``.
      action: that action, NaN in walls: ``[S, X, Y, A]``.
      path_correlation: Spearman's rank correlation over free cells of the mean energy in a cell with minus the
        shortest path from it to the goal: ``[S]``. 1 where the critic knows the maze.
      straight_correlation: the same with minus the straight distance: ``[S]``.
    """

    floor: Floor
    start: np.ndarray
    goal: np.ndarray
    x: np.ndarray
    y: np.ndarray
    energy: np.ndarray
    action: np.ndarray
    path_correlation: np.ndarray
    straight_correlation: np.ndarray

    @property
    def steering(self) -> np.ndarray | None:
        """The action where it is a direction on the floor, that is, has two entries."""
        return self.action if self.action.shape[-1] == 2 else None

    def to_json(self) -> dict[str, Any]:
        """As plain types, the action only where it is a direction."""
        parts = vars(self) | {"floor": vars(self.floor), "action": self.steering}
        return _plain(parts)


@dataclass(frozen=True)
class Inspection:
    """One run at one depth.

    Attributes:
      run: its folder.
      config: its configuration.
      depth: test depth of all networks in dense layers; None for each network's own.
      norms: by network, ``residual``: ``||h_i - h_(i-1)||``, what an application adds to the residual stream;
        ``stream``: ``||h_i||``; ``relative``: ``||h_i - h_(i-1)|| / ||h_(i-1)||``; means over held-out samples,
        ``[S, R]`` each.
      spectra: singular values of phi(s,a) and psi(g) on held-out samples, centred, largest first: ``[S, D]``.
      energy_map: of a maze; None elsewhere.
    """

    run: runs.Run
    config: Config
    depth: int | None
    norms: dict[str, dict[str, np.ndarray]]
    spectra: dict[str, np.ndarray]
    energy_map: EnergyMap | None

    @property
    def label(self) -> str:
        """The run's name, and the depth if it is not its own."""
        return self.run.name if self.depth is None else f"{self.run.name}, depth {self.depth}"

    @property
    def shown_depth(self) -> int:
        """The test depth, or the agent's own."""
        depth = self.config.depth if self.depth is None else self.depth
        assert depth is not None, "a checked configuration has a depth"
        return depth

    @property
    def seeds(self) -> list[int]:
        """Seeds of the agents."""
        return list(range(self.config.seed, self.config.seed + self.config.seeds))

    def ranks(self) -> dict[str, dict[str, np.ndarray]]:
        """``effective`` and ``variance`` rank of phi and psi: ``[S]`` each."""
        measures = {"effective": effective_rank, "variance": variance_rank}
        return {
            name: {kind: np.array([rank(values) for values in spectra]) for kind, rank in measures.items()}
            for name, spectra in self.spectra.items()
        }

    def to_json(self) -> dict[str, Any]:
        """As plain types; NaN becomes null."""
        c = self.config
        return {
            "run": str(self.run.path),
            "label": self.label,
            "env": c.env,
            "block": c.block,
            "depth": self.shown_depth,
            "block_layers": c.block_layers,
            "seeds": self.seeds,
            "norms": _plain(self.norms),
            "rank": _plain(self.ranks()),
            "singular_values": _plain(self.spectra),
            "energy_map": self.energy_map.to_json() if self.energy_map is not None else None,
        }


def effective_rank(singular_values: np.ndarray) -> float:
    """``exp(H(p))`` with ``p = s / sum s`` and ``H`` the entropy in nats (Roy and Vetterli 2007).

    From 1, one direction, to the number of the singular values ``[D]``, all alike; 0 if all vanish.
    """
    total = np.sum(singular_values)
    if not total > 0:
        return 0.0
    p = singular_values / total
    return float(np.exp(-np.sum(p * np.log(np.where(p > 0, p, 1)))))


def variance_rank(singular_values: np.ndarray, share: float = _SHARE) -> int:
    """How many of the largest singular values ``[D]`` hold ``share`` of the variance, ``sum s^2``.

    The approximate rank of Yang et al. (2020, arXiv 1909.12255); 0 if all vanish.
    """
    energy = np.sort(np.square(singular_values))[::-1]
    if not energy.sum() > 0:
        return 0
    # A share that is met exactly must not fall to rounding.
    return int(np.searchsorted(np.cumsum(energy) / energy.sum(), share - 1e-9) + 1)


def _plain(value: Any) -> Any:
    """Arrays as lists, rounded to what float32 holds; NaN as None."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value
