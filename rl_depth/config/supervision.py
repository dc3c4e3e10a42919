"""Where along its trunks an agent is supervised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SuperviseKind = Literal["last", "drawn", "all"]
NoiseKind = Literal["none", "elbo-action", "elbo-waypoint"]


@dataclass(frozen=True)
class NoiseBound:
    """What trains the noise of the actor's trunk besides the actor's loss.

    Attributes:
      kind: what the posterior sees: the action taken, or a place between its state and its goal.
      weight: of the bound.
      kl: of the divergence within it.
    """

    kind: NoiseKind
    weight: float
    kl: float


@dataclass(frozen=True)
class Supervision:
    """Deep supervision: trunks are parted into segments of equally many applications, whose ends may be supervised.

    Attributes:
      kind: at the end of the trunk (or where a drawn count ends), of one segment drawn at each gradient step, or of all
        segments, each started from the latent of the one before without its gradients (HRM, arXiv 2506.21734).
      segments: their number, ``S``.
      late: weigh segment ``s = 1..S`` by ``s`` rather than all alike.
      actor_all: with ``all``, the actor's loss at every segment rather than at one that is drawn.
      cross_depth: contrast phi at one drawn segment with psi at another too.
      consistency: weight of the distance between what the head reads at a drawn segment and at the last one.
      horizon: ``C``, if segment ``s`` has goals of its own, with ``gamma_s = 1 - 1 / (C s)``.
      halting: whether heads learn when to stop.
    """

    kind: SuperviseKind = "last"
    segments: int = 1
    late: bool = False
    actor_all: bool = False
    cross_depth: bool = False
    consistency: float = 0.0
    horizon: float | None = None
    halting: bool = False

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each segment's loss, ``[S]``; their sum is 1."""
        shares = range(1, self.segments + 1) if self.late else [1] * self.segments
        return tuple(share / sum(shares) for share in shares)

    @property
    def further(self) -> bool:
        """Whether the actor goes on from a drawn segment to the full depth, without gradients."""
        return not self.actor_all and (self.consistency > 0 or self.halting)

    def gammas(self) -> tuple[float, ...]:
        """Discount of each segment's goals, ``[S]``; they lie farther ahead the deeper the segment."""
        assert self.horizon is not None
        return tuple(1 - 1 / (self.horizon * s) for s in range(1, self.segments + 1))
