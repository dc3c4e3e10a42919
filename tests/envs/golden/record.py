"""Record short trajectories of JaxGCRL's environments, for our own to be compared with.

    python tests/envs/golden/record.py PATH_TO/jaxgcrl [NAME ...]

The first argument is the folder of the unpacked package (jaxgcrl 0.2.8 from PyPI was recorded). It is not
imported as a package, for its other parts need libraries that its environments do not. Writes ``peer.npz``
beside this file, anew or, for the names given, in place; see ``test_parity.py`` for what each array is.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

STEPS = 100
STORED = 11
BATCH = 2
BACKENDS = ("spring", "positional", "generalized", "mjx")

# our name and split -> (module, class, backend, constructor arguments) of the peer
PEERS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "reacher": ("reacher", "Reacher", "generalized", {}),
    "pusher_easy": ("pusher", "Pusher", "generalized", {"kind": "easy"}),
    "pusher_hard": ("pusher", "Pusher", "generalized", {"kind": "hard"}),
    "pusher_reacher": ("pusher", "PusherReacher", "generalized", {}),
    "pusher2": ("pusher2", "Pusher2", "generalized", {}),
    "half_cheetah": ("half_cheetah", "Halfcheetah", "mjx", {}),
    "ant": ("ant", "Ant", "spring", {}),
    "ant_random_start": ("ant", "Ant", "spring", {"randomize_start": True}),
    "ant_u_maze": ("ant_maze", "AntMaze", "spring", {"maze_layout_name": "u_maze"}),
    "ant_big_maze:eval": ("ant_maze", "AntMaze", "spring", {"maze_layout_name": "big_maze_eval"}),
    "ant_ball": ("ant_ball", "AntBall", "spring", {}),
    "ant_ball_u_maze": ("ant_ball_maze", "AntBallMaze", "spring", {"maze_layout_name": "u_maze"}),
    "ant_ball_maze": ("ant_ball_maze", "AntBallMaze", "spring", {"maze_layout_name": "big_maze"}),
    "ant_push": ("ant_push", "AntPush", "mjx", {}),
    "humanoid": ("humanoid", "Humanoid", "spring", {}),
    "humanoid_u_maze": ("humanoid_maze", "HumanoidMaze", "spring", {"maze_layout_name": "u_maze"}),
    "arm_reach": ("manipulation.arm_reach", "ArmReach", "mjx", {}),
    "arm_grasp": ("manipulation.arm_grasp", "ArmGrasp", "mjx", {}),
    "arm_push_easy": ("manipulation.arm_push_easy", "ArmPushEasy", "mjx", {}),
    "arm_push_hard": ("manipulation.arm_push_hard", "ArmPushHard", "mjx", {}),
    "arm_binpick_easy": ("manipulation.arm_binpick_easy", "ArmBinpickEasy", "mjx", {}),
    "arm_binpick_hard": ("manipulation.arm_binpick_hard", "ArmBinpickHard", "mjx", {}),
}
TUNED = ("reacher", "pusher_easy", "half_cheetah", "ant", "humanoid")


def tuning(env: Any) -> np.ndarray:
    """What a constructor sets per backend: frames per step, timestep, solver options, gears."""
    options = env.sys.opt
    numbers = [env._n_frames, options.timestep, options.solver, options.iterations, options.ls_iterations]
    return np.array([*map(float, numbers), *np.asarray(env.sys.actuator.gear)])


def trajectory(env: Any, prefix: str) -> dict[str, np.ndarray]:
    """A random-action rollout of a small batch, without resets."""
    keys = jax.random.split(jax.random.PRNGKey(7), BATCH)
    actions = np.random.default_rng(0).uniform(-1, 1, (STEPS, BATCH, env.action_size)).astype(np.float32)
    state, step = jax.jit(jax.vmap(env.reset))(keys), jax.jit(jax.vmap(env.step))
    obs, done, success = [state.obs], [], []
    for action in actions:
        state = step(state, action)
        obs.append(state.obs)
        done.append(state.done)
        success.append(state.metrics["success"])
    return {
        f"{prefix}/actions": actions,
        f"{prefix}/obs": np.array(obs[:STORED]),
        f"{prefix}/done": np.array(done),
        f"{prefix}/success": np.array(success),
    }


def record(name: str) -> dict[str, np.ndarray]:
    """All arrays of one environment."""
    module, cls_name, backend, options = PEERS[name]
    cls = getattr(importlib.import_module(f"envs.{module}"), cls_name)
    arrays = trajectory(cls(backend=backend, **options), name)
    for other in BACKENDS if name in TUNED else (backend,):
        arrays[f"{name}/tuning/{other}"] = tuning(cls(backend=other, **options))
    print(name, arrays[f"{name}/obs"].shape, "falls:", arrays[f"{name}/done"].max(0), flush=True)
    return arrays


def main() -> None:
    """Record everything, or the environments named."""
    package, *names = sys.argv[1:]
    out = Path(__file__).resolve().with_name("peer.npz")
    sys.path.insert(0, package)
    os.chdir(package)  # the arms open their models by a path relative to it
    arrays = dict(np.load(out)) if names else {}
    for name in names or PEERS:
        arrays |= record(name)
    np.savez_compressed(out, **arrays)


if __name__ == "__main__":
    main()
