"""What a policy may spend on one action, as text and as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Rank = Literal["energy", "medoid"]
Score = Literal["min", "sum", "graph", "gaussian"]
Pick = Literal["best", "bound", "draw"]
Source = Literal["free", "replay"]

BUDGET_FORMS = (
    "mode, or some of depth=LAYERS, samples=K, noise=SIGMA|own, hold=STEPS, rank=energy|medoid, subgoals=M, "
    "replan=STEPS, score=min|sum|graph|gaussian, pick=best|bound|draw, source=free|replay, oracle=CELLS"
)

NEIGHBOURS = 4
"""One in so many candidates is a neighbour, itself included, over which a lower bound is taken."""

_PLAIN, _OWN = "mode", "own"
_MOST = {"depth": 2**31 - 1, "samples": 4096, "subgoals": 4096, "hold": 10**6, "replan": 10**6, "oracle": 1000}
_WORDS = {"rank": get_args(Rank), "score": get_args(Score), "pick": get_args(Pick), "source": get_args(Source)}
# What each option is an option of: without one of these it would do nothing.
_NEEDS = {
    "hold": ("samples", "noise"),
    "rank": ("samples",),
    "replan": ("subgoals", "oracle"),
    "score": ("subgoals",),
    "pick": ("subgoals",),
    "source": ("subgoals",),
}


@dataclass(frozen=True)
class Budget:
    """What one action may cost. The empty one is the mode of the policy at its trained depth.

    Attributes:
      depth: dense layers of the actor's trunk; the trained depth if None.
      samples: actions to choose from: draws of one pass through the trunk, or with ``noise`` the modes of as many
        latent trajectories. None for the mode alone, and with ``noise`` for one trajectory.
      noise: standard deviation of what is added to the latent after each application, relative to the latent's size
        (its root mean square); 0 for none. Added at test time alone, as PTRM does (arXiv 2605.19943). Or the noise of
        the trunk's own that it was trained with.
      hold: steps that draws and noise stay the same.
      rank: how one of several samples is chosen: by the critic's energy, or the one nearest to all others.
      subgoals: candidates to pursue on the way to the commanded goal; 0 for none.
      replan: steps that a subgoal is pursued before candidates are drawn anew.
      score: how candidates are ranked: by the smaller energy of both hops, by their sum, by the shortest path over
        all candidates, or by how near they are to the waypoint that contrastive planning solves for
        (arXiv 2403.04082).
      pick: the candidate of the best score; of the best lower bound of it among its neighbours; or one drawn with the
        exponential of its score as weight. The more candidates, the surer the first takes one that the critic is wrong
        about.
      source: where candidates come from: the free space of a maze, or states of the replay buffer.
      oracle: pursue the cell of a maze so many steps ahead on the shortest path: no policy, but what a perfect choice
        of subgoals could gain. 0 for none.
    """

    depth: int | None = None
    samples: int | None = None
    noise: float | Literal["own"] = 0.0
    hold: int = 1
    rank: Rank = "energy"
    subgoals: int = 0
    replan: int = 1
    score: Score = "min"
    pick: Pick = "best"
    source: Source = "free"
    oracle: int = 0

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            if self._is_set(name) and not 1 <= value <= most:
                raise ValueError(f"{name}={value}: must lie in 1 to {most}")
        if self._is_set("noise") and self.noise != _OWN and not 0 < float(self.noise) < math.inf:
            raise ValueError(f"noise={self.noise}: must be positive and finite, or own")
        for name, needed in _NEEDS.items():
            if self._is_set(name) and not any(self._is_set(other) for other in needed):
                raise ValueError(f"{name}={getattr(self, name)}: has no effect without {' or '.join(needed)}")
        if self.rank != "energy" and (self.samples or 1) < 3:
            raise ValueError(f"rank={self.rank}: needs at least 3 samples")
        if self.pick != "best" and self.score not in ("min", "sum"):
            raise ValueError(f"pick={self.pick}: needs score=min or score=sum, not {self.score}")
        if self.pick == "bound" and self.subgoals < 2 * NEIGHBOURS:
            raise ValueError(f"pick={self.pick}: needs at least {2 * NEIGHBOURS} subgoals")
        if self.subgoals and self.oracle:
            raise ValueError(f"oracle={self.oracle}: takes the place of subgoals; drop one")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``NAME=VALUE,...`` or ``mode``, the empty budget.

        Raises:
          ValueError: not of this form, or a value out of range.
        """
        if text == _PLAIN:
            return cls()
        given: dict[str, Any] = {}
        for part in text.split(","):
            name, equals, value = part.strip().partition("=")
            if not equals or name not in cls.__dataclass_fields__:
                raise ValueError(f"{part.strip()[:40]!r}: must be {BUDGET_FORMS}")
            if name in given:
                raise ValueError(f"{name} is given twice")
            given[name] = _read(name, value)
        return cls(**given)

    def __str__(self) -> str:
        """The text that `parse` reads back."""
        parts = ((one.name, getattr(self, one.name)) for one in fields(self) if self._is_set(one.name))
        return ",".join(f"{name}={value}" for name, value in parts) or _PLAIN

    @property
    def way(self) -> str:
        """What is bought besides depth, without how much of it: budgets of one way differ in numbers alone."""
        ways = []
        if self.samples or self.noise:
            what = "own latents" if self.noise == _OWN else "latents" if self.noise else "draws"
            ways.append(what + (" by medoid" if self.rank == "medoid" else ""))
        if self.subgoals:
            ways.append(f"{self.source} subgoals by {self.score}" + ("" if self.pick == "best" else f" ({self.pick})"))
        if self.oracle:
            ways.append("oracle")
        return " and ".join(ways) or "depth"

    @property
    def dials(self) -> dict[str, float]:
        """The numbers, those at rest included; depth 0 is the trained one, and so is a noise of one's own."""
        return {name: float(getattr(self, name) or 0) for name in _MOST} | {"noise": self.sigma}

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise that is added at test time."""
        return 0.0 if self.noise == _OWN else float(self.noise)

    def _is_set(self, name: str) -> bool:
        return getattr(self, name) != type(self).__dataclass_fields__[name].default


def _read(name: str, text: str) -> Any:
    if name in _WORDS:
        if text not in _WORDS[name]:
            raise ValueError(f"{name}={text[:40]}: must be {' or '.join(_WORDS[name])}")
        return text
    if name == "noise":
        if text == _OWN:
            return text
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"{name}={text[:40]}: is not a number") from None
        if not 0 < number < math.inf:
            raise ValueError(f"{name}={text[:40]}: must be positive and finite, or own")
        return number
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= _MOST[name]):
        raise ValueError(f"{name}={text[:40]}: must be a whole number in 1 to {_MOST[name]}")
    return int(text)
