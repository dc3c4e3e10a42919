"""Depth thresholds in deep self-supervised reinforcement learning.

    import rl_depth

    run = rl_depth.train(rl_depth.Config(depth=8, block="looped"), out="runs/mine")
    policy = rl_depth.load(run)
    action = policy(obs, goal, depth=32)

Importing this package is cheap: JAX loads with the first of these names that needs it.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    "Config": "config",
    "ConfigError": "config",
    "RunError": "config",
    "load": "evaluation.policy",
    "train": "training.session",
}

__all__ = ["Config", "ConfigError", "RunError", "load", "train"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        if name in ("load", "train"):
            importlib.import_module(".device", __name__).start()
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
