"""Options that are written as text: distributions of recurrence counts, halting rules, values for each seed."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

MOST_APPLICATIONS = 2**16
"""Of a block: beyond that, a program is no use to anybody, and may not end."""

_TAIL = 8  # a log-normal Poisson count is cut at so many times its mean; beyond lie well below 1% of the draws
_MOST_LAYERS = 2**31 - 1  # of a halting rule, before the block is known
_WIDEST = 4.0  # sigma; draws of a wider law are all cut
_SIGMA = 0.5  # Geiping et al. (2025)

RECURRENCE_FORMS = "fixed:R, uniform:A:B, lognormal-poisson:MEAN[:SIGMA] or curriculum:A:B"

HaltRule = Literal["budget", "fixed-point", "action-change", "second-order", "learned"]
_WITH_EPS = ("fixed-point", "action-change", "second-order", "learned")
HALT_FORMS = "budget:DEPTH, " + " or ".join(", ".join(f"{rule}:EPS[:MAX]" for rule in _WITH_EPS).rsplit(", ", 1))
_DEEPEST = 256


@dataclass(frozen=True)
class TrainRecurrence:
    """The law that recurrence counts are drawn from during training.

    - ``fixed:R``: always R.
    - ``uniform:A:B``: uniform over the whole numbers A to B.
    - ``lognormal-poisson:MEAN[:SIGMA]``: ``1 + Poisson(exp(N(log(MEAN - 1) - SIGMA^2 / 2, SIGMA)))``, cut at
      8 x MEAN. Geiping et al. (2025, arXiv 2502.05171) have ``log(MEAN)`` there, and so a mean of MEAN + 1.
    - ``curriculum:A:B``: the whole number nearest to A + (B - A) x progress, with progress the share of training
      that is done.
    """

    kind: str
    low: int
    high: int
    mean: float
    sigma: float = 0.0

    @classmethod
    def uniform(cls, low: int, high: int) -> TrainRecurrence:
        """The law ``uniform:low:high``."""
        return cls("uniform", low, high, (low + high) / 2)

    @classmethod
    def parse(cls, text: str) -> TrainRecurrence:
        """Read the text form.

        Raises:
          ValueError: not one of the forms, or a number out of range.
        """
        kind, *numbers = text.split(":")
        if kind == "fixed" and len(numbers) == 1:
            count = _count(numbers[0])
            return cls(kind, count, count, count)
        if kind in ("uniform", "curriculum") and len(numbers) == 2:
            low, high = (_count(number) for number in numbers)
            if kind == "uniform" and low > high:
                raise ValueError(f"{low} exceeds {high}")
            return cls(kind, low, high, (low + high) / 2)
        if kind == "lognormal-poisson" and len(numbers) in (1, 2):
            mean = _positive(numbers[0])
            sigma = _positive(numbers[1]) if len(numbers) == 2 else _SIGMA
            if not 1 <= mean <= MOST_APPLICATIONS / _TAIL:
                raise ValueError(f"mean {mean:g}: must lie in 1 to {MOST_APPLICATIONS // _TAIL}")
            if sigma > _WIDEST:
                raise ValueError(f"sigma {sigma:g}: must be at most {_WIDEST:g}")
            return cls(kind, 1, math.ceil(_TAIL * mean), mean, sigma)
        raise ValueError(f"must be {RECURRENCE_FORMS}")

    @property
    def largest(self) -> int:
        """The largest count that is drawn."""
        return max(self.low, self.high)

    def quantile(self, share: float) -> int:
        """The least count that at least ``share`` of training's draws do not exceed."""
        low, high = min(self.low, self.high), self.largest
        if self.kind == "lognormal-poisson":
            shares = zip(range(low, high), self._shares(), strict=False)
            return next((count for count, reached in shares if reached >= share), high)
        return max(low, low - 1 + math.ceil(share * (high - low + 1)))

    def _shares(self) -> Iterator[float]:
        """Shares of the log-normal Poisson's draws that do not exceed 1, 2, ...: sums over the rate's logarithm."""
        if self.mean == 1:
            yield from itertools.repeat(1.0)
        centre = math.log(self.mean - 1) - self.sigma**2 / 2
        grid = [(math.exp(-(z**2) / 2), centre + self.sigma * z) for z in (i / 10 for i in range(-60, 61))]
        weights, total = sum(weight for weight, _ in grid), 0.0
        for k in itertools.count():  # Poisson's terms
            factorial = math.lgamma(k + 1)
            total += sum(weight * math.exp(k * rate - math.exp(rate) - factorial) for weight, rate in grid)
            yield total / weights


