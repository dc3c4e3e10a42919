"""How far beyond its trained depths a looped agent keeps its capability, and how it fails.

Axes: ``S`` seeds, ``D`` test depths, ``R`` block applications.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from . import aggregate, meaning

if TYPE_CHECKING:
    from rl_depth.measured import Findings

_DRAWS = 2000
_CONFIDENCE = 0.975  # of a fall beyond noise
_MARGIN = 0.05  # share of the best capability below which a fall does not count, however small the noise
_RUNAWAY = 4.0  # times the latent's size at the largest trained count
_STILL = 1e-3  # relative change of a latent that has stopped

BREAKDOWNS = {
    "holds": "capability stays within noise of its best up to the deepest test",
    "diverges": "capability falls while the latent grows without bound, or is no number any more",
    "freezes": "capability falls although the latent has stopped moving",
    "drifts": "capability falls while the latent keeps moving at bounded size",
    "no capability": "no test depth shows any capability, so there is none to carry",
}


@dataclass(frozen=True)
class Extrapolation:
    """What one run shows.

    Attributes:
      best_depth: test depth of the best mean capability; the first one if there is none.
      best: that capability; None if it is a finite number at no depth.
      noise: how far below it still counts as within noise (see `extrapolation`).
      reach: largest test depth within noise of it; 0 where there is no capability to carry.
      ratio: ``reach`` over the largest trained depth; a lower bound if ``breakdown`` is "holds".
      low, high: 95% bootstrap interval of the ratio over seeds; None for a single seed.
      breaks_at: the test depth after ``reach``, None if there is none, or nothing that could break.
      breakdown: a key of ``BREAKDOWNS``.
    """

    best_depth: int
    best: float | None
    noise: float
    reach: int
    ratio: float
    low: float | None
    high: float | None
    breaks_at: int | None
    breakdown: str

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return asdict(self)


def extrapolation(
    depths: np.ndarray,
    values: np.ndarray,
    trained: int,
    latents: Mapping[str, np.ndarray],
    turn_layers: int,
    *,
    higher_is_better: bool = True,
    seed: int = 0,
) -> Extrapolation:
    """Judge one run.

    A fall from the best mean counts from a tolerance on: what a difference between two *trained* depths reaches
    by chance (t quantile times its standard error, seeds paired, pooled over trained depths, or over all if fewer
    than two were trained), and 5% of the best at least. Depths beyond are left out of that estimate, since seeds
    that break at different depths would make a collapse look like noise. A depth at which a seed has no finite value
    is one where it broke down. Where the best mean of a metric that should be high is not above 0 by more than chance
    (one-sided t test at 2.5%), there is no capability to carry, and none is said to hold.

    Args:
      depths: test depths ``[D]``, ascending.
      values: capability ``[S, D]``.
      trained: largest trained depth.
      latents: ``step`` and ``size`` ``[S, R]``: relative change and size of the latent per application.
      turn_layers: dense layers of one application.
      higher_is_better: False for distances.
      seed: seed of the bootstrap.

    Raises:
      ValueError: shapes that do not fit.
    """
    depths, values = np.asarray(depths), np.asarray(values, float)
    if values.ndim != 2 or values.shape[1] != len(depths) or not len(values):
        raise ValueError(f"values have shape {list(values.shape)}, expected [seeds, {len(depths)}]")
    scores = values if higher_is_better else -values
    sound = np.asarray(np.isfinite(scores).all(axis=0))  # a depth at which a seed has no number has broken down
    if not sound.any():
        return Extrapolation(int(depths[0]), None, 0.0, 0, 0.0, None, None, None, "diverges")
    scores = np.where(sound, scores, -np.inf)
    noise = _tolerance(scores[:, sound], depths[sound] <= trained)
    means = scores.mean(axis=0)
    best, reach = int(means.argmax()), int(_reach(means, noise))
    if higher_is_better and not _above_zero(scores[:, best]):
        found = float(means[best])
        return Extrapolation(int(depths[best]), found, noise, 0, 0.0, None, None, None, "no capability")
    low, high = _interval(scores, depths, noise, trained, seed) if len(values) > 1 else (None, None)
    holds = reach == len(depths) - 1
    breakdown = "holds" if holds else _breakdown(latents, trained // turn_layers)
    if not holds and not sound[reach + 1]:
        breakdown = "diverges"
    return Extrapolation(
        best_depth=int(depths[best]),
        best=float(values[:, best].mean()),
        noise=noise,
        reach=int(depths[reach]),
        ratio=float(depths[reach] / trained),
        low=low,
        high=high,
        breaks_at=None if holds else int(depths[reach + 1]),
        breakdown=breakdown,
    )


def _tolerance(scores: np.ndarray, within: np.ndarray) -> float:
    """How far below the best of ``[S, D]`` still counts as within noise; ``within``: trained depths ``[D]``."""
    noise = _noise(scores[:, within] if within.sum() > 1 else scores)
    return max(noise, _MARGIN * abs(scores.mean(axis=0).max()))


def _above_zero(seeds: np.ndarray) -> bool:
    """Whether the mean of ``[S]`` is above 0 by more than chance, with which an agent that can do nothing would be."""
    if len(seeds) == 1 or np.ptp(seeds) == 0:
        return bool(seeds.mean() > 0)
    error = seeds.std(ddof=1) / np.sqrt(len(seeds))
    return bool(seeds.mean() > stats.t.ppf(_CONFIDENCE, len(seeds) - 1) * error)


def _interval(scores: np.ndarray, depths: np.ndarray, noise: float, trained: int, seed: int) -> tuple[float, float]:
    """95% interval of the ratio over resampled seeds of ``[S, D]``."""
    draws = np.random.default_rng(seed).integers(len(scores), size=(_DRAWS, len(scores)))
    ratios = depths[_reach(scores[draws].mean(axis=1), noise)] / trained
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def judge(found: Findings, seed: int = 0) -> dict[str, Extrapolation]:
    """What a run shows in each of its capabilities."""
    return {
        metric: extrapolation(
            found.depths,
            values,
            found.trained,
            found.latents,
            found.config.trunk("actor").turn_layers,
            higher_is_better=not meaning.lower_is_better(metric),
            seed=seed,
        )
        for metric, values in found.capability.items()
    }


def report(found: Sequence[Findings], verdicts: Sequence[Mapping[str, Extrapolation]], seed: int = 0) -> list[Any]:
    """Everything as plain types, a row per run: values of all seeds, their means with 95% intervals, verdicts."""
    rows = []
    for one, own in zip(found, verdicts, strict=True):
        first = one.config.seed
        row: dict[str, Any] = {
            "run": str(one.path),
            "label": one.label,
            "env": one.config.env,
            "env_options": one.config.env_options,
            "seeds": list(range(first, first + one.config.seeds)),
            "trained_depth": one.trained,
            "depths": one.depths.tolist(),
        }
        for part in ("capability", "critic", "latents", *(["halting"] if one.halting else [])):
            row[part] = {name: summary(values, seed) for name, values in getattr(one, part).items()}
        rows.append(row | {"verdicts": {metric: verdict.to_json() for metric, verdict in own.items()}})
    return rows


def summary(values: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """``[S, N]`` as plain types: all values, their mean over seeds, and its 95% bootstrap interval."""
    found = aggregate.mean_interval(values, seed=seed)
    return {
        "values": _plain(values),
        "mean": _plain(found.value),
        "low": _plain(found.low) if len(values) > 1 else None,
        "high": _plain(found.high) if len(values) > 1 else None,
    }


def _plain(array: np.ndarray) -> Any:
    # JSON has no NaN: an angle that does not exist, or a latent that ran away. Six digits are what float32 holds.
    rounded = np.vectorize(lambda value: float(f"{value:.6g}"), otypes=[object])(array)
    plain: Any = np.where(np.isfinite(array), rounded, None)
    return plain.tolist()


def _reach(means: np.ndarray, noise: float) -> np.ndarray:
    """Place of the last of ``[..., D]`` within noise of the best: ``[...]``."""
    good = means >= means.max(axis=-1, keepdims=True) - noise
    return means.shape[-1] - 1 - good[..., ::-1].argmax(axis=-1)


def _noise(values: np.ndarray) -> float:
    """What a mean difference between two depths of ``[S, D]`` reaches by chance; 0 for a single seed or depth."""
    freedom = (values.shape[0] - 1) * (values.shape[1] - 1)
    if not freedom:
        return 0.0
    residual = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    error = np.sqrt(2 * (residual**2).sum() / freedom / len(values))
    return float(stats.t.ppf(_CONFIDENCE, freedom) * error)


def _breakdown(latents: Mapping[str, np.ndarray], trained_count: int) -> str:
    size, step = (np.asarray(latents[name], float).mean(axis=0) for name in ("size", "step"))
    if not np.isfinite(size[-1]) or size[-1] > _RUNAWAY * size[min(trained_count, len(size)) - 1]:
        return "diverges"
    return "freezes" if step[-1] < _STILL else "drifts"
