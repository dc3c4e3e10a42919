"""Record what rliable makes of some scores, for our own aggregates to be compared with.

    python -m venv other && other/bin/pip install "rliable==1.2.0" "arch<8" "pandas<3"
    other/bin/python tests/analysis/golden/record.py

rliable cannot be installed beside our own dependencies, for it needs older pandas and arch. Writes
``rliable.json`` beside this file: per case the scores and rliable's results, intervals as [low, high].
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import numpy as np
from rliable import library, metrics

REPETITIONS = 50_000
PROFILE_REPETITIONS = 5_000


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scores of X and Y, seeds by tasks: tasks of unlike spread, ties, one task, few seeds, heavy tails."""
    rng = np.random.default_rng(20)
    level, spread = np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.05, 0.08])
    return {
        "three tasks": (level + spread * rng.standard_normal((6, 3)), level - 0.05 + spread * rng.random((5, 3))),
        "ties": (rng.integers(0, 4, (8, 2)) / 4, rng.integers(0, 4, (5, 2)) / 4),
        "one task": (rng.random((10, 1)), rng.random((10, 1)) + 0.2),
        "three seeds": (rng.random((3, 4)), rng.random((3, 4))),
        "heavy tails": (rng.standard_cauchy((9, 5)), rng.standard_cauchy((7, 5)) - 1),
    }


def interval(scores: dict[str, object], measure: object) -> list[float]:
    """Percentile interval of the stratified bootstrap."""
    _, found = library.get_interval_estimates(scores, measure, reps=REPETITIONS, random_state=np.random.RandomState(1))
    return found["a"].ravel().tolist()


def main() -> None:
    """Write the file."""
    found = {}
    for name, (x, y) in cases().items():
        taus = np.quantile(x, [0.0, 0.1, 0.3, 0.5, 0.8, 1.0])
        profiles, profile_intervals = library.create_performance_profile({"a": x}, taus, reps=PROFILE_REPETITIONS)
        found[name] = {
            "x": x.tolist(),
            "y": y.tolist(),
            "thresholds": taus.tolist(),
            "iqm": float(metrics.aggregate_iqm(x)),
            "iqm_interval": interval({"a": x}, lambda s: np.array([metrics.aggregate_iqm(s)])),
            "improvement": float(metrics.probability_of_improvement(x, y)),
            "improvement_interval": interval(
                {"a": (x, y)}, lambda s, t: np.array([metrics.probability_of_improvement(s, t)])
            ),
            "profile": profiles["a"].tolist(),
            "profile_interval": profile_intervals["a"].tolist(),
        }
    versions = {package: importlib.metadata.version(package) for package in ("rliable", "arch", "scipy", "numpy")}
    about = {"versions": versions, "repetitions": REPETITIONS, "profile_repetitions": PROFILE_REPETITIONS}
    file = Path(__file__).with_name("rliable.json")
    file.write_text(json.dumps({"about": about, "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