@dataclass(frozen=True)
class Halt:
    """When to stop applying a trunk's block, state by state.

    - ``budget``: after ``max_depth`` layers, the same for every state: what the other rules are to be held against.
    - ``fixed-point``: the latent has stopped moving, ``||h' - h|| / ||h|| < eps``.
    - ``action-change``: the action distribution has, ``KL(pi' || pi) < eps`` (after Geiping et al. 2025).
    - ``second-order``: the latent's steps have stopped changing, ``||(h'' - h') - (h' - h)|| / ||h'|| < eps``
      twice in a row (Pappone et al. 2025, arXiv 2509.23314; they have no ``||h'||``).
    - ``learned``: the actor's halting head expects the energy to gain less than eps by going on to the trained depth.

    Attributes:
      rule: one of these.
      eps: its bound, > 0; None for a budget, which has none.
      max_depth: dense layers after which it stops in any case.
    """

    rule: HaltRule
    eps: float | None
    max_depth: int = _DEEPEST

    @classmethod
    def parse(cls, text: str) -> Halt:
        """Read ``RULE:EPS[:MAX]`` or ``budget:DEPTH``.

        Raises:
          ValueError: not one of the forms, or a number out of range.
        """
        rule, *numbers = text.split(":")
        if rule == "budget" and len(numbers) == 1:
            return cls(rule, None, _count(numbers[0], _MOST_LAYERS))
        if rule not in _WITH_EPS or len(numbers) not in (1, 2):
            raise ValueError(f"must be {HALT_FORMS}")
        return cls(rule, _positive(numbers[0]), _count(numbers[1], _MOST_LAYERS) if len(numbers) == 2 else _DEEPEST)

    def __str__(self) -> str:
        return f"{self.rule}:{self.max_depth}" if self.eps is None else f"{self.rule}:{self.eps:g}:{self.max_depth}"

    @property
    def patience(self) -> int:
        """Times in a row that the measure must lie below eps."""
        return 2 if self.rule == "second-order" else 1

    def __post_init__(self) -> None:
        if self.rule == "budget":
            if self.eps is not None:
                raise ValueError(f"eps {self.eps:g}: a budget has none")
        elif self.eps is None or not 0 < self.eps < math.inf:
            raise ValueError(f"eps {self.eps}: must be positive and finite")


def parse_transition(text: str) -> float | Literal["learned"]:
    """Read ``learned`` or ``fixed:SIGMA``.

    Raises:
      ValueError: it is neither, or SIGMA is not positive and finite.
    """
    kind, colon, sigma = text.partition(":")
    if text == "learned":
        return "learned"
    if kind != "fixed" or not colon:
        raise ValueError("must be learned or fixed:SIGMA")
    return _positive(sigma)


def parse_per_seed(text: str) -> dict[str, tuple[float, ...]]:
    """Read ``NAME=[NUMBER, ...], ...``, as TOML has it.

    Raises:
      ValueError: it is not of this form.
    """
    try:
        table = tomllib.loads(f"options = {{{text}}}")["options"]
        if all(isinstance(own, list) and all(type(x) in (int, float) for x in own) for own in table.values()):
            return {name: tuple(map(float, own)) for name, own in table.items()}
    except tomllib.TOMLDecodeError:
        pass
    raise ValueError("must be NAME=[NUMBER, ...], ...")


def _count(text: str, most: int = MOST_APPLICATIONS) -> int:
    try:
        count = int(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a whole number") from None
    if not 1 <= count <= most:
        raise ValueError(f"{text[:40]}: must lie in 1 to {most}")
    return count


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a number") from None
    if not 0 < number < math.inf:
        raise ValueError(f"{number:g}: must be positive and finite")
    return number
