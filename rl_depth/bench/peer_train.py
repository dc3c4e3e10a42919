"""Trains with PyPI's ``jaxgcrl`` under the Python it is installed in: ``PYTHON peer_train.py '{"env": "ant", ...}'``.

A script, which imports nothing of this package: `bench --whole` runs it and reads the line of JSON it prints. It calls
what the peer's own command calls, `create_env` and `CRL.train_fn` (Bortkiewicz et al. 2025, arXiv 2408.11052; seen:
0.2.8), with nothing sent to Weights & Biases. Where today's packages lack what the peer imports (``brax.v1``,
``wandb_osh``, ``wandb``), empty modules stand in: a run without tracking calls nothing of them.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

FIRST = "peer: first epoch done"  # on stderr, for `bench` to take the time
_STAND_INS = ("brax.v1", "brax.v1.envs", "wandb", "wandb_osh", "wandb_osh.hooks")


def main(arguments: list[str]) -> int:
    """Prints the line of JSON; returns the exit code: 0, or 1 if the peer cannot be trained here."""
    work = json.loads(arguments[0])
    try:
        marks = train(work)
    except (ImportError, AttributeError, TypeError) as error:
        print(f"jaxgcrl cannot train in this environment: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"marks": marks}))
    return 0


def train(work: dict[str, Any]) -> list[dict[str, float]]:
    """Train; for each of the peer's epochs, environment steps so far, seconds of training and of the evaluation."""
    for name in _STAND_INS:
        _stand_in(name)
    import numpy as np

    create_env = import_module("jaxgcrl.utils.env").create_env
    CRL = import_module("jaxgcrl.agents.crl.crl").CRL

    env, eval_env = (create_env(env_name=work["env"], backend=work["backend"]) for _ in range(2))
    for one in (env, eval_env):
        one.goal_indices = np.asarray(one.goal_indices)  # today's JAX takes no index that is a list
    agent = CRL(
        batch_size=work["batch"],
        h_dim=work["width"],
        n_hidden=work["depth"] + 1,
        use_ln=True,
        unroll_length=work["unroll"],
        min_replay_size=work["min_replay"],
        max_replay_size=work["replay"],
    )
    config = SimpleNamespace(
        **{name: work[name] for name in ("num_envs", "episode_length", "num_evals", "num_eval_envs")},
        total_env_steps=work["env_steps"],
        seed=work["seed"],
        action_repeat=1,
        visualization_interval=work["num_evals"],
        checkpoint_logdir=None,
        max_devices_per_host=1,
    )
    marks: list[dict[str, float]] = []

    def progress(step: int, metrics: dict[str, Any], *_: Any, **__: Any) -> None:
        if not marks:
            print(FIRST, file=sys.stderr, flush=True)
        seconds, evaluating = float(metrics["training/walltime"]), float(metrics.get("eval/epoch_eval_time", 0.0))
        marks.append({"env_steps": int(step), "train_seconds": seconds, "eval_seconds": evaluating})

    try:
        agent.train_fn(config=config, train_env=env, eval_env=eval_env, progress_fn=progress)
    except UnboundLocalError:  # it returns what it saves, and nothing is saved
        if len(marks) < config.num_evals:
            raise
    return marks


def _stand_in(name: str) -> None:
    try:
        __import__(name)
    except ImportError:
        parent, _, leaf = name.rpartition(".")
        module = ModuleType(name)
        module.__getattr__ = lambda name: MagicMock(name=name)
        module.__path__ = []
        sys.modules[name] = module
        if parent:
            setattr(sys.modules[parent], leaf, module)


if __name__ == "__main__":
    sys.path[:1] = []  # this folder, whose names must hide none of the peer's
    sys.exit(main(sys.argv[1:]))
